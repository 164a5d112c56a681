"""Where people arrive: what waits for them, what they may do and what is new; for everybody else, what this is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup
from starlette.responses import Response

from gatekeeper import access, authz, community, licensing, notices, releases
from gatekeeper.access import AccessGrant, RequestState
from gatekeeper.authz import Action, Allowed, Code, Denied, Resource
from gatekeeper.community import Discussion
from gatekeeper.kit.clock import last_moment, now
from gatekeeper.releases import Release
from gatekeeper.repos import Repo, RepoKind, catalogue
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.browse import Wanted, listed
from gatekeeper.web.portal.mine import NEXT_STEPS
from gatekeeper.web.portal.views import Seen, render, repo_url, see, see_each
from gatekeeper.web.portal.way import onward
from gatekeeper.web.wording.times import day_tag

_NEWEST = 5
_LOOKED_AT = 20  # steps of releases, discussions and own repositories that are looked through
_BEGIN = 3
_SOON = timedelta(days=30)
_USES = (Action.GENERATE, Action.DOWNLOAD)
_FOR_ME = (RequestState.DRAFT, RequestState.RETURNED, RequestState.AWAITING_TERMS)


@dataclass(frozen=True)
class News:
    """Something that happened. `stage` where a release came to stand there."""

    at: datetime
    kind: str
    title: str
    text: str
    href: str
    stage: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Todo:
    """Something that this person can do something about now."""

    text: str
    note: str
    href: str
    action: str


async def home(call: Call) -> Response:
    """`GET /`."""
    if call.principal.person_id is None:
        heads, _ = await listed(call, RepoKind.MODEL, Wanted(), limit=_NEWEST)
        steps = await _steps(call)
        seen = await _see(call, [repo for _, repo in steps])
        news = _of_releases(call, steps, seen)[:_NEWEST]
        others = [head for head in heads if head.url not in {each.href for each in news}]
        return render(call, "portal/welcome.html", repos=others, news=news)
    return await _mine(call, call.principal.person_id)


async def _mine(call: Call, me: str) -> Response:
    session, instant = call.session, now()
    asked = await access.requests_of(session, me, limit=_LOOKED_AT)
    asking = {row.repo.id for row in asked.rows if row.request.state in access.OPEN}  # or renewing
    grants = await access.grants_in_force(session, me, None, instant)
    accepted = {row.repo_id for row in await licensing.acceptances_of(session, me)}
    own = await catalogue.by_ids(session, sorted(accepted | grants.keys())[:_LOOKED_AT])
    steps, talk = await _steps(call), await community.discussions.news_for(session, me, limit=_LOOKED_AT)
    visible = authz.listing_filter(call.gatekeeper.policies, call.principal, instant)
    newest = await catalogue.listing(session, RepoKind.MODEL, visible=visible, limit=_LOOKED_AT)
    seen = await _see(call, [*own, *newest, *(repo for _, repo in steps), *(repo for *_, repo in talk)])
    mine = [repo for repo in {repo.id: repo for repo in (*own, *newest)}.values() if repo.id in seen]
    usable = [repo for repo in mine if any(seen[repo.id][0].rights[action] for action in _USES)][: _NEWEST + 1]
    # Who may use nothing yet begins where something can be read and asked for.
    begin = [] if usable else [repo for repo in mine if repo.id not in asking and _may_begin(seen[repo.id][0])]
    told = await notices.listing(session, me, limit=_NEWEST)
    happened = [*_of_releases(call, steps, seen), *_of_talk(talk, seen)]
    return render(
        call,
        "portal/home.html",
        todo=[
            *await _opinions(call, me),
            *(_request(row) for row in asked.rows if row.request.state in _FOR_ME),
            *_terms(seen[repo.id] for repo in own if repo.id in seen),
            *_ends([repo for repo in own if repo.id not in asking], grants, instant + _SOON),
        ],
        is_new=not (asked.rows or own or usable),
        begin=[seen[repo.id][0].head for repo in begin[:_BEGIN]],
        usable=[seen[repo.id][0].head for repo in usable],
        onward=onward(await see(call, usable[0], seen[usable[0].id][1])) if usable else None,
        requests=[
            (row.repo.full_name, repo_url(row.repo), words.REQUEST_STATES[row.request.state])
            for row in asked.rows
            if row.request.state in access.OPEN
        ],
        news=sorted(happened, key=lambda each: each.at, reverse=True)[: _NEWEST + 3],
        notices=[(notice, notices.say(notice.kind, notice.facts)) for notice in told.items],
    )


def _may_begin(seen: Seen) -> bool:
    return bool(seen.rights[Action.REQUEST_ACCESS] and seen.rights[Action.READ_CARD])


async def _steps(call: Call) -> list[tuple[Release, Repo]]:
    visible = authz.listing_filter(call.gatekeeper.policies, call.principal, now())
    return await releases.recent(call.session, where=[visible], limit=_LOOKED_AT)


async def _see(call: Call, repos: Iterable[Repo]) -> dict[str, tuple[Seen, Resource]]:
    """Those that the caller may know, with what the decisions were made on, by id."""
    each = list({repo.id: repo for repo in repos if repo.deleted_at is None}.values())
    resources = await authz.load_each(call.session, call.principal, each)
    seen = await see_each(call, list(zip(each, resources, strict=True)))
    return {
        repo.id: (one, resource)
        for repo, one, resource in zip(each, seen, resources, strict=True)
        if one.rights[Action.KNOW]
    }


def _of_releases(
    call: Call, steps: Iterable[tuple[Release, Repo]], seen: dict[str, tuple[Seen, Resource]]
) -> list[News]:
    """Steps of releases that the caller may know: each is decided as the release that it is."""
    policies, instant, found = call.gatekeeper.policies, now(), []
    for release, repo in steps:
        if repo.id not in seen:
            continue
        one, resource = seen[repo.id]
        at = next((known for known in resource.releases if known.release_id == release.id), None)
        if at is None or at.is_held or at.is_withdrawn:
            continue
        if authz.decide(policies, call.principal, Action.KNOW, authz.at_release(resource, at), instant):
            head = one.head
            found.append(
                News(release.staged_at, "Release", repo.full_name, head.summary, head.url, release.stage, head.picture)
            )
    return found


def _of_talk(talk: Iterable[tuple[Discussion, datetime, Repo]], seen: dict[str, tuple[Seen, Resource]]) -> list[News]:
    return [
        News(at, "Discussion", found.title, f"In {repo.full_name}", f"{repo_url(repo)}/discussions/{found.num}#last")
        for found, at, repo in talk
        if repo.id in seen and seen[repo.id][0].rights[Action.DISCUSS_READ]
    ]


async def _opinions(call: Call, me: str) -> list[Todo]:
    rows = await access.asked_for_opinion(call.session, me, limit=_NEWEST)
    return [
        Todo("You are asked for an opinion", row.repo.full_name, f"/admin/requests/{row.request.id}", "Read it")
        for row in rows
    ]


def _request(row: access.Row) -> Todo:
    facts = words.REQUEST_STATES[row.request.state]
    action = NEXT_STEPS[row.request.state]
    return Todo(f"Your request for {row.repo.full_name}", facts.next_step, f"{repo_url(row.repo)}/access", action)


def _terms(own: Iterable[tuple[Seen, Resource]]) -> list[Todo]:
    """Terms that have changed since they were accepted."""
    found = []
    for one, _ in own:
        for action in _USES:
            match one.rights[action]:
                case Allowed(terms_until=until) if until is not None:
                    note: str = Markup("You are let in with the earlier ones until {}.").format(day_tag(until))
                case Denied(code=Code.TERMS_CHANGED):
                    note = "You are let in again once you have accepted them."
                case _:
                    continue
            text = f"The terms of {one.head.full_name} have changed"
            found.append(Todo(text, note, f"{one.head.url}/access", "Read the change"))
            break
    return found


def _ends(own: Iterable[Repo], grants: dict[str, AccessGrant], before: datetime) -> list[Todo]:
    """Access that ends soon."""
    ends = [(grants[repo.id].ends_at, repo) for repo in own if repo.id in grants]
    return [
        Todo(
            Markup("Your access to {} ends on {}").format(repo.full_name, day_tag(last_moment(at))),
            "Ask in time for it to go on.",
            f"{repo_url(repo)}/access",
            "Renew it",
        )
        for at, repo in ends
        if at is not None and at < before
    ]


ROUTES = [guarded("/", home, needs=None)]
