"""What a delivery says, made when it is sent: names, privacy and texts are those of that moment."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.community import CommentText, Discussion, DiscussionEvent
from gatekeeper.kit.canonical import instant_text
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices.events import Domain
from gatekeeper.notices.tables import Webhook, WebhookDelivery
from gatekeeper.repos.tables import Repo, RepoKind, RepoRedirect

_TYPES = {RepoKind.MODEL: "model", RepoKind.DATASET: "dataset", RepoKind.SPACE: "space"}
_VERSION = 3
# What maintainers are told of an act on a request or a release: states and ids, never an answer or a name.
_FACTS = (
    "before", "after", "person_id", "request_id", "grant_id", "release_id", "commit", "target", "ends_at",
    "is_tester", "is_automatic", "is_direct", "criterion",
)  # fmt: skip


async def build(
    session: AsyncSession,
    hook: Webhook,
    delivery: WebhookDelivery,
    event: LedgerEvent | None,
    repo: Repo | None,
    *,
    public_url: str,
) -> dict[str, Any]:
    """The body, in the public hub's form with our own additions."""
    found: dict[str, Any] = {
        "event": {"action": delivery.action, "scope": delivery.scope},
        "webhook": {"id": hook.id, "version": _VERSION},
    }
    if event is None or repo is None:
        return found
    found["repo"] = _repo(repo, public_url)
    found["createdAt"] = instant_text(event.occurred_at)
    match delivery.domain:
        case Domain.REPO:
            found |= await _repo_facts(session, event, repo, found["repo"])
        case Domain.DISCUSSION:
            found |= await _discussion_facts(session, event, found["repo"]["url"])
        case Domain.ACCESS:
            facts = {name: event.body[name] for name in _FACTS if name in event.body}
            found["access"] = {"kind": event.kind, "subject": event.subject_id, **facts}
    return found


def commit_of(event: LedgerEvent) -> str | None:
    """The commit that an event tells of: deliveries are decided at it."""
    commit = event.body.get("commit")
    return commit if isinstance(commit, str) and len(commit) == 40 else None


def _repo(repo: Repo, public_url: str) -> dict[str, Any]:
    prefix = "" if repo.kind is RepoKind.MODEL else f"/{repo.kind.value}"
    return {
        "type": _TYPES[repo.kind],
        "name": repo.full_name,
        "id": repo.id,
        "private": repo.is_private,
        "url": {
            "web": f"{public_url}{prefix}/{repo.full_name}",
            "api": f"{public_url}/api/{repo.kind.value}/{repo.full_name}",
        },
        "owner": {"id": repo.owner_person_id or repo.owner_organization_id},
    }


async def _repo_facts(session: AsyncSession, event: LedgerEvent, repo: Repo, told: dict[str, Any]) -> dict[str, Any]:
    if event.kind == "repos:repo:move":
        query = (
            sa.select(col(RepoRedirect.key))
            .where(col(RepoRedirect.repo_id) == repo.id, col(RepoRedirect.moved_at) <= event.occurred_at)
            .order_by(col(RepoRedirect.moved_at).desc())
            .limit(1)
        )
        old = await session.scalar(query)
        owner = told["owner"]
        if old is not None:
            told["name"] = old.partition("/")[2]
        return {"movedTo": {"name": repo.full_name, "owner": owner}}
    reference, commit = event.body.get("ref"), commit_of(event)
    if event.kind == "repos:repo:duplicate":
        reference = "refs/heads/main"
    if reference is None:
        return {}
    before = event.body.get("parent") or event.body.get("before") or event.body.get("old")
    if commit is not None and reference == "refs/heads/main":
        told["headSha"] = commit
    return {"updatedRefs": [{"ref": reference, "oldSha": before, "newSha": commit}]}


async def _discussion_facts(session: AsyncSession, event: LedgerEvent, urls: dict[str, str]) -> dict[str, Any]:
    """The discussion and, where the event is about one, the comment; a hidden comment's text stays hidden."""
    query = sa.select(Discussion).where(
        col(Discussion.repo_id) == event.repo_id, col(Discussion.num) == event.body.get("num")
    )
    found = await session.scalar(query)
    if found is None:
        return {}
    web = f"{urls['web']}/discussions/{found.num}"
    told: dict[str, Any] = {
        "discussion": {
            "id": found.id,
            "num": found.num,
            "title": found.title,
            "status": found.status.value,
            "isPullRequest": found.is_pull_request,
            "author": {"id": found.author_id},
            "url": {"web": web, "api": f"{urls['api']}/discussions/{found.num}"},
        }
    }
    written = await session.get(DiscussionEvent, event.subject_id) if ":comment:" in event.kind else None
    if written is None:
        return told
    comment: dict[str, Any] = {
        "id": written.id,
        "author": {"id": written.author_id},
        "hidden": written.hidden_at is not None,
        "url": {"web": f"{web}#{written.id}"},
    }
    if written.hidden_at is None:
        texts = sa.select(col(CommentText.text)).where(col(CommentText.event_id) == written.id)
        comment["content"] = await session.scalar(texts.order_by(col(CommentText.version).desc()).limit(1))
    return told | {"comment": comment}
