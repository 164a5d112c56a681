"""Which terms are in force for the revisions of a decision, as facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import licensing
from gatekeeper.authz.resource import Revision, Standing, Text
from gatekeeper.licensing.tables import RepoTerms, TermsBundle
from gatekeeper.repos.rows import Key, conditions
from gatekeeper.repos.tables import Repo

ByCommit = dict[str, Revision]


async def terms_of(
    session: AsyncSession, revisions: Sequence[tuple[Repo, Sequence[Revision]]], standing: Mapping[str, Standing]
) -> dict[str, ByCommit]:
    """Each repository's revisions, by its id and their commit, with the texts in force and the earlier ones that count.

    What a release was bound to comes first, then what was remembered for the commit, then what the commit itself says.
    However many there are, it takes a handful of statements.
    """
    repos = {repo.id: repo for repo, _ in revisions}
    each = [(repo.id, revision) for repo, some in revisions for revision in some]
    bundles: dict[Key, str] = {(repo_id, known.commit): known.bundle for repo_id, known in each if known.bundle}
    unbound = {(repo_id, known.commit) for repo_id, known in each if known.commit} - bundles.keys()
    bundles |= await _remembered(session, unbound)
    texts = {bundle.sha256: list(bundle.texts) for bundle in await _bundles(session, bundles.values())}
    places = sorted(unbound - bundles.keys())
    resolved = await licensing.resolve(session, [(repos[repo_id], commit) for repo_id, commit in places])
    for place in places:
        if place not in resolved:  # no such commit any more: terms that nobody can accept
            bundles[place], texts[place[1]] = place[1], [place[1]]
        elif (terms := resolved[place]) is not None:
            bundles[place] = terms.sha256
            texts[terms.sha256] = list(terms.texts)
    ids = await licensing.license_ids(session, {sha256 for digests in texts.values() for sha256 in digests})
    found: dict[str, ByCommit] = {repo_id: {} for repo_id in repos}
    for repo_id, revision in each:
        bundle = bundles.get((repo_id, revision.commit))
        # A bundle whose row is gone names a text that nobody can accept: the gate stays shut.
        digests = texts.get(bundle, [bundle]) if bundle else []
        found[repo_id][revision.commit] = replace(
            revision, bundle=bundle, texts=tuple(Text(sha256, ids.get(sha256, "")) for sha256 in digests)
        )
    return await _with_earlier(session, found, standing)


async def _with_earlier(
    session: AsyncSession, terms: Mapping[str, ByCommit], standing: Mapping[str, Standing]
) -> dict[str, ByCommit]:
    """The same with the earlier texts that count for this person. Nothing is asked where the present are accepted."""
    wanted: dict[Key, tuple[str, frozenset[str]]] = {}  # many commits stand under the same texts
    for repo_id, revisions in terms.items():
        accepted = standing[repo_id].accepted
        for commit, revision in revisions.items():
            texts = frozenset(text.sha256 for text in revision.texts)
            if texts and accepted and not any(texts <= some for some in accepted):
                wanted[repo_id, commit] = (repo_id, texts)
    known = await licensing.earlier_texts_of(session, wanted.values())
    found = {repo_id: dict(revisions) for repo_id, revisions in terms.items()}
    for (repo_id, commit), asked in wanted.items():
        accepted = standing[repo_id].accepted
        earlier = tuple(each for each in known[asked] if any(each.texts <= some for some in accepted))
        found[repo_id][commit] = replace(found[repo_id][commit], earlier=earlier)
    return found


async def _remembered(session: AsyncSession, places: Iterable[Key]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    columns = (col(RepoTerms.repo_id), col(RepoTerms.commit_id))
    for condition in conditions(*columns, places):
        for repo_id, commit, bundle in await session.execute(
            sa.select(*columns, col(RepoTerms.bundle_sha256)).where(condition, col(RepoTerms.stage) == "")
        ):
            found[repo_id, commit] = bundle
    return found


async def _bundles(session: AsyncSession, digests: Iterable[str]) -> Sequence[TermsBundle]:
    wanted = set(digests)
    if not wanted:
        return []
    return (await session.scalars(sa.select(TermsBundle).where(col(TermsBundle.sha256).in_(wanted)))).all()
