"""Flow-down: what a derivative of a model under a RAIL text must pass on before others get it.

Every RAIL license asks that its use restrictions bind later users too, and that changed files say that they were
changed. Here that is: a text with at least the same restrictions, or the base's own text, and a notice of changes.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import RevisionNotFound
from gatekeeper.licensing.catalogue import Catalogue, Known
from gatekeeper.licensing.recognition import recognized
from gatekeeper.licensing.terms import Terms, terms_for
from gatekeeper.repos import cards, history
from gatekeeper.repos.names import find_by_any_name
from gatekeeper.repos.tables import Repo, RepoKind

NOTICE_FILES = ("notice", "notice.txt", "notice.md", "changes", "changes.txt", "changes.md", "changelog.md")
_HEADING = re.compile(r"^#{1,6}\s+.*\bchange[sd]?\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Owed:
    """What a derivative owes to one base.

    missing     ids of restrictions that the base's text has and the derivative's does not
    needs_text  the base's restrictions are not worked out, so its own text is needed
    """

    base: str
    license: Known
    missing: tuple[str, ...] = ()
    needs_text: bool = False


@dataclass(frozen=True, slots=True)
class FlowDown:
    """What is missing, all bases together. `bases` are those under a RAIL text here."""

    bases: tuple[str, ...]
    owed: tuple[Owed, ...]
    lacks_notice: bool

    @property
    def is_met(self) -> bool:
        """Whether nothing is missing."""
        return not self.owed and not self.lacks_notice


async def flow_down(
    session: AsyncSession,
    repo: Repo,
    commit: str,
    *,
    catalogue: Catalogue,
    is_shown: Callable[[Repo], Awaitable[bool]],
    stage: str = "",
) -> FlowDown:
    """What the commit of a repository, released at `stage`, still has to pass on.

    is_shown  whether a base may be spoken of: what is found must not tell of repositories that its readers may not know
    Only bases on this hub count.
    """
    card = await cards.card_of(session, repo, commit)
    own = await terms_for(session, repo, commit, stage=stage)
    carried = set(own.texts) if own else set()
    restrictions = {each for known in await _licenses(session, own, catalogue) for each in known.restrictions}
    bases, owed = [], []
    for name in dict.fromkeys(card.base_models):
        base = await find_by_any_name(session, RepoKind.MODEL, name)
        if base is None or base.id == repo.id or not await is_shown(base):
            continue
        terms = await _terms_of(session, base)
        if terms is None:
            continue
        rails = [(text, known) for text, known in await _recognized(session, terms, catalogue) if known.is_rail]
        if rails:
            bases.append(base.full_name)
        for text, known in rails:
            if text in carried:
                continue
            missing = tuple(each for each in known.restrictions if each not in restrictions)
            if missing or not known.restrictions:
                owed.append(Owed(base.full_name, known, missing, needs_text=not known.restrictions))
    lacks_notice = bool(bases) and not await _has_notice(session, repo, commit, card.text)
    return FlowDown(tuple(bases), tuple(owed), lacks_notice)


async def _terms_of(session: AsyncSession, base: Repo) -> Terms | None:
    try:
        head = await history.resolve_revision(session, base, "main")
    except RevisionNotFound:  # nothing was uploaded yet
        return None
    return await terms_for(session, base, head)


async def _licenses(session: AsyncSession, terms: Terms | None, catalogue: Catalogue) -> list[Known]:
    return [known for _, known in await _recognized(session, terms, catalogue)] if terms else []


async def _recognized(session: AsyncSession, terms: Terms, catalogue: Catalogue) -> list[tuple[str, Known]]:
    found = [(text, await recognized(session, text, catalogue=catalogue)) for text in terms.texts]
    return [(text, known) for text, known in found if known is not None]


async def _has_notice(session: AsyncSession, repo: Repo, commit: str, card_text: str) -> bool:
    """A file that is called so and says something, or a section of the card."""
    if _HEADING.search(card_text):
        return True
    files = await history.tree(session, repo, commit)
    return any(entry.type == "file" and entry.path.lower() in NOTICE_FILES and entry.size > 0 for entry in files)
