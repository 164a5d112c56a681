"""What a running web process holds: made once by `app.py`, found on `request.app.state.gatekeeper`."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import authz
from gatekeeper.accounts.oidc import Remote
from gatekeeper.db import Database
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.generation import ImageFolder, Studio
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.signing import SigningKey, secret_file
from gatekeeper.laboratory import Equipment
from gatekeeper.ledger import EvidenceWriter
from gatekeeper.notices import Rules
from gatekeeper.provenance import Notary
from gatekeeper.repos.storage import Store
from gatekeeper.settings import Settings
from gatekeeper.tokens import AtOnce
from gatekeeper.transparency import Refusals
from gatekeeper.web.alarms import PolicyAlarms
from gatekeeper.web.examiners import Examiners
from gatekeeper.web.issuers import Issuers
from gatekeeper.web.known import KnownFacts
from gatekeeper.web.version import AccessVersion

if TYPE_CHECKING:
    from gatekeeper.generation.client import Worker
    from gatekeeper.generation.supervisor import Supervisor
    from gatekeeper.web.hot import HotCache


@dataclass(frozen=True)
class Keys:
    """The process's secrets. `signing` signs receipts and checkpoints; the others are 32-byte HMAC keys."""

    signing: SigningKey
    tokens: bytes
    sessions: bytes
    links: bytes  # signed upload addresses and Xet tokens
    privacy: bytes  # hashes of addresses and prompts
    inference: bytes
    sealing: Box  # what the database holds but nobody may read in it

    @classmethod
    def load(cls, directory: Path) -> "Keys":
        """The keys in `directory`, made on first use."""

        def key(name: str) -> bytes:
            return secret_file(directory / name, lambda: secrets.token_bytes(32))

        return cls(
            signing=SigningKey.load_or_create(directory / "signing.ed25519"),
            tokens=key("tokens.key"),
            sessions=key("sessions.key"),
            links=key("links.key"),
            privacy=key("privacy.key"),
            inference=key("inference.key"),
            sealing=Box(key("sealing.key")),
        )


@dataclass
class Gatekeeper:
    """Everything the doors need. Nothing here changes while the process runs, except inside the parts themselves."""

    settings: Settings
    db: Database
    keys: Keys
    store: Store
    in_force: authz.InForce
    evidence: EvidenceWriter
    version: AccessVersion
    tokens_at_once: AtOnce
    cache: "HotCache"
    images: ImageFolder
    notary: Notary
    pictures: PictureFolder  # of evaluations
    studio: Studio
    issuers: Issuers
    examiners: Examiners = field(default_factory=Examiners)
    remotes: dict[str, Remote] = field(default_factory=dict)  # providers that people sign in through, by name
    known: KnownFacts = field(default_factory=KnownFacts)
    refusals: Refusals = field(default_factory=Refusals)
    alarms: PolicyAlarms = field(default_factory=PolicyAlarms)
    worker: "Worker | None" = None
    supervisor: "Supervisor | None" = None

    @property
    def policies(self) -> authz.Policies:
        """The policies in force, as of this process's last look."""
        return self.in_force.current

    @property
    def equipment(self) -> Equipment:
        """What evaluations are carried out with."""
        return Equipment(
            self.db, self.in_force, self.studio, self.images, self.pictures, self.keys.signing, self.keys.privacy
        )

    @property
    def webhook_rules(self) -> Rules:
        """Which addresses webhooks may have."""
        return Rules(self.settings.webhook_networks, is_http=self.settings.webhook_http)

    def url(self, path: str) -> str:
        """`path` (with its leading slash) under the public address."""
        return self.settings.public_url + path
