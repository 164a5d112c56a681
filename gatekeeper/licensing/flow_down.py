"""Flow-down: what a derivative of a model under a RAIL text must pass on before others get it.

Every RAIL license asks that its use restrictions bind later users too, and that changed files say that they were
changed. Here that is: a text with at least the same restrictions, or the base's own text, and a notice of changes. It
binds whoever comes later in a chain, whatever stands between: each base is asked for its own bases, too.
"""

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.licensing.catalogue import Catalogue, Known
from gatekeeper.licensing.recognition import recognized
from gatekeeper.licensing.terms import Terms, terms_for
from gatekeeper.repos import cards, history
from gatekeeper.repos.mirrors.tables import Mirror
from gatekeeper.repos.names import find_by_any_name
from gatekeeper.repos.paths import is_lookup
from gatekeeper.repos.tables import Repo, RepoKind

MOST_BASES = 100
NOTICE_FILES = ("notice", "notice.txt", "notice.md", "changes", "changes.txt", "changes.md", "changelog.md")
_HEADING = re.compile(r"^#{1,6}\s+.*\bchange[sd]?\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """The revision by which a base is judged. `is_public`: everybody may know that it is there."""

    commit: str
    stage: str = ""
    is_public: bool = True


PlaceOf = Callable[[Repo], Awaitable[Place | None]]


@dataclass(frozen=True, slots=True)
class Owed:
    """What a derivative owes to one base.

    base        its name; "" for one that not everybody may know
    missing     ids of restrictions that the base's text has and the derivative's does not
    needs_text  the base's restrictions are not worked out, so its own text is needed
    """

    base: str
    license: Known
    missing: tuple[str, ...] = ()
    needs_text: bool = False


@dataclass(frozen=True, slots=True)
class FlowDown:
    """What is missing, all bases together. `bases` are those under a RAIL text here, by name as in `Owed`.

    is_too_long  the chain has more models than are looked at, so nobody can say
    """

    bases: tuple[str, ...]
    owed: tuple[Owed, ...]
    lacks_notice: bool
    is_too_long: bool = False

    @property
    def is_met(self) -> bool:
        """Whether nothing is missing."""
        return not self.owed and not self.lacks_notice and not self.is_too_long


async def flow_down(
    session: AsyncSession, repo: Repo, commit: str, *, catalogue: Catalogue, place_of: PlaceOf, stage: str = ""
) -> FlowDown:
    """What the commit of a repository, released at `stage`, still has to pass on, from its bases and theirs.

    place_of  by which revision a base is judged; None where it may not be spoken of: what is found must not tell of
              repositories that its readers may not know, nor of what those were made from
    Only bases on this hub count, a mirror by the name of what it mirrors, too.
    """
    card = await cards.card_of(session, repo, commit)
    own = await terms_for(session, repo, commit, stage=stage)
    carried = set(own.texts) if own else set()
    restrictions = {each for known in await _licenses(session, own, catalogue) for each in known.restrictions}
    bases, owed, count = [], [], 0
    async for base, place in _chain(session, repo, card.base_models, place_of):
        count += 1
        terms = await terms_for(session, base, place.commit, stage=place.stage)
        rails = [(text, known) for text, known in await _recognized(session, terms, catalogue) if known.is_rail]
        name = base.full_name if place.is_public else ""
        if rails:
            bases.append(name)
        for text, known in rails:
            if text in carried:
                continue
            missing = tuple(each for each in known.restrictions if each not in restrictions)
            if missing or not known.restrictions:
                owed.append(Owed(name, known, missing, needs_text=not known.restrictions))
    lacks_notice = bool(bases) and not await _has_notice(session, repo, commit, card.text)
    return FlowDown(tuple(bases), tuple(owed), lacks_notice, is_too_long=count > MOST_BASES)


async def _chain(
    session: AsyncSession, repo: Repo, names: tuple[str, ...], place_of: PlaceOf
) -> AsyncIterator[tuple[Repo, Place]]:
    """The bases that a card names, theirs, and so on, each once, nearest first; at most one more than are looked at."""
    seen, waiting = {repo.id}, deque(names)
    while waiting and len(seen) <= MOST_BASES + 1:
        for base in await _called(session, waiting.popleft()):
            place = None if base.id in seen else await place_of(base)
            if place is None:
                continue
            seen.add(base.id)
            yield base, place
            waiting.extend((await cards.card_of(session, base, place.commit)).base_models)


async def _called(session: AsyncSession, name: str) -> list[Repo]:
    """The model that has or had this name, else the mirrors here of one that has it on another hub."""
    found = await find_by_any_name(session, RepoKind.MODEL, name)
    if found is not None or not is_lookup(name, limit=160):
        return [found] if found else []
    query = sa.select(Repo).join(Mirror, col(Mirror.repo_id) == col(Repo.id))
    mirrored = query.where(sa.func.lower(col(Mirror.upstream)) == name.lower(), col(Repo.deleted_at).is_(None))
    return list(await session.scalars(mirrored.where(col(Repo.kind) == RepoKind.MODEL).order_by(col(Repo.id))))


async def _licenses(session: AsyncSession, terms: Terms | None, catalogue: Catalogue) -> list[Known]:
    return [known for _, known in await _recognized(session, terms, catalogue)]


async def _recognized(session: AsyncSession, terms: Terms | None, catalogue: Catalogue) -> list[tuple[str, Known]]:
    texts = terms.texts if terms else ()
    found = [(text, await recognized(session, text, catalogue=catalogue)) for text in texts]
    return [(text, known) for text, known in found if known is not None]


async def _has_notice(session: AsyncSession, repo: Repo, commit: str, card_text: str) -> bool:
    """A file that is called so and says something, or a section of the card."""
    if _HEADING.search(card_text):
        return True
    files = await history.tree(session, repo, commit)
    return any(entry.type == "file" and entry.path.lower() in NOTICE_FILES and entry.size > 0 for entry in files)
