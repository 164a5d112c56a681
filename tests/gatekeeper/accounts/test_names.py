"""What may be a name or an address."""

import pytest

from gatekeeper.accounts.names import check_email, check_name, fold, skeleton
from gatekeeper.errors import Invalid


@pytest.mark.parametrize("name", ["ab", "Ada", "a-b_c.d", "0ctopus", "a" * 39])
def test_plain_names_are_accepted(name: str) -> None:
    assert check_name(name) == name
    assert len(skeleton(name)) <= 40


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "a" * 40,
        "-ab",
        "ab-",
        ".ab",
        "a b",
        "a/b",
        "..",
        "a..b",
        "a--b",
        "ab.git",
        "adа",
        "ａda",
        "ab\n",
        "a\x00b",
        "%2e%2e",
    ],
)
def test_other_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "name", ["api", "API", "models", "Datasets", "spaces", "settings", "login", "docs", "v1", "oauth", "admin"]
)
def test_words_of_the_hub_are_reserved(name: str) -> None:
    with pytest.raises(Invalid, match="reserved"):
        check_name(name)


def test_folding_never_fails() -> None:
    assert fold(" ADA ") == "ada"
    assert fold("\ud800\0") == "??"


@pytest.mark.parametrize("email", ["ada@example.org", "a.b+c@sub.example.org", "ada@localhost", " ada@example.org "])
def test_plain_addresses_are_accepted(email: str) -> None:
    assert check_email(email) == email.strip()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "a@b@c",
        "ada@-x.org",
        "ada@ex ample.org",
        "ada@x..org",
        "ada\r\n@example.org",
        "a" * 65 + "@example.org",
        "ada@" + "x" * 300,
        "<ada@example.org>",
        ".a@x.org",
        "ada@éxample.org",
    ],
)
def test_other_addresses_are_refused(email: str) -> None:
    with pytest.raises(Invalid):
        check_email(email)
