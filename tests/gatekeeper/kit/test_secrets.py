"""Secrets: recognizable offline, never guessed by form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret


def test_a_new_secret_is_well_formed_and_never_the_same() -> None:
    secrets = {new_secret("gk_") for _ in range(50)}
    assert len(secrets) == 50
    assert all(is_well_formed(secret, "gk_") for secret in secrets)


@given(st.integers(3, 46), st.sampled_from("0aZ_é\0"))
def test_one_changed_character_is_noticed(place: int, sign: str) -> None:
    secret = new_secret("gk_")
    changed = secret[:place] + sign + secret[place + 1 :]
    assert is_well_formed(changed, "gk_") == (changed == secret)


@given(st.text())
def test_any_other_text_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text, "gk_")


def test_the_prefix_is_part_of_the_checksum() -> None:
    assert not is_well_formed("gs_" + new_secret("gk_")[3:], "gs_")


def test_the_hash_depends_on_key_and_secret() -> None:
    assert len({keyed_hash(key, text) for key in (b"a", b"b") for text in ("x", "y")}) == 4


@pytest.mark.parametrize("length", [0, 1, 46, 48, 100_000])
def test_the_length_is_checked_first(length: int) -> None:
    assert not is_well_formed("gk_" + "A" * length, "gk_") or length == 44
