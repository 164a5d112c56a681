"""Settings: `GATEKEEPER_*` from the environment or a `.env` file. One variable, GATEKEEPER_DATA_DIR, is enough."""

from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything an operator may choose. A value that cannot be enforced is refused at start."""

    model_config = SettingsConfigDict(env_prefix="GATEKEEPER_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(Path("data"), description="Directory of everything: database, files, keys.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in the data directory.")
    storage_url: str = Field("", description="`file:///...`; empty means `files/` in the data directory.")
    public_url: str = Field(
        "http://localhost:8000", description="Scheme, host and port under which people reach the hub."
    )
    policies_dir: Path | None = Field(None, description="Policies in force; empty means the bundled ones.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    inference_url: str = Field(
        "", description="Remote worker; empty means a supervised child process; `off` switches it off."
    )
    inference_key_file: Path | None = Field(None, description="Shared key with a remote worker.")
    download_evidence: Literal["durable", "queued"] = Field(
        "queued",
        description="`durable`: a download is answered after its evidence is on disk. `queued`: at most one second of "
        "download records can be lost in a power cut; grants, revocations and acceptances are always durable.",
    )
    session_days: int = Field(14, ge=1, le=90, description="Life of a browser session in days.")
    token_max_days: int = Field(365, ge=1, le=3650, description="Longest life of an access token in days.")
    upload_max_bytes: int = Field(64 * 2**30, ge=2**20, description="Largest single file in bytes.")
    api_calls: int = Field(
        20_000,
        ge=0,
        description="API calls that one person, or one address that is not signed in, may make in five minutes; "
        "0 means any number. Each process counts for itself. Downloads of files are not counted.",
    )
    metrics: bool = Field(True, description="Serve `/metrics` to callers on loopback.")

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError("must be like https://hub.example.org, without a path: the Hub's clients need the root")
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_store(cls, value: str) -> str:
        if value and not value.startswith("file:///"):
            raise ValueError("only file:///... can be served by this version")
        return value

    @cached_property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data_dir / 'gatekeeper.sqlite3').resolve()}"

    @cached_property
    def storage_dir(self) -> Path:
        """Root of the content-addressed store."""
        if self.storage_url:
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

    @property
    def ledger_origin(self) -> str:
        """Name of the evidence log in its checkpoints: the public address without its scheme."""
        return f"{urlsplit(self.public_url).netloc}/ledger"

    @property
    def is_https(self) -> bool:
        """Whether people reach the hub over TLS; decides the cookies' Secure flag and HSTS."""
        return self.public_url.startswith("https://")
