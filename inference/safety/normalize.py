"""Reading a prompt as a person would: disguises removed, so that rules can be written in plain words.

`readings` gives several readings of one text, each a tuple of lower-case words. A rule fires if it matches any of them.
Undone: compatibility forms and full-width letters (NFKC), characters that cannot be seen, combining marks,
look-alike letters of other scripts, digits and signs for letters, letters spaced or punctuated apart or stretched,
katakana for hiragana, Arabic letters' variants and the particles written onto Arabic words. Ages have one form.

What looks like I and like l (1, |, !, a capital I among small letters) is read as both: up to four in a word in each
combination, the same one in all words of a reading.

Devanagari keeps its vowel signs, for without them other words are the same: चाकू, a knife, and चौक, a square.
Scripts that put no space between words (Han, kana, Hangul, Thai) are read letter by letter, so a term is found inside
of a longer run.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from itertools import product

from confusable_homoglyphs.confusables import confusables_data

from inference.safety.ages import with_ages_read

Words = tuple[str, ...]

# What Unicode's confusables (UTS 39, through `confusable-homoglyphs`) do not list as one plain Latin letter, because it
# is similar rather than equal. Letters that are equal only as capitals stand here in lower case.
_SIMILAR = {
    "a": "ᴀ", "b": "вƀɓ", "c": "¢ƈ", "d": "ᴅđɖԃ", "e": "єεᴇ€ɇҽ", "f": "ꜰƒғ", "g": "ɢɠ", "h": "нʜħηɦԋ", "j": "ᴊʝ",
    "k": "кκᴋĸƙ", "l": "ʟłʅɭ", "m": "мᴍɱ", "n": "ɴипɳᥒ", "o": "ᴏøө", "p": "ᴘƥ", "r": "ʀяɾ", "s": "ꜱʂ", "t": "тτᴛŧƚƭ",
    "u": "ᴜцμ", "v": "ᴠʋ", "w": "шᴡωɯ", "y": "ყƴ", "z": "ƶᴢȥ",
}  # fmt: skip
_OWN_LETTERS = ("ARABIC LETTER", "HEBREW LETTER")  # look like a stroke or a ring alone, but not within their own words
_EITHER = "1"  # stands for what looks like I and like l
_LEET = str.maketrans({"0": "o", "3": "e", "4": "a", "5": "s", "6": "b", "7": "t", "8": "b", "9": "g", "@": "a",
                       "$": "s", "!": _EITHER, "|": _EITHER, "+": "t", "€": "e", "£": "l", "(": "c"})  # fmt: skip
_MOST_EITHER = 4  # in a word; further ones are read as the first four
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
_SPACED = re.compile(rf"(?<![^\W_])(?:[^\W_](?:[^\w{_VOWEL_SIGNS}]|_)+){{2,}}[^\W_](?![^\W_])")
_LETTERS = re.compile(r"[^\W_]+")
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
    exact |= {code: _EITHER for code, plain in exact.items() if plain in "Il"}
    exact |= {start + i: chr(ord("a") + i) for start in _BOXED_LETTERS for i in range(26)}
    as_small = {code: plain.lower().replace(_EITHER, "l") for code, plain in exact.items()}
    lower = {code: plain for code, plain in as_small.items() if not chr(code).isupper()}
    for code, plain in as_small.items():
        small = chr(code).lower()
        if len(small) == 1:
            lower.setdefault(ord(small), plain)
    return exact, lower | {ord(each): plain for plain, others in _SIMILAR.items() for each in others}


_EXACT, _LOWER = _look_alikes()


def readings(text: str) -> tuple[Words, ...]:
    """Each distinct way to read a text, the plainest first."""
    visible = _visible(text)
    # A capital can look like another letter than its lower case: Greek Η is H, and η is an n with a tail.
    plain = dict.fromkeys([_plain(visible), _plain(_LETTERS.sub(_either, visible.translate(_EXACT)))])
    return tuple(dict.fromkeys(_words(form) for each in plain for form in _forms(each)))


def words(phrase: str) -> Words:
    """The words of a rule's phrase, in the form that readings have."""
    return _words(_plain(_visible(phrase)))


def _visible(text: str) -> str:
    """The text in compatibility form, without characters that cannot be seen."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cn", "Co", "Cs"} and not _is_blank(c))


def _plain(visible: str) -> str:
    """One lower-case string without marks or foreign look-alikes."""
    text = unicodedata.normalize("NFKD", visible.casefold().translate(_LOWER))
    text = "".join(
        c for c in _STRAY_SIGN.sub("", text) if _IS_VOWEL_SIGN(c) or not unicodedata.category(c).startswith("M")
    )
    text = text.translate(_LOWER).translate(_ARABIC).translate(_KATAKANA).translate(_DEVANAGARI)
    return with_ages_read(unicodedata.normalize("NFC", text))


def _forms(plain: str) -> Iterator[str]:
    yield from _apart(plain)
    for form in dict.fromkeys(_apart(plain.translate(_LEET))):
        yield from _decided(form)
    yield _ARABIC_PARTICLES.sub("", plain)  # the, and, with, for: written together with the word


def _apart(letters: str) -> Iterator[str]:
    """The text as it is, and with letters put together that were spaced, punctuated or stretched apart."""
    yield letters
    yield _SPACED.sub(lambda m: "".join(_WORD.findall(m.group())), letters)  # g u n, g-u-n
    yield _SPACED.sub(lambda m: "{} {}".format(m.group()[0], "".join(_WORD.findall(m.group())[1:])), letters)  # a g u n
    yield re.sub(rf"(?<=[\w{_VOWEL_SIGNS}])[^\w\s{_VOWEL_SIGNS}]+(?=[\w{_VOWEL_SIGNS}])|_", "", letters)  # kn.ife
    yield _RUN.sub(r"\1", letters)  # guuun
    yield re.sub(r"\w+", lambda m: _unstretched(m.group()), letters)  # piiissstooool


def _decided(text: str) -> Iterator[str]:
    """The text in each combination of i and l for what looks like both."""
    places = min(max((word.count(_EITHER) for word in re.findall(r"\w+", text)), default=0), _MOST_EITHER)
    for letters in product("il", repeat=places):
        yield re.sub(r"\w+", partial(_written, letters=letters), text) if letters else text


def _written(match: re.Match[str], letters: tuple[str, ...]) -> str:
    first, *others = match.group().split(_EITHER)
    return first + "".join(letters[i % len(letters)] + other for i, other in enumerate(others))


def _either(match: re.Match[str]) -> str:
    """A word of small and capital letters, in which an I may be meant for an l, or the other way round."""
    word = match.group()
    if word.islower() or word.isupper():
        return word
    either = word.replace("I", _EITHER)
    return either.replace("l", _EITHER) if sum(c.isupper() for c in word) > 1 else either


def _unstretched(word: str) -> str:
    """A word with a letter three times in a row loses every repetition."""
    return re.sub(r"(\w)\1+", r"\1", word) if _RUN.search(word) else word


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text))


def _is_blank(character: str) -> bool:
    """Variation selectors, and the fillers of Hangul, which are letters that cannot be seen."""
    return character in "\u115f\u1160" or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
