"""`POST /oauth/token` with a job's own signed identity: token exchange (RFC 8693) as the public client sends it."""

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from gatekeeper import accounts, authz, repos
from gatekeeper.authz import Action
from gatekeeper.errors import GatekeeperError, NotSignedIn, Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.tokens.oauth import Publisher, publishers, statements
from gatekeeper.tokens.oauth.statements import Statement
from gatekeeper.web.guard import Call

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
# One answer for a repository that is not there, one that trusts nobody, and one that trusts others.
_NOBODY = "No trusted job of this repository is shown by this statement. Its maintainers say which they trust."
_log = structlog.get_logger("gatekeeper.oauth")


class Sent(BaseModel):
    """What a job sends. More may be there, and is not looked at."""

    grant_type: str
    subject_token_type: str
    subject_token: str
    resource: str


async def exchange(call: Call) -> Response:
    """A token for one repository, for an hour at most. Keys are fetched between two units of work, never inside one."""
    try:
        sent = Sent.model_validate_json(await call.request.body(), strict=True)
    except ValidationError:
        return _error("invalid_request", "Send grant_type, subject_token_type, subject_token and resource as JSON.")
    if sent.grant_type != GRANT:
        return _error("unsupported_grant_type", "Only token exchange is sent as JSON; other grants are forms.")
    if sent.subject_token_type != _ID_TOKEN:
        return _error("invalid_request", "The subject_token must be an ID token.")
    try:
        found = statements.unread(sent.subject_token)
        async with call.gatekeeper.db.read() as session:
            repo = await _repository(session, sent.resource)
            trusted = await publishers.list_for(session, repo.id, issuer=found.issuer) if repo else []
        if repo is None or not trusted:
            return _error("invalid_grant", _NOBODY)
        keys = await call.gatekeeper.issuers.keys(found.issuer, found.key_id)
        key = statements.key_for(found, keys)
        if key is None:
            return _error("invalid_grant", _NOBODY)
        statement = statements.verify(
            found, key, issuer=found.issuer, audience=call.gatekeeper.settings.public_url, instant=now()
        )
        async with call.gatekeeper.db.write() as session:
            return await _give(call, session, repo, statement)
    except Unavailable as error:
        return _error("temporarily_unavailable", error.sentence, status=503)
    except GatekeeperError as error:
        return _error("invalid_grant", error.sentence)


async def _give(call: Call, session: AsyncSession, repo: Repo, statement: Statement) -> Response:
    for publisher in await publishers.list_for(session, repo.id, issuer=statement.issuer):
        if publishers.matches(publisher, statement) and await _may_still(call, session, repo, publisher):
            token, secret = await publishers.exchange(
                session,
                publisher,
                statement,
                max_days=call.gatekeeper.settings.token_max_days,
                key=call.gatekeeper.keys.tokens,
            )
            answer = {
                "access_token": secret,
                "issued_token_type": _ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": publishers.SECONDS,
                "scope": " ".join(token.scopes),
            }
            return JSONResponse(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
    _log.info("a job's statement matched nothing", repo=repo.id)
    return _error("invalid_grant", _NOBODY)


async def _may_still(call: Call, session: AsyncSession, repo: Repo, publisher: Publisher) -> bool:
    """Whether who trusts the job still manages the repository: trust ends with the right to give it."""
    person = await accounts.people.get(session, publisher.person_id)
    if person is None:
        return False
    try:
        principal = await accounts.principals.for_person(session, person)
    except NotSignedIn:
        return False
    resource = await authz.load(session, principal, repo)
    return bool(authz.decide(call.gatekeeper.policies, principal, Action.MANAGE, resource, now()))


async def _repository(session: AsyncSession, resource: str) -> Repo | None:
    kind, name = RepoKind.MODEL, resource
    first, _, rest = resource.partition("/")
    if first in set(RepoKind) and rest.count("/") == 1:
        kind, name = RepoKind(first), rest
    if name.count("/") != 1 or len(name) > 200:
        return None
    return await repos.find_by_any_name(session, kind, name)


def _error(code: str, description: str, *, status: int = 400) -> Response:
    body = {"error": code, "error_description": description}
    return JSONResponse(body, status, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
