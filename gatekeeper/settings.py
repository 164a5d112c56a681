"""Settings: `GATEKEEPER_*` from the environment or a `.env` file. One variable, GATEKEEPER_DATA_DIR, is enough."""

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"/?|(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+/?")
_INTERNAL = re.compile(r"(/[A-Za-z0-9_-]+)+")
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+", re.ASCII)


class Settings(BaseSettings):
    """Everything an operator may choose. A value that cannot be enforced is refused at start."""

    model_config = SettingsConfigDict(env_prefix="GATEKEEPER_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(Path("data"), description="Directory of everything: database, files, keys.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in the data directory.")
    storage_url: str = Field(
        "",
        description="Where large files lie: `file:///...`, or `s3://bucket/prefix`; empty means `files/` in the data "
        "directory.",
    )
    s3_endpoint: str = Field(
        "", description="Address of an S3 server, bucket named in the path; empty means AWS itself."
    )
    s3_region: str = Field("", description="Region of the bucket; empty means `AWS_REGION`.")
    s3_access_key_id: str = Field("", description="Key id; empty means `AWS_ACCESS_KEY_ID`, or the machine's role.")
    s3_secret_access_key: SecretStr | None = Field(
        None, description="Its secret; empty means `AWS_SECRET_ACCESS_KEY`, or the machine's role."
    )
    storage_redirect: bool = Field(
        True,
        description="Send programs to the bucket for bytes, by addresses that end after a minute. `False` where "
        "clients cannot reach it: bytes then go through the hub.",
    )
    storage_copies_bytes: int = Field(
        50 * 2**30,
        ge=0,
        description="Room for local copies of files that lie in a bucket, which the inference process reads; those in "
        "use may take more.",
    )
    server: Literal["uvicorn", "granian"] = Field(
        "uvicorn",
        description="The HTTP server. `granian` (the extra of that name) answers more requests for files where no "
        "nginx sends them.",
    )
    accel: Literal["", "nginx"] = Field(
        "",
        description="`nginx`: an nginx before the hub sends the bytes of large files, by `X-Accel-Redirect`, once the "
        "hub has allowed it; see docs/nginx.md. Empty: the hub sends them itself.",
    )
    accel_prefix: str = Field(
        "/_files", description="Where that nginx has the files of the store, as an `internal` location."
    )
    public_url: str = Field(
        "http://localhost:8000", description="Scheme, host and port under which people reach the hub."
    )
    policies_dir: Path | None = Field(
        None,
        description="Folder of policies to start with; empty means the bundled ones. What was put in force by command "
        "comes before it.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    inference_url: str = Field(
        "",
        description="Remote worker, `https://...`, `http://...` or `unix:/path`; empty means a supervised child "
        "process; `off` switches it off.",
    )
    inference_key_file: Path | None = Field(
        None, description="Key shared with a remote worker, at least 32 bytes; empty means `keys/inference.key`."
    )
    download_evidence: Literal["durable", "queued"] = Field(
        "queued",
        description="`durable`: a download is answered after its evidence is on disk. `queued`: at most one second of "
        "download records can be lost in a power cut; grants, revocations and acceptances are always durable.",
    )
    session_days: int = Field(14, ge=1, le=90, description="Life of a browser session in days.")
    session_idle_hours: int = Field(
        168, ge=1, le=2160, description="A browser session that is not used for so many hours ends before its time."
    )
    recent_sign_in_minutes: int = Field(
        30,
        ge=1,
        le=1440,
        description="Acts that could hand an account or the hub to others need a sign-in within so many minutes.",
    )
    admin_second_factor: Literal["optional", "required"] = Field(
        "optional",
        description="`required`: administrators of the hub come to nothing in a browser before they have a passkey or "
        "an app with codes.",
    )
    sign_up: Literal["closed", "invited", "open"] = Field(
        "closed",
        description="Who gets an account besides those whom administrators add: nobody, people invited by mail, or "
        "anybody with an address. The last two need a mail server.",
    )
    contact: str = Field(
        "",
        description="Where people reach whoever runs the hub: a mail address or a page's `https://` address. Linked "
        "from the sign-in page, the foot of every page and errors.",
    )
    token_max_days: int = Field(365, ge=1, le=3650, description="Longest life of an access token in days.")
    keep_source_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="Days for which the network that an acceptance of terms came from is kept.",
    )
    upload_max_bytes: int = Field(64 * 2**30, ge=2**20, description="Largest single file in bytes.")
    proposal_max_bytes: int = Field(
        32 * 2**30,
        ge=0,
        description="Bytes that one person may send in seven days to pull requests of repositories that they may not "
        "write to.",
    )
    lfs_multipart_bytes: int = Field(
        2**30, ge=2**20, description="LFS files above this size are sent in parts by clients that can."
    )
    lfs_part_bytes: int = Field(64 * 2**20, ge=2**20, description="Size of such a part in bytes.")
    api_calls: int = Field(
        20_000,
        ge=0,
        description="API calls that one person, or one address that is not signed in, may make in five minutes; "
        "0 means any number. Processes tell each other every few seconds. Downloads of files are not counted.",
    )
    api_calls_per_token: int = Field(
        10_000, ge=0, description="How many of these calls one token or session may make; 0 means all of them."
    )
    webhook_allowed_networks: str = Field(
        "",
        description="Networks of yours in which webhooks' receivers may stand, as in `10.1.0.0/16, fd00::/8`: there "
        "any port does, and plain HTTP. Empty: public addresses only.",
    )
    webhook_http: bool = Field(False, description="Let webhooks go to public addresses over plain HTTP too.")
    issuer_allowed_networks: str = Field(
        "",
        description="Networks of yours in which those may stand who sign for trusted jobs, as in `10.1.0.0/16`: there "
        "any port does, and plain HTTP. Empty: public addresses only.",
    )
    mail_host: str = Field("", description="Mail server that takes the hub's mail (SMTP); empty sends none.")
    mail_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    mail_starttls: bool = Field(True, description="Encrypt the way to the mail server, and check its certificate.")
    mail_user: str = Field("", description="User at the mail server; empty signs in with none.")
    mail_password: SecretStr | None = Field(None, description="Password at the mail server.")
    mail_from: str = Field("", description="Sender of the hub's mail, as in `hub@example.org`.")
    oidc_kind: str = Field(
        "openid",
        description="Kind of the OpenID provider that people sign in through: `keycloak`, `google`, `entra`, `gitlab`, "
        "`okta`, `auth0`, `authentik`, `huggingface`, or `openid` for any other.",
    )
    oidc_issuer: str = Field("", description="Its issuer, as in `https://sso.example.org/realms/staff`.")
    oidc_client_id: str = Field("", description="This hub's client id there; empty: nobody signs in that way.")
    oidc_client_secret: SecretStr | None = Field(None, description="The client's secret; empty for a public client.")
    oidc_admits: str = Field(
        "invited",
        description="Who gets an account at a first sign-in: `open` (everybody), `invited` (`gatekeeper people "
        "invite`) or `nobody`.",
    )
    identity_file: Path | None = Field(
        None, description="TOML file with several providers and their rules, see docs/identity.md."
    )
    breached_passwords_file: Path | None = Field(
        None,
        description="Passwords that nobody may choose: a file in the form of Pwned Passwords, ordered by hash. It is "
        "searched where it lies; nothing is asked over a network. Without it the lists of `zxcvbn` hold.",
    )
    local_sign_in: bool = Field(
        True,
        description="Accept passwords. `False` where everybody signs in through a provider; `gatekeeper people let-in` "
        "opens a way for an operator.",
    )
    retention_draft_days: int = Field(
        90,
        ge=0,
        description="Days after which requests that were never sent, and terms shown but not accepted, go; 0: never.",
    )
    retention_rejected_days: int = Field(
        365, ge=0, description="Days after which the answers of rejected and withdrawn requests go; 0: never."
    )
    legal_basis: Literal["contract", "consent", "legal_obligation", "public_task", "legitimate_interests"] = Field(
        "contract", description="The ground (GDPR 6) on which acceptances are kept; every receipt says it."
    )
    retention_acceptance_days: int = Field(
        3650,
        ge=0,
        description="Days after the end of access for which acceptances and the answers of their requests are kept "
        "(the limitation period); 0: for good.",
    )
    retention_address_days: int = Field(
        90, ge=0, description="Days after which it is forgotten with which browser somebody signed in; 0: never."
    )
    retention_evaluation_days: int = Field(
        730,
        ge=0,
        description="Days after which images of evaluations go; their reports stay. 0: only with their repository.",
    )
    gc_hours: int = Field(
        24,
        ge=0,
        description="Hours between two cleanings of the store by the server (`gatekeeper repos gc`); 0: never.",
    )
    provenance_certificate_file: Path | None = Field(
        None,
        description="PEM file with the certificate that images are signed with and those of its issuers, the signer's "
        "first; empty means an authority of the hub's own, see docs/provenance.md.",
    )
    provenance_key_file: Path | None = Field(None, description="PEM file with the private key of that certificate.")
    metrics: bool = Field(True, description="Serve `/metrics` to callers on loopback.")
    styleguide: bool = Field(False, description="Serve `/_styleguide`, for people who work on the pages.")

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError("must be like https://hub.example.org, without a path: the Hub's clients need the root")
        return value

    @field_validator("contact")
    @classmethod
    def _reachable(cls, value: str) -> str:
        parts = urlsplit(value)
        is_page = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        if value and not is_page and not _ADDRESS.fullmatch(value):
            raise ValueError("must be a mail address like hub@example.org or a page like https://example.org/contact")
        return value

    @field_validator("inference_url")
    @classmethod
    def _a_worker(cls, value: str) -> str:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.query)
        if value not in ("", "off") and not is_address and not value.startswith("unix:/"):
            raise ValueError("must be like https://worker.example.org or unix:/run/worker.sock, or off")
        return value

    @field_validator("inference_key_file")
    @classmethod
    def _whole_inference_key(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_file() or value.stat().st_size < 32):
            raise ValueError(
                f"{value} must be a file of at least 32 bytes, the same as the worker's INFERENCE_KEY_FILE"
            )
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_store(cls, value: str) -> str:
        parts = urlsplit(value)
        is_bucket = parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(parts.path)
        if (value and not value.startswith("file:///") and not is_bucket) or parts.query or parts.fragment:
            raise ValueError("must be like file:///srv/files or s3://bucket/prefix, without anything after it")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _server_only(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query):
            raise ValueError("must be like https://s3.example.org, without keys in it")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("postgresql+psycopg://", "sqlite+aiosqlite:///")):
            raise ValueError("must begin with postgresql+psycopg:// or sqlite+aiosqlite:///")
        return value

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key):
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are set together or not at all")
        return self

    @model_validator(mode="after")
    def _whole_certificate(self) -> Self:
        if bool(self.provenance_certificate_file) != bool(self.provenance_key_file):
            raise ValueError("PROVENANCE_CERTIFICATE_FILE and PROVENANCE_KEY_FILE are set together or not at all")
        return self

    @field_validator("accel_prefix")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        if not _INTERNAL.fullmatch(value):
            raise ValueError("must be like /_files: letters, digits, - and _ between slashes, none at the end")
        return value

    @model_validator(mode="after")
    def _accel_needs_a_directory(self) -> Self:
        if self.accel and self.bucket is not None:
            raise ValueError("accel is for files in a directory; a bucket's files are fetched from the bucket")
        return self

    @field_validator("webhook_allowed_networks", "issuer_allowed_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for text in filter(None, (part.strip() for part in value.split(","))):
            ip_network(text)  # its ValueError says what is wrong
        return value

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> Self:
        if self.mail_host and not _ADDRESS.fullmatch(self.mail_from):
            raise ValueError("mail_from must be an address like hub@example.org when mail_host is set")
        if self.sign_up != "closed" and not self.mail_host:
            raise ValueError("sign_up needs mail_host: an account begins with a link in a mail")
        return self

    @model_validator(mode="after")
    def _there_is_a_way_in(self) -> Self:
        if not self.local_sign_in and not self.oidc_client_id and self.identity_file is None:
            raise ValueError("local_sign_in can be switched off only where a provider is configured")
        return self

    @cached_property
    def issuer_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in which those may stand who sign for trusted jobs."""
        return tuple(ip_network(part.strip()) for part in self.issuer_allowed_networks.split(",") if part.strip())

    @cached_property
    def webhook_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in which receivers may stand."""
        return tuple(ip_network(part.strip()) for part in self.webhook_allowed_networks.split(",") if part.strip())

    @cached_property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data_dir / 'gatekeeper.sqlite3').resolve()}"

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Name and prefix of the bucket, where large files lie in one."""
        parts = urlsplit(self.storage_url)
        return (parts.netloc, parts.path.strip("/")) if parts.scheme == "s3" else None

    @cached_property
    def storage_dir(self) -> Path:
        """Root of the store in a directory; with a bucket, of what is kept of it on this machine."""
        if self.storage_url and self.bucket is None:
            return Path(urlsplit(self.storage_url).path)
        return (self.data_dir / "files").resolve()

    @cached_property
    def keys_dir(self) -> Path:
        """Where signing and hashing keys lie (0700)."""
        return (self.data_dir / "keys").resolve()

    @cached_property
    def run_dir(self) -> Path:
        """Sockets and logs of child processes (0700)."""
        return (self.data_dir / "run").resolve()

    @cached_property
    def policies_shelf(self) -> Path:
        """Where bundles of policies that were put in force are laid out as folders."""
        return (self.data_dir / "policies").resolve()

    @property
    def ledger_origin(self) -> str:
        """Name of the evidence log in its checkpoints: the public address without its scheme."""
        return f"{urlsplit(self.public_url).netloc}/ledger"

    @property
    def is_https(self) -> bool:
        """Whether people reach the hub over TLS; decides the cookies' Secure flag and HSTS."""
        return self.public_url.startswith("https://")
