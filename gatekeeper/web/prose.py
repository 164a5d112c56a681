"""Model cards as safe HTML: Markdown in, a small set of elements out, whatever its author wrote."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from gatekeeper.repos import Card
from gatekeeper.repos.samples import path_of

_SUMMARY_SOURCE = 8_000
_SUMMARY_LENGTH = 200

LONGEST_CARD = 200_000  # characters; the rest is in the file itself

_TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "hr", "i", "img"),
    *("h2", "h3", "h4", "h5", "h6", "kbd", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "summary"),
    *("sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "pre": {"tabindex", "role", "aria-label"},
    "div": {"tabindex", "role", "aria-label"},
}
_CLASSES = {"td": {"num"}, "th": {"num"}, "div": {"scroll"}}
_SCHEMES = {"http", "https", "mailto"}
_IMAGE_TAG = re.compile(r"""<img\s[^>]*?\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


async def card_page(text: str, *, base: str, files: str, shown: Collection[str] | None = None) -> Markup:
    """`card_html` in a thread: a hostile card takes seconds, which must not be everybody's."""
    paths = None if shown is None else frozenset(shown)
    return await asyncio.to_thread(card_html, text, base=base, files=files, shown=paths)


@lru_cache(maxsize=64)
def card_html(text: str, *, base: str, files: str, shown: frozenset[str] | None = None) -> Markup:
    """A card's Markdown (without its front matter) as HTML for the model page.

    text   untrusted
    base   address that relative links continue, like `/ns/name/blob/main`
    files  address that relative images continue, like `/ns/name/resolve/main`
    shown  paths of the images that are shown, others become links; None for all of the repository
    """
    parser = _parser()
    return _clean(_without_title(parser.parse(text[:LONGEST_CARD])), base=base, files=files, shown=shown)


@lru_cache(maxsize=64)
def images_of(text: str) -> tuple[str, ...]:
    """Paths of the repository's images that a card's Markdown shows, each once."""
    return _images_in(_parser().parse(text[:LONGEST_CARD]))


def comment_html(
    text: str, *, base: str, files: str, mention: re.Pattern[str], link_to: Callable[[str], str | None]
) -> Markup:
    """A comment's Markdown as HTML, by the same rules, and without HTML of its own.

    mention  finds a name in its first group
    link_to  a name's whole address, None where it is no mention
    """
    tokens = _comment_parser().parse(text[:LONGEST_CARD])
    for token in tokens:
        if token.type == "inline":
            token.children = _with_mentions(token.children or [], mention, link_to)
    return _clean(tokens, base=base, files=files)


def _clean(tokens: list[Token], *, base: str, files: str, shown: frozenset[str] | None = None) -> Markup:
    parser = _parser()

    def image(value: str) -> str | None:
        return _image(value, files) if shown is None or path_of(value) in shown else None

    _prepare(tokens, base, image)
    html = parser.renderer.render(tokens, parser.options, {})

    def keep(tag: str, attribute: str, value: str) -> str | None:
        match tag, attribute:
            case "a", "href":
                return _link(value, base)
            case "img", "src":
                return image(value)
            case (("pre" | "div"), "role"):
                return "group" if value == "group" else None
            case (("pre" | "div"), "tabindex"):
                return "0" if value == "0" else None
        return value

    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        attribute_filter=keep,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )
    clean = re.sub(r"<img(?![^>]* src=)[^>]*>", "", clean)
    clean = re.sub(r"<img(?![^>]* alt=)", '<img alt=""', clean)
    return Markup(clean)  # noqa: S704 - nh3 has just cleaned it


def summary_of(card: Card) -> str:
    """One sentence or two for lists: what the card says of itself, else its first paragraph, as plain text."""
    own = card.data.get("summary")
    if isinstance(own, str) and own.strip():
        return _shortened(own)
    return _glance(card.text[:_SUMMARY_SOURCE])[0]


def first_images_of(card: Card) -> tuple[str, ...]:
    """`images_of` as far as lists read a card."""
    return _glance(card.text[:_SUMMARY_SOURCE])[1]


@lru_cache(maxsize=512)  # lists show the same cards again and again
def _glance(text: str) -> tuple[str, tuple[str, ...]]:
    tokens = _parser().parse(text)
    return _first_paragraph(tokens), _images_in(tokens)


def _images_in(tokens: Sequence[Token]) -> tuple[str, ...]:
    found = []
    for token in tokens:
        for child in token.children or [token]:
            if child.type == "image":
                found.append(str(child.attrs.get("src", "")))
            elif child.type in ("html_block", "html_inline"):
                found += _IMAGE_TAG.findall(child.content)
    return tuple(dict.fromkeys(path for address in found if (path := path_of(address))))


def _first_paragraph(tokens: Sequence[Token]) -> str:
    for before, token in pairwise(tokens):
        if before.type == "paragraph_open" and before.level == 0 and token.type == "inline":
            words = "".join(
                child.content if child.type in ("text", "code_inline") else " " for child in token.children or []
            )
            if words.strip():
                return _shortened(words)
    return ""


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SUMMARY_LENGTH else line[:_SUMMARY_LENGTH].rsplit(" ", 1)[0].rstrip(".,;:") + " …"


class _Renderer(RendererHTML):
    """Tables and code blocks in boxes that scroll, so that no card is wider than a phone; reachable by keyboard."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<div class="scroll" tabindex="0" role="group" aria-label="Table {_number(env, "table")}"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return self._code(tokens[idx], env)

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return self._code(tokens[idx], env)

    @staticmethod
    def _code(token: Token, env: EnvType) -> str:
        label = f"Code {_number(env, 'code')}"
        return (
            f'<pre tabindex="0" role="group" aria-label="{label}"><code>{nh3.clean_text(token.content)}</code></pre>\n'
        )


def _number(env: EnvType, kind: str) -> int:
    env[kind] = env.get(kind, 0) + 1
    return int(env[kind])


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable(["table", "strikethrough"])


@cache
def _comment_parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable(["table", "strikethrough"])


def _with_mentions(
    tokens: Sequence[Token], mention: re.Pattern[str], link_to: Callable[[str], str | None]
) -> list[Token]:
    """Texts outside of links, with a link for each mention in them."""
    made: list[Token] = []
    inside = 0
    for token in tokens:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type != "text" or inside:
            made.append(token)
            continue
        position = 0
        for found in mention.finditer(token.content):
            address = link_to(found[1])
            if address is None:
                continue
            link = f'<a href="{nh3.clean_text(address)}">{nh3.clean_text(found[0])}</a>'
            made += [_text(token.content[position : found.start()]), Token("html_inline", "", 0, content=link)]
            position = found.end()
        made.append(_text(token.content[position:]))
    return made


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _without_title(tokens: list[Token]) -> list[Token]:
    """A card that begins with its own title would say the page's title twice."""
    return tokens[3:] if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1" else tokens


def _prepare(tokens: Sequence[Token], base: str, image: Callable[[str], str | None]) -> None:
    """Headings one level down (the page has the only h1), images that are not shown as links."""
    for token in tokens:
        match token.type:
            case "heading_open" | "heading_close":
                token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
            case "th_open" | "td_open":
                if "right" in str(token.attrs.pop("style", "")):
                    token.attrs["class"] = "num"
            case "inline":
                for child in token.children or []:
                    if child.type == "image" and image(address := str(child.attrs.get("src", ""))) is None:
                        is_own = _image(address, base) is not None
                        _become_link(child, address, "image among the files" if is_own else "image elsewhere")


def _become_link(token: Token, address: str, where: str) -> None:
    """An image from elsewhere would tell that server who reads this page: show a link to it instead."""
    words = nh3.clean_text(token.content or "image")
    token.type, token.tag, token.nesting, token.children = "html_inline", "", 0, None
    token.content = f'<a href="{nh3.clean_text(address)}">{words} ({where})</a>'


def _link(value: str, base: str) -> str | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme:
        return value  # nh3 lets only the schemes above pass
    return value if value.startswith("#") else _within(value, base)


def _image(value: str, files: str) -> str | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc else _within(value, files)


def _within(value: str, base: str) -> str | None:
    """A relative address below `base`, or None for anything that points outside of it."""
    path = value.partition("#")[0].partition("?")[0]
    plain = unquote(path)  # browsers take `%2e%2e` for a step upwards too
    if plain.startswith("/") or "\\" in path or re.search(r"(^|/)\.\.(/|$)", plain):
        return None
    steps = [step for step in path.split("/") if step not in ("", ".")]
    return f"{base}/{quote('/'.join(steps), safe='/%')}" if steps else None
