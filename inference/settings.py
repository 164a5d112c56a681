"""Settings of the inference process, from `INFERENCE_*` variables, a `.env` file, or a directory of secret files."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from inference.contract import Limits, RepositoryName, Sha256

ROWS_WITH_SLD = 3

Switch = Literal["auto", "on", "off"]
Attention = Literal["auto", "flash", "efficient", "math"]


class Settings(BaseSettings):
    """How one worker runs. Every field is `INFERENCE_` and its name in capitals.

    socket           Unix socket to listen on; its directory must be private, for uvicorn opens the socket to all
    host, port       listen on TCP instead (a remote worker, behind a proxy that ends TLS)
    key_file         holds the key shared with the web process, at least 32 bytes, used as they are; or `key` as text
    parent_pid       end when this process is no longer the parent, so that no worker outlives its supervisor
    store_dir        content-addressed store to read weights from: `<store>/sha256/ab/cd/abcd...`
    work_dir         private directory for assembled models; None: a temporary one
    checkers         directories of the safety checkers this server trusts, attached to models by digest, separated as
                     in PATH; None: the bundled one
    default_checker  digest of the trusted checker for models that name none; None: such models make nothing
    readers          directories of the readers for evaluations (see inference/readers.py), separated as in PATH; None:
                     the bundled model's
    rules_file       prompt rules (TOML) instead of the built-in ones
    checks_file      more image checks and prompt classifiers (TOML, see inference/safety/plugins.py)
    device           auto, cpu, cuda, cuda:1 ...
    dtype            auto measures bfloat16 against float32 where the processor has bfloat16 instructions
    threads          torch threads; "auto" is measured at the start
    channels_last, compile, cuda_graphs  switches of the device path; "auto" is on for GPUs and off for CPUs
    attention        kernel of scaled dot product attention; "auto" is torch's choice
    max_rows         denoiser rows in the making at once, over all orders
    memory_bytes     what models and calls may take together; None: most of what is free at the start
    pinned_models    repositories whose models are never evicted, separated by commas
    checker_timeout_seconds  an image without a verdict by then is withheld
    max_body_bytes   largest request body
    fake             make marked pictures without a model; refused unless it is set by INFERENCE_FAKE=1
    """

    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_", env_file=".env", extra="ignore", env_nested_delimiter="__"
    )

    socket: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    key: str | None = None
    key_file: Path | None = None
    parent_pid: int | None = None
    store_dir: Path | None = None
    work_dir: Path | None = None
    checkers: Annotated[tuple[Path, ...] | None, NoDecode] = None
    default_checker: Sha256 | None = None
    readers: Annotated[tuple[Path, ...] | None, NoDecode] = None
    rules_file: Path | None = None
    checks_file: Path | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    channels_last: Switch = "auto"
    compile: Switch = "auto"
    cuda_graphs: Switch = "auto"
    attention: Attention = "auto"
    max_rows: Annotated[int, Field(ge=ROWS_WITH_SLD, le=1024)] = 24
    memory_bytes: Annotated[int, Field(ge=2**20)] | None = None
    pinned_models: Annotated[tuple[RepositoryName, ...], NoDecode] = ()
    checker_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    max_body_bytes: Annotated[int, Field(ge=1024)] = 64 * 2**20
    limits: Limits = Limits()
    log_level: str = "INFO"
    fake: bool = False

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
