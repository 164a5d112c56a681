import asyncio
import time

import pytest

from gatekeeper.web.prose import card_html, card_page

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src="x" onerror="alert(1)">',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="jav&#x09;ascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    '<svg onload="alert(1)"><script>alert(1)</script></svg>',
    '<math><mtext><style><img src=x onerror="alert(1)"></style></mtext></math>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    '<form action="//evil.example"><input name="password"></form>',
    '<p style="position:fixed;inset:0">over everything</p>',
    '<meta http-equiv="refresh" content="0;url=//evil.example">',
    '<base href="//evil.example">',
    "![x](//evil.example/pixel.png)",
    '<img src="https://evil.example/pixel.png">',
    "<!-- --!><script>alert(1)</script>",
    "```\n<script>alert(1)</script>\n```",
]
FORBIDDEN = (
    "<script",
    "onerror=",
    "onload=",
    "javascript:",
    "<svg",
    "<iframe",
    "<form",
    "<input",
    "style=",
    "<meta",
    "<base",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_card_runs_or_calls_home(text: str) -> None:
    html = str(card_html(f"Before\n\n{text}\n\nafter", base="/a/b/blob/main", files="/a/b/resolve/main"))
    written = html.replace("&lt;", "(").replace("&quot;", "'")
    tags = [part.split(">", 1)[0] for part in written.split("<")[1:]]
    assert not [word for word in FORBIDDEN if any(word.lstrip("<") in tag.lower() for tag in tags)]
    assert 'src="//' not in html
    assert 'src="http' not in html


@pytest.mark.parametrize("path", ["../../../settings", "/settings", "%2e%2e/%2E%2e/x", "a/../../b", "//evil.example"])
def test_a_cards_images_stay_inside_its_repository(path: str) -> None:
    assert "<img" not in str(card_html(f"![x]({path})", base="/a/b/blob/main", files="/a/b/resolve/main"))


@pytest.mark.anyio
async def test_a_card_that_is_slow_to_read_does_not_stop_the_others() -> None:
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begun)

    beside = asyncio.create_task(others())
    begun = time.perf_counter()
    await card_page("[" * 60_000, base="/a", files="/b")
    taken = time.perf_counter() - begun
    beside.cancel()
    assert longest < taken / 2
    begun = time.perf_counter()
    await card_page("[" * 60_000, base="/a", files="/b")
    assert time.perf_counter() - begun < taken / 2
