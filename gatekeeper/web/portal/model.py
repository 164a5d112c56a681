"""The page of one model, data set or Space: card, who may do what, the way in, and how to use it."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.responses import Response

from gatekeeper import access, incidents, licensing
from gatekeeper.authz import Action, Denied
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Document, Terms
from gatekeeper.notices import following
from gatekeeper.releases.tables import Release
from gatekeeper.repos import RepoKind, history, mirrors, popularity
from gatekeeper.web import bias, incident_words, lineage, words
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import pictures, restrictions
from gatekeeper.web.portal.evaluations import visible
from gatekeeper.web.portal.snippets import use_of
from gatekeeper.web.portal.views import Seen, capability_rows, policies_dir, render, see, terms_of
from gatekeeper.web.portal.way import way_in
from gatekeeper.web.prose import card_page

_MOST_SAMPLES = 12


@dataclass(frozen=True)
class Text:
    """A license text as a link."""

    title: str
    sha256: str
    href: str
    text: str


@dataclass(frozen=True)
class Origin:
    """What a mirror was brought from, and when."""

    name: str
    href: str
    at: datetime


@dataclass(frozen=True)
class Rung:
    """A stage of the ladder, seen from the release: past, here, held or later."""

    label: str
    audience: str
    tense: str
    at: object = None


async def model(call: Call) -> Response:
    """`GET /{ns}/{name}`, and below `/datasets` and `/spaces`."""
    repo = call.repo
    seen = await see(call, repo, call.resource)
    terms = await terms_of(call, repo, seen.commit) if seen.rights[Action.READ_CARD] else None
    stands = await access.standing(call.session, call.principal.person_id, repo.id, now())
    accepted = (
        await licensing.current_acceptance(call.session, call.principal.person_id, terms, repo=repo)
        if terms and terms.need_acceptance
        else None
    )
    size, count = await _size(call, seen)
    is_model = repo.kind is RepoKind.MODEL
    children = [child.full_name for child, _ in await lineage.children(call, repo)] if is_model else []
    readable = seen.rights[Action.READ_CARD]
    place = pictures.Place(repo, seen.commit, seen.card, seen.rights)
    shown = await pictures.shown(call.session, place) if readable else []
    return render(
        call,
        "portal/model.html",
        head=seen.head,
        card=await card_page(
            seen.card.text,
            base=f"{seen.head.url}/blob/{seen.commit}",
            files=seen.head.pictures,
            shown={picture.path for picture in shown},
        )
        if seen.card.text.strip()
        else "",
        samples=[_sample(seen, each) for each in shown if each.is_sample][:_MOST_SAMPLES],
        why_no_card=denial(seen, Action.READ_CARD),
        way=way_in(call.principal, seen, terms, accepted=accepted, stands=stands),
        use=use_of(call.gatekeeper, seen),
        capabilities=await capability_rows(call, repo, seen),
        documents=texts_of(seen, terms),
        is_space=repo.kind is RepoKind.SPACE,
        restrictions=restrictions_of(call, seen),
        parents=await lineage.parents(call, seen.card),
        children=children,
        has_more_children=len(children) == lineage.MOST_CHILDREN,
        ladder=await _ladder(call, seen),
        incidents=await incidents.published(call.session, repo),
        severities=incident_words.SEVERITIES,
        handles_incidents=bool(seen.rights[Action.HANDLE_INCIDENTS]),
        evaluations=await visible(call, limit=2, first=seen.commit) if is_model and readable else [],
        figure_label=bias.figure_label,
        commit=seen.commit if seen.rights[Action.LIST_FILES] else "",
        size_bytes=size,
        file_count=count,
        origin=await _origin(call, seen),
        like_count=(await popularity.of(call.session, [repo.id]))[repo.id].likes,
        is_liked=await popularity.likes(call.session, repo, by=call.principal),
        is_followed=await following.choice(call.session, repo, following.WHOLE, call.principal.person_id),
        can_like=bool(seen.rights[Action.DISCUSS_WRITE]),
    )


def _sample(seen: Seen, each: pictures.Picture) -> tuple[str, str, str]:
    """A sample's address and prompt, and where who may make images makes one like it."""
    query = f"{seen.head.url}/playground?{urlencode({'prompt': each.prompt})}"
    may_make = seen.head.kind.makes_images and seen.rights[Action.GENERATE]
    return each.href(seen.head.pictures, "small"), each.prompt, query if may_make and each.prompt else ""


def texts_of(seen: Seen, terms: Terms | None) -> list[Text]:
    """The license texts with the addresses of their pages."""
    return [_text(seen, document) for document in (terms.documents if terms else ())]


def restrictions_of(call: Call, seen: Seen) -> list[str]:
    """What the license forbids, in short. Only for texts whose restrictions the operator's catalogue names."""
    texts = seen.revision.texts if seen.revision else ()
    return restrictions.restrictions_of(policies_dir(call), texts)


def denial(seen: Seen, action: Action) -> words.Refusal | None:
    """Why not, and what to do; None where it is allowed."""
    decision = seen.rights[action]
    return words.refusal(decision, seen.head.url) if isinstance(decision, Denied) else None


def _text(seen: Seen, document: Document) -> Text:
    return Text(document.title, document.sha256, f"{seen.head.url}/terms/{document.sha256}", document.text)


async def _size(call: Call, seen: Seen) -> tuple[int | None, int]:
    if not seen.rights[Action.LIST_FILES]:
        return None, 0
    files = [
        entry
        for entry in await history.tree(call.session, call.repo, seen.commit, recursive=True)
        if entry.type == "file"
    ]
    return sum(entry.size for entry in files), len(files)


async def _origin(call: Call, seen: Seen) -> Origin | None:
    """Where a mirror comes from. Only for readers of the card: the upstream's name may say as much."""
    mirror = await mirrors.find(call.session, call.repo) if seen.rights[Action.READ_CARD] else None
    if mirror is None or mirror.brought_at is None:
        return None
    upstream = mirrors.Upstream(mirror.endpoint, call.repo.kind, mirror.upstream)
    return Origin(mirror.upstream, upstream.page_url, mirror.brought_at)


async def _ladder(call: Call, seen: Seen) -> list[Rung]:
    """Where the release stands. What was before is known; what comes later is only the order of stages."""
    if not seen.head.stage:
        return []
    here = words.STAGES[seen.head.stage].rank
    release_id = seen.revision.release_id if seen.revision else None
    release = await call.session.get(Release, release_id) if release_id else None
    present = "held" if seen.head.is_held else "here"
    return [
        Rung(
            facts.label,
            facts.audience,
            "past" if facts.rank < here else present if facts.rank == here else "later",
            release.staged_at if release and facts.rank == here else None,
        )
        for facts in words.STAGES.values()
    ]


ROUTES = [*for_kinds("/{ns}/{name}", model, needs=Action.KNOW)]
