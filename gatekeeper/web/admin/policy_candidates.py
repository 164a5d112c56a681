"""A changed folder of policies in two steps: sent as a candidate, put in force once somebody saw what it changes."""

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action, BrokenPolicies, Report, bundle
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.web.admin import policies
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import forms

_HERE = "/admin/policies"
_BODY = bundle.MOST_BYTES + 2**16


async def propose(call: Call) -> Response:
    """`POST /admin/policies/candidates`: keep a folder, sent as a zip archive, if it passes its own cases.

    It is not in force.
    """
    archive = await _archive(call)
    with TemporaryDirectory() as folder:
        try:
            report = await asyncio.to_thread(_check, archive, Path(folder))
            async with call.gatekeeper.db.write() as session:
                await call.recheck(session)
                sha256 = await authz.propose(session, Path(folder), report, by=call.principal)
        except BrokenPolicies as error:
            async with call.gatekeeper.db.read() as session:
                reading = replace(call, _session=session)
                return await policies.page(reading, policies.Form(), errors={"folder": error.message}, status=422)
    return RedirectResponse(f"{_HERE}?bundle={sha256}&done=candidate-kept#try", 303)


async def activate(call: Call) -> Response:
    """`POST /admin/policies/activate`: put the candidate that was just looked at in force, in every process."""
    sent = await forms.read(call.request)
    to = forms.text(sent, "to", most=64)
    form = policies.Form(bundle=to, note=forms.text(sent, f"note-{to}"))
    if forms.text(sent, f"sure-{to}", most=64) != to or not to:
        return await policies.page(call, form, errors={f"sure-{to}": "Tick that you mean it."}, status=422)
    try:
        async with call.session.begin_nested():
            before = forms.text(sent, "instead_of", most=64)
            await authz.activate_candidate(call.session, to, instead_of=before, by=call.principal, note=form.note)
    except (BrokenPolicies, Invalid, NotFound, Conflict) as error:
        return await policies.page(call, form, errors={f"note-{to}": error.sentence}, status=error.status)
    return RedirectResponse(f"{_HERE}?done=policies-active", 303)


def _check(archive: bytes, folder: Path) -> Report:
    bundle.unpack(archive, folder)
    return authz.check(folder)


async def _archive(call: Call) -> bytes:
    await read_body(call.request, limit=_BODY)
    try:
        form = await call.request.form(max_files=1, max_fields=1)
    except Exception as error:
        raise Invalid("What was sent is not a form.", next_step="Send it with the page's own button.") from error
    try:
        sent = form.get("folder")
        return await sent.read() if isinstance(sent, UploadFile) else b""
    finally:
        await form.close()


ROUTES = [
    guarded(
        f"{_HERE}/candidates",
        propose,
        needs=Action.ADMIN_POLICIES,
        methods=("POST",),
        mode="own",
        is_dangerous=True,
    ),
    guarded(f"{_HERE}/activate", activate, needs=Action.ADMIN_POLICIES, methods=("POST",), is_dangerous=True),
]
