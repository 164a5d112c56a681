"""What an incident is about, as its page shows it: where each link leads, and what can be done about it."""

from dataclasses import dataclass
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import provenance, releases
from gatekeeper.access import AccessGrant
from gatekeeper.incidents import IncidentLink, LinkKind
from gatekeeper.provenance import ImageRecord
from gatekeeper.repos import Repo
from gatekeeper.web import incident_words as words
from gatekeeper.web.admin import effects
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call
from gatekeeper.web.portal.views import repo_url
from gatekeeper.web.templating import segment

_MOST_COUNTED = 10  # revisions whose holders are counted on the page


@dataclass(frozen=True)
class LinkView:
    """A link, and what may be done about it.

    holders  how many people hold the revision; None where that was not counted
    effects  what holding it would lead to
    """

    id: str
    kind: str
    title: str
    href: str
    state: str = ""
    can_hold: bool = False
    can_suspend: bool = False
    holders: int | None = None
    effects: tuple[str, ...] = ()


async def link_views(
    call: Call, links: list[IncidentLink], repos: dict[str | None, Repo], names: dict[str, str], *, is_open: bool
) -> list[LinkView]:
    """The links of an incident that the caller may see, with what each leads to."""
    held = {
        (each.repo_id, each.commit_id): each
        for each in await call.session.scalars(
            sa.select(releases.Release).where(
                col(releases.Release.commit_id).in_([each.target for each in links if each.kind is LinkKind.REVISION])
            )
        )
    }
    ids = [each.target for each in links if each.kind is LinkKind.GRANT]
    grants = {
        each.id: each for each in await call.session.scalars(sa.select(AccessGrant).where(col(AccessGrant.id).in_(ids)))
    }
    numbers = [int(each.target, 16) for each in links if each.kind is LinkKind.IMAGE]
    records = await call.session.scalars(sa.select(ImageRecord).where(col(ImageRecord.number).in_(numbers)))
    images = {provenance.number_text(each.number): each.commit_id for each in records}
    made: list[LinkView] = []
    for each in links:
        repo = repos.get(each.repo_id)
        name, url = (repo.full_name, repo_url(repo)) if repo else ("", "")
        person = names.get(each.person_id or "", "erased")
        kind = words.KINDS[each.kind]
        match each.kind:
            case LinkKind.REPOSITORY:
                view = LinkView(each.id, kind, name, url)
            case LinkKind.REVISION:
                release = held.get((each.repo_id or "", each.target))
                is_held = release is not None and release.held_at is not None
                is_gone = release is not None and release.withdrawn_at is not None
                can_hold = is_open and release is not None and not is_held and not is_gone
                counted = is_open and sum(view.holders is not None for view in made) < _MOST_COUNTED
                view = LinkView(
                    each.id,
                    kind,
                    f"{name} at {each.target[:10]}",
                    f"{url}/releases/{each.target}" if release else f"{url}/tree/{each.target}",
                    state="On hold" if is_held else "Withdrawn" if is_gone else "",
                    can_hold=can_hold,
                    holders=len(await releases.holders_of(call.session, each.repo_id or "", each.target))
                    if counted
                    else None,
                    effects=tuple(await effects.of_hold(call, repo, release)) if can_hold and repo and release else (),
                )
            case LinkKind.GRANT:
                grant = grants.get(each.target)
                is_live = grant is not None and grant.revoked_at is None and grant.suspended_at is None
                state = "In force" if is_live else "Suspended or ended"
                view = LinkView(
                    each.id, kind, f"{person} at {name}", f"{url}/grants", state, can_suspend=is_open and is_live
                )
            case LinkKind.PERSON:
                view = LinkView(each.id, kind, person, _person_href(call, person) if each.person_id in names else "")
            case LinkKind.IMAGE:
                commit = images.get(each.target, "")
                view = LinkView(
                    each.id,
                    kind,
                    f"{each.target}, made with {name}{f' at {commit[:10]}' if commit else ''}",
                    f"{url}/releases/{commit}" if url and commit and repo and repo.is_staged else url,
                )
        made.append(view)
    return made


def _person_href(call: Call, name: str) -> str:
    """The person's own page for who runs the hub, else what they asked for in the caller's care."""
    if runs_hub(call):
        return f"/admin/people/{segment(name)}"
    return f"/admin/requests?{urlencode({'state': 'all', 'person': name})}"
