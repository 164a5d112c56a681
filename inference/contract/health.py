"""The worker as it is, its readers, and how it says no."""

from pydantic import Field

from inference.contract.base import CONTRACT_VERSION, Answer, Sha256
from inference.contract.codes import ErrorCode
from inference.contract.models import ModelState
from inference.contract.orders import Limits


class RulesFacts(Answer):
    """Which prompt rules the worker screens with."""

    version: str
    sha256: Sha256
    count: int


class Reading(Answer):
    """What one image shows. `embedding` has length 1; `labels` are empty for readers without any, and for images that
    show nothing that the reader has labels for."""

    embedding: tuple[float, ...]
    labels: dict[str, str] = Field(default_factory=dict)


class Readings(Answer):
    """Answer to a `ReadOrder`, in its order."""

    reader: Sha256
    readings: tuple[Reading, ...]


class ReaderFacts(Answer):
    """A reader that is attached.

    sha256      over all of its files
    grouped_by  the label by whose value `confusion` is told apart, "" for none
    attributes  values of each label that is evaluated
    confusion   attribute -> group -> (true value, read value) counts of images of known content, some of each value
    """

    sha256: Sha256
    name: str
    dimensions: int
    grouped_by: str = ""
    attributes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    confusion: dict[str, dict[str, tuple[tuple[int, ...], ...]]] = Field(default_factory=dict)

    @property
    def fault(self) -> str:
        """Why what it reads cannot be counted with; empty where it can."""
        if narrow := [name for name, values in self.attributes.items() if len(set(values)) < max(len(values), 2)]:
            return f"the attribute {narrow[0]} needs at least two different values"
        for name, groups in self.confusion.items():
            size = len(self.attributes.get(name, ()))
            for group, rows in groups.items():
                is_square = len(rows) == size and all(len(row) == size for row in rows)
                if not is_square or any(min(row) < 0 or not any(row) for row in rows):
                    return (
                        f"the confusion of {name} for {group} needs a row of counts for each value of the attribute, "
                        "with an image in each"
                    )
        return ""


class SettingFact(Answer):
    """A setting of the worker that is in force; of a secret only whether it is set.

    source  default, environment or file
    text    what it does
    """

    variable: str
    value: str
    source: str
    text: str


class Health(Answer):
    """The worker as it is. It answers as soon as the process lives; `is_ready` says whether orders can be made.

    checks        what each image check is, by name; the models' own, as many as are trusted, are one
    memory_bytes  what models and calls may take together; models_bytes: what models take of it
    settings      none over TCP, where whoever reaches the port may ask
    """

    contract_version: int = CONTRACT_VERSION
    is_ready: bool
    is_fake: bool = False
    pid: int
    device: str
    dtype: str
    threads: int
    torch_version: str
    diffusers_version: str
    limits: Limits
    rules: RulesFacts
    models: tuple[ModelState, ...] = ()
    waiting_orders: int = 0
    running_orders: int = 0
    image_checks: tuple[str, ...] = ()  # checks beside the models' own that an order may demand
    prompt_checks: tuple[str, ...] = ()
    checks: dict[str, Sha256] = Field(default_factory=dict)
    memory_bytes: int = 0
    models_bytes: int = 0
    readers: tuple[ReaderFacts, ...] = ()
    settings: tuple[SettingFact, ...] = ()


class Problem(Answer):
    """Body of an HTTP error. Status: 400, 403 (signature), 404, 409, 413, 422 (limits), 429 (queue full), 500."""

    code: ErrorCode
    message: str
    problems: tuple[str, ...] = ()
