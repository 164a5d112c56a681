"""My webhooks: make one, change it, try it, and read what was delivered."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, TooMany
from gatekeeper.notices import Domain, Wanted, Watched, Webhook, webhooks
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PAGE = 30


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins. `watched` has a line `type name` for each thing."""

    url: str = ""
    watched: str = ""
    domains: tuple[str, ...] = (Domain.REPO.value,)
    errors: dict[str, str] = field(default_factory=dict)


async def listing(call: Call) -> Response:
    """`GET /settings/webhooks`."""
    return await _list(call, Form())


async def create(call: Call) -> Response:
    """`POST /settings/webhooks`."""
    form, wanted = await _sent(call)
    house = call.gatekeeper
    try:
        async with call.session.begin_nested():
            hook = await webhooks.create(
                call.session, wanted, by=call.principal, rules=house.webhook_rules, box=house.keys.sealing
            )
    except (Invalid, TooMany) as error:
        return await _list(call, Form(form.url, form.watched, form.domains, _named(error)), status=422)
    return RedirectResponse(f"/settings/webhooks/{hook.id}?done=webhook-made", 303)


async def show(call: Call) -> Response:
    """`GET /settings/webhooks/{id}`: its settings and its log."""
    hook = await _own(call)
    watched = await webhooks.watched_by(call.session, [hook])
    lines = "\n".join(f"{each.kind} {each.name}" for each in watched[hook.id])
    return await _one(call, hook, Form(hook.url, lines, tuple(hook.domains)))


async def update(call: Call) -> Response:
    """`POST /settings/webhooks/{id}`: an empty secret leaves the one there is."""
    hook = await _own(call)
    form, wanted = await _sent(call)
    house = call.gatekeeper
    try:
        async with call.session.begin_nested():
            await webhooks.update(
                call.session, hook, wanted, by=call.principal, rules=house.webhook_rules, box=house.keys.sealing
            )
    except Invalid as error:
        await call.session.refresh(hook)
        return await _one(call, hook, Form(form.url, form.watched, form.domains, _named(error)), status=422)
    return _back(hook, "webhook-saved")


async def ping(call: Call) -> Response:
    """`POST /settings/webhooks/{id}/ping`."""
    hook = await _own(call)
    await webhooks.ping(call.session, hook)
    return _back(hook, "webhook-ping")


async def redeliver(call: Call) -> Response:
    """`POST /settings/webhooks/{id}/deliveries/{delivery}/redeliver`."""
    hook = await _own(call)
    await webhooks.redeliver(call.session, hook, call.params["delivery"], by=call.principal)
    return _back(hook, "webhook-ping")


async def enable(call: Call) -> Response:
    """`POST /settings/webhooks/{id}/enable`."""
    return _back(await webhooks.enable(call.session, await _own(call), by=call.principal), "webhook-saved")


async def disable(call: Call) -> Response:
    """`POST /settings/webhooks/{id}/disable`."""
    return _back(await webhooks.disable(call.session, await _own(call), by=call.principal), "webhook-saved")


async def delete(call: Call) -> Response:
    """`POST /settings/webhooks/{id}/delete`."""
    await webhooks.delete(call.session, await _own(call), by=call.principal)
    return RedirectResponse("/settings/webhooks?done=webhook-deleted", 303)


async def _own(call: Call) -> Webhook:
    return await webhooks.own(call.session, call.params["id"], by=call.principal)


async def _sent(call: Call) -> tuple[Form, Wanted]:
    sent = await forms.read(call.request)
    form = Form(
        url=forms.text(sent, "url", most=4_000).strip(),
        watched=forms.text(sent, "watched", most=40_000),
        domains=tuple(forms.texts(sent, "domains")),
    )
    lines = [line.split() for line in form.watched.splitlines() if line.strip()]
    watched = tuple(Watched(line[0], " ".join(line[1:])) for line in lines)
    secret = forms.text(sent, "secret", most=1_000)
    return form, Wanted(url=form.url, watched=watched, domains=form.domains or ("",), secret=secret or None)


async def _list(call: Call, form: Form, *, status: int = 200) -> Response:
    hooks = await webhooks.list_for(call.session, call.principal.person_id or "")
    return render(
        call,
        "portal/webhooks.html",
        status=status,
        errors=form.errors,
        form=form,
        hooks=[(hook, watched) for hook, watched in zip(hooks, await _watched(call, hooks), strict=True)],
        domains=_DOMAINS,
    )


async def _watched(call: Call, hooks: list[Webhook]) -> list[str]:
    found = await webhooks.watched_by(call.session, hooks)
    return [", ".join(each.name for each in found[hook.id]) for hook in hooks]


async def _one(call: Call, hook: Webhook, form: Form, *, status: int = 200) -> Response:
    page = await webhooks.deliveries(call.session, hook, after=call.request.query_params.get("after"), limit=_PAGE)
    url = f"/settings/webhooks/{hook.id}"
    return render(
        call,
        "portal/webhook.html",
        status=status,
        errors=form.errors,
        form=form,
        hook=hook,
        url=url,
        domains=_DOMAINS,
        deliveries=page.items,
        newer=url if call.request.query_params.get("after") else None,
        older=f"{url}?{urlencode({'after': page.after})}" if page.after else None,
    )


def _back(hook: Webhook, done: str) -> Response:
    return RedirectResponse(f"/settings/webhooks/{hook.id}?done={done}", 303)


def _named(error: Invalid | TooMany) -> dict[str, str]:
    told = error.sentence.lower()
    for name, word in (("watched", "watch"), ("domains", "domain"), ("secret", "a secret has")):
        if word in told:
            return {name: error.sentence}
    return {"url" if isinstance(error, Invalid) else "": error.sentence}


_DOMAINS = (
    (Domain.REPO.value, "Repositories: made, moved, deleted, new commits, branches and tags"),
    (Domain.DISCUSSION.value, "Discussions and pull requests"),
    (Domain.ACCESS.value, "Requests, grants and releases, where you review them"),
)
_ONE = "/settings/webhooks/{id}"

ROUTES = [
    guarded("/settings/webhooks", listing, needs=Action.USE_ACCOUNT),
    guarded("/settings/webhooks", create, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(_ONE, show, needs=Action.USE_ACCOUNT),
    guarded(_ONE, update, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(f"{_ONE}/ping", ping, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(f"{_ONE}/deliveries/{{delivery}}/redeliver", redeliver, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(f"{_ONE}/enable", enable, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(f"{_ONE}/disable", disable, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    guarded(f"{_ONE}/delete", delete, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
]
