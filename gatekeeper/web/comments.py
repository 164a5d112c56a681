"""Comments as safe HTML: the Markdown of cards, with links to what the people mentioned have said here."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import names, people
from gatekeeper.community import Thread
from gatekeeper.community.writing import MENTION
from gatekeeper.repos import Repo
from gatekeeper.web.kinds import page_path
from gatekeeper.web.prose import comment_html

_MOST_NAMES = 200


@dataclass(frozen=True)
class Place:
    """Where comments are shown: addresses that links continue, and the people who may be linked, by folded name."""

    files: str
    people: frozenset[str]
    origin: str

    def link_to(self, name: str) -> str | None:
        """Address of what this person opened here, None for a name that nobody has."""
        if names.fold(name) not in self.people:
            return None
        return f"{self.origin}/discussions?author={quote(name)}"


async def place_of(s: AsyncSession, repo: Repo, thread: Thread, *, public_url: str) -> Place:
    """The place for the comments of one discussion."""
    said = (name for entry in thread.entries for text in entry.versions for name in MENTION.findall(text.text))
    known: set[str] = set()
    for name in list(dict.fromkeys(names.fold(name) for name in said))[:_MOST_NAMES]:
        person = await people.find(s, name)
        if person is not None and not person.is_disabled:
            known.add(name)
    path = page_path(repo.kind, repo.full_name)
    return Place(path, frozenset(known), f"{public_url}{path}")


async def rendered(texts: Iterable[str], place: Place) -> dict[str, Markup]:
    """HTML by text, made in a thread: hostile Markdown takes long."""
    return {text: await asyncio.to_thread(_html, text, place) for text in dict.fromkeys(texts)}


def _html(text: str, place: Place) -> Markup:
    base, files = f"{place.files}/blob/main", f"{place.files}/resolve/main"
    return comment_html(text, base=base, files=files, mention=MENTION, link_to=place.link_to)
