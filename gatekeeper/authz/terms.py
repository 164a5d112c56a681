"""Which terms are in force for the revisions of a decision, as facts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import licensing
from gatekeeper.authz.resource import Revision, Standing, Text
from gatekeeper.errors import NotFound
from gatekeeper.licensing.tables import RepoTerms, TermsBundle
from gatekeeper.repos.tables import Repo


async def terms_of(session: AsyncSession, repo: Repo, revisions: Sequence[Revision]) -> dict[str, Revision]:
    """Each revision, by its commit, with the texts in force.

    What a release was bound to comes first, then what was remembered for the commit, then what the commit itself says.
    """
    bundles = {revision.commit: revision.bundle for revision in revisions if revision.bundle}
    unbound = {revision.commit for revision in revisions if revision.commit and revision.commit not in bundles}
    bundles |= await _remembered(session, repo, unbound)
    texts = {bundle.sha256: list(bundle.texts) for bundle in await _bundles(session, bundles.values())}
    for commit in unbound - bundles.keys():
        try:
            terms = await licensing.terms_for(session, repo, commit)
        except NotFound:  # no such commit any more: terms that nobody can accept
            bundles[commit], texts[commit] = commit, [commit]
            continue
        if terms is not None:
            bundles[commit] = terms.sha256
            texts[terms.sha256] = list(terms.texts)
    ids = await licensing.license_ids(session, {sha256 for digests in texts.values() for sha256 in digests})
    found = {}
    for revision in revisions:
        bundle = bundles.get(revision.commit)
        # A bundle whose row is gone names a text that nobody can accept: the gate stays shut.
        digests = texts.get(bundle, [bundle]) if bundle else []
        found[revision.commit] = replace(
            revision, bundle=bundle, texts=tuple(Text(sha256, ids.get(sha256, "")) for sha256 in digests)
        )
    return found


async def with_earlier(
    session: AsyncSession, repo: Repo, terms: dict[str, Revision], standing: Standing
) -> dict[str, Revision]:
    """The same with the earlier texts that count for this person. Nothing is asked where the present are accepted."""
    found = dict(terms)
    known: dict[frozenset[str], tuple[licensing.Earlier, ...]] = {}  # many commits stand under the same texts
    for commit, revision in terms.items():
        texts = frozenset(text.sha256 for text in revision.texts)
        if texts and standing.accepted and not any(texts <= accepted for accepted in standing.accepted):
            if texts not in known:
                earlier = await licensing.earlier_texts(session, repo.id, texts)
                given = standing.accepted
                known[texts] = tuple(each for each in earlier if any(each.texts <= accepted for accepted in given))
            found[commit] = replace(revision, earlier=known[texts])
    return found


async def _remembered(session: AsyncSession, repo: Repo, commits: set[str]) -> dict[str, str]:
    if not commits:
        return {}
    rows = await session.execute(
        sa.select(col(RepoTerms.commit_id), col(RepoTerms.bundle_sha256)).where(
            col(RepoTerms.repo_id) == repo.id, col(RepoTerms.commit_id).in_(commits)
        )
    )
    return {row.commit_id: row.bundle_sha256 for row in rows}


async def _bundles(session: AsyncSession, digests: Iterable[str]) -> Sequence[TermsBundle]:
    wanted = set(digests)
    if not wanted:
        return []
    return (await session.scalars(sa.select(TermsBundle).where(col(TermsBundle.sha256).in_(wanted)))).all()
