"""Scanning: what lies in uploaded files, looked at in a job after every change of a reference, whoever made it.

Pickles are followed opcode by opcode and never run, headers of safetensors are checked, texts are searched for secrets,
archives are looked into within limits. A content is scanned once (`ContentScan`); who may see the result follows the
repository that holds the file (`FileScan`).
"""

from gatekeeper.repos.scanning.results import (
    FileResult,
    is_done,
    issues,
    results_now,
    results_of,
    results_of_each,
)
from gatekeeper.repos.scanning.review import Flagged, count_flagged, flagged, scan_again
from gatekeeper.repos.scanning.verdict import Kind, Status, Verdict
from gatekeeper.repos.scanning.work import handle, heads, scan

__all__ = [
    "FileResult",
    "Flagged",
    "Kind",
    "Status",
    "Verdict",
    "count_flagged",
    "flagged",
    "handle",
    "heads",
    "is_done",
    "issues",
    "results_now",
    "results_of",
    "results_of_each",
    "scan",
    "scan_again",
]
