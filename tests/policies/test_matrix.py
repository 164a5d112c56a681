"""The audience x capability table of the product, as data, against what the policies print."""

from pathlib import Path

import pytest

from gatekeeper.authz import Action, Policies, as_markdown, matrix
from gatekeeper.authz.audiences import LICENSES, question_of
from gatekeeper.authz.matrix import COLUMNS, audience_of

# Columns: draft, internal, trusted_test, research_preview, gated, open, and an open release when held and withdrawn.
# Under a RAIL license; quotas, logs and notices are no audiences and stand in stages.toml and safety.toml.
# "held" and "withdrawn" keep what was known ("as before"); promotion ends there, holding and taking back goes on.
_EXPECTED = """
know              | owners | org         | named       | everyone          | everyone      | everyone      | everyone  | everyone
read_card         | owners | org         | named       | everyone          | everyone      | everyone      | everyone  | everyone
see_samples       | owners | org         | named       | everyone          | everyone      | everyone      | none      | none
list_files        | owners | org         | named       | signed-in         | everyone      | everyone      | signed-in | owners
read_small        | owners | org         | named+terms | grant             | grant         | everyone      | none      | none
generate          | owners | org         | named+terms | grant+terms       | terms         | terms         | none      | none
generate_adjusted | owners | safety team | named+terms | none              | grant+purpose | grant+purpose | none      | none
see_intermediate  | owners | safety team | named       | none              | none          | none          | none      | none
download          | owners | org+terms   | named+terms | grant+institution | grant+terms   | terms         | none      | none
derive            | owners | org         | named       | grant             | grant         | signed-in     | none      | none
redistribute      | none   | none        | none        | none              | grant+terms   | everyone      | none      | none
discuss_read      | owners | org         | named       | everyone          | everyone      | everyone      | everyone  | everyone
discuss_write     | owners | org         | named       | grant             | signed-in     | signed-in     | none      | none
upload            | owners | org         | named       | grant             | signed-in     | signed-in     | owners    | owners
promote           | maintainers | maintainers | maintainers | maintainers  | maintainers   | maintainers   | none      | none
hold              | maintainers | maintainers | maintainers | maintainers  | maintainers   | maintainers   | maintainers | maintainers
report            | owners | org         | named       | everyone          | everyone      | everyone      | everyone  | everyone
handle_incidents  | maintainers | maintainers | maintainers | maintainers  | maintainers   | maintainers   | maintainers | maintainers
manage            | maintainers | maintainers | maintainers | maintainers  | maintainers   | maintainers   | maintainers | maintainers
"""  # noqa: E501

_CELLS = [
    (Action(row[0]), column, cell)
    for line in _EXPECTED.strip().splitlines()
    for row in [[part.strip() for part in line.split("|")]]
    for column, cell in zip(COLUMNS, row[1:], strict=True)
]


@pytest.mark.parametrize(("action", "column", "expected"), _CELLS, ids=lambda value: getattr(value, "title", value))
def test_widest_audience_is_the_one_in_the_table(policies: Policies, action, column, expected: str) -> None:  # type: ignore[no-untyped-def]
    assert audience_of(policies, action, column, "rail") == expected


@pytest.mark.parametrize(
    ("action", "license", "expected"),
    [
        (Action.DOWNLOAD, "permissive", "everyone"),
        (Action.GENERATE, "permissive", "signed-in"),
        (Action.REDISTRIBUTE, "closed", "none"),
        (Action.REDISTRIBUTE, "permissive", "everyone"),
    ],
)
def test_license_decides_about_open_releases(policies: Policies, action: Action, license: str, expected: str) -> None:
    open_release = next(column for column in COLUMNS if column.title == "open")
    assert audience_of(policies, action, open_release, license) == expected


@pytest.mark.parametrize("license", LICENSES)
def test_audiences_widen_from_stage_to_stage_for_what_makes_a_release_visible(policies: Policies, license: str) -> None:
    ladder = [column.place for column in COLUMNS[:6]]
    for action in (Action.KNOW, Action.READ_CARD, Action.LIST_FILES, Action.DISCUSS_READ):
        for who in ("everyone", "signed-in", "org", "owners", "maintainers"):
            answers = [
                policies.evaluate(question_of(who, place, license=license), action).is_allowed for place in ladder
            ]
            assert answers == sorted(answers), (action, who)


def test_printed_table_names_what_the_license_changes(policies: Policies) -> None:
    text = as_markdown(matrix(policies))
    assert "terms (permissive license: everyone)" in text
    assert "everyone (where the license allows it)" in text
    assert len({line.count("|") for line in text.strip().splitlines()}) == 1


def test_documentation_holds_the_table_as_printed(policies: Policies) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    assert as_markdown(matrix(policies)) in page, "print it again with `python -m gatekeeper.authz.matrix`"
