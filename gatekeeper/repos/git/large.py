"""Where in history an LFS file lies: a digest alone opens nothing, only a path of a revision does."""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.repos import objects
from gatekeeper.repos.git.graph import Graph
from gatekeeper.repos.tables import Repo

_MOST_FOLDERS = 100_000


async def find_lfs(
    s: AsyncSession,
    repo: Repo,
    graph: Graph,
    commits: Iterable[str],
    digests: Sequence[str],
    *,
    most_folders: int = _MOST_FOLDERS,
) -> dict[str, tuple[str, str]]:
    """Commit and path of each of `digests` that one of `commits` holds; commits are looked through in their order.

    most_folders  how many are opened at most; what lies in later ones is not found
    """
    wanted = set(digests)
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for commit in commits:
        waiting = [("", graph[commit].tree)]
        while waiting and wanted and len(seen) < most_folders:
            prefix, oid = waiting.pop()
            if oid in seen:
                continue
            seen.add(oid)
            for item in await objects.folder(s, repo.id, oid):
                if item.is_folder:
                    waiting.append((f"{prefix}{item.name}/", item.oid))
                elif item.lfs is not None and item.lfs.sha256 in wanted:
                    wanted.discard(item.lfs.sha256)
                    found[item.lfs.sha256] = (commit, prefix + item.name)
        if not wanted:
            break
    return found
