"""Git's own protocol over a repository in the database: fetching, and receiving what is pushed.

    served = git.cut(graph, refs, is_allowed)              what may leave, decided by the caller's predicate
    git.advertise_fetch(served), git.answer(...)           upload-pack: refs, negotiation, a streamed pack
    git.advertise_push(refs), git.read_push(...)           receive-pack: commands and a pack, unpacked on disk
    git.check(s, repo, push, ...), git.apply(s, ...)       the checks of a commit by API; one transaction

Source: git's Documentation/gitprotocol-pack, gitprotocol-http, gitprotocol-common, gitformat-pack.
"""

from gatekeeper.repos.git.additions import added_large_files
from gatekeeper.repos.git.checks import Checked, check
from gatekeeper.repos.git.fetch import advertise_fetch, answer
from gatekeeper.repos.git.graph import Graph, Served, Tip, cut, load_graph, reach, tips
from gatekeeper.repos.git.large import find_lfs
from gatekeeper.repos.git.push import advertise_push, apply, read_push, report
from gatekeeper.repos.git.pushed import Command, Push
from gatekeeper.repos.git.wanted import Wanted, read_wanted

__all__ = [
    "Checked",
    "Command",
    "Graph",
    "Push",
    "Served",
    "Tip",
    "Wanted",
    "added_large_files",
    "advertise_fetch",
    "advertise_push",
    "answer",
    "apply",
    "check",
    "cut",
    "find_lfs",
    "load_graph",
    "reach",
    "read_push",
    "read_wanted",
    "report",
    "tips",
]
