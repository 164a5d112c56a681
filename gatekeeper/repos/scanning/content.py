"""Looking at one content: what it is by its bytes, whatever its name says, and what is wrong with it."""

import zipfile

from gatekeeper.errors import Invalid
from gatekeeper.repos import safetensors_header
from gatekeeper.repos.scanning import archives, gguf, pickles, secrets
from gatekeeper.repos.scanning.source import COMPRESSIONS, HEAD_BYTES, BombError, Budget, ExhaustedError, Reader, held
from gatekeeper.repos.scanning.verdict import Kind, Status, Verdict

FILE_SECONDS = 60.0
FILE_BYTES = 512 * 2**20
_TAR_MAGIC = slice(257, 262)
_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x93NUMPY", "numpy"),
    (b"GGUF", "gguf"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_CLOSED = frozenset({"7z", "rar", "zstd", "lz4"})
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_LONGEST_NUMPY_HEADER = 2**20
_CALLED = "'' "  # what the message calls a content without a name


def examine_bytes(content: bytes) -> Verdict:
    """The verdict on a content in memory, within the limits for any file."""
    budget = Budget(seconds=FILE_SECONDS, total_bytes=FILE_BYTES)
    return examine(held(content, budget), len(content), budget)


def examine(file: Reader, size: int, budget: Budget) -> Verdict:
    """The verdict on a content. Blocking; every limit it meets becomes a finding, so it always ends with one."""
    verdict = Verdict()
    try:
        _look(file, size, budget, verdict, where="", depth=0)
        if verdict.format != "zip":
            _look_at_end(file, budget, verdict)
    except BombError:
        verdict.find(Kind.ARCHIVE, Status.UNSAFE, "It unpacks to far more than it is: a bomb.")
    except ExhaustedError as limit:
        verdict.find(Kind.INCOMPLETE, Status.SUSPICIOUS, f"It was not looked through to its end: {limit}.")
    return verdict


def _look(stream: Reader, size: int | None, budget: Budget, verdict: Verdict, *, where: str, depth: int) -> None:
    def inside(stream: Reader, size: int | None, where: str, depth: int) -> None:
        _look(stream, size, budget, verdict, where=where, depth=depth)

    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    found = _format(head, size)
    if depth == 0:
        verdict.format = found
    match found:
        case "zip":
            file = archives.seekable(stream, budget)
            archives.look_into_zip(file, budget, verdict, inside, where=where, depth=depth)
        case "tar":
            archives.look_into_tar(stream, budget, verdict, inside, where=where, depth=depth)
        case compression if compression in COMPRESSIONS:
            archives.look_into_packed(stream, compression, budget, verdict, inside, where=where, depth=depth)
        case closed if closed in _CLOSED:
            detail = f"{where}It is a {closed} archive, which cannot be looked into here."
            verdict.find(Kind.ARCHIVE, Status.SUSPICIOUS, detail)
        case "pickle":
            pickles.examine(stream, budget, verdict, is_certain=True, where=where)
        case "numpy":
            _look_at_numpy(stream, budget, verdict, where=where)
        case "safetensors":
            _look_at_safetensors(stream, size or 0, verdict, where=where, is_whole=depth == 0)
        case "gguf":
            if depth == 0 and (facts := gguf.facts(stream, budget)):
                verdict.facts["gguf"] = facts
        case other:
            # Pickles of the oldest protocols begin with any letter, so texts are tried as well.
            if pickles.examine(held(head, budget), budget, verdict, is_certain=False, where=where) and depth == 0:
                verdict.format = "pickle"
            if other == "text":
                secrets.examine(stream, budget, verdict, where=where)


def _format(head: bytes, size: int | None) -> str:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[_TAR_MAGIC] == b"ustar":
        return "tar"
    if len(head) > 1 and head[0] == 0x80 and head[1] <= 5:
        return "pickle"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= (size or 2**40):
        return "safetensors"
    if head.startswith(_ZLIB_STARTS) and not _is_text(head):
        return "zlib"
    return "text" if _is_text(head) else "binary"


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.end == len(head)
    return True


def _look_at_numpy(stream: Reader, budget: Budget, verdict: Verdict, *, where: str) -> None:
    """An array: one of Python objects is a pickle behind its header. Source: numpy/lib/format.py."""
    start = stream.read(8)
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST_NUMPY_HEADER:
        raise ExhaustedError("the header of its array is too long")
    header = stream.read(length)
    if b"O" in header.partition(b"descr")[2].partition(b"fortran_order")[0]:
        pickles.examine(stream, budget, verdict, is_certain=True, where=where)


def _look_at_safetensors(stream: Reader, size: int, verdict: Verdict, *, where: str, is_whole: bool) -> None:
    try:
        counts = safetensors_header.parameters("", stream, size)
    except Invalid as problem:
        verdict.find(Kind.SAFETENSORS, Status.UNSAFE, f"{where}It {problem.message.removeprefix(_CALLED)}")
    else:
        if is_whole:
            verdict.facts["parameters"] = counts


def _look_at_end(file: Reader, budget: Budget, verdict: Verdict) -> None:
    """An archive behind other content: some programs find it by its end."""
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            if not archive.infolist():
                return
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return
    verdict.find(Kind.ARCHIVE, Status.SUSPICIOUS, "A zip archive lies hidden behind its content.")

    def inside(stream: Reader, size: int | None, where: str, depth: int) -> None:
        _look(stream, size, budget, verdict, where=where, depth=depth)

    archives.look_into_zip(file, budget, verdict, inside, where="", depth=1)
