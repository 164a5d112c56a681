"""Helpers that would make sense in any project. Nothing here knows what a repository or a person is."""
