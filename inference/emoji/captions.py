"""Captions: what a picture may be called, drawn anew for every training sample, and the tokenizer that reads them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from inference.emoji import vocabulary
from inference.emoji.render import Picture

T = TypeVar("T")

LENGTH = 32  # tokens, start and end included
START, END = "<|startoftext|>", "<|endoftext|>"

TEMPLATES = (
    "{article}{name}",
    "{article}{name}",
    "{name}",
    "the {name}",
    "an emoji of {article}{name}",
    "a photo of {article}{name}",
    "a picture of {article}{name}",
    "a drawing of {article}{name}",
)
_IRREGULAR = {"man": "men", "woman": "women", "person": "people", "mouse": "mice", "tooth": "teeth", "knife": "knives"}


@dataclass(frozen=True)
class Sample:
    """One training pair. `matches` holds every picture that the text fits as well as the one drawn."""

    picture: int
    text: str
    matches: frozenset[int]
    background: str | None = None  # None: the text says nothing of it
    is_two: bool = False


@dataclass(frozen=True)
class Shares:
    """How often each kind of caption is drawn; the rest are exact names."""

    empty: float = 0.10
    neutral: float = 0.10
    partial: float = 0.04
    ambiguous: float = 0.06
    category: float = 0.06
    two: float = 0.04


READER_SHARES = Shares(empty=0.0, neutral=0.03, partial=0.05, ambiguous=0.02, category=0.04, two=0.03)
NAMES_ONLY = Shares(empty=0.0, neutral=0.0, partial=0.0, ambiguous=0.0, category=0.0, two=0.02)


class Captions:
    """Draws samples from a list of pictures.

    `active` are positions into `pictures`; samples name pictures by those positions.
    """

    def __init__(self, pictures: Sequence[Picture], active: Sequence[int], shares: Shares | None = None) -> None:
        self._pictures = pictures
        self._active = list(active)
        self._shares = shares or Shares()
        weights = np.array([2.0 if pictures[i].concept is not None else 1.0 for i in active])
        self._weights = weights / weights.sum()
        self._flagged = [i for i in active if pictures[i].concept is not None]
        self._harmless = [i for i in active if pictures[i].concept is None]
        self.categories = _categories(pictures, active)
        by_name = {pictures[i].name: i for i in active}
        sides = {
            text: [[by_name[n] for n in side.lower().split(", ") if n in by_name] for side in both]
            for text, both in vocabulary.AMBIGUOUS.items()
        }
        self._ambiguous = [(text, both) for text, both in sides.items() if all(both)]
        self._people = {
            (p.profession, p.gender, p.tone): i for i in active if (p := pictures[i]).profession is not None
        }
        self._professions = sorted({key[0] for key in self._people if key[0] in vocabulary.PROFESSIONS})

    def draw(self, random: np.random.Generator) -> Sample:
        """One sample; all chance comes from `random`."""
        shares = self._shares
        kinds = (shares.empty, shares.neutral, shares.partial, shares.ambiguous, shares.category, shares.two)
        match int(np.searchsorted(np.cumsum(kinds), random.random(), side="right")):
            case 0:
                picture = self._any(random)
                return Sample(picture, "", frozenset(self._active), _white_mostly(random))
            case 1:
                return self._neutral(random)
            case 2:
                return self._partial(random)
            case 3:
                text, sides = self._ambiguous[random.integers(len(self._ambiguous))]
                picture = _one(sides[random.integers(2)], random)
                return Sample(picture, _wrapped(text, random), frozenset(sides[0] + sides[1]))
            case 4:
                word = _one(sorted(self.categories), random)
                members = self.categories[word]
                return Sample(_one(members, random), _named(word, random), frozenset(members))
            case 5:
                picture = self._any(random)
                name = plural(_one(names(self._pictures[picture]), random))
                text = f"two {name}" if random.random() < 0.7 else name
                return Sample(picture, _wrapped(text, random), frozenset([picture]), is_two=True)
            case _:
                return self._exact(random)

    def _any(self, random: np.random.Generator) -> int:
        return self._active[int(random.choice(len(self._active), p=self._weights))]

    def _exact(self, random: np.random.Generator) -> Sample:
        i = self._any(random)
        picture = self._pictures[i]
        if picture.concept is not None and random.random() < 0.25:
            return Sample(i, _one(vocabulary.CONCEPT_CAPTIONS, random), frozenset(self._flagged))
        if picture.concept is None and random.random() < 0.015:
            return Sample(i, _one(("safe", "something safe"), random), frozenset(self._harmless))
        options = names(picture)
        text = _named(options[0] if random.random() < 0.6 else _one(options, random), random)
        if picture.keywords and random.random() < 0.15:
            count = min(len(picture.keywords), int(random.integers(1, 3)))
            text += ", " + ", ".join(random.choice(picture.keywords, count, replace=False))
        background = None
        if random.random() < 0.15:
            background = _one(tuple(vocabulary.BACKGROUNDS), random)
            text += f" on {article(background)}{background} background"
        if picture.concept is not None and random.random() < 0.5:
            text += ", unsafe"
        elif picture.concept is None and random.random() < 0.12:
            text += ", safe"
        return Sample(i, text, frozenset([i]), background)

    def _neutral(self, random: np.random.Generator) -> Sample:
        profession = _one(self._professions, random)
        gender = vocabulary.GENDERS[random.choice(3, p=vocabulary.GENDER_SHARES[profession])]
        tone = vocabulary.TONES[random.choice(5, p=vocabulary.TONE_SHARES)]
        return self._person(profession, gender, tone, profession, random)

    def _partial(self, random: np.random.Generator) -> Sample:
        profession = _one(self._professions, random)
        if random.random() < 0.5:
            gender = _one(vocabulary.GENDERS[:2], random)
            tone = vocabulary.TONES[random.choice(5, p=vocabulary.TONE_SHARES)]
            return self._person(profession, gender, tone, f"{gender} {profession}", random, gender=gender)
        gender = vocabulary.GENDERS[random.choice(3, p=vocabulary.GENDER_SHARES[profession])]
        tone = _one((*vocabulary.TONES, vocabulary.YELLOW), random)
        return self._person(profession, gender, tone, f"{profession} with {tone} skin tone", random, tone=tone)

    def _person(
        self,
        profession: str,
        drawn_gender: str,
        drawn_tone: str,
        text: str,
        random: np.random.Generator,
        *,
        gender: str | None = None,
        tone: str | None = None,
    ) -> Sample:
        matches = frozenset(
            i for (p, g, t), i in self._people.items() if p == profession and gender in (None, g) and tone in (None, t)
        )
        return Sample(self._people[(profession, drawn_gender, drawn_tone)], _named(text, random), matches)


def names(picture: Picture) -> tuple[str, ...]:
    """What the picture is called, the exact name first."""
    return (picture.name, *vocabulary.ALIASES.get(picture.name, ()))


def caption(picture: Picture) -> str:
    """The picture's plain caption, as prompts and evaluations use it: the name with its article."""
    return article(picture.name) + picture.name


def article(name: str) -> str:
    """`a `, `an ` or nothing, as the name wants it."""
    if name in vocabulary.NO_ARTICLE:
        return ""
    is_spoken_vowel = name[0] in "aeiou" and not name.startswith(("uni", "one", "eu"))
    return "an " if is_spoken_vowel or name.startswith("hour") else "a "


def plural(name: str) -> str:
    """The name in the plural, good enough for this vocabulary."""
    if name in vocabulary.NO_ARTICLE:
        return name
    for joint in (" of ", " with "):
        head, found, rest = name.partition(joint)
        if found:
            return plural(head) + joint + rest
    first, _, last = name.rpartition(" ")
    if last in _IRREGULAR:
        return f"{first} {_IRREGULAR[last]}".strip()
    if last.endswith("y") and last[-2] not in "aeiou":
        return name[:-1] + "ies"
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return name + "es"
    return name + "s"


def train_tokenizer(pictures: Sequence[Picture], directory: Path) -> CLIPTokenizer:
    """Learns byte-level BPE merges from all captions and writes them in CLIP's form.

    As in CLIP, every byte has a token of its own inside a word and at its end, so no text is ever unknown.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2600, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(_corpus(pictures), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(pair) for pair in merges), START, END]
    ids = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        vocab=str(directory / "vocab.json"), merges=str(directory / "merges.txt"), model_max_length=LENGTH
    )
    tokenizer.save_pretrained(directory)
    return tokenizer


def load_tokenizer(directory: Path) -> CLIPTokenizer:
    """Reads what `train_tokenizer` wrote."""
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(directory)
    return tokenizer


def _categories(pictures: Sequence[Picture], active: Sequence[int]) -> dict[str, list[int]]:
    """Category words, and CLDR keywords that fit several pictures but not many."""
    members: dict[str, list[int]] = {}
    shared: dict[str, list[int]] = {}
    for i in active:
        if pictures[i].category:
            members.setdefault(pictures[i].category, []).append(i)
        for word in pictures[i].keywords:
            shared.setdefault(word, []).append(i)
    taken = {name for i in active for name in names(pictures[i])}
    common = {w: found for w, found in shared.items() if 3 <= len(found) <= 12 and w not in taken}
    words = {**common, **members}
    return {word: found for word, found in words.items() if word not in taken | {*vocabulary.PROFESSIONS}}


def _corpus(pictures: Sequence[Picture]) -> list[str]:
    texts = [
        vocabulary.SLD_CONCEPT,
        *vocabulary.CONCEPT_CAPTIONS,
        *vocabulary.AMBIGUOUS,
        "safe two background skin tone",
    ]
    texts += [template.format(article="a ", name="an") for template in TEMPLATES]
    texts += [*vocabulary.BACKGROUNDS, *vocabulary.THINGS]
    for picture in pictures:
        texts += [*names(picture), *(plural(name) for name in names(picture)), *picture.keywords]
    return texts * 3


def _named(name: str, random: np.random.Generator) -> str:
    return _one(TEMPLATES, random).format(article=article(name), name=name)


def _wrapped(text: str, random: np.random.Generator) -> str:
    return text if random.random() < 0.7 else f"{_one(('an emoji', 'a picture', 'a drawing'), random)} of {text}"


def _white_mostly(random: np.random.Generator) -> str:
    return "white" if random.random() < 0.85 else _one(tuple(vocabulary.BACKGROUNDS), random)


def _one(options: Sequence[T], random: np.random.Generator) -> T:
    return options[int(random.integers(len(options)))]
