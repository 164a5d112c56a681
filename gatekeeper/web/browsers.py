"""What people call a browser, from what it says of itself."""

from functools import lru_cache

_SYSTEMS = {"Mac OS X": "macOS"}


@lru_cache(maxsize=256)
def name_of(user_agent: str) -> str:
    """`Firefox on Linux`; what is not known is told as it was said.

    user_agent  the header, at most 200 characters, untrusted
    """
    import ua_parser  # loading its thousand patterns takes a tenth of a second, which only lists of sessions need

    found = ua_parser.parse(user_agent)
    browser = found.user_agent.family if found.user_agent else ""
    system = _SYSTEMS.get(found.os.family, found.os.family) if found.os else ""
    return " on ".join(filter(None, (browser, system))) if browser else user_agent or "Unknown browser"
