"""The tree of a commit that is being made: only touched folders are read, only changed ones are written."""

from dataclasses import dataclass

from dulwich.objects import Tree
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import EntryNotFound, Invalid
from gatekeeper.repos import objects
from gatekeeper.repos.objects import EMPTY_TREE, FILE_MODE, FOLDER_MODE


@dataclass(slots=True)
class _Open:
    """A folder whose rows were read. A row is (mode, id), or an open folder."""

    rows: "dict[str, tuple[int, str] | _Open]"


class Draft:
    """A tree under change, starting from the tree `root` of a repository."""

    def __init__(self, s: AsyncSession, repo_id: str, root: str = EMPTY_TREE) -> None:
        self._session = s
        self._repo_id = repo_id
        self._root: tuple[int, str] | _Open = (FOLDER_MODE, root)

    async def find(self, path: str) -> tuple[int, str] | None:
        """Mode and id of the file at `path`, or None."""
        parent = await self._open_parent(path, make=False)
        row = parent.rows.get(path.rpartition("/")[2]) if parent else None
        return None if row is None or _is_folder(row) or isinstance(row, _Open) else row

    async def put(self, path: str, oid: str, mode: int = FILE_MODE) -> None:
        """Place a file. Raises Invalid (422) when a folder has that name, or a file lies where a folder is needed."""
        parent = await self._open_parent(path, make=True)
        assert parent is not None
        name = path.rpartition("/")[2]
        if name in parent.rows and _is_folder(parent.rows[name]):
            raise Invalid(
                f"'{path}' is a folder, so no file can have that name.",
                status=422,
                next_step="Delete the folder in the same commit first, or choose another name.",
            )
        parent.rows[name] = (mode, oid)

    async def remove(self, path: str, *, folder: bool | None = None) -> None:
        """Remove the file or folder at `path`; `folder` says which it must be. Raises EntryNotFound."""
        parent = await self._open_parent(path, make=False)
        name = path.rpartition("/")[2]
        row = parent.rows.get(name) if parent else None
        if parent is None or row is None or (folder is not None and _is_folder(row) is not folder):
            raise EntryNotFound(
                "A file with this name doesn't exist", details={"path": path}, next_step=f"Nothing was deleted: {path}"
            )
        del parent.rows[name]

    def write(self) -> tuple[str, list[Tree]]:
        """Id of the root tree and the trees that were opened; empty folders vanish, as Git has none."""
        made: list[Tree] = []
        if not isinstance(self._root, _Open):
            return self._root[1], made
        root = _close(self._root, made)
        if root == EMPTY_TREE:
            made.append(Tree())
        return root, made

    async def _open_parent(self, path: str, *, make: bool) -> _Open | None:
        if not isinstance(self._root, _Open):
            self._root = await self._read(self._root[1])
        here, walked = self._root, ""
        for name in path.split("/")[:-1]:
            walked = f"{walked}/{name}" if walked else name
            row = here.rows.get(name)
            if row is None or not _is_folder(row):
                if not make:
                    return None
                if row is not None:
                    raise Invalid(
                        f"'{walked}' is a file, so '{path}' cannot lie below it.",
                        status=422,
                        next_step="Delete the file in the same commit first, or choose another path.",
                    )
                row = _Open({})
            elif not isinstance(row, _Open):
                row = await self._read(row[1])
            here.rows[name] = row
            here = row
        return here

    async def _read(self, oid: str) -> _Open:
        rows = await objects.folder(self._session, self._repo_id, oid)
        return _Open({item.name: (item.mode, item.oid) for item in rows})


def _is_folder(row: tuple[int, str] | _Open) -> bool:
    return isinstance(row, _Open) or row[0] == FOLDER_MODE


def _close(here: _Open, made: list[Tree]) -> str:
    rows: list[tuple[str, int, str]] = []
    for name, row in here.rows.items():
        if isinstance(row, _Open):
            oid = _close(row, made)
            if oid != EMPTY_TREE:
                rows.append((name, FOLDER_MODE, oid))
        else:
            rows.append((name, *row))
    tree = objects.tree_of(rows)
    if rows:
        made.append(tree)
    return tree.id.decode()
