"""Names of people and organizations, and their e-mail addresses: what is allowed, and when two are the same."""

import re
import unicodedata

from gatekeeper.errors import Invalid

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", ".": None, "_": None, "-": None})

# Words that the hub's own paths use or will use, and words that would pass for the house itself.
_RESERVED_WORDS = """
    about abuse access account accounts admin administrator anonymous api apps ask-access assets auth authorize
    billing blog cas chat collections community contact dataset datasets discussions docs documentation download
    downloads enterprise everyone explore favicon.ico files generate generations git healthz help home hub
    huggingface images inference info internal join kernels ledger legal lfs license licenses login logout mail
    me metrics model models moderator new news none notices notifications null oauth oauth2 openapi.json operator
    organization organizations orgs papers people playground policies policy posts preview pricing privacy
    profile public readyz receipt receipts register releases repo repos requests reset resolve review robots.txt
    root search security security.txt server settings signin signout signup space spaces staff static status
    storage support system tasks teams terms token tokens tos transparency undefined upload uploads user
    username users v1 v2 v3 verify webhooks well-known whoami whoami-v2 www xet
"""
RESERVED = frozenset(_RESERVED_WORDS.split())


def check_name(name: str) -> str:
    """`name`, if a person or an organization may bear it; raises Invalid with the rule that it breaks."""
    if not 2 <= len(name) <= 39:
        raise Invalid("A name has 2 to 39 characters.", next_step="Choose another length.")
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A name is made of the letters a to z, digits, and . _ - between them.",
            next_step="Leave out other characters, and begin and end with a letter or digit.",
        )
    if any(pair in name for pair in ("--", "..", "__")) or name.lower().endswith((".git", ".lock", ".json", ".html")):
        raise Invalid("A name has no doubled . _ - and no file ending.", next_step="Choose a plainer name.")
    if fold(name) in RESERVED:
        raise Invalid(f"The name {name} is reserved.", next_step="Choose another name.")
    return name


def fold(name: str) -> str:
    """The form under which a name is unique and found: lower case. Any text folds, also what is no name."""
    return _storable(name.strip().lower())


def skeleton(name: str) -> str:
    """The form in which look-alikes are equal: without separators, with 0 as o and 1 and i as l."""
    return fold(name).translate(_LOOKALIKES)


def check_email(email: str) -> str:
    """`email` without surrounding blanks, if mail could be sent there; raises Invalid."""
    email = unicodedata.normalize("NFC", email.strip())
    local, at, domain = email.rpartition("@")
    if (
        not at
        or not 1 <= len(local) <= 64
        or len(email) > 254
        or not email.isprintable()
        or any(sign in local for sign in ' "(),:;<>@[\\]')
        or local.startswith(".")
        or local.endswith(".")
        or ".." in local
        or not all(_LABEL.fullmatch(label) for label in domain.split("."))
    ):
        raise Invalid("This is not an e-mail address.", next_step="Write it like name@example.org.")
    return email


def email_key(email: str) -> str:
    """The form under which an address is unique and found. The whole address is folded: nobody means two by case."""
    return _storable(unicodedata.normalize("NFKC", email.strip()).casefold())


def _storable(text: str) -> str:
    # A lone surrogate or NUL, which no database takes, becomes a sign that no name or address has.
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
