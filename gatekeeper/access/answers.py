"""Answers that reviewers start from: words for a rejection, a return or conditions, kept in versions.

They belong to a repository, or to an organization for all its repositories. A reviewer sees the words filled in and
changes them; what is sent is what they sent, so nothing refers back to the template.
"""

import re
from collections.abc import Collection, Mapping
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.access import moves
from gatekeeper.access.tables import AnswerTemplate
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.ids import new_id
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo

Use = Literal["approve", "reject", "return"]
USES: tuple[Use, ...] = ("reject", "return", "approve")
PLACEHOLDERS = {
    "person": "the applicant's name",
    "repository": "the repository's name",
    "reviewer": "the name of who answers",
    "today": "the day of the answer",
}
MOST_TITLE = 80
_MOST = 100
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


async def save_template(
    session: AsyncSession,
    place: Repo | Organization,
    *,
    by: Principal,
    act: str,
    title: str,
    text: str,
    earlier: AnswerTemplate | None = None,
) -> AnswerTemplate:
    """Add an answer, or a new version of `earlier`, which stays as it was.

    Raises Invalid for words that cannot be used, Conflict where somebody else made a version after `earlier`.
    """
    title = title.strip()
    if act not in USES:
        raise errors.Invalid(f"An answer is for one of {', '.join(USES)}.", next_step="Choose one of these.")
    if not title or len(title) > MOST_TITLE:
        raise errors.Invalid(
            f"An answer has a title of at most {MOST_TITLE} characters.", next_step="Name it for those who choose it."
        )
    text = moves.checked_reason(text, what="An answer")
    unknown = sorted(set(_PLACEHOLDER.findall(text)) - PLACEHOLDERS.keys())
    if unknown:
        raise errors.Invalid(
            f"There is no placeholder {{{unknown[0][:40]}}}.",
            next_step=f"Use {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}, or no braces.",
        )
    return await _add(session, place, by=by, act=act, title=title, text=text, earlier=earlier)


async def retire_template(
    session: AsyncSession, place: Repo | Organization, earlier: AnswerTemplate, *, by: Principal
) -> AnswerTemplate:
    """Offer an answer no longer. Its versions stay."""
    return await _add(
        session, place, by=by, act=earlier.act, title=earlier.title, text=earlier.text, earlier=earlier, is_retired=True
    )


async def templates_of(session: AsyncSession, place: Repo | Organization) -> list[list[AnswerTemplate]]:
    """The answers that a place offers, by title, each with all its versions, the newest first."""
    every = sa.select(AnswerTemplate).where(_of(place)).order_by(col(AnswerTemplate.version).desc())
    versions: dict[str, list[AnswerTemplate]] = {}
    for row in await session.scalars(every):
        versions.setdefault(row.id, []).append(row)
    offered = [each for each in versions.values() if not each[0].is_retired]
    return sorted(offered, key=lambda each: (each[0].title, each[0].id))


async def templates_for(session: AsyncSession, repos: Collection[Repo]) -> list[AnswerTemplate]:
    """What a reviewer of these repositories is offered: their own and their organizations' answers, in force."""
    owners = [repo.owner_organization_id for repo in repos if repo.owner_organization_id]
    later = sa.orm.aliased(AnswerTemplate)
    is_old = sa.exists().where(
        col(later.id) == col(AnswerTemplate.id), col(later.version) > col(AnswerTemplate.version)
    )
    found = await session.scalars(
        sa.select(AnswerTemplate)
        .where(
            sa.or_(
                col(AnswerTemplate.repo_id).in_([repo.id for repo in repos]),
                col(AnswerTemplate.organization_id).in_(owners),
            ),
            ~is_old,
            col(AnswerTemplate.is_retired).is_(False),
        )
        .order_by(col(AnswerTemplate.title), col(AnswerTemplate.id))
        .limit(_MOST)
    )
    return list(found)


def is_for(template: AnswerTemplate, repo: Repo) -> bool:
    """Whether reviewers of this repository are offered the answer."""
    return template.repo_id == repo.id if template.repo_id else template.organization_id == repo.owner_organization_id


async def versions_of(session: AsyncSession, place: Repo | Organization, template_id: str) -> list[AnswerTemplate]:
    """Every version of an answer of this place, the newest first. Raises NotFound."""
    found = await session.scalars(
        sa.select(AnswerTemplate)
        .where(_of(place), col(AnswerTemplate.id) == template_id)
        .order_by(col(AnswerTemplate.version).desc())
    )
    versions = list(found)
    if not versions:
        raise errors.NotFound("There is no such answer.", next_step="Take it from the list of answers.")
    return versions


def filled(template: AnswerTemplate, values: Mapping[str, str]) -> str:
    """The words with every placeholder replaced, once: what stands in a value is never looked at."""
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template.text)


async def _add(
    session: AsyncSession,
    place: Repo | Organization,
    *,
    by: Principal,
    act: str,
    title: str,
    text: str,
    earlier: AnswerTemplate | None,
    is_retired: bool = False,
) -> AnswerTemplate:
    made = AnswerTemplate(
        id=earlier.id if earlier else new_id(),
        version=earlier.version + 1 if earlier else 1,
        repo_id=place.id if isinstance(place, Repo) else None,
        organization_id=place.id if isinstance(place, Organization) else None,
        act=act,
        title=title,
        text=text,
        is_retired=is_retired,
        made_by=by.person_id,
    )
    if not await insert_missing(session, AnswerTemplate, [made.model_dump()]):
        raise errors.Conflict("Somebody else changed this answer.", next_step="Reload the page and look at theirs.")
    await ledger.record(
        session,
        "access:template:retire" if is_retired else "access:template:save",
        actor=by.person_id,
        token=by.token_id,
        repo=made.repo_id,
        subject=made.id,
        body={"version": made.version, "act": act, "text_sha256": sha256_hex(text.encode())}
        | ({"organization_id": made.organization_id} if made.organization_id else {}),
    )
    return made


def _of(place: Repo | Organization) -> sa.ColumnElement[bool]:
    column = AnswerTemplate.repo_id if isinstance(place, Repo) else AnswerTemplate.organization_id
    return col(column) == place.id
