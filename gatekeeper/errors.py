"""Errors people can act on.

    GatekeeperError            status, wire code, a sentence, the next step
    ├── NotSignedIn            401
    ├── NotAllowed             403   carries the decision's code and rules
    │   └── Gated              403   the repository exists, its content is behind a gate
    ├── NotFound               404
    │   ├── RepoNotFound       404 with a credential, 401 without (door's choice)
    │   ├── RevisionNotFound
    │   └── EntryNotFound
    ├── Invalid                400 / 422   what was sent cannot be accepted
    ├── Conflict               409
    ├── Stale                  412
    ├── TooLarge               413
    ├── TooMany                429   carries the seconds to wait
    └── Unavailable            503   a part that is needed does not answer

Rooms raise these; `web/respond.py` alone turns them into HTML, JSON or the Hub's headers.
`code` is the stable name a client may branch on; the Hub's own codes (`RepoNotFound`, `GatedRepo`) are used where it
has one. `next_step` says in plain words what the reader can do now.
"""

from typing import Any


class GatekeeperError(Exception):
    """Base of everything that is answered rather than crashed on."""

    status: int = 500
    code: str = "InternalError"
    repo_id: str = ""  # of the repository that a decision was about: for counting, never sent

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        code: str | None = None,
        status: int | None = None,
        rules: tuple[str, ...] = (),
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.rules = rules
        self.details = details or {}
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status

    @property
    def sentence(self) -> str:
        """Message and next step as one text."""
        if not self.next_step:
            return self.message
        return f"{self.message}{'' if self.message.endswith(('.', '!', '?', ':')) else '.'} {self.next_step}"


class NotSignedIn(GatekeeperError):
    status = 401
    code = "NotSignedIn"


class NotAllowed(GatekeeperError):
    status = 403
    code = "NotAllowed"


class Gated(NotAllowed):
    code = "GatedRepo"


class NotFound(GatekeeperError):
    status = 404
    code = "NotFound"


class RepoNotFound(NotFound):
    code = "RepoNotFound"


class RevisionNotFound(NotFound):
    code = "RevisionNotFound"


class EntryNotFound(NotFound):
    code = "EntryNotFound"


class Invalid(GatekeeperError):
    status = 400
    code = "Invalid"


class Conflict(GatekeeperError):
    status = 409
    code = "Conflict"


class Stale(GatekeeperError):
    status = 412
    code = "Stale"


class TooLarge(GatekeeperError):
    status = 413
    code = "TooLarge"


class TooMany(GatekeeperError):
    """Come back later. `details["retry_after_seconds"]` says when."""

    status = 429
    code = "TooMany"


class Unavailable(GatekeeperError):
    status = 503
    code = "Unavailable"
