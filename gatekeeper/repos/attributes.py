"""`.gitattributes` and `.gitignore`: which files belong in LFS, which are not to be uploaded."""

import io

from dulwich import attrs
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

from gatekeeper.repos.tables import RepoKind

FILE_NAME = ".gitattributes"
_LFS = "filter=lfs diff=lfs merge=lfs -text"
_MAX_LINES = 2_000
_EVERYWHERE = [
    "*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gz", "*.h5", "*.joblib", "*.lfs.*", "*.mlmodel",
    "*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx", "*.ot", "*.parquet", "*.pb", "*.pickle", "*.pkl", "*.pt",
    "*.pth", "*.rar", "*.safetensors", "saved_model/**/*", "*.tar.*", "*.tar", "*.tflite", "*.tgz", "*.wasm", "*.xz",
    "*.zip", "*.zst", "*tfevents*",
]  # fmt: skip
_DATASETS = [
    "*.lz4", "*.mds", "*.pcm", "*.sam", "*.raw", "*.aac", "*.flac", "*.mp3", "*.ogg", "*.wav", "*.bmp", "*.gif",
    "*.png", "*.tiff", "*.jpg", "*.jpeg", "*.webp", "*.mp4", "*.webm",
]  # fmt: skip


def default_file(kind: RepoKind) -> bytes:
    """The `.gitattributes` of a new repository: the file types that the public Hub keeps in LFS."""
    patterns = _EVERYWHERE + (_DATASETS if kind is RepoKind.DATASET else [])
    return "".join(f"{pattern} {_LFS}\n" for pattern in patterns).encode()


class LfsRules:
    """Which paths a `.gitattributes` file sends to LFS. Lines that Git could not read are passed over."""

    def __init__(self, content: bytes) -> None:
        lines = io.BytesIO(b"\n".join(content.splitlines()[:_MAX_LINES]))
        self._patterns = attrs.compile_gitattributes_patterns(attrs.parse_git_attributes(lines))

    def matches(self, path: str) -> bool:
        """Whether `path` has the attribute `filter=lfs`."""
        return attrs.match_path(self._patterns, path.encode()).get(b"filter") == b"lfs"


class IgnoreRules:
    """Which paths a `.gitignore` file leaves out."""

    def __init__(self, content: bytes) -> None:
        lines = io.BytesIO(b"\n".join(content.splitlines()[:_MAX_LINES]))
        self._filter = IgnoreFilter(read_ignore_patterns(lines))

    def matches(self, path: str) -> bool:
        """Whether the file at `path`, or a folder above it, is ignored."""
        return bool(self._filter.is_ignored(path))


def with_lfs_paths(content: bytes, paths: list[str]) -> bytes:
    """`content` with a line for each of `paths`, so that Git clients fetch them from LFS as well."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content + "".join(f"{_as_pattern(path)} {_LFS}\n" for path in paths).encode()


def _as_pattern(path: str) -> str:
    """A pattern that matches exactly `path`: anchored, wildcards escaped, blanks the way git-lfs writes them."""
    escaped = "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in path)
    return ("" if "/" in path else "/") + escaped.replace(" ", "[[:space:]]")
