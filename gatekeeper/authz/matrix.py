"""Who may do what at which stage, printed from the policies themselves."""

from typing import NamedTuple

from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import AUDIENCES, question_of
from gatekeeper.authz.policies import Policies
from gatekeeper.releases.tables import Stage

NOBODY = "none"
# Administrators of the hub are let in beside everybody else; naming them in each cell would hide who else is.
_NAMED = tuple(name for name in AUDIENCES if name not in ("site admin", "operator", "proposer"))


class Column(NamedTuple):
    """A stage, or a side state of an open release."""

    title: str
    place: str
    side: str = ""


class Row(NamedTuple):
    """A capability and, by the titles of COLUMNS, the widest audience that has it."""

    title: str
    action: Action
    cells: dict[str, str]


COLUMNS = (
    *(Column(stage.value, stage.value) for stage in Stage),
    Column("held", Stage.OPEN.value, "held"),
    Column("withdrawn", Stage.OPEN.value, "withdrawn"),
)
CAPABILITIES = {
    "know it exists": Action.KNOW,
    "card, license, form, evaluations": Action.READ_CARD,
    "sample images that the card names": Action.SEE_SAMPLES,
    "file list and digests": Action.LIST_FILES,
    "small files (config, tokenizer)": Action.READ_SMALL,
    "hosted inference, default safety": Action.GENERATE,
    "inference with adjustable safety": Action.GENERATE_ADJUSTED,
    "intermediate data": Action.SEE_INTERMEDIATE,
    "weights download": Action.DOWNLOAD,
    "derivative upload naming it": Action.DERIVE,
    "redistribute / mirror out": Action.REDISTRIBUTE,
    "discussion: read": Action.DISCUSS_READ,
    "discussion: write": Action.DISCUSS_WRITE,
    "pull request: files": Action.UPLOAD,
    "ask for access": Action.REQUEST_ACCESS,
    "settings": Action.MANAGE,
    "promotion": Action.PROMOTE,
    "hold, resume, withdraw": Action.HOLD,
    "report a problem": Action.REPORT,
    "handle its incidents": Action.HANDLE_INCIDENTS,
}


def matrix(policies: Policies) -> tuple[Row, ...]:
    """Each capability with its audience at each stage and side state. A license that changes a cell is named in it."""
    return tuple(
        Row(title, action, {column.title: _cell(policies, action, column) for column in COLUMNS})
        for title, action in CAPABILITIES.items()
    )


def as_markdown(rows: tuple[Row, ...]) -> str:
    """The matrix as a Markdown table."""
    titles = [column.title for column in COLUMNS]
    lines = [f"| Capability | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    lines += [f"| {row.title} | {' | '.join(row.cells[title] for title in titles)} |" for row in rows]
    return "\n".join(lines) + "\n"


def audience_of(policies: Policies, action: Action, column: Column, license: str) -> str:
    """The widest audience that may, `none` if no kind of person may."""
    for name in _NAMED:
        question = question_of(name, column.place, side=column.side, license=license)
        if policies.evaluate(question, action).is_allowed:
            return name
    return NOBODY


def _cell(policies: Policies, action: Action, column: Column) -> str:
    rail, permissive, closed = (
        audience_of(policies, action, column, license) for license in ("rail", "permissive", "closed")
    )
    notes = []
    if permissive != rail:
        notes.append(f"permissive license: {permissive}")
    if closed != rail:
        notes.append("where the license allows it" if closed == NOBODY else f"closed license: {closed}")
    return f"{rail} ({'; '.join(notes)})" if notes else rail


if __name__ == "__main__":  # prints the table of docs/policies.md
    print(as_markdown(matrix(Policies.load())), end="")
