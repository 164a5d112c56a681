"""Results of scans in words."""

from dataclasses import dataclass

from gatekeeper.repos.scanning import FileResult, Status


@dataclass(frozen=True)
class Scan:
    """The result of a file's scan for people: a mark (yes, no or wait), a word, what was found in sentences."""

    mark: str
    text: str
    details: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


_SCANS = {
    Status.SAFE: ("yes", "Nothing found"),
    Status.SUSPICIOUS: ("wait", "Be careful"),
    Status.UNSAFE: ("no", "Unsafe"),
    Status.UNSCANNED: ("wait", "Scan under way"),
}


def scan_of(result: FileResult) -> Scan:
    """What the file list says of a file's scan."""
    imports = result.verdict.imports if result.verdict else ()
    shown = tuple(f"{each.module}.{each.name} ({each.safety})"[:160] for each in imports[:20])
    return Scan(*_SCANS[result.status], tuple(finding.detail for finding in result.findings), shown)
