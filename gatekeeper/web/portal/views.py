"""What pages about a repository show, as values: made from decisions, so no page knows more than its reader may."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import HTMLResponse

from gatekeeper import accounts, authz, releases
from gatekeeper.accounts import ANONYMOUS, Person, Principal
from gatekeeper.authz import Action, Allowed, Capabilities, Code, Decision, Resource, Revision
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Terms
from gatekeeper.releases.tables import Release
from gatekeeper.repos import Card, Gate, Repo, RepoKind, cards, history
from gatekeeper.repos.popularity import Popularity
from gatekeeper.web import stepping, words
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import page_path
from gatekeeper.web.portal import pictures
from gatekeeper.web.portal.restrictions import title_of
from gatekeeper.web.prose import summary_of
from gatekeeper.web.templating import page

# Nobody in particular who is signed in: what "everyone" may come to by accepting or asking.
_OF_IMAGES = (Action.GENERATE, Action.GENERATE_ADJUSTED)
_STRANGER = Principal(person_id="stranger", name="stranger")


@dataclass(frozen=True)
class Head:
    """A repository as lists and headings show it, at the revision that its reader stands before."""

    kind: words.KindFacts
    namespace: str
    name: str
    url: str
    summary: str
    license_title: str
    updated_at: datetime
    may: str
    commit: str
    is_staged: bool
    is_private: bool
    gate: str
    stage: str
    is_held: bool
    hold_reason: str
    is_withdrawn: bool
    is_embargoed: bool
    is_deprecated: bool
    task: str = ""
    library: str = ""
    tabs: tuple[tuple[str, str], ...] = ()
    popularity: Popularity | None = None
    picture: str = ""

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def pictures(self) -> str:
        """What the addresses of its pictures begin with."""
        return f"{self.url}/picture/{self.commit}"


@dataclass(frozen=True)
class Answer:
    """One cell of the table of capabilities: kind is yes, no or wait."""

    kind: str
    text: str


@dataclass(frozen=True)
class Capability:
    """One row of the table of capabilities."""

    label: str
    mine: Answer
    everyone: Answer


@dataclass(frozen=True)
class Seen:
    """A repository with everything that its pages need about this reader."""

    head: Head
    rights: Capabilities
    card: Card
    commit: str
    revision: Revision | None


def repo_url(repo: Repo) -> str:
    """Path of the repository's page."""
    return page_path(repo.kind, f"{quote(repo.namespace)}/{quote(repo.name)}")


async def see(call: Call, repo: Repo, resource: Resource) -> Seen:
    """The repository as this principal may see it. `resource` must be loaded for them."""
    (seen,) = await see_each(call, [(repo, resource)])
    return replace(seen, head=replace(seen.head, tabs=await _tabs(call, repo, seen)))


async def see_each(call: Call, rows: Sequence[tuple[Repo, Resource]]) -> list[Seen]:
    """The same for many, without their tabs: for rows of a list."""
    session, instant, policies = call.session, now(), call.gatekeeper.policies
    rights = {repo.id: Capabilities(policies, call.principal, resource, instant) for repo, resource in rows}
    known = {repo_id: each[Action.KNOW].revision for repo_id, each in rights.items()}
    commits = {repo_id: call.commit or (revision.commit if revision else "") for repo_id, revision in known.items()}
    if branches := [repo_id for repo_id, commit in commits.items() if not commit]:
        commits |= await history.heads(session, branches)
    readable = [(repo, commits[repo.id]) for repo, _ in rows if rights[repo.id][Action.READ_CARD]]
    read = await cards.cards_of(session, readable)
    ids = [revision.release_id for revision in known.values() if revision and revision.release_id]
    held = {row.id: row for row in await session.scalars(sa.select(Release).where(col(Release.id).in_(ids)))}
    places = [
        pictures.Place(repo, commits[repo.id], card, rights[repo.id])
        for repo, _ in rows
        if (card := read.get((repo.id, commits[repo.id])))
    ]
    shown = dict(zip((each.repo.id for each in places), await pictures.first_of_each(session, places), strict=True))
    found = []
    for repo, _ in rows:
        revision, commit = known[repo.id], commits[repo.id]
        card = read.get((repo.id, commit), Card())
        release = held.get(revision.release_id or "") if revision else None
        head = _head(call, repo, rights[repo.id], revision, commit=commit, card=card, release=release)
        if first := shown.get(repo.id):
            head = replace(head, picture=first.href(head.pictures, "small"))
        found.append(Seen(head, rights[repo.id], card, commit, revision))
    return found


def policies_dir(call: Call) -> Path:
    """The folder of the policies in force."""
    return call.gatekeeper.policies.directory or bundled_dir("policies")


async def terms_of(call: Call, repo: Repo, commit: str) -> Terms | None:
    """The terms in force for the revision the reader stands before."""
    return await releases.terms_in_force(call.session, repo, commit) if commit else None


async def capability_rows(call: Call, repo: Repo, seen: Seen) -> list[Capability]:
    """Who may do what: the reader beside everyone."""
    everyone = await everyones_rights(call, repo, seen)
    return [
        Capability(words.capability(action.value, repo.kind), _mine(seen.rights[action]), everyone[action])
        for action in seen.rights
        if action.value in words.CAPABILITIES and (seen.head.kind.makes_images or action not in _OF_IMAGES)
    ]


async def everyones_rights(call: Call, repo: Repo, seen: Seen) -> dict[Action, Answer]:
    """What anybody may do, and what they would have to do for the rest."""
    instant, policies = now(), call.gatekeeper.policies
    commit = seen.commit if seen.revision and seen.revision.commit else None
    nobody = await authz.load(call.session, ANONYMOUS, repo, commit=commit, instant=instant)
    stranger = replace(nobody, person_id=_STRANGER.person_id)
    found = {}
    for action in seen.rights:
        if authz.decide(policies, ANONYMOUS, action, nobody, instant):
            found[action] = Answer("yes", "Yes")
            continue
        match authz.decide(policies, _STRANGER, action, stranger, instant):
            case Allowed():
                found[action] = Answer("wait", "Signed in")
            case denied:
                found[action] = Answer(*words.EVERYONE.get(denied.code, ("no", "No")))
    return found


async def me(call: Call) -> Person:
    """Whose session it is. Raises NotSignedIn."""
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    if person is None:
        raise NotSignedIn("You are not signed in any more.", next_step="Sign in again.")
    return person


def render(call: Call, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """The page for this call's principal."""
    first = stepping.sign_in_first(call.request, call.principal, call.gatekeeper.settings)
    return page(call.request, call.principal, template, status=status, sign_in_first=first, **context)


def _head(
    call: Call,
    repo: Repo,
    rights: Capabilities,
    revision: Revision | None,
    *,
    commit: str,
    card: Card,
    release: Release | None,
) -> Head:
    return Head(
        kind=words.KINDS[repo.kind],
        namespace=repo.namespace,
        name=repo.name,
        url=repo_url(repo),
        summary=summary_of(card),
        license_title=title_of(policies_dir(call), card.license_name or card.license or ""),
        updated_at=repo.updated_at,
        may=_may(rights, words.KINDS[repo.kind]),
        commit=commit,
        is_staged=repo.is_staged,
        is_private=repo.is_private,
        gate=repo.gate.value,
        stage=(revision.stage or "") if revision and repo.is_staged else "",
        is_held=bool(revision and revision.is_held),
        hold_reason=release.hold_reason if release else "",
        is_withdrawn=bool(revision and revision.is_withdrawn),
        is_embargoed=bool(revision and revision.embargoed_until),
        is_deprecated=bool(revision and revision.is_deprecated),
        task=card.pipeline_tag or "",
        library=card.library_name or "",
    )


def _mine(decision: Decision) -> Answer:
    if isinstance(decision, Allowed):
        return Answer("yes", "Yes")
    return Answer(*words.MINE.get(decision.code, ("no", "No")))


def _may(rights: Capabilities, kind: words.KindFacts) -> str:
    can = ["make images"] if kind.makes_images and rights[Action.GENERATE] else []
    can += [f"download {kind.content}"] if rights[Action.DOWNLOAD] else []
    if not can:
        return "You can ask for access" if rights[Action.REQUEST_ACCESS] else ""
    text = f"You can {' and '.join(can)}"
    asks = not rights[Action.DOWNLOAD] and rights[Action.REQUEST_ACCESS] and _is_open_to_ask(rights[Action.DOWNLOAD])
    return f"{text}, and ask for more" if asks else text


def _is_open_to_ask(decision: Decision) -> bool:
    return not isinstance(decision, Allowed) and decision.code in (
        Code.ACCESS_NOT_REQUESTED,
        Code.TERMS_NOT_ACCEPTED,
        Code.TERMS_WITHDRAWN,
        Code.SIGN_IN_REQUIRED,
    )


async def _tabs(call: Call, repo: Repo, seen: Seen) -> tuple[tuple[str, str], ...]:
    url, commit, rights = seen.head.url, seen.commit, seen.rights
    tabs = [(url, "Card")]
    if rights[Action.LIST_FILES]:
        tabs.append((f"{url}/tree/{_revision_name(call, commit)}", "Files"))
    if rights[Action.DISCUSS_READ]:
        tabs.append((f"{url}/discussions", "Community"))
    is_model = repo.kind is RepoKind.MODEL
    is_gated = repo.is_staged or repo.gate is not Gate.NONE
    if is_model or is_gated or not rights[Action.DOWNLOAD]:
        tabs.append((f"{url}/access", "Access"))
    if is_model and await history.find_entry(call.session, repo, commit, "model_index.json") is not None:
        tabs.append((f"{url}/playground", "Playground"))
        if rights[Action.READ_CARD]:
            tabs.append((f"{url}/evaluations", "Evaluations"))
    if repo.is_staged or (rights[Action.MANAGE] and repo.kind is not RepoKind.SPACE):
        tabs.append((f"{url}/releases", "Releases"))
    if rights[Action.REVIEW] and (is_model or is_gated):
        tabs.append((f"{url}/grants", "Grants"))
    return tuple(tabs)


def _revision_name(call: Call, commit: str) -> str:
    return quote(call.params["rev"], safe="") if "rev" in call.params else commit
