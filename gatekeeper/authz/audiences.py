"""Stand-ins: made-up people and releases that the matrix and the case tables ask the policies about."""

import re
from typing import NamedTuple

from gatekeeper.authz.resource import Attributes, Context, Question
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate


class Audience(NamedTuple):
    """A kind of person: their Cedar type and how they stand to the release."""

    principal: str
    context: Context


class License(NamedTuple):
    """A kind of license, as far as policies care."""

    has_terms: bool
    binds_use: bool
    needs_click: bool
    may_redistribute: bool


_MEMBER = Context(is_member=True)
_GRANT = Context(grant=True)

# Widest first: a cell of the matrix names the first audience that is let in.
AUDIENCES: dict[str, Audience] = {
    "everyone": Audience("Anonymous", Context()),
    "signed-in": Audience("Person", Context()),
    "terms": Audience("Person", Context(terms_accepted=True)),
    "grant": Audience("Person", _GRANT),
    "grant+terms": Audience("Person", _GRANT._replace(terms_accepted=True)),
    "grant+purpose": Audience("Person", _GRANT._replace(terms_accepted=True, purpose=True)),
    "grant+institution": Audience("Person", _GRANT._replace(terms_accepted=True, institution=True)),
    "named": Audience("Person", _GRANT._replace(tester=True)),
    "named+terms": Audience("Person", _GRANT._replace(tester=True, terms_accepted=True)),
    "org": Audience("Person", _MEMBER),
    "org+terms": Audience("Person", _MEMBER._replace(terms_accepted=True)),
    "owners": Audience("Person", _MEMBER._replace(is_owner=True)),
    "safety team": Audience("Person", _MEMBER._replace(is_safety_team=True)),
    "maintainers": Audience("Person", _MEMBER._replace(is_owner=True, is_maintainer=True, is_safety_team=True)),
    "proposer": Audience("Person", Context(proposer=True)),
    "site admin": Audience("Person", Context(is_site_admin=True)),
    "operator": Audience("Operator", Context(is_site_admin=True)),
}

_IN_WORDS = {
    "signed-in": "signed in",
    "terms": "terms accepted",
    "grant": "with access",
    "named": "named testers",
    "org": "members",
    "none": "nobody",
    "purpose": "purpose stated",
    "institution": "institution named",
}

LICENSES: dict[str, License] = {
    "rail": License(has_terms=True, binds_use=True, needs_click=True, may_redistribute=True),
    "permissive": License(has_terms=True, binds_use=False, needs_click=False, may_redistribute=True),
    "closed": License(has_terms=True, binds_use=True, needs_click=True, may_redistribute=False),
    "missing": License(has_terms=False, binds_use=False, needs_click=False, may_redistribute=False),
}

# What can be asked about: the ladder's stages, and repositories without stages.
PLACES = (*(stage.value for stage in Stage), "public", "private", "auto", "manual")
SIDES = ("", "embargoed", "held", "withdrawn", "deprecated", "proposed")


def attributes_of(place: str, *, side: str = "", license: str = "rail") -> Attributes:
    """The attributes of a made-up repository. Raises ValueError or KeyError for names that do not exist."""
    if place not in PLACES or side not in SIDES:
        raise ValueError(f"there is no stage {place!r} with the side state {side!r}")
    is_staged = place in set(Stage)
    return Attributes(
        staged=is_staged,
        stage=place if is_staged else "",
        private=place == "private",
        gate=place if place in (Gate.AUTO, Gate.MANUAL) else Gate.NONE.value,
        embargoed=side == "embargoed",
        held=side == "held",
        withdrawn=side == "withdrawn",
        deprecated=side == "deprecated",
        proposed=side == "proposed",
        **LICENSES[license]._asdict(),
    )


def question_of(audience: str, place: str | None, *, side: str = "", license: str = "rail") -> Question:
    """The question that `audience` asks about `place`, or about the hub. Raises KeyError, ValueError."""
    who = AUDIENCES[audience]
    attributes = None if place is None else attributes_of(place, side=side, license=license)
    return Question(who.principal, attributes, who.context)


def in_words(cell: str) -> str:
    """A cell of the matrix for people: `grant+terms` is `with access, terms accepted`."""
    return re.sub(rf"\b({'|'.join(_IN_WORDS)})\b", lambda found: _IN_WORDS[found[0]], cell).replace("+", ", ")
