"""What the Hub's clients send."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatekeeper.errors import Invalid
from gatekeeper.licensing import GRACE_DAYS, MAX_INSTITUTION_CHARS, MAX_TYPED_NAME_CHARS, ChangeClass
from gatekeeper.repos import Gate, RepoKind

KIND_OF_TYPE = {"model": RepoKind.MODEL, "dataset": RepoKind.DATASET, "space": RepoKind.SPACE}


class Body(BaseModel):
    """Base of request bodies. A field we do not know is refused: it would promise something that nobody keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RepoName(Body):
    """`{"name","organization","type"}`: no type means model, no organization the caller's own namespace."""

    name: str = Field(max_length=200)
    organization: str | None = Field(None, max_length=100)
    type: Literal["model", "dataset", "space"] | None = None

    @property
    def kind(self) -> RepoKind:
        return KIND_OF_TYPE[self.type or "model"]


class NewRepo(RepoName):
    visibility: Literal["public", "private"] | None = None
    private: bool | None = None
    sdk: Literal["docker", "gradio", "static", "streamlit"] | None = None  # of a Space: kept in its card, never run

    @property
    def is_private(self) -> bool:
        return self.visibility == "private" if self.visibility is not None else bool(self.private)


class MoveRepo(Body):
    source: str = Field(alias="fromRepo", max_length=200)
    target: str = Field(alias="toRepo", max_length=200)
    type: Literal["model", "dataset", "space"] = "model"


class DuplicateRepo(Body):
    repository: str = Field(max_length=200)
    visibility: Literal["public", "private"] | None = None
    private: bool | None = None

    @property
    def is_private(self) -> bool | None:
        return self.visibility == "private" if self.visibility is not None else self.private


class PathsInfo(Body):
    paths: list[str]
    expand: bool = False


class CopyTarget(Body):
    type: Literal["model", "dataset", "space"] = "model"
    name: str = Field(max_length=200)


class FileToCopy(Body):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    filename: str = Field(max_length=4_000)
    xet_hash: str | None = Field(None, alias="xetHash", max_length=64)  # the SHA-256 says it all


class CopyFiles(Body):
    target: CopyTarget
    files: list[FileToCopy] = Field(max_length=1_000)


class Squash(Body):
    message: str = Field("", max_length=60_000)


class Deletions(Body):
    sha: list[str] = Field(max_length=1_000)
    rewrite_history: bool = Field(True, alias="rewriteHistory")


class DeleteFiles(Body):
    deletions: Deletions


class RepoSettings(Body):
    gated: Literal["auto", "manual", False] | None = None
    visibility: Literal["public", "private"] | None = None
    private: bool | None = None

    @property
    def gate(self) -> Gate | None:
        return None if self.gated is None else Gate(self.gated or "none")

    @property
    def is_private(self) -> bool | None:
        return self.visibility == "private" if self.visibility is not None else self.private


class YamlToCheck(Body):
    content: str
    repo_type: str = Field("model", alias="repoType", max_length=20)


class NewBranch(Body):
    starting_point: str | None = Field(None, alias="startingPoint", max_length=250)
    # Sent by some versions as an empty object or with this flag; branches never start empty here.
    empty_branch: Literal[False] | None = Field(None, alias="emptyBranch")


class NewTag(Body):
    tag: str = Field(max_length=250)
    message: str | None = Field(None, max_length=10_000)


class FileSample(BaseModel):
    path: str = Field(max_length=4_000)
    sample: str = Field("", max_length=4_096)
    size: int = Field(ge=0)


class Preupload(BaseModel):
    files: list[FileSample] = Field(max_length=1_000)
    git_ignore: str | None = Field(None, alias="gitIgnore", max_length=1_000_000)
    git_attributes: str | None = Field(None, alias="gitAttributes", max_length=1_000_000)


class LfsObject(BaseModel):
    oid: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class LfsPart(BaseModel):
    number: int = Field(alias="partNumber", ge=1, le=1_000_000)
    etag: str = Field(max_length=100)


class LfsParts(BaseModel):
    parts: list[LfsPart] = Field(max_length=10_000)


class LfsRef(BaseModel):
    name: str = Field(max_length=300)


class LfsBatch(BaseModel):
    operation: Literal["upload", "download"]
    transfers: list[str] = Field(default=["basic"], max_length=20)
    objects: list[LfsObject] = Field(max_length=1_000)
    hash_algo: Literal["sha256"] = "sha256"
    ref: LfsRef | None = None


class Handle(Body):
    user: str | None = Field(None, max_length=100)
    request_id: str | None = Field(None, alias="requestId", max_length=64)
    status: Literal["accepted", "rejected", "pending"]
    reason: str | None = Field(None, alias="rejectionReason", max_length=2_000)


class DirectGrant(Body):
    user: str = Field(max_length=100)


class OnBehalf(Body):
    institution: str = Field(max_length=MAX_INSTITUTION_CHARS)
    has_authority: bool = Field(strict=True)


class AskAccess(Body):
    accept: list[str] = Field(default_factory=list, max_length=50)
    fields: dict[str, Any] = Field(default_factory=dict)
    presentation_id: str | None = Field(None, max_length=26)
    typed_name: str = Field("", max_length=MAX_TYPED_NAME_CHARS)
    on_behalf_of: OnBehalf | None = None
    renew: bool = False
    draft: bool = False


class Classify(Body):
    change_class: ChangeClass = Field(alias="class")
    seen_sha256: str = Field(max_length=64)
    days: int = Field(GRACE_DAYS, strict=True)
    note: str = Field("", max_length=2_000)


class Problem(Body):
    problem: Literal["harm", "illegal", "license", "security", "wrong", "other"]
    text: str = Field(max_length=5_000)


class Appeal(Body):
    text: str = Field(max_length=2_000)


class Confirm(Body):
    conditions_sha256: str = Field(max_length=64)


class CloseOut(Body):
    answer: str = Field(max_length=40)
    comment: str = Field("", max_length=2_000)


Shape = TypeVar("Shape", bound=BaseModel)


def parse(shape: type[Shape], content: bytes) -> Shape:
    """`content` as `shape`. Raises Invalid that names the first thing that is wrong, never what was sent."""
    try:
        return shape.model_validate_json(content or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:120]
        told = f"{where}: {first['msg']}" if where else first["msg"]
        if first["type"] == "extra_forbidden":
            told = f"the field {where} is not known here, so it was not pretended to work"
        raise Invalid(
            f"The request body cannot be accepted: {told}.", next_step="Correct the body and send it again."
        ) from None
