"""Every token and component of the pages, live, with made-up content: for whoever works on them."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from starlette.responses import Response

from gatekeeper.errors import NotFound
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.model import Rung
from gatekeeper.web.portal.views import Answer, Capability, Head, render

_STYLESHEET = Path(__file__).parents[1] / "static" / "gatekeeper.css"
_TOKEN = re.compile(r"^  (--[a-z0-9-]+): ([^;]+);", re.MULTILINE)
_AT = datetime(2026, 11, 22, 13, 18, tzinfo=UTC)
_KIND = next(iter(words.KINDS.values()))


@cache
def tokens() -> dict[str, str]:
    """The custom properties of the stylesheet with their values in the light."""
    text = _STYLESHEET.read_text("utf-8")
    return dict(_TOKEN.findall(text[: text.index("@media (prefers-color-scheme: dark)")]))


async def styleguide(call: Call) -> Response:
    """`GET /_styleguide`, where the setting `styleguide` is on."""
    if not call.gatekeeper.settings.styleguide:
        raise NotFound("There is nothing at /_styleguide.", next_step="Set GATEKEEPER_STYLEGUIDE to see it.")
    colors = {name: value for name, value in tokens().items() if value.startswith("#")}
    spaces = {name: value for name, value in tokens().items() if re.fullmatch(r"--s\d", name)}
    return render(
        call,
        "portal/styleguide.html",
        colors=colors,
        spaces=spaces,
        others={name: value for name, value in tokens().items() if name not in colors and name not in spaces},
        at=_AT,
        repo=_head(stage="gated"),
        repos=[
            _head(stage="open", may="You can make images"),
            _head(stage="research_preview", is_held=True, is_embargoed=True),
            _head(stage="gated", is_withdrawn=True, is_deprecated=True),
            _head(stage="", is_private=True),
            _head(stage="", gate="manual"),
        ],
        capabilities=[
            Capability("Read the card", Answer("yes", "Yes"), Answer("yes", "Yes")),
            Capability("Make images on this server", Answer("wait", "Accept license"), Answer("wait", "With license")),
            Capability("Pass copies on", Answer("no", "No"), Answer("no", "No")),
        ],
        ladder=[
            Rung("Internal", "The members of its organization.", "past"),
            Rung("Gated", "Images for whoever accepts the license.", "here", _AT),
            Rung("Open", "Everyone.", "later"),
        ],
        plot=[("2026-08", 4), ("2026-09", 9), ("2026-10", None), ("2026-11", 14)],
    )


def _head(
    *,
    stage: str,
    may: str = "",
    gate: str = "none",
    is_private: bool = False,
    is_held: bool = False,
    is_withdrawn: bool = False,
    is_embargoed: bool = False,
    is_deprecated: bool = False,
) -> Head:
    return Head(
        kind=_KIND,
        namespace="lab",
        name="emoji",
        url="/_styleguide",
        summary="Draws emoji from their names.",
        license_title="Gatekeeper Emoji Open RAIL-M License",
        updated_at=_AT,
        may=may,
        commit="5dd5f47786ae172a662d637b62068d0b1ef82253",
        is_staged=bool(stage),
        is_private=is_private,
        gate=gate,
        stage=stage,
        is_held=is_held,
        hold_reason="",
        is_withdrawn=is_withdrawn,
        is_embargoed=is_embargoed,
        is_deprecated=is_deprecated,
        task="text-to-image",
        library="diffusers",
    )


ROUTES = [guarded("/_styleguide", styleguide, needs=None)]
