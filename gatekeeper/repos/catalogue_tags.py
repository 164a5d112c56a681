"""Finding repositories by what their cards say, without reading every card."""

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper.repos.paths import is_lookup
from gatekeeper.repos.tables import CardTag, Repo

LONGEST_TAG = 200


def tagged(tag: str) -> sa.ColumnElement[bool]:
    """A condition on Repo that every repository meets of which some card has the tag; that card decides, not this."""
    if not is_lookup(tag, limit=LONGEST_TAG):
        return sa.false()
    return col(Repo.id).in_(sa.select(col(CardTag.repo_id)).where(col(CardTag.tag) == tag))


def with_word(word: str) -> sa.ColumnElement[bool]:
    """The same for a folded word that stands in the tag."""
    # Any letter where the word has a -, for the tag may have a _ there: folding all tags takes long.
    pattern = "".join("_" if letter == "-" else f"/{letter}" if letter in "%_/" else letter for letter in word)
    return col(Repo.id).in_(sa.select(col(CardTag.repo_id)).where(col(CardTag.tag).ilike(f"%{pattern}%", escape="/")))


def folded(text: str) -> str:
    """A text as words are looked for in it: the case, and _ or -, make no difference."""
    return text.lower().replace("_", "-")
