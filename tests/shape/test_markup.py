"""The validator that judges pages finds what it is there for."""

from tests import markup

_PAGE = '<!DOCTYPE html>\n<html lang="en"><head><title>t</title></head><body><h1>t</h1>{}</body></html>\n'
_BROKEN = {
    "<p>Fine.</p>": "",
    "<h3>Deeper</h3>": "heading-level",
    '<form action="/"><input type="text" name="a"></form>': "input-missing-label",
    '<form action="/"><label for="b">B</label></form>': "no-missing-references",
    '<p id="a"></p><p id="a"></p>': "no-dup-id",
    '<p id="a" id="b"></p>': "no-dup-attr",
    "<button>Go</button>": "no-implicit-button-type",
    '<label>E <input type="emial" name="e"></label>': "attribute-allowed-values",
    '<label>S <input type="text" name="s" autocomplete="surname"></label>': "valid-autocomplete",
    '<label>R <input type="range" name="r" required></label>': "input-attributes",
    '<a href="/a"><a href="/b">b</a></a>': "element-permitted-content",
    "<p><span>open</p>": "close-order",
    '<p style="color: red">r</p>': "no-inline-style",
    '<img src="/a.png">': "wcag/h37",
}


def test_each_kind_of_broken_markup_is_found() -> None:
    found = markup.faults((text, _PAGE.format(text)) for text in _BROKEN)
    for text, rule in _BROKEN.items():
        here = [fault for fault in found if fault.startswith(f"{text}:")]
        assert any(f"({rule})" in fault for fault in here) if rule else not here, (text, here)
