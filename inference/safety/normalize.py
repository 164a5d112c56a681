"""Reading a prompt as a person would: disguises removed, so that rules can be written in plain words.

`readings` gives several readings of one text, each a tuple of lower-case words. A rule fires if it matches any of them.
Undone: compatibility forms and full-width letters (NFKC), zero-width and direction characters, combining marks,
look-alike letters of other scripts, digits and signs for letters, letters spaced or punctuated apart or stretched,
katakana for hiragana, Arabic letters' variants and the particles written onto Arabic words.

Devanagari keeps its vowel signs, for without them other words are the same: चाकू, a knife, and चौक, a square.
Scripts that put no space between words (Han, kana, Hangul, Thai) are read letter by letter, so a term is found inside
of a longer run.
"""

import re
import unicodedata
from collections.abc import Iterator

from confusable_homoglyphs.confusables import confusables_data

Words = tuple[str, ...]

# What Unicode's confusables (UTS 39, through `confusable-homoglyphs`) do not list as one plain Latin letter, because it
# is similar rather than equal. Letters that are equal only as capitals stand here in lower case.
_SIMILAR = {
    "a": "ᴀ", "b": "вƀ", "c": "¢", "d": "ᴅđ", "e": "єεᴇ€ɇ", "f": "ꜰƒғ", "g": "ɢ", "h": "нʜħη", "j": "ᴊ", "k": "кκᴋ",
    "l": "ʟł", "m": "мᴍ", "n": "ɴип", "o": "ᴏøө", "p": "ᴘ", "r": "ʀя", "s": "ꜱ", "t": "тτᴛŧ", "u": "ᴜц", "v": "ᴠ",
    "w": "шᴡω", "z": "ƶᴢ",
}  # fmt: skip
_OWN_LETTERS = ("ARABIC LETTER", "HEBREW LETTER")  # look like a stroke or a ring alone, but not within their own words
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "6": "b", "7": "t", "8": "b", "9": "g",
                       "@": "a", "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "l", "(": "c"})  # fmt: skip
_LEET_ONE_AS_L = str.maketrans({"1": "l", "|": "l", "!": "l"})
_BOXED_LETTERS = [0x1F130, 0x1F150, 0x1F170, 0x1F1E6]  # squared, circled and regional-indicator A to Z
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_DEVANAGARI = {0x0901: 0x0902}  # one sign for the nasal, as most write it
_ARABIC = {ord("ى"): "ي", ord("ی"): "ي", ord("ک"): "ك", ord("ة"): "ه", ord("ٱ"): "ا", 0x0640: None}  # 0640: tatweel
_WITHOUT_SPACES = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u3096\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003134f"
)
_VOWEL_SIGNS = r"\u0900-\u0903\u093a\u093b\u093e-\u094f\u0955-\u0957\u0962\u0963"  # of Devanagari: no letters to `re`
_IS_VOWEL_SIGN = re.compile(f"[{_VOWEL_SIGNS}]").match
_STRAY_SIGN = re.compile(rf"(?<![\u0900-\u097f])[{_VOWEL_SIGNS}]+")  # on a letter of another script it is a disguise
_WORD = re.compile(rf"[{_WITHOUT_SPACES}]|(?:[^\W_{_WITHOUT_SPACES}]|[{_VOWEL_SIGNS}])+")
_SPACED = re.compile(rf"(?<![^\W_])(?:[^\W_](?:[^\w{_VOWEL_SIGNS}]|_){{1,3}}){{2,}}[^\W_](?![^\W_])")
_RUN = re.compile(r"(\w)\1{2,}")  # a letter three times in a row, or more
_ARABIC_PARTICLES = re.compile(r"(?<!\w)(?:[وف]?(?:[بك]?ال|لل)|[وفبكل])(?=[\u0620-\u064a]{3})")


def _look_alikes() -> tuple[dict[int, str], dict[int, str]]:
    """Letters that look like one plain letter: as they are, and in lower case (of their capital, if only that does)."""
    exact = {
        ord(letter): others[0]["c"]
        for letter, others in confusables_data.items()
        if len(letter) == 1
        and not letter.isascii()
        and len(others[0]["c"]) == 1
        and others[0]["c"].isascii()
        and others[0]["c"].isalpha()
        and not unicodedata.name(letter, "").startswith(_OWN_LETTERS)
    }
    exact |= {start + i: chr(ord("a") + i) for start in _BOXED_LETTERS for i in range(26)}
    lower = {code: plain.lower() for code, plain in exact.items() if not chr(code).isupper()}
    for code, plain in exact.items():
        small = chr(code).lower()
        if len(small) == 1:
            lower.setdefault(ord(small), plain.lower())
    return exact, lower | {ord(each): plain for plain, others in _SIMILAR.items() for each in others}


_EXACT, _LOWER = _look_alikes()


def readings(text: str) -> tuple[Words, ...]:
    """Each distinct way to read a text, the plainest first."""
    visible = _visible(text)
    # A capital can look like another letter than its lower case: Greek Η is H, and η is an n with a tail.
    plain = dict.fromkeys([_plain(visible), _plain(visible.translate(_EXACT))])
    return tuple(dict.fromkeys(_words(form) for each in plain for form in _forms(each)))


def words(phrase: str) -> Words:
    """The words of a rule's phrase, in the form that readings have."""
    return _words(_plain(_visible(phrase)))


def _visible(text: str) -> str:
    """The text in compatibility form, without characters that cannot be seen."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cn", "Co", "Cs"} and not _is_variation(c))


def _plain(visible: str) -> str:
    """One lower-case string without marks or foreign look-alikes."""
    text = unicodedata.normalize("NFKD", visible.casefold().translate(_LOWER))
    text = "".join(
        c for c in _STRAY_SIGN.sub("", text) if _IS_VOWEL_SIGN(c) or not unicodedata.category(c).startswith("M")
    )
    return unicodedata.normalize(
        "NFC", text.translate(_LOWER).translate(_ARABIC).translate(_KATAKANA).translate(_DEVANAGARI)
    )


def _forms(plain: str) -> Iterator[str]:
    for letters in dict.fromkeys([plain, plain.translate(_LEET), plain.translate(_LEET_ONE_AS_L).translate(_LEET)]):
        yield letters
        yield _SPACED.sub(lambda m: "".join(_WORD.findall(m.group())), letters)  # g u n, g-u-n
        yield _SPACED.sub(
            lambda m: "{} {}".format(m.group()[0], "".join(_WORD.findall(m.group())[1:])), letters
        )  # a g u n
        yield re.sub(rf"(?<=[\w{_VOWEL_SIGNS}])[^\w\s{_VOWEL_SIGNS}]+(?=[\w{_VOWEL_SIGNS}])|_", "", letters)  # kn.ife
        yield _RUN.sub(r"\1", letters)  # guuun
        yield re.sub(r"\w+", lambda m: _unstretched(m.group()), letters)  # piiissstooool
    yield _ARABIC_PARTICLES.sub("", plain)  # the, and, with, for: written together with the word


def _unstretched(word: str) -> str:
    """A word with a letter three times in a row loses every repetition."""
    return re.sub(r"(\w)\1+", r"\1", word) if _RUN.search(word) else word


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text))


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
