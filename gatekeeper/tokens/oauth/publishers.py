"""Jobs elsewhere that maintainers trust: what they must show, and the short token they get for it (RFC 8693).

No secret is stored anywhere: a job proves who it is by a statement that its issuer signs for this one purpose.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person, Principal, Reach
from gatekeeper.errors import Invalid, NotAllowed, NotFound, TooMany
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import new_secret
from gatekeeper.tokens.issue import PREFIX
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.statements import LEEWAY_SECONDS, Statement
from gatekeeper.tokens.oauth.tables import Grant, Publisher, SeenStatement
from gatekeeper.tokens.scopes import Scope
from gatekeeper.tokens.tables import AccessToken, TokenKind

SECONDS = 3600
SCOPES = (Scope.READ, Scope.DOWNLOAD, Scope.GENERATE, Scope.WRITE)
# One of these says whose job it is, letter by letter; otherwise every customer of the issuer could come.
IDENTIFYING = ("sub", "repository", "repository_id", "project_path", "project_id")
_MOST_PUBLISHERS = 20
_MOST_CLAIMS = 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]{0,99}", re.ASCII)
_CLIENT = "publisher:"


async def trust(
    session: AsyncSession,
    repo_id: str,
    *,
    label: str,
    issuer: str,
    claims: dict[str, str],
    scopes: list[str],
    is_http: bool = False,
    by: Principal,
) -> Publisher:
    """Trust the jobs that `issuer` makes such statements about. Who may is decided before; their tokens act for `by`.

    claims   name -> exact value, where `*` stands for some characters, but none of `/` and `:`
    is_http  whether issuers of one's own network may be reached without TLS
    Raises Invalid with details["field"], NotAllowed for a token or nobody.
    """
    if by.person_id is None or by.token_id is not None or by.is_service:
        raise NotAllowed("Jobs are trusted by a person.", next_step="Sign in in a browser.")
    label = " ".join(label.split())
    if not 1 <= len(label) <= 60 or not label.isprintable():
        raise _wrong("label", "Give it a name of 1 to 60 printable characters.")
    check_issuer(issuer, is_http=is_http)
    _check_claims(claims)
    if not scopes or not set(scopes) <= set(SCOPES):
        raise _wrong("scopes", "Choose among the scopes that are offered.")
    if len(await list_for(session, repo_id)) >= _MOST_PUBLISHERS:
        raise TooMany(f"A repository trusts at most {_MOST_PUBLISHERS}.", next_step="Remove one that is not used.")
    publisher = Publisher(
        repo_id=repo_id, person_id=by.person_id, label=label, issuer=issuer, claims=dict(claims), scopes=sorted(scopes)
    )
    session.add(publisher)
    await ledger.record(
        session,
        "tokens:publisher:trust",
        actor=by.person_id,
        repo=repo_id,
        subject=publisher.id,
        body={"issuer": issuer, "claims": publisher.claims, "scopes": publisher.scopes},
    )
    await session.flush()
    return publisher


async def list_for(session: AsyncSession, repo_id: str, *, issuer: str | None = None) -> list[Publisher]:
    """What a repository trusts, oldest first; of one issuer, where it is named."""
    query = sa.select(Publisher).where(col(Publisher.repo_id) == repo_id, col(Publisher.removed_at).is_(None))
    if issuer is not None:
        query = query.where(col(Publisher.issuer) == issuer)
    return list(await session.scalars(query.order_by(col(Publisher.id))))


async def remove(session: AsyncSession, repo_id: str, publisher_id: str, *, by: Principal) -> None:
    """Trust it no more: what its jobs have got ends too. Who may is decided before."""
    publisher = await session.get(Publisher, publisher_id)
    if publisher is None or publisher.repo_id != repo_id or publisher.removed_at is not None:
        raise NotFound("There is no such trusted job.", next_step="Look at the list.")
    publisher.removed_at = now()
    session.add(publisher)
    live = sa.select(Grant).where(col(Grant.client_id) == _CLIENT + publisher.id, col(Grant.revoked_at).is_(None))
    for grant in list(await session.scalars(live.with_for_update())):
        await grants.end(session, grant, actor=by.person_id, why="the job is trusted no more")
    await ledger.record(session, "tokens:publisher:remove", actor=by.person_id, repo=repo_id, subject=publisher.id)


def matches(publisher: Publisher, statement: Statement) -> bool:
    """Whether the statement is of this issuer and has every claim that is demanded."""
    if publisher.issuer != statement.issuer or not publisher.claims:
        return False
    return all(_fits(pattern, statement.claims.get(name)) for name, pattern in publisher.claims.items())


async def exchange(
    session: AsyncSession, publisher: Publisher, statement: Statement, *, max_days: int, key: bytes
) -> tuple[AccessToken, str]:
    """A token for the publisher's one repository, for an hour at most; the statement is used up.

    The caller has checked the statement, found it to match, and that the trusting person may still do it.
    Raises Invalid for a statement that was used before, and where that person is gone.
    """
    if not await _use_up(session, statement):
        raise Invalid("The statement was used before.", next_step="Ask the job's issuer for a new one.")
    person = await session.get(Person, publisher.person_id)
    if person is None or person.is_disabled or publisher.removed_at is not None:
        raise Invalid("The job is not trusted any more.", next_step="Ask a maintainer to trust it again.")
    grant = Grant(
        client_id=_CLIENT + publisher.id,
        person_id=person.id,
        label=f"Job: {publisher.label}",
        scopes=list(publisher.scopes),
    )
    session.add(grant)
    publisher.used_at = now()
    session.add(publisher)
    await ledger.record(
        session,
        "tokens:statement:exchange",
        actor=person.id,
        repo=publisher.repo_id,
        subject=grant.id,
        body={"publisher": publisher.id, "issuer": statement.issuer, "job": str(statement.claims.get("sub", ""))[:300]},
    )
    await session.flush()
    secret = new_secret(PREFIX)
    token = await grants.keep_tokens(
        session,
        grant,
        access=secret,
        refresh=None,
        scopes=list(publisher.scopes),
        seconds=SECONDS,
        max_days=max_days,
        key=key,
        kind=TokenKind.EXCHANGED,
        reach=Reach(repositories=frozenset({publisher.repo_id})),
    )
    return token, secret


async def clean_up(session: AsyncSession) -> None:
    """Forget statements that have ended: they are refused for that now."""
    over = now() - timedelta(seconds=2 * LEEWAY_SECONDS)
    await session.execute(sa.delete(SeenStatement).where(col(SeenStatement.expires_at) < over))


def check_issuer(issuer: str, *, is_http: bool) -> None:
    """Raise Invalid unless `issuer` is an address as OpenID Connect Discovery wants it, that reads the same for all."""
    try:
        parts = urlsplit(issuer)
        _ = parts.port
    except ValueError:
        raise _wrong("issuer", "The issuer is no address.") from None
    plain = issuer.isascii() and issuer.isprintable() and not set(issuer) & set(" \\?#@%") and len(issuer) <= 300
    if not plain or not parts.hostname or parts.scheme not in (("https", "http") if is_http else ("https",)):
        raise _wrong("issuer", "An issuer is an address like https://token.actions.githubusercontent.com.")


def _check_claims(claims: dict[str, str]) -> None:
    if not 1 <= len(claims) <= _MOST_CLAIMS:
        raise _wrong("claims", f"Demand 1 to {_MOST_CLAIMS} claims.")
    for name, pattern in claims.items():
        if not _NAME.fullmatch(name) or name in ("iss", "aud", "exp", "iat", "nbf", "jti"):
            raise _wrong("claims", f"{name[:60]!r} is no claim that can be demanded.")
        if not 1 <= len(pattern) <= 300 or not pattern.isprintable() or pattern.count("*") > 3:
            raise _wrong(
                "claims", f"The value of {name} has 1 to 300 printable characters and at most three asterisks."
            )
        if not pattern.replace("*", ""):
            raise _wrong("claims", f"The value of {name} allows anything.")
    if not any(name in claims and "*" not in claims[name] for name in IDENTIFYING):
        raise _wrong("claims", f"Say exactly whose job it is: one of {', '.join(IDENTIFYING)}, without an asterisk.")


def _fits(pattern: str, value: Any) -> bool:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        return False
    # Each piece between asterisks literally; an asterisk never reaches into the next part of a name.
    expression = "[^/:]+".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(expression, value) is not None


async def _use_up(session: AsyncSession, statement: Statement) -> bool:
    row = {
        "digest": sha256_hex(f"{statement.issuer}\n{statement.id}".encode()),
        # Kept longer than it could be accepted, or it would work once more between the two.
        "expires_at": datetime.fromtimestamp(statement.ends_at, UTC) + timedelta(seconds=2 * LEEWAY_SECONDS),
    }
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(SeenStatement) if is_sqlite else postgresql.insert(SeenStatement)
    done = await session.execute(insert.values(row).on_conflict_do_nothing().returning(col(SeenStatement.digest)))
    return done.first() is not None


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, next_step="Correct it and send it again.", details={"field": field})
