"""`.gitattributes` and `.gitignore`: which files belong in LFS, which are not to be uploaded."""

from contextlib import suppress

from gatekeeper.repos.globs import Glob
from gatekeeper.repos.tables import RepoKind

FILE_NAME = ".gitattributes"
_LFS = "filter=lfs diff=lfs merge=lfs -text"
_MAX_LINES = 1_000
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
        self._rules: list[tuple[Glob, bool]] = []
        for line in _lines(content):
            pattern, *attributes = line.split()
            states = [_filter_is_lfs(attribute) for attribute in attributes]
            decided = [state for state in states if state is not None]
            if decided and not pattern.startswith(("#", "[attr]", '"', "!")):
                with suppress(ValueError):
                    self._rules.append((_anchored(pattern), decided[-1]))

    def matches(self, path: str) -> bool:
        """Whether `path` has the attribute `filter=lfs`; the last line that says something about it counts."""
        segments = path.split("/")
        return next((is_lfs for glob, is_lfs in reversed(self._rules) if glob.matches(segments)), False)


class IgnoreRules:
    """Which paths a `.gitignore` file leaves out."""

    def __init__(self, content: bytes) -> None:
        self._rules: list[tuple[Glob, bool, bool]] = []
        for line in _lines(content):
            if line.startswith("#"):
                continue
            ignores, pattern = not line.startswith("!"), line.removeprefix("!").rstrip()
            only_folders, pattern = pattern.endswith("/"), pattern.rstrip("/")
            if pattern:
                with suppress(ValueError):
                    self._rules.append((_anchored(pattern), only_folders, ignores))

    def matches(self, path: str) -> bool:
        """Whether the file at `path`, or a folder above it, is ignored."""
        segments = path.split("/")
        return any(
            self._decide(segments[:length], is_folder=length < len(segments)) for length in range(1, len(segments) + 1)
        )

    def _decide(self, segments: list[str], *, is_folder: bool) -> bool:
        for glob, only_folders, ignores in reversed(self._rules):
            if (is_folder or not only_folders) and glob.matches(segments):
                return ignores
        return False


def with_lfs_paths(content: bytes, paths: list[str]) -> bytes:
    """`content` with a line for each of `paths`, so that Git clients fetch them from LFS as well."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content + "".join(f"{_as_pattern(path)} {_LFS}\n" for path in paths).encode()


def _as_pattern(path: str) -> str:
    """A pattern that matches exactly `path`: anchored, wildcards escaped, blanks the way git-lfs writes them."""
    escaped = "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in path)
    return ("" if "/" in path else "/") + escaped.replace(" ", "[[:space:]]")


def _anchored(pattern: str) -> Glob:
    """A pattern without a slash matches at any depth, one with a slash from the root."""
    return Glob(pattern.removeprefix("/") if "/" in pattern else f"**/{pattern}")


def _filter_is_lfs(attribute: str) -> bool | None:
    """What one word of a line says about the filter; None if nothing."""
    if attribute.lstrip("-!").partition("=")[0] != "filter":
        return None
    return attribute == "filter=lfs"


def _lines(content: bytes) -> list[str]:
    return [line for line in content.decode("utf-8", "replace").splitlines()[:_MAX_LINES] if line.strip()]
