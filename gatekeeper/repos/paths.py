"""Rules for file paths, references and repository names: what Git, every file system and a careful reader accept."""

import re
import unicodedata

from gatekeeper.errors import Invalid

MAX_PATH_BYTES = 1_000
MAX_SEGMENT_BYTES = 255
MAX_FOLDERS = 100
MAX_REF_BYTES = 240

_NAME = re.compile(r"[A-Za-z0-9._-]{1,96}")
_OID = re.compile(r"[0-9a-f]{40}")
_SHORT_OID = re.compile(r"[0-9a-f]{7,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Code points that HFS+ drops when it compares names, so `.g<U+200C>it` would be `.git` there.
# Source: git's utf8.c, next_hfs_char().
_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def check_path(path: str) -> str:
    """`path` unchanged if it may name a file in a repository; raises Invalid (422) that says which rule it breaks."""
    if not path:
        raise _bad_path(path, "it is empty")
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise _bad_path(path, "it is not valid UTF-8") from None
    if len(encoded) > MAX_PATH_BYTES:
        raise _bad_path(path, f"it is longer than {MAX_PATH_BYTES} bytes")
    if path.startswith("/"):
        raise _bad_path(path, "it starts with '/'")
    if "\\" in path:
        raise _bad_path(path, "it holds a backslash")
    if any(unicodedata.category(letter) == "Cc" for letter in path):
        raise _bad_path(path, "it holds a control character")
    if unicodedata.normalize("NFC", path) != path:
        raise _bad_path(path, "it is not in Unicode normal form C")
    if path.count("/") > MAX_FOLDERS:
        raise _bad_path(path, f"it lies below more than {MAX_FOLDERS} folders")
    for segment in path.split("/"):
        _check_segment(path, segment)
    return path


def is_path(path: str) -> bool:
    """Whether `check_path` would accept `path`."""
    try:
        check_path(path)
    except Invalid:
        return False
    return True


def check_repo_name(name: str) -> str:
    """`name` unchanged if a repository may be called so, by the public Hub's rules; else raises Invalid."""
    if (
        not _NAME.fullmatch(name)
        or ".." in name
        or "--" in name
        or name[0] in ".-"
        or name[-1] in ".-"
        or name.lower().endswith(".git")
    ):
        raise Invalid(
            f"{_shown(name)} cannot be the name of a repository.",
            next_step="Use 1 to 96 of the characters A-Z a-z 0-9 . _ - without '--' or '..', not starting or ending "
            "with '.' or '-', and not ending in '.git'.",
        )
    return name


def check_short_ref(name: str, *, what: str = "branch") -> str:
    """`name` unchanged if `refs/heads/<name>` is a reference Git accepts and cannot be taken for a commit id."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    components = name.split("/")
    if (
        not 0 < length <= MAX_REF_BYTES
        or name == "@"
        or name.startswith(("-", "refs/"))
        or name.endswith((".", "/"))
        or name == "HEAD"
        or _REF_FORBIDDEN.search(name)
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in components)
        or unicodedata.normalize("NFC", name) != name
        or _OID.fullmatch(name)
    ):
        raise Invalid(
            f"{_shown(name)} cannot be the name of a {what}.",
            status=422,
            next_step="Choose a name without blanks, control characters, '..', '~', '^', ':', '?', '*', '[' or '\\', "
            "that does not start with '-' or '.', or end with '.lock'.",
        )
    return name


def is_lookup(text: str, *, limit: int = 250) -> bool:
    """Whether `text` may be looked up in the database at all: printable, and no longer than the column."""
    return len(text) <= limit and text.isprintable()  # no NUL and no lone surrogate, which no database takes


def is_oid(text: str) -> bool:
    """Whether `text` is a full Git object id: 40 lower-case hex digits."""
    return bool(_OID.fullmatch(text))


def is_short_oid(text: str) -> bool:
    """Whether `text` may abbreviate an object id: 7 to 39 lower-case hex digits."""
    return bool(_SHORT_OID.fullmatch(text))


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return bool(_SHA256.fullmatch(text))


def _check_segment(path: str, segment: str) -> None:
    if not segment:
        raise _bad_path(path, "it holds an empty segment")
    if segment in (".", ".."):
        raise _bad_path(path, f"it holds the segment '{segment}'")
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        raise _bad_path(path, f"one of its segments is longer than {MAX_SEGMENT_BYTES} bytes")
    # NTFS drops trailing dots and blanks and reads `name:stream`; git~1 is its short name of .git.
    plain = _HFS_IGNORED.sub("", unicodedata.normalize("NFKC", segment)).casefold()
    plain = plain.split(":", 1)[0].rstrip(". ")
    if plain in (".git", "git~1"):
        raise _bad_path(path, "it holds a name that some systems read as '.git'")


def _bad_path(path: str, why: str) -> Invalid:
    return Invalid(
        f"The path {_shown(path)} cannot be used: {why}.",
        status=422,
        next_step="Rename the file and send it again.",
    )


def _shown(text: str) -> str:
    """At most 80 characters of `text`, with everything unprintable escaped."""
    return ascii(text[:80]) if not text.isprintable() else repr(text[:80])
