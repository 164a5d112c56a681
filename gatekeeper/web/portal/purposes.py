"""What people want a token for, and the least that it takes: what the token page proposes."""

from dataclasses import dataclass

from gatekeeper.authz import Action
from gatekeeper.tokens import Scope
from gatekeeper.web.portal import snippets
from gatekeeper.web.portal.snippets import Snippet
from gatekeeper.web.portal.views import Seen


@dataclass(frozen=True)
class Purpose:
    """One answer to "what do you want to do?".

    needs  what its owner must be allowed to do with the repository for the token to be of use
    days   how long it is proposed to live; 0 for minutes
    """

    key: str
    title: str
    text: str
    needs: Action
    scopes: tuple[Scope, ...]
    days: int

    @property
    def role(self) -> str:
        """The role that a token with these scopes must have."""
        return "write" if {Scope.WRITE, Scope.REVIEW} & {*self.scopes} else "read"

    @property
    def is_short(self) -> bool:
        """Whether it lives for minutes only."""
        return not self.days

    @property
    def makes_images(self) -> bool:
        """Whether it is for models alone."""
        return self.needs is Action.GENERATE


PURPOSES = {
    purpose.key: purpose
    for purpose in (
        Purpose(
            "download",
            "Download a model or data set",
            "With hf, diffusers, transformers or any other program.",
            Action.DOWNLOAD,
            (Scope.READ, Scope.DOWNLOAD),
            30,
        ),
        Purpose(
            "generate",
            "Make images on this server",
            "With InferenceClient, OpenAI's client or curl. The token downloads nothing.",
            Action.GENERATE,
            (Scope.GENERATE,),
            30,
        ),
        Purpose(
            "upload",
            "Upload to a repository",
            "New versions of files, and their card.",
            Action.WRITE,
            (Scope.READ, Scope.WRITE),
            7,
        ),
        Purpose(
            "review",
            "Review requests for access",
            "List and decide them from a program of yours.",
            Action.REVIEW,
            (Scope.REVIEW,),
            7,
        ),
        Purpose(
            "ci",
            "Let a job fetch a model (continuous integration)",
            "For tests and builds that run elsewhere. Many need no stored token at all.",
            Action.DOWNLOAD,
            (Scope.READ, Scope.DOWNLOAD),
            90,
        ),
        Purpose(
            "minutes",
            "Lend image making to a page or program for minutes",
            "A token that makes images with the models you name, for at most an hour, and is then worthless.",
            Action.GENERATE,
            (Scope.GENERATE,),
            0,
        ),
    )
}


def lines_for(purpose: Purpose, url: str, seen: Seen, secret: str) -> list[Snippet]:
    """The code that uses a token made for this, from the shell on."""
    match purpose.key:
        case "generate" | "minutes":
            rest = snippets.generating(url, seen.head.full_name)
        case "upload":
            rest = snippets.uploading(seen)
        case "review":
            rest = snippets.reviewing(url, seen)
        case _:
            rest = snippets.downloading(url, seen)
    return [*snippets.shells(url, secret), *rest]
