"""What a browser may do with an old sign-in: every other act of a page asks for a recent one (docs/security.md)."""

import re
from pathlib import Path

from gatekeeper import web
from gatekeeper.app import routes

_TEMPLATES = Path(web.__file__).parent / "templates"
_REPOSITORY = "/{ns}/{name}"
_PROGRAMS = ("/api/", "/v1/", "/cas/", "/uploads", "/models/{ns}", f"{_REPOSITORY}.git/")
_CLIENTS = (f"{_REPOSITORY}/git-", "/oauth/device", "/oauth/introspect", "/oauth/leaked", "/oauth/revoke")
_TWINS = ("/datasets/{ns}/{name}", "/spaces/{ns}/{name}")  # of every address of a model
_RIGHTS = {"propose", "promote", "hold", "manage", "review", "admin_people", "admin_policies", "admin_hub"}

EVERYDAY = {
    "is how one signs in, or out, and nobody is signed in yet": (
        "/login", "/login/new", "/login/once/{secret}", "/login/passkey", "/login/passkey/options", "/login/second",
        "/login/with/{provider}/back-channel", "/logout", "/reset", "/signup", "/signup/finish",
    ),
    "a page of its own says what is given to whom": ("/device", "/oauth/authorize"),
    "is called by applications with their own credentials": ("/oauth/token", "/oauth/userinfo"),
    "fifty requests are answered in one sitting: it opens or refuses, is undone within a minute, and is taken back": (
        "/admin/requests/decide", "/admin/requests/{id}/approve", "/admin/requests/{id}/reject",
        "/admin/requests/{id}/undo", "/{ns}/{name}/grants",
        "/api/{kind:kind}/{ns}/{name}/user-access-request/grant",
        "/api/{kind:kind}/{ns}/{name}/user-access-request/handle",
    ),
    "is between reviewers, or between them and who asks, and opens and ends nothing": (
        "/admin/requests/{id}/answer", "/admin/requests/{id}/claim", "/admin/requests/{id}/unclaim",
        "/admin/requests/{id}/delegate", "/admin/requests/{id}/recall", "/admin/requests/{id}/refer",
        "/admin/requests/{id}/return", "/admin/requests/{id}/route", "/admin/requests/{id}/vote",
    ),
    "stops harm at once and for a while, from a form that says what it stops": (
        "/admin/requests/{id}/suspend", "/{ns}/{name}/grants/{id}/suspend",
        "/admin/incidents/{id}/links/{link}/hold", "/admin/incidents/{id}/links/{link}/suspend",
        "/{ns}/{name}/releases/{rev}/hold",
    ),
    "gives back what one person had": ("/admin/requests/{id}/resume", "/{ns}/{name}/grants/{id}/resume"),
    "says whose requests are taken; no access begins or ends by it": ("/admin/blocks", "/admin/blocks/{id}/lift"),
    "is one person's, with a reason, and is recorded anew at once": (
        "/admin/prerequisites", "/admin/prerequisites/{id}/withdraw",
    ),
    "writes down what is known of an incident; what is done about it is an act of its own": (
        "/admin/incidents", "/admin/incidents/{id}/close", "/admin/incidents/{id}/dismiss",
        "/admin/incidents/{id}/link", "/admin/incidents/{id}/links/{link}/unlink", "/admin/incidents/{id}/note",
        "/admin/incidents/{id}/reopen", "/admin/incidents/{id}/take-up",
    ),
    "says whether safety was right: nothing is opened by it but the person's record": ("/admin/strikes/{id}/review",),
    "is words that reviewers start from": (
        "/admin/organizations/{organization}/answers", "/admin/organizations/{organization}/answers/{id}/retire",
        "/{ns}/{name}/answers", "/{ns}/{name}/answers/{id}/retire",
    ),
    "makes something new that holds nothing yet, or takes an offer back": (
        "/admin/organizations", "/admin/organizations/{organization}/invitations/{id}/withdraw",
    ),
    "takes or declines what others offer": ("/admin/invitations/{id}/accept", "/admin/invitations/{id}/decline"),
    "does once more what was to be done anyway, looks again, or changes nothing": (
        "/admin/jobs/retry", "/admin/storage/{id}/rescan", "/admin/policies/simulate",
        "/admin/webhooks/{id}/deliveries/{delivery}/redeliver",
    ),
    "waits for others, who approve and carry out": (
        "/{ns}/{name}/releases/{rev}/propose", "/{ns}/{name}/releases/{rev}/proposals/{id}/approve",
        "/{ns}/{name}/releases/{rev}/proposals/{id}/agree", "/{ns}/{name}/releases/{rev}/proposals/{id}/close",
        "/{ns}/{name}/releases/{rev}/drill",
    ),
    "begins, ends or contests an evaluation": (
        "/{ns}/{name}/evaluations", "/{ns}/{name}/evaluations/runs/{run}/{act}",
        "/{ns}/{name}/evaluations/{id}/contest", "/{ns}/{name}/evaluations/{id}/discuss",
        "/api/models/{ns}/{name}/evaluations",
    ),
    "says whom a change of terms asks again, or which license a text is": (
        "/{ns}/{name}/terms/changes/{id}", "/{ns}/{name}/terms/{sha256}/recognize",
        "/api/{kind:kind}/{ns}/{name}/terms/changes/{id}",
    ),
    "is as on the public hub, by its clients": ("/api/{kind:kind}/{ns}/{name}/settings",),
    "ends one's own: whoever has the session takes nothing by it": (
        "/settings/applications/sites/{id}/revoke", "/settings/applications/{id}/revoke", "/settings/sessions/end",
        "/settings/sessions/{id}/end", "/settings/tokens/{id}/revoke",
    ),
    "is one's own choice, words, images or orders": (
        "/notices/mail", "/notices/read", "/notices/{id}/read", "/settings/safety/{id}/appeal",
        "/generations/{id}/cancel", "/generations/{id}/delete", "/{ns}/{name}/playground",
        "/verify", "/verify/report", "/{ns}/{name}/report",
    ),
    "is one's own webhook, which is told what its owner may know when it is told": (
        "/settings/webhooks", "/settings/webhooks/{id}", "/settings/webhooks/{id}/delete",
        "/settings/webhooks/{id}/deliveries/{delivery}/redeliver", "/settings/webhooks/{id}/disable",
        "/settings/webhooks/{id}/enable", "/settings/webhooks/{id}/ping",
    ),
    "is one's own collection": (
        "/collections/new", "/collections/{namespace}/{slug}/delete", "/collections/{namespace}/{slug}/edit",
        "/collections/{namespace}/{slug}/items/{item}/remove", "/{ns}/{name}/collect",
    ),
    "is one's own way in, by terms that name what is agreed to": (
        "/{ns}/{name}/access", "/{ns}/{name}/access/appeal", "/{ns}/{name}/access/close-out",
        "/{ns}/{name}/access/confirm", "/{ns}/{name}/access/correct", "/{ns}/{name}/access/withdraw",
    ),
    "is talk, and what belongs to it": (
        "/{ns}/{name}/discussions/new", "/{ns}/{name}/discussions/{num}/comment",
        "/{ns}/{name}/discussions/{num}/comment/{id}/edit", "/{ns}/{name}/discussions/{num}/comment/{id}/hide",
        "/{ns}/{name}/discussions/{num}/follow", "/{ns}/{name}/discussions/{num}/lock",
        "/{ns}/{name}/discussions/{num}/merge", "/{ns}/{name}/discussions/{num}/pin",
        "/{ns}/{name}/discussions/{num}/status", "/{ns}/{name}/discussions/{num}/title",
        "/{ns}/{name}/follow", "/{ns}/{name}/like", "/{ns}/{name}/unlike",
    ),
}  # fmt: skip


def test_every_act_of_a_page_is_dangerous_or_named_here_with_its_reason() -> None:
    open_ = {
        route.pattern
        for route in routes()
        if route.methods - {"GET", "HEAD"}
        and not route.is_dangerous
        and not route.pattern.startswith((*_TWINS, *_CLIENTS))
        and (not route.pattern.startswith(_PROGRAMS) or route.needs in _RIGHTS)
    }
    named = [pattern for patterns in EVERYDAY.values() for pattern in patterns]

    assert open_ - set(named) == set(), "is it dangerous? Else say here why not"
    assert set(named) - open_ == set(), "named here, and asks for a recent sign-in or is not there"
    assert len(named) == len(set(named))


def test_a_page_with_a_form_that_asks_for_a_recent_sign_in_says_so_before_one_writes() -> None:
    theirs = {  # their own page asks before it is shown, so nothing is typed there with an old sign-in
        "admin/administrator.html", "admin/demand.html", "admin/organization_change.html",
        "admin/revoke_grants.html", "admin/take_back.html",
        "portal/name.html", "portal/second_factor_app.html", "portal/token_new.html",
    }  # fmt: skip
    shown_by = {"admin/_acts.html": "admin/request.html", "admin/_incident.html": "admin/incident.html"}
    asking = [re.sub(r"\{[^}]+\}", "x", each.pattern) for each in routes() if each.is_dangerous]
    silent = set()
    for file in _TEMPLATES.rglob("*.html"):
        name, source = str(file.relative_to(_TEMPLATES)), file.read_text()
        actions = re.findall(r'<form[^>]*?method="post"[^>]*?action="([^>]*?)">', source, re.DOTALL)
        leads = any(re.fullmatch(_pattern(action), each) for action in actions for each in asking)
        leads |= "ui.sure(" in source and name != "portal/styleguide.html"
        shown = (_TEMPLATES / shown_by.get(name, name)).read_text()
        if leads and name not in theirs and "ui.sign_in_first(" not in shown:
            silent.add(name)
    # Their acts ask for none: one's own collections and webhooks. Of images the address ends as that of another act.
    assert silent == {"portal/collection.html", "portal/generations.html", "portal/webhook.html"}


def _pattern(action: str) -> str:
    """What an action of a template may be, as a regular expression; one expression alone says nothing."""
    address = re.sub(r"\{%.*?%\}", "", action).partition("?")[0]
    if re.fullmatch(r"\{\{[^}]*\}\}", address):
        return "(?!)"
    parts = re.split(r"(\{\{.*?\}\})", address)
    return "".join("[^?]+" if part.startswith("{{") else re.escape(part) for part in parts)
