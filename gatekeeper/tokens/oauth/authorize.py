"""A site asks to sign somebody in: what is sound, what goes back to the site, and what never does."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError

from gatekeeper.accounts import Person
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.tokens.oauth import applications
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.server import Answer, Asked, Request, Server, odd_form
from gatekeeper.tokens.oauth.signin import SignIn

_FRESH_SECONDS = 120
# Authlib repeats these in what it says, and fails on characters that OAuth allows in no error (RFC 6749, 4.1.2.1).
_REPEATED = frozenset({"redirect_uri", "response_type", "client_id", "scope", "prompt"})
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


@dataclass(frozen=True)
class Wanted:
    """A sound request, from an application that is known, to be answered at an address that it registered."""

    request: Request
    grant: SignIn
    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """What the site asks to be shown: none, login, consent."""
        return tuple((self.request.payload.data.get("prompt") or "").split())

    def is_fresh(self, signed_in_at: datetime | None) -> bool:
        """Whether the person signed in as lately as the site demands."""
        limits = [_FRESH_SECONDS] if "login" in self.prompts else []
        max_age = self.request.payload.data.get("max_age") or ""
        if max_age.isascii() and max_age.isdigit():
            limits.append(int(max_age[:9]))
        return not limits or (signed_in_at is not None and now() - signed_in_at <= timedelta(seconds=min(limits)))


async def examine(server: Server, asked: Asked, person: Person | None) -> Wanted | Answer:
    """The request if it is sound; else the answer that takes its error back to the site.

    Raises Invalid where nobody may be sent anywhere: an unknown application, or an address that it did not register.
    """
    if asked.form and odd_form(asked):
        raise Invalid("A parameter was sent twice.", next_step="Start again from the site you came from.")
    if any(not _PLAIN.fullmatch(value) for name, value in (*asked.query, *asked.form) if name in _REPEATED):
        raise Invalid("The request holds characters that have no place in it.", next_step="Tell the site's makers.")

    def work() -> Wanted | OAuth2Error:
        try:
            request = Request(asked)
            grant = server.get_consent_grant(request, end_user=person)
        except OAuth2Error as error:
            return error
        return Wanted(request, grant, request.client, grant.redirect_uri, tuple(scope_to_list(request.scope)))

    found = await server.run(work)
    if isinstance(found, Wanted | Answer):
        return found
    if not found.redirect_uri:
        said = found.get_error_description() or found.error
        raise Invalid(f"The site asked in a way that cannot be answered: {said}", next_step="Tell the site's makers.")
    return to_site(server, server.handle_error_response(None, found))


async def is_remembered(server: Server, wanted: Wanted, person: Person) -> bool:
    """Whether the person need not be asked again: the same scopes, and an application that can prove who it is."""
    if wanted.client.is_public or "consent" in wanted.prompts:
        return False
    session = server.ground.session
    return await applications.has_consent(session, person.id, wanted.client.client_id, list(wanted.scopes))


async def allow(server: Server, wanted: Wanted, person: Person, *, signed_in_at: datetime | None) -> Answer:
    """Send the person back with a code."""
    wanted.request.signed_in_at = signed_in_at
    answer: Answer = await server.run(
        lambda: server.create_authorization_response(wanted.request, grant_user=person, grant=wanted.grant)
    )
    return to_site(server, answer)


def refuse(server: Server, wanted: Wanted, why: str) -> Answer:
    """Send the person back without one. `why` is access_denied, login_required or consent_required."""
    kinds = {"login_required": LoginRequiredError, "consent_required": ConsentRequiredError}
    error = kinds.get(why, AccessDeniedError)(redirect_uri=wanted.redirect_uri)
    error.state = wanted.request.payload.state
    return to_site(server, server.handle_error_response(wanted.request, error))


def to_site(server: Server, answer: Answer) -> Answer:
    """The answer with our name on it (RFC 9207), errors included, and with 303, which never repeats a form."""
    location = answer.headers["Location"]
    return Answer(303, "", {"Location": add_params_to_uri(location, [("iss", server.ground.issuer)])})
