"""What the contract's parts are made of: names, numbers, and the two kinds of models."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

CONTRACT_VERSION = 2
MOST_PREVIEWS = 8

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
RepositoryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$", max_length=193)
]
OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CheckName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Count = Annotated[int, Field(strict=True)]  # strict: `true` and "20" are not numbers of steps


class Order(BaseModel):
    """Base of what the worker is told: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """Base of what the worker says: frozen, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
