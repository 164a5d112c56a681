"""License texts, bundles of them, what was shown to whom, and who accepted."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.personal import PersonalJson, PersonalText


class ChangeClass(StrEnum):
    """What a person says of new terms beside the old ones. Only a material change asks people to accept again."""

    TYPOGRAPHIC = "typographic"
    CLARIFICATION = "clarification"
    MATERIAL = "material"


class LicenseText(SQLModel, table=True):
    """An exact text, found by its digest. Never changed; never deleted once it was accepted (database triggers)."""

    __tablename__ = "license_text"

    sha256: str = Field(primary_key=True, max_length=64)
    canonical_sha256: str = Field(max_length=64, index=True)
    license_id: str = Field(default="", max_length=80)
    title: str = Field(max_length=200)
    language: str = Field(default="en", max_length=20)
    body: bytes = Field(sa_type=sa.LargeBinary)
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class CatalogueLicense(SQLModel, table=True):
    """An operator says: this text is what a card means by this license id. The newest entry of an id counts.

    Apart from the text, for a repository may have brought the same bytes before, and a text never changes.
    """

    __tablename__ = "catalogue_license"

    license_id: str = Field(primary_key=True, max_length=80)
    text_sha256: str = Field(primary_key=True, foreign_key="license_text.sha256", max_length=64)
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Recognition(SQLModel, table=True):
    """A person says: this text is the license of this identifier, though it is no copy that the catalogue lists."""

    __tablename__ = "recognition"

    text_sha256: str = Field(primary_key=True, foreign_key="license_text.sha256", max_length=64)
    license_id: str = Field(max_length=80)
    confirmed_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    confirmed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class TermsBundle(SQLModel, table=True):
    """What one acceptance covers: ordered text digests and the form's digest. `sha256` is over their canonical JSON."""

    __tablename__ = "terms_bundle"

    sha256: str = Field(primary_key=True, max_length=64)
    texts: list[str] = Field(sa_type=sa.JSON)
    form: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RepoTerms(SQLModel, table=True):
    """The bundle of a repository's commit (a later commit may carry another text).

    stage  for which the commit states terms of its own; "" is what binds at all others
    """

    __tablename__ = "repo_terms"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    commit_id: str = Field(primary_key=True, max_length=40)
    stage: str = Field(default="", primary_key=True, max_length=40)
    bundle_sha256: str = Field(foreign_key="terms_bundle.sha256", max_length=64)


class TermsChange(SQLModel, table=True):
    """Terms came into force for a repository in the place of older ones (None: there were none before).

    Until somebody says otherwise a change is material, and acceptances of the old terms count until `deadline_at`.
    """

    __tablename__ = "terms_change"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    old_sha256: str | None = Field(default=None, foreign_key="terms_bundle.sha256", max_length=64)
    new_sha256: str = Field(foreign_key="terms_bundle.sha256", max_length=64)
    change_class: ChangeClass | None = Field(default=None, sa_type=EnumText(ChangeClass))
    in_force_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    deadline_at: datetime = Field(sa_type=UtcDateTime)
    classified_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    classified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    note: str = Field(default="", max_length=2000)
    version: int = Field(default=0)


class Presentation(SQLModel, table=True):
    """The exact page or terminal text one person was shown."""

    __tablename__ = "presentation"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    repo_id: str = Field(foreign_key="repo.id", max_length=26)
    bundle_sha256: str = Field(foreign_key="terms_bundle.sha256", max_length=64)
    shown_sha256: str = Field(max_length=64)
    shown: str = Field(sa_type=PersonalText)
    locale: str = Field(default="en", max_length=20)
    shown_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class AcceptanceSource(SQLModel, table=True):
    """From where an acceptance came, kept briefly. The receipt holds a salted digest; the salt goes with the row."""

    __tablename__ = "acceptance_source"

    acceptance_id: str = Field(primary_key=True, foreign_key="acceptance.id", ondelete="CASCADE", max_length=26)
    network: str = Field(default="", sa_type=PersonalText)
    user_agent: str = Field(default="", sa_type=PersonalText)
    salt: str = Field(max_length=32)
    kept_until: datetime = Field(sa_type=UtcDateTime, index=True)


class Acceptance(SQLModel, table=True):
    """A person's affirmative act on one bundle, with the signed receipt."""

    __tablename__ = "acceptance"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    bundle_sha256: str = Field(foreign_key="terms_bundle.sha256", max_length=64, index=True)
    presentation_id: str | None = Field(default=None, foreign_key="presentation.id", max_length=26)
    method: str = Field(max_length=20)  # page, terminal, api
    accepted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    withdrawn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    receipt: dict[str, Any] = Field(default_factory=dict, sa_type=PersonalJson)
