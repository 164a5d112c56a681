"""What the Hub's clients read, but for the info object."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from gatekeeper.access import HubRequest
from gatekeeper.accounts import Organization, Person, Role
from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import Gate, GitRef, Repo, scanning
from gatekeeper.repos import lfs as lfs_room
from gatekeeper.repos import uploads as uploads_room
from gatekeeper.repos.history import Commit, LfsPointer, TreeEntry
from gatekeeper.repos.large_files import LargeFile
from gatekeeper.repos.lfs_parts import Offer
from gatekeeper.repos.scanning import FileResult
from gatekeeper.tokens import AccessToken

Json = dict[str, Any]


def whoami(person: Person, organizations: Iterable[tuple[Organization, Role]], token: AccessToken | None) -> Json:
    """`GET /api/whoami-v2`."""
    answer: Json = {
        "type": "user",
        "id": person.id,
        "name": person.name,
        "fullname": person.fullname or person.name,
        "email": person.email,
        "emailVerified": False,
        "avatarUrl": "",
        "isPro": False,
        "canPay": False,
        "orgs": [
            {
                "type": "org",
                "id": organization.id,
                "name": organization.name,
                "fullname": organization.fullname or organization.name,
                "roleInOrg": role.value,
                "avatarUrl": "",
                "isEnterprise": False,
            }
            for organization, role in organizations
        ],
    }
    if token is not None:
        answer["auth"] = {
            "type": "access_token",
            "accessToken": {
                "displayName": token.label,
                "role": token.role,
                "createdAt": instant_text(token.created_at),
            },
        }
    return answer


def sibling(entry: TreeEntry, *, with_sizes: bool) -> Json:
    """One file in an info object. Its LFS digest is called `sha256` here and `oid` in a tree."""
    answer: Json = {"rfilename": entry.path}
    if with_sizes:
        answer |= {"size": entry.size, "blobId": entry.oid}
        if entry.lfs is not None:
            answer["lfs"] = {
                "sha256": entry.lfs.sha256,
                "size": entry.lfs.size,
                "pointerSize": entry.lfs.pointer_size,
            }
    return answer


def tree_entry(
    entry: TreeEntry, last: Commit | None = None, xet_hash: str | None = None, scanned: FileResult | None = None
) -> Json:
    """One row of a tree. `xet_hash` is given for files that can be downloaded through Xet."""
    answer: Json = {"type": entry.type, "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.lfs is not None:
        answer["lfs"] = _pointer(entry.lfs)
    if xet_hash is not None:
        answer["xetHash"] = xet_hash
    if last is not None:
        answer["lastCommit"] = {"id": last.oid, "title": last.title, "date": instant_text(last.authored_at)}
    if scanned is not None:
        answer["securityFileStatus"] = file_status(scanned)
    return answer


def file_status(scanned: FileResult) -> Json:
    """What the scan says of a file. Both keys of scans must be there, also for a scan that is not made here."""
    imports = [
        {"module": each.module, "name": each.name, "safety": each.safety}
        for each in (scanned.verdict.imports if scanned.verdict else ())
    ]
    return {
        "status": scanned.status.value,
        "avScan": None,
        "pickleImportScan": {"status": _pickle_status(scanned), "pickleImports": imports} if imports else None,
        "findings": [
            {"kind": each.kind.value, "status": each.status.value, "detail": each.detail} for each in scanned.findings
        ],
    }


def repo_status(results: Mapping[str, FileResult]) -> Json:
    """`securityRepoStatus` of an info object."""
    return {
        "scansDone": scanning.is_done(results),
        "filesWithIssues": [{"path": each.path, "level": each.status.value} for each in scanning.issues(results)],
    }


def _pickle_status(scanned: FileResult) -> str:
    told = {each.status for each in scanned.findings if each.kind is scanning.Kind.PICKLE}
    worst = (scanning.Status.UNSAFE, scanning.Status.SUSPICIOUS)
    return next((status.value for status in worst if status in told), scanning.Status.SAFE.value)


def _pointer(lfs: LfsPointer) -> Json:
    return {"oid": lfs.sha256, "size": lfs.size, "pointerSize": lfs.pointer_size}


def refs(rows: Iterable[GitRef], *, with_pull_requests: bool) -> Json:
    """`GET /api/{T}/{repo}/refs`. `converts` must be there."""
    answer: Json = {"branches": [], "tags": [], "converts": []}
    if with_pull_requests:
        answer["pullRequests"] = []
    places = (("refs/heads/", "branches"), ("refs/tags/", "tags"), ("refs/pr/", "pullRequests"))
    for row in rows:
        for prefix, place in places:
            if row.name.startswith(prefix) and place in answer:
                name = row.name if prefix == "refs/pr/" else row.name.removeprefix(prefix)
                answer[place].append({"name": name, "ref": row.name, "targetCommit": row.object_id})
    return answer


def commit(made: Commit, *, is_formatted: bool) -> Json:
    """One row of a history."""
    answer: Json = {
        "id": made.oid,
        "title": made.title,
        "message": made.message,
        "date": instant_text(made.authored_at),
        "authors": [{"user": made.author, "avatar": ""}],
    }
    if is_formatted:
        # HTML, by the public hub's convention: text that could be markup is escaped.
        answer["formatted"] = {"title": escape(made.title), "message": escape(made.message)}
    return answer


def access_request(row: HubRequest) -> Json:
    """One row of the lists of access requests."""
    answer: Json = {
        "requestId": row.request_id,
        "status": row.status.value,
        "timestamp": instant_text(row.at),
        "user": {"user": row.user, "fullname": row.fullname, "avatarUrl": ""},
    }
    if row.email is not None:
        answer["user"]["email"] = row.email
    if row.fields:
        answer["fields"] = dict(row.fields)
    return answer


def yaml_verdict(problems: Iterable[str], warnings: Iterable[str]) -> Json:
    """`POST /api/validate-yaml`."""
    return {
        "errors": [{"message": problem} for problem in problems],
        "warnings": [{"message": warning} for warning in warnings],
    }


def created(address: str, full_name: str) -> Json:
    """Answer of create, also inside its 409: `url` is parsed by the client."""
    return {"url": address, "name": full_name}


def settings(repo: Repo) -> Json:
    """Answer of a change of settings."""
    return {
        "private": repo.is_private,
        "visibility": "private" if repo.is_private else "public",
        "gated": gated(repo.gate),
    }


def gated(gate: Gate) -> str | bool:
    """`auto`, `manual` or false."""
    return False if gate is Gate.NONE else gate.value


def committed(address: str, oid: str, *, pull_url: str | None = None) -> Json:
    """Answer of a commit. `commitUrl` must hold `/commit/`, `pullRequestUrl` end in `/discussions/<number>`."""
    answer: Json = {"success": True, "commitUrl": address, "commitOid": oid, "hookOutput": ""}
    return answer | ({"pullRequestUrl": pull_url} if pull_url else {})


def copied(done: Iterable[str], missing: Iterable[tuple[str, str]]) -> Json:
    """`POST .../lfs-files/duplicate`: clients raise an error that lists what `failed`."""
    error = "This file is in no revision that you may copy from."
    return {
        "success": [{"sha256": sha256} for sha256 in done],
        "failed": [{"sha256": sha256, "filename": path, "error": error} for path, sha256 in missing],
    }


def preupload(planned: Iterable[uploads_room.Planned], commit: str) -> Json:
    """`POST .../preupload/{rev}`."""
    return {
        "commitOid": commit,
        "files": [
            {"path": plan.path, "uploadMode": plan.mode, "shouldIgnore": plan.is_ignored, "oid": plan.oid}
            for plan in planned
        ],
    }


def large_file(row: LargeFile) -> Json:
    """One row of `GET .../lfs-files`. `fileOid` is what a deletion names; both ids are the content's SHA-256."""
    answer: Json = {
        "fileOid": row.sha256,
        "oid": row.sha256,
        "filename": row.path,
        "pushedAt": instant_text(row.received_at),
        "size": row.size,
    }
    return answer | ({"ref": row.ref} if row.ref else {})


def lfs_object(plan: lfs_room.Planned, *, address: str | None, verify: str) -> Json:
    """One object of a batch answer. What is stored has no `actions` key at all: a null breaks clients."""
    answer: Json = {"oid": plan.sha256, "size": plan.size}
    if plan.code:
        answer["error"] = {"code": plan.code, "message": plan.problem}
    elif address is not None:
        answer["actions"] = {"upload": {"href": address}, "verify": {"href": verify}}
    return answer


def lfs_parts(plan: lfs_room.Planned, offer: Offer, *, parts: list[str], completion: str, verify: str) -> Json:
    """One object of a batch answer that is to be sent in parts: clients know it by `chunk_size`."""
    header = {"chunk_size": str(offer.part_bytes)} | {str(at): part for at, part in enumerate(parts, 1)}
    actions = {"upload": {"href": completion, "header": header}, "verify": {"href": verify}}
    return {"oid": plan.sha256, "size": plan.size, "actions": actions}


def lfs_download(plan: lfs_room.Planned, *, address: str | None, seconds: int) -> Json:
    """One object of the answer to a batch that downloads."""
    answer: Json = {"oid": plan.sha256, "size": plan.size}
    if address is None:
        answer["error"] = {"code": plan.code, "message": plan.problem}
    else:
        answer |= {"authenticated": True, "actions": {"download": {"href": address, "expires_in": seconds}}}
    return answer


def lfs_batch(rows: list[Json], *, transfer: str = "basic") -> Json:
    """`POST .../info/lfs/objects/batch`."""
    return {"transfer": transfer, "objects": rows, "hash_algo": "sha256"}


def xet_token(token: str, expires_at: int, address: str) -> Json:
    """`GET .../xet-write-token/{rev}`."""
    return {"accessToken": token, "exp": expires_at, "casUrl": address}
