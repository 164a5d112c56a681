"""What licenses demand, as data: `policies/licenses/catalogue.toml`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field

from gatekeeper.authz.resource import Text


@dataclass(frozen=True, slots=True)
class Duties:
    """What the gate has to know about a license text.

    binds_use         its use restrictions bind users of hosted inference (hosting counts as distribution)
    needs_click       it must be accepted even before an open download
    may_redistribute  copies may be passed on, on its conditions
    """

    binds_use: bool = True
    needs_click: bool = True
    may_redistribute: bool = False


UNKNOWN = Duties()  # a text nobody has read for us: the careful reading


@dataclass(frozen=True)
class Catalogue:
    """Duties by license identifier, and identifiers by the digest of a known copy."""

    duties: dict[str, Duties] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Catalogue":
        """The catalogue in a file's text. Raises ValueError for a file that is not TOML, KeyError for a missing key."""
        entries = tomllib.loads(text).get("license", [])
        return cls(
            {
                entry["id"]: Duties(
                    binds_use=bool(entry["binds_use"]),
                    needs_click=bool(entry["needs_click"]),
                    may_redistribute=bool(entry["may_redistribute"]),
                )
                for entry in entries
            },
            {sha256: entry["id"] for entry in entries for sha256 in entry.get("sha256", [])},
        )

    def of(self, texts: Iterable[Text]) -> Duties:
        """The duties of several texts together: the strictest of each."""
        each = [self.duties.get(self.copies.get(text.sha256, text.license_id), UNKNOWN) for text in texts]
        if not each:
            return Duties(binds_use=False, needs_click=False, may_redistribute=False)
        return Duties(
            binds_use=any(duties.binds_use for duties in each),
            needs_click=any(duties.needs_click for duties in each),
            may_redistribute=all(duties.may_redistribute for duties in each),
        )
