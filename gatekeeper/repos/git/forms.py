"""The form of pushed commits, tags and folders: only what Git itself would have written."""

from collections.abc import Mapping

from dulwich.errors import ChecksumMismatch, ObjectFormatException
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ShaFile, Tag, parse_tree

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import objects, revisions
from gatekeeper.repos.git.graph import Node, parse
from gatekeeper.repos.git.unpack import Unpacked

_MAX_COMMIT_BYTES = 256 * 2**10
_MAX_PARENTS = 16
Rows = Mapping[str, tuple[int, str]]


def check_commit(oid: str, pack: Unpacked) -> Node:
    """A commit of the pack, once every reader of it agrees on what it says."""
    if pack.objects[oid].size > _MAX_COMMIT_BYTES:
        raise TooLarge(f"The commit {oid} is too long.", next_step="Shorten its message.")
    content = pack.read(oid)
    node = parse(content)
    try:
        raw = ShaFile.from_raw_string(1, content)
        assert isinstance(raw, GitCommit)
        raw.check()
        shown = revisions.parse(oid, content)
    except (ObjectFormatException, ChecksumMismatch, ValueError, OverflowError, OSError, AttributeError) as error:
        raise _broken(f"The commit {oid}") from error
    # Two readers of the same bytes must agree on what is behind a commit.
    if (
        b"\0" in content
        or (shown.tree, shown.parents) != (node.tree, node.parents)
        or len(set(node.parents)) > _MAX_PARENTS
    ):
        raise _broken(f"The commit {oid}")
    return node


def check_tag(content: bytes) -> None:
    """Raise Invalid unless `content` is an annotated tag as Git writes it."""
    try:
        tag = ShaFile.from_raw_string(4, content)
        assert isinstance(tag, Tag)
        tag.check()
    except (ObjectFormatException, ChecksumMismatch, ValueError, OverflowError, AttributeError) as error:
        raise _broken("A tag") from error
    if len(content) > _MAX_COMMIT_BYTES or not content.startswith(b"object " + tag.object[1] + b"\n"):
        raise _broken("A tag")


def check_tree(content: bytes) -> Rows:
    """The rows of a folder in the one form that Git gives it: in order, each name once, plain modes, plain UTF-8."""
    try:
        rows = parse_rows(content)
        again = objects.tree_of((name, mode, oid) for name, (mode, oid) in rows.items()).as_raw_string()
    except (ObjectFormatException, ValueError, AssertionError) as error:
        raise _broken("A folder") from error
    if again != content or any("/" in name for name in rows):
        raise _broken("A folder")
    return rows


def parse_rows(content: bytes) -> Rows:
    """The rows of a folder by name, as mode and id."""
    return {
        name.decode("utf-8", "surrogateescape"): (mode, oid.decode()) for name, mode, oid in parse_tree(content, 20)
    }


def _broken(what: str) -> Invalid:
    return Invalid(f"{what} in the push is not in the form Git gives it.", next_step="Run git fsck, then push again.")
