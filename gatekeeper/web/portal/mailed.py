"""What begins or ends with a link in a mail: another password, a confirmed address, an account of one's own.

Whether an address has an account never shows: the answer is the same, and so is the work, for the mail is made later.
"""

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, notices
from gatekeeper.accounts.link_tables import PASSWORD_LINKS, LinkKind
from gatekeeper.accounts.names import email_key
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, TooMany
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import entering, forms
from gatekeeper.web.portal.views import render

_BODY_LIMIT = 20_000
_PER_EMAIL = 3  # mails of one kind to one address in five minutes
_OVER = "This link is over: it was used, or is too old."


async def forgotten(call: Call) -> Response:
    """`GET /reset`: asks for the address, or, with a link, for another password."""
    entering.require_local(call)
    secret = call.request.query_params.get("link")
    if secret is None:
        return _ask(call, "/reset", "Choose a new password")
    link = await accounts.links.find(call.session, secret, *PASSWORD_LINKS, key=call.gatekeeper.keys.sessions)
    return render(call, "portal/reset.html", link=secret, is_first=link.kind is LinkKind.FIRST, errors={})


async def reset(call: Call) -> Response:
    """`POST /reset`: sends the link, or chooses the password with one."""
    entering.require_local(call)
    entering.refuse_foreign(call)
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    secret = forms.text(form, "link", most=100)
    if not secret:
        return await _send(call, LinkKind.RESET, forms.text(form, "email", most=300), "/reset", "Choose a new password")
    try:
        await accounts.links.reset_password(
            call.gatekeeper.db, secret, forms.text(form, "password", most=5_000), key=call.gatekeeper.keys.sessions
        )
    except Invalid as error:
        wrong = {"password": error.sentence}
        return render(call, "portal/reset.html", status=422, link=secret, is_first=False, errors=wrong)
    return RedirectResponse("/login?done=password-reset", 303)


async def sign_up(call: Call) -> Response:
    """`GET /signup`."""
    entering.require_local(call)
    _require_open(call)
    return _ask(call, "/signup", "Sign up")


async def ask_sign_up(call: Call) -> Response:
    """`POST /signup`: a link for an account goes to the address."""
    entering.require_local(call)
    _require_open(call)
    entering.refuse_foreign(call)
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    return await _send(call, LinkKind.SIGN_UP, forms.text(form, "email", most=300), "/signup", "Sign up")


async def finish(call: Call) -> Response:
    """`GET /signup/finish`: asks for a name and a password."""
    entering.require_local(call)
    secret = call.request.query_params.get("link", "")
    link = await accounts.links.find(
        call.session, secret, LinkKind.SIGN_UP, LinkKind.INVITE, key=call.gatekeeper.keys.sessions
    )
    return render(call, "portal/signup.html", link=secret, email=link.email, name="", fullname="", errors={})


async def make_account(call: Call) -> Response:
    """`POST /signup/finish`."""
    entering.require_local(call)
    entering.refuse_foreign(call)
    form = await forms.read(call.request)
    secret, key = forms.text(form, "link", most=100), call.gatekeeper.keys.sessions
    name, fullname = forms.text(form, "name", most=100).strip(), forms.text(form, "fullname", most=300)
    try:
        async with call.session.begin_nested():
            await accounts.links.sign_up(
                call.session, secret, name, forms.text(form, "password", most=5_000), key=key, fullname=fullname
            )
    except (Invalid, Conflict) as error:
        link = await accounts.links.find(call.session, secret, LinkKind.SIGN_UP, LinkKind.INVITE, key=key)
        field = "password" if "password" in error.message.lower() else "name"
        return render(
            call,
            "portal/signup.html",
            status=422,
            link=secret,
            email=link.email,
            name=name,
            fullname=fullname,
            errors={field: error.sentence},
        )
    return RedirectResponse("/login?done=signed-up", 303)


async def invite(call: Call) -> Response:
    """`POST /admin/people/invite`: an administrator has a link for an account sent."""
    if call.gatekeeper.settings.sign_up == "closed":
        raise NotAllowed("Nobody is invited to this hub by mail.", next_step="Add the person yourself.")
    form = await forms.read(call.request)
    email = forms.text(form, "guest", most=300)
    await notices.ask_link(call.session, LinkKind.INVITE, email, box=call.gatekeeper.keys.sealing)
    await accounts.people.record_invitation(call.session, by=call.principal)
    return RedirectResponse("/admin/people?done=link-sent", 303)


async def ask_confirm(call: Call) -> Response:
    """`POST /settings/email`: a link to make an address one's own goes there."""
    form = await forms.read(call.request)
    email = forms.text(form, "email", most=300)
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    await _count(call, LinkKind.EMAIL, email)
    await notices.ask_link(call.session, LinkKind.EMAIL, email, box=call.gatekeeper.keys.sealing, person=person)
    return RedirectResponse("/settings?done=link-sent", 303)


async def show_confirm(call: Call) -> Response:
    """`GET /settings/email/confirm`: a page with a button, for programs open the links of mails too."""
    secret = call.request.query_params.get("link", "")
    link = await accounts.links.find(call.session, secret, LinkKind.EMAIL, key=call.gatekeeper.keys.sessions)
    if link.person_id != call.principal.person_id:
        raise NotFound(_OVER, next_step="Sign in as the person who asked for it.")
    return render(call, "portal/confirm_email.html", link=secret, email=link.email)


async def confirm(call: Call) -> Response:
    """`POST /settings/email/confirm`: the address is the person's own from now on; the one before is told."""
    form = await forms.read(call.request)
    before = await accounts.links.confirm_email(
        call.session, forms.text(form, "link", most=100), key=call.gatekeeper.keys.sessions, by=call.principal
    )
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    if person is not None and email_key(before) != person.email_key:
        await notices.mail(
            call.session,
            before,
            "The address of your account has changed",
            "Hello $name,\n\nthe e-mail address of your account at $hub is another one from now on. If it was not you, "
            "write to the administrators of the hub.\n",
            {"name": person.name, "hub": call.gatekeeper.settings.public_url},
            box=call.gatekeeper.keys.sealing,
        )
    return RedirectResponse("/settings?done=email-confirmed", 303)


async def _send(call: Call, kind: LinkKind, email: str, action: str, title: str) -> Response:
    """Promise the mail. Known or not, an address makes the same rows and gets the same page."""
    try:
        async with call.gatekeeper.db.write() as session:
            await _count(call, kind, email, session)
            await notices.ask_link(session, kind, email, box=call.gatekeeper.keys.sealing)
    except (Invalid, TooMany) as error:
        return _ask(call, action, title, email=email, errors={"email": error.sentence}, status=error.status)
    return render(call, "portal/link_sent.html")


async def _count(call: Call, kind: LinkKind, email: str, session: AsyncSession | None = None) -> None:
    target = accounts.throttle.Target.of(
        f"mail {kind.value} {email_key(email)}", entering.address(call), key=call.gatekeeper.keys.sessions
    )
    await accounts.throttle.reserve(session or call.session, target, per_account=_PER_EMAIL)


def _ask(
    call: Call, action: str, title: str, *, email: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    if not call.gatekeeper.settings.mail_host:
        raise NotFound("This hub sends no mail.", next_step="Ask its administrators.")
    return render(
        call, "portal/ask_link.html", status=status, action=action, title=title, email=email, errors=errors or {}
    )


def _require_open(call: Call) -> None:
    if call.gatekeeper.settings.sign_up != "open":
        raise NotFound("Nobody signs up here alone.", next_step="Ask the administrators of this hub for an account.")


ROUTES = [
    guarded("/reset", forgotten, needs=None),
    guarded("/reset", reset, needs=None, methods=("POST",), mode="own"),
    guarded("/signup", sign_up, needs=None),
    guarded("/signup", ask_sign_up, needs=None, methods=("POST",), mode="own"),
    guarded("/signup/finish", finish, needs=None),
    guarded("/signup/finish", make_account, needs=None, methods=("POST",)),
    guarded("/admin/people/invite", invite, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True),
    guarded("/settings/email", ask_confirm, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded("/settings/email/confirm", show_confirm, needs=Action.MANAGE_ACCOUNT),
    guarded("/settings/email/confirm", confirm, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
