"""Webhooks as the Hub's clients send and read them."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from gatekeeper.errors import Invalid
from gatekeeper.notices import Wanted, Watched, Webhook
from gatekeeper.web.hub.schemas.answers import Json
from gatekeeper.web.hub.schemas.sent import Body


class WatchedItem(Body):
    # A bucket is named so that it is refused with a sentence of its own.
    type: Literal["user", "org", "model", "dataset", "space", "bucket"]
    name: str = Field(max_length=200)


class WebhookFields(Body):
    """What a webhook is made or changed with."""

    url: str | None = Field(None, max_length=4_000)
    watched: list[WatchedItem] = Field(default_factory=list, max_length=1_000)
    domains: list[str] | None = Field(None, max_length=20)
    secret: str | None = Field(None, max_length=1_000)
    job: Any = Field(None, alias="jobSourceId")
    secrets: Any = None

    @property
    def wanted(self) -> Wanted:
        if self.job is not None or self.secrets is not None:
            raise Invalid("This hub runs no jobs.", next_step="Send `url` instead.")
        return Wanted(
            url=self.url,
            watched=tuple(Watched(item.type, item.name) for item in self.watched) or None,
            domains=tuple(self.domains) if self.domains is not None else None,
            secret=self.secret,
        )


def webhook(hook: Webhook, watched: Iterable[Watched]) -> Json:
    """One webhook. Its secret is shown to nobody again, so it is null also where there is one."""
    return {
        "id": hook.id,
        "url": hook.url,
        "job": None,
        "watched": [{"type": each.kind, "name": each.name} for each in watched],
        "domains": list(hook.domains),
        "secret": None,
        "disabled": hook.disabled_at is not None,
    }
