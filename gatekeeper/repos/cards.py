"""Model cards: what a README says about its repository, to people and to the hub."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.repos import card_rules, front_matter, listing, objects, samples
from gatekeeper.repos.front_matter import FrontMatterError
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.rows import Key
from gatekeeper.repos.tables import Repo

FILE_NAME = "README.md"
MAX_CARD_BYTES = 2 * 2**20
FIELD_TYPES = frozenset({"text", "checkbox", "date_picker", "country", "select"})
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]{0,80}")
_REPO_ID = re.compile(r"[A-Za-z0-9._-]{1,96}(?:/[A-Za-z0-9._-]{1,96})?")


@dataclass(frozen=True, slots=True)
class Card:
    """A README taken apart. Everything in it was written by the repository's authors and is not trusted.

    data     the metadata block as plain JSON values, {} when there is none or it cannot be read
    text     the Markdown after the block
    problem  why the metadata cannot be used, None when it can
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    problem: str | None = None

    @property
    def licenses(self) -> tuple[str, ...]:
        """License ids, in lower case."""
        return tuple(name.lower() for name in card_rules.texts(self.data.get("license")))

    @property
    def license(self) -> str | None:
        """The first license id."""
        return next(iter(self.licenses), None)

    @property
    def license_name(self) -> str | None:
        """Name of a license whose id is `other`."""
        return _text(self.data.get("license_name"))

    @property
    def stage_licenses(self) -> Mapping[str, str]:
        """Licenses of single stages in the place of the card's own: a file at the top of the repository, or an id."""
        stated = self.data.get("stage_licenses")
        if not isinstance(stated, dict):
            return {}
        return {name: text for name, value in stated.items() if (text := _text(value))}

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that the card names."""
        return card_rules.texts(self.data.get("tags"))

    @property
    def all_tags(self) -> tuple[str, ...]:
        """Tags as the Hub's info shows them: those of the card and those that follow from its other fields."""
        found = [name for name in (self.library_name, self.pipeline_tag) if name]
        found += self.tags
        found += card_rules.texts(self.data.get("language"))
        found += [f"base_model:{name}" for name in self.base_models]
        found += [f"base_model:{self.base_relation}:{name}" for name in self.base_models]
        found += [f"dataset:{name}" for name in card_rules.texts(self.data.get("datasets"))]
        found += [f"license:{name}" for name in self.licenses]
        found += [f"{key}:{value}" for key in card_rules.TEXT_LISTS for value in card_rules.texts(self.data.get(key))]
        return tuple(dict.fromkeys(found))

    @property
    def search_tags(self) -> frozenset[str]:
        """Tags that a search may name: those shown, and languages in the form that searches for data sets use."""
        return frozenset(self.all_tags) | {f"language:{name}" for name in card_rules.texts(self.data.get("language"))}

    def names(self, key: str) -> tuple[str, ...]:
        """The texts that the metadata lists under `key`."""
        return card_rules.texts(self.data.get(key))

    @property
    def base_relation(self) -> str:
        """What the model is to its base models: finetune, adapter, merge or quantized."""
        return _text(self.data.get("base_model_relation")) or "finetune"

    @property
    def pipeline_tag(self) -> str | None:
        """The task, such as `text-to-image`."""
        return _text(self.data.get("pipeline_tag"))

    @property
    def library_name(self) -> str | None:
        """The library that loads the model, such as `diffusers`."""
        return _text(self.data.get("library_name"))

    @property
    def base_models(self) -> tuple[str, ...]:
        """Names of the models this one was made from."""
        return card_rules.texts(self.data.get("base_model"))

    @property
    def samples(self) -> tuple[samples.Sample, ...]:
        """Images that the card shows of what the model makes."""
        return samples.samples_of(self.data)

    @property
    def gated_prompt(self) -> str | None:
        """Text that a person agrees to before asking for access."""
        return _text(self.data.get("extra_gated_prompt"))

    @property
    def gated_heading(self) -> str | None:
        """Heading over the request form."""
        return _text(self.data.get("extra_gated_heading"))

    @property
    def gated_description(self) -> str | None:
        """Text above the form's fields."""
        return _text(self.data.get("extra_gated_description"))

    @property
    def gated_button(self) -> str | None:
        """Label of the form's button."""
        return _text(self.data.get("extra_gated_button_content"))


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a card: errors refuse the commit, warnings advise."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse(content: bytes | str) -> Card:
    """The card that a README's content is. Never raises: metadata that cannot be read is a `problem`."""
    if len(content) > MAX_CARD_BYTES:
        return Card(problem=f"The card is longer than {MAX_CARD_BYTES // 2**20} MiB.")
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    try:
        block, body = front_matter.split(text)
    except FrontMatterError as error:
        return Card(text=text, problem=str(error))
    try:
        return Card(data=front_matter.parse(block) if block is not None else {}, text=body)
    except FrontMatterError as error:
        return Card(text=body, problem=str(error))


def validate(content: bytes | str) -> Findings:
    """What an author should know before committing this card."""
    card = parse(content)
    if card.problem:
        return Findings(errors=(card.problem,))
    if not card.data:
        return Findings(warnings=("empty or missing yaml metadata in repo card",))
    block, _ = front_matter.split(content if isinstance(content, str) else content.decode("utf-8", "replace"))
    twice = tuple(
        f'"{key[:60]}" is there more than once; leave one of them' for key in front_matter.repeated(block or "")
    )
    mistakes = (*twice, *_errors(card.data), *card_rules.errors(card.data))
    return Findings(mistakes, (*_warnings(card), *card_rules.warnings(card.data)))


async def card_of(s: AsyncSession, repo: Repo, commit: str) -> Card:
    """The card of a commit; an empty one when it has no README."""
    return (await cards_of(s, [(repo, commit)]))[repo.id, commit]


async def cards_of(s: AsyncSession, places: Collection[tuple[Repo, str]]) -> dict[Key, Card]:
    """The cards of many commits, by repository and commit, with a handful of statements. Raises RevisionNotFound."""
    await listing.warm(s, [(repo.id, commit) for repo, commit in places])
    readmes: dict[Key, Key | None] = {}  # blob by commit
    for repo, commit in places:
        entry = await listing.find_entry(s, repo, commit, FILE_NAME)
        is_text = entry is not None and entry.type == "file" and entry.lfs is None
        readmes[repo.id, commit] = (repo.id, entry.oid) if entry and is_text else None
    wanted = {readme for readme in readmes.values() if readme}
    known = {readme: card for readme in wanted if (card := _cards.get(readme)) is not None}
    for readme, content in (await objects.read_many(s, wanted - known.keys(), "blob")).items():
        known[readme] = parse(content)
        _cards.put(readme, known[readme], len(content) + 1)
    return {place: known[readme] if readme else Card() for place, readme in readmes.items()}


_cards: Lru[tuple[str, str], Card] = Lru(32 * 2**20)


def _errors(data: Mapping[str, Any]) -> list[str]:
    found = [f'"{key}" must be a string' for key in _MUST_BE_TEXT if key in data and not isinstance(data[key], str)]
    found += [
        f'"{key}" must be a string or an array of strings'
        for key in ("license", "language", "base_model", "datasets", "metrics")
        if data.get(key) is not None and not card_rules.is_texts(data[key])
    ]
    if data.get("tags") is not None and not (isinstance(data["tags"], list) and card_rules.is_texts(data["tags"])):
        found.append('"tags" must be an array of strings')
    found += [
        f'"license" has the value {name[:60]!r}, which is no license id: use lower-case letters, digits, "." and "-"'
        for name in card_rules.texts(data.get("license"))
        if not _LICENSE_ID.fullmatch(name.lower())
    ]
    found += [
        f'"base_model" with value {name[:100]!r} is not valid. Use a model id such as "namespace/name"'
        for name in card_rules.texts(data.get("base_model"))
        if not _REPO_ID.fullmatch(name)
    ]
    stated = data.get("stage_licenses")
    if stated is not None and not (isinstance(stated, dict) and all(_text(value) for value in stated.values())):
        found.append('"stage_licenses" must map each stage to a file at the top of the repository or a license id')
    return found + _field_errors(data.get("extra_gated_fields"))


_MUST_BE_TEXT = (
    "pipeline_tag",
    "library_name",
    "license_name",
    "license_link",
    "extra_gated_prompt",
    "extra_gated_heading",
    "extra_gated_description",
    "extra_gated_button_content",
)


def _field_errors(fields: Any) -> list[str]:
    if fields is None:
        return []
    if not isinstance(fields, dict):
        return ['"extra_gated_fields" must map each label to a type']
    found: list[str] = []
    for label, kind in fields.items():
        name = kind.get("type") if isinstance(kind, dict) else kind
        if not isinstance(name, str) or name not in FIELD_TYPES:
            found.append(f'"extra_gated_fields.{label[:60]}" must be one of {", ".join(sorted(FIELD_TYPES))}')
        elif name == "select" and not (isinstance(kind, dict) and isinstance(kind.get("options"), list)):
            found.append(f'"extra_gated_fields.{label[:60]}" of type select needs a list of options')
    return found


def _warnings(card: Card) -> list[str]:
    found: list[str] = []
    if card.license is None:
        found.append('no "license" is named, so nobody knows what they may do with this')
    if card.license == "other" and not card.license_name:
        found.append('"license" is other: name it with "license_name" and "license_link"')
    return found


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
