"""The `gatekeeper` command: the same verbs as the pages, for people at a terminal and for scripts."""

from gatekeeper.cli.main import main

__all__ = ["main"]
