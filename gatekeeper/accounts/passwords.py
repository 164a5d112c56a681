"""Passwords: argon2id in a thread of its own, never in the event loop and never more than two at a time."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from gatekeeper.accounts import breached
from gatekeeper.errors import Invalid

T = TypeVar("T")

SHORTEST = 12
LONGEST = 1024
_LEAST_SCORE = 3  # of 4: at least 10 to the 8th guesses
_LOOKED_AT = 64  # signs; whatever follows only adds to it, and looking takes longer than linearly
_HOUSE = ["gatekeeper", "gatekeeperhub"]
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters that are mistaken for one another

# 46 MiB once, one lane: 50 ms here. More lanes gained nothing, more memory only lets fewer people sign in at a time.
_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
_dummy = _hasher.hash(secrets.token_hex(16))
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


def check_password(password: str, *, name: str = "", email: str = "") -> str:
    """`password`, if it may be chosen; raises Invalid with the rule that it breaks.

    Guesses are estimated as in Wheeler 2016 (zxcvbn, USENIX Security): lists of leaked passwords, words and names,
    one's own name and address, keyboard patterns, dates, repetitions, and the usual ways to disguise them.
    """
    if len(password) < SHORTEST:
        raise Invalid(f"A password has at least {SHORTEST} characters.", next_step="Several plain words are fine.")
    if len(password) > LONGEST:
        raise Invalid(f"A password has at most {LONGEST} characters.", next_step="Choose a shorter one.")
    own = [part for part in (name, email, email.partition("@")[0]) if part] + _HOUSE
    if zxcvbn(password[:_LOOKED_AT], user_inputs=own)["score"] < _LEAST_SCORE:
        raise Invalid(
            "This password is too easy to guess: it is a common one, or made of what is.",
            next_step="Several unrelated words are fine.",
        )
    if breached.holds(_normal(password)):
        raise Invalid(
            "This password is known from a breach elsewhere, so it is tried first.",
            next_step="Choose one that you have used nowhere else.",
        )
    return password


async def hash_password(password: str) -> str:
    """The argon2id hash of `password`, parameters included."""
    return await _in_thread(lambda: _hasher.hash(_normal(password)))


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`. Takes as long when nothing is stored: that must not be seen."""

    def verify() -> bool:
        try:
            return _hasher.verify(stored or _dummy, _normal(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await _in_thread(verify)


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def readable_secret() -> str:
    """A password for a first administrator: 20 characters (99 bits) that can be read aloud and typed."""
    return "".join(secrets.choice(_READABLE) for _ in range(20))


def current_hasher() -> PasswordHasher:
    """What `use_hasher` set last."""
    return _hasher


def use_hasher(hasher: PasswordHasher) -> None:
    """Hash with other parameters from now on (tests use the cheapest)."""
    global _hasher, _dummy
    _hasher, _dummy = hasher, hasher.hash(secrets.token_hex(16))


def _normal(password: str) -> bytes:
    # The same word typed on two systems may arrive in two Unicode forms (NIST SP 800-63B, 5.1.1.2).
    # A lone surrogate cannot come from a keyboard; it is kept as bytes so that it merely does not match.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
