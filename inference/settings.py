"""Settings of the inference process, from `INFERENCE_*` variables, a `.env` file, or a directory of secret files."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from inference.contract import Limits, RepositoryName, SettingFact, Sha256

ROWS_WITH_SLD = 3

Switch = Literal["auto", "on", "off"]
Attention = Literal["auto", "flash", "efficient", "math"]


class Settings(BaseSettings):
    """How one worker runs. Every field is `INFERENCE_` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_",
        env_file=".env",
        extra="ignore",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    socket: Path | None = None
    """Unix socket to listen on; its directory must be private, for uvicorn opens the socket to all."""
    host: str = "127.0.0.1"
    """TCP address to listen on instead, behind a proxy that ends TLS."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Its port."""
    key: str | None = None
    """The key shared with the web process, as text of at least 32 bytes."""
    key_file: Path | None = None
    """The file that holds that key, whose bytes are used as they are."""
    parent_pid: int | None = None
    """End when this process is no longer the parent, so that no worker outlives its supervisor."""
    store_dir: Path | None = None
    """Content-addressed store to read weights from: `<store>/sha256/ab/cd/abcd...`."""
    work_dir: Path | None = None
    """Private directory for assembled models; empty means a temporary one."""
    checkers: Annotated[tuple[Path, ...] | None, NoDecode] = None
    """Directories of the safety checkers this server trusts, attached to models by digest, separated as in PATH; empty
    means the bundled one. `models.json` in a directory lists the models that its checker was made for."""
    default_checker: Sha256 | None = None
    """Digest of the trusted checker for models that name none made for them; without one such models make nothing."""
    readers: Annotated[tuple[Path, ...] | None, NoDecode] = None
    """Directories of the readers for evaluations, separated as in PATH; empty means the bundled model's."""
    rules_file: Path | None = None
    """Prompt rules (TOML) instead of the built-in ones."""
    checks_file: Path | None = None
    """More image checks and prompt classifiers (TOML)."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` ..."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` measures bfloat16 against float32 where the processor has bfloat16 instructions."""
    threads: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    """Threads of torch; `auto` is measured at the start."""
    channels_last: Switch = "auto"
    """Memory layout of convolutions; `auto` is on for GPUs."""
    compile: Switch = "auto"
    """Compiled calls; `auto` is on for GPUs."""
    cuda_graphs: Switch = "auto"
    """Calls recorded and replayed; `auto` is on for GPUs."""
    packed: Switch = "auto"
    """Convolutions of small calls keep their weights laid out; `auto` is on for CPUs with bfloat16."""
    attention: Attention = "auto"
    """Kernel of scaled dot product attention; `auto` is torch's choice."""
    max_rows: Annotated[int, Field(ge=ROWS_WITH_SLD, le=1024)] = 24
    """Denoiser rows in the making at once, over all orders."""
    memory_bytes: Annotated[int, Field(ge=2**20)] | None = None
    """What models and calls may take together; empty means most of what is free at the start."""
    pinned_models: Annotated[tuple[RepositoryName, ...], NoDecode] = ()
    """Repositories whose models are never evicted, separated by commas."""
    checker_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    """An image without a verdict by then is withheld."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 64 * 2**20
    """Largest request."""
    limits: Limits = Limits()
    """What an order may ask; each is set by itself, as in `INFERENCE_LIMITS__STEPS`."""
    log_level: str = "INFO"
    """How much is logged."""
    fake: bool = False
    """Make marked pictures without a model."""

    @field_validator("checkers", "readers", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("pinned_models", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.socket is not None and self.port:
            raise ValueError("set either INFERENCE_SOCKET or INFERENCE_PORT")
        if max(self.limits.buckets, default=0) < ROWS_WITH_SLD or min(self.limits.buckets) < 1:
            raise ValueError("INFERENCE_LIMITS__BUCKETS needs positive row counts, one of them at least 3")
        return self

    def order_key(self) -> bytes:
        """The key that orders are signed with. Raises ValueError when there is none, or one of less than 32 bytes."""
        key = self.key_file.read_bytes() if self.key_file is not None else (self.key or "").encode()
        if len(key) < 32:
            raise ValueError("INFERENCE_KEY_FILE (or INFERENCE_KEY) must hold at least 32 bytes")
        return key


def in_force(settings: Settings) -> tuple[SettingFact, ...]:
    """Every setting with its value and where that comes from; of the key only whether it is set."""
    environment, file = EnvSettingsSource(Settings)(), DotEnvSettingsSource(Settings)()
    return tuple(
        SettingFact(
            variable=f"INFERENCE_{name.upper()}",
            value=_shown(name, getattr(settings, name)),
            source="environment" if name in environment else "file" if name in file else "default",
            text=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    )


def _shown(name: str, value: object) -> str:
    match value:
        case None | "" | ():
            return "not set"
        case _ if name == "key":
            return "set"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value))
        case Limits():
            return ", ".join(f"{field}: {each}" for field, each in value)
    return str(value)
