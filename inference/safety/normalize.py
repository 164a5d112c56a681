"""Reading a prompt as a person would: disguises removed, so that rules can be written in plain words.

`readings` gives several readings of one text, each a tuple of lower-case words. A rule fires if it matches any of them.
Undone: compatibility forms and full-width letters (NFKC), zero-width and direction characters, combining marks,
look-alike letters of other scripts, digits and signs for letters, letters spaced or punctuated apart or stretched.
"""

import re
import unicodedata
from collections.abc import Iterator

Words = tuple[str, ...]

# Look-alikes that NFKC leaves alone: Cyrillic, Greek, Armenian, small capitals, and letters with strokes. After
# Unicode's confusables table (UTS 39), cut to what looks like one plain Latin letter.
_LOOK_ALIKES = {
    "a": "аαɑᴀ", "b": "ЬвʙЪƀ", "c": "сϲᴄ¢", "d": "ԁᴅđ", "e": "еёєεᴇ€ɇ", "f": "ꜰƒғ", "g": "ɡɢԍ", "h": "һнʜħ",
    "i": "іїιɩıɪ", "j": "јϳᴊ", "k": "кκᴋ", "l": "ӏʟł", "m": "мᴍ", "n": "пոɴηи", "o": "оοօᴏøσ", "p": "рρᴘ",
    "q": "ԛզ", "r": "гʀя", "s": "ѕꜱ", "t": "тτᴛŧ", "u": "υսᴜц", "v": "ѵνᴠ", "w": "ԝωᴡш", "x": "хχ", "y": "уүγʏ",
    "z": "ᴢƶ",
}  # fmt: skip
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a",
                       "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "l"})  # fmt: skip
_LEET_ONE_AS_L = str.maketrans({"1": "l", "|": "l", "!": "l"})
_BOXED_LETTERS = [0x1F130, 0x1F150, 0x1F170, 0x1F1E6]  # squared, circled and regional-indicator A to Z
_PLAIN = {ord(other): plain for plain, others in _LOOK_ALIKES.items() for other in others} | {
    start + i: chr(ord("a") + i) for start in _BOXED_LETTERS for i in range(26)
}
_WORD = re.compile(r"[^\W_]+")
_SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][\W_]{1,3}){2,}[^\W_](?![^\W_])")
_STRETCHED = re.compile(r"\w*(\w)\1{2}\w*")  # a word with a letter three times in a row


def readings(text: str) -> tuple[Words, ...]:
    """Each distinct way to read a text, the plainest first."""
    plain = _plain(text)
    return tuple(dict.fromkeys(_words(form) for form in _forms(plain)))


def words(phrase: str) -> Words:
    """The words of a rule's phrase, in the form that readings have."""
    return _words(_plain(phrase))


def _plain(text: str) -> str:
    """One lower-case string without invisible characters, marks or foreign look-alikes."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cn", "Co", "Cs"} and not _is_variation(c))
    text = unicodedata.normalize("NFKD", text.translate(_PLAIN).casefold())
    text = "".join(c for c in text if not unicodedata.category(c).startswith("M"))
    return text.translate(_PLAIN)


def _forms(plain: str) -> Iterator[str]:
    for letters in dict.fromkeys([plain, plain.translate(_LEET), plain.translate(_LEET_ONE_AS_L).translate(_LEET)]):
        yield letters
        yield _SPACED.sub(lambda m: "".join(_WORD.findall(m.group())), letters)  # g u n, g-u-n
        yield re.sub(r"(?<=\w)[^\w\s]+(?=\w)|_", "", letters)  # kn.ife
        yield re.sub(r"(\w)\1{2,}", r"\1", letters)  # guuun
        yield _STRETCHED.sub(lambda m: re.sub(r"(\w)\1+", r"\1", m.group()), letters)  # piiissstooool


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text))


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
