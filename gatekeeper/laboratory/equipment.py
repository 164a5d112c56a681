"""What evaluations are carried out with."""

from dataclasses import dataclass

from gatekeeper.authz import InForce, Policies
from gatekeeper.db import Database
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.generation import ImageFolder, Studio
from gatekeeper.kit.signing import SigningKey


class Stopped(Exception):
    """The run cannot go on; the text says why."""


class Trouble(Exception):
    """It may go on later; the text says what stood in the way."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """Parts of the running house, given by composition.

    images, pictures  where orders leave their images, and where evaluations keep theirs
    signing           signs reports
    privacy           hashes prompts
    """

    db: Database
    in_force: InForce
    studio: Studio
    images: ImageFolder
    pictures: PictureFolder
    signing: SigningKey
    privacy: bytes

    @property
    def policies(self) -> Policies:
        """Those in force, as of the last look."""
        return self.in_force.current
