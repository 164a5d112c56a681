"""Who am I, and the small calls that clients make before anything else."""

from starlette.responses import JSONResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.accounts import organizations
from gatekeeper.errors import NotSignedIn
from gatekeeper.repos import cards
from gatekeeper.tokens import AccessToken, Scope
from gatekeeper.web.covering import Covered, describe
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api

_LARGEST_CARD = 2 * 2**20


async def whoami(call: Call) -> Response:
    """The person behind the token. Its `name` is where a client puts repositories it makes without a namespace."""
    person_id = call.principal.person_id
    person = None if person_id is None else await accounts.people.get(call.session, person_id)
    if person is None:
        raise NotSignedIn("You are not signed in.", next_step="Send a token: `hf auth login` stores one.")
    belongs = await organizations.organizations_of(call.session, person.id)
    token = await call.session.get(AccessToken, call.principal.token_id) if call.principal.token_id else None
    answer = schemas.whoami(person, belongs, token)
    if token is not None and tokens.limits.is_fine_grained(token):
        reach = tokens.limits.reach_of(token)
        covered = await describe(call, reach) if reach is not None else [Covered(person.id, "user", person.name)]
        answer["auth"]["accessToken"] |= schemas.fine_grained(token, covered, is_limited=reach is not None)
    if token is not None and token.grant_id is not None and Scope.READ not in token.scopes:
        del answer["email"]  # a site that somebody only signed in to learns it by the scope `email`, at /oauth/userinfo
    return JSONResponse(answer)


async def agent_harnesses(call: Call) -> Response:
    """The registry that a client asks for once a day. Ours is empty."""
    return JSONResponse({"standardEnvVars": [], "harnesses": {}})


async def telemetry(call: Call) -> Response:
    """Usage reports of libraries: answered, looked at by nobody, kept nowhere."""
    return Response(status_code=204)


async def validate_yaml(call: Call) -> Response:
    """Whether a README's front matter can be read. Clients ask before every commit that holds one."""
    asked = schemas.parse(schemas.YamlToCheck, await call.request.body())
    found = cards.validate(asked.content)
    return JSONResponse(schemas.yaml_verdict(found.errors, found.warnings), 400 if found.errors else 200)


ROUTES = [
    api("/whoami-v2", whoami, needs=None),
    api("/agent-harnesses", agent_harnesses, needs=None),
    api("/telemetry/{topic:rest}", telemetry, needs=None, methods=("HEAD",)),
    api("/telemetry", telemetry, needs=None, methods=("HEAD",)),
    # Nothing is kept, so this POST needs no write transaction.
    api("/validate-yaml", validate_yaml, needs=None, methods=("POST",), mode="read", body_limit=_LARGEST_CARD),
]
