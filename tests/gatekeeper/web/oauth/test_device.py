"""The device flow: what a program and its person see, and what an attacker gets."""

import shutil
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper import tokens
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.app import close
from gatekeeper.kit.clock import now
from gatekeeper.tokens.oauth import DeviceRequest, RefreshToken
from gatekeeper.tokens.tables import AccessToken
from tests.gatekeeper.web.oauth import flow
from tests.gatekeeper.web.site import Site, open_site, words

pytestmark = pytest.mark.anyio


async def test_a_program_is_let_in_and_acts_for_its_person(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    assert codes["verification_uri"] == "https://hub.test/device"
    waiting = await flow.poll(program, codes["device_code"])
    assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    ada = await site.as_("ada")
    page = await ada.get(codes["verification_uri_complete"])
    assert codes["user_code"] in page.text
    assert "python-httpx" in words(page.text)  # what the program says it is
    assert "Let it in" in words(page.text)
    done = await flow.answer(ada, codes["user_code"].lower().replace("-", " "), scopes=("read", "download"))
    assert "is let in" in words(done.text)
    got = (await flow.poll(program, codes["device_code"])).json()
    assert got["token_type"] == "Bearer"
    assert set(got["scope"].split()) == {"read", "download"}
    assert got["expires_in"] > 48 * 3600  # with 24 h or less, every process of the public client would renew it
    known = (await flow.whoami(program, got["access_token"])).json()
    assert known["name"] == "ada"
    assert known["auth"]["accessToken"]["role"] == "read"
    assert known["auth"]["accessToken"]["displayName"].startswith("hf-")


async def test_two_logins_have_different_names(site: Site, program: httpx2.AsyncClient) -> None:
    names = set()
    for _ in range(2):
        got = await flow.log_in(site, program)
        answer = (await flow.whoami(program, got["access_token"])).json()
        names.add(answer["auth"]["accessToken"]["displayName"])
    assert len(names) == 2


async def test_a_code_gives_tokens_once(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    await flow.answer(await site.as_("ada"), codes["user_code"])
    assert (await flow.poll(program, codes["device_code"])).status_code == 200
    again = await flow.poll(program, codes["device_code"])
    assert (again.status_code, again.json()["error"]) == (400, "expired_token")


async def test_a_code_is_answered_once(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    await flow.answer(await site.as_("ada"), codes["user_code"], decision="deny")
    late = await flow.answer(await site.as_("alan"), codes["user_code"])
    assert late.status_code == 404
    refused = await flow.poll(program, codes["device_code"])
    assert refused.json()["error"] == "access_denied"


async def test_codes_end(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    with time_machine.travel(now() + timedelta(seconds=codes["expires_in"] + 1), tick=False):
        assert (await flow.answer(await site.as_("ada"), codes["user_code"])).status_code == 404
        assert (await flow.poll(program, codes["device_code"])).json()["error"] == "expired_token"


async def test_a_program_in_a_hurry_is_slowed_down(program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    with time_machine.travel(now(), tick=False) as clock:
        said = [(await flow.poll(program, codes["device_code"])).json()["error"] for _ in range(2)]
        clock.shift(5)  # the wait is ten seconds now
        said.append((await flow.poll(program, codes["device_code"])).json()["error"])
        clock.shift(60)
        said.append((await flow.poll(program, codes["device_code"])).json()["error"])
    assert said == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]


async def test_guessing_codes_is_slowed_down(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    ada = await site.as_("ada")
    tried = [(await ada.get("/device?user_code=BCDF-GHJK")).status_code for _ in range(11)]
    assert tried == [404] * 10 + [429]
    assert (await flow.answer(ada, codes["user_code"])).status_code == 429  # the right one too
    assert (await flow.answer(await site.as_("alan"), codes["user_code"])).status_code == 200


@pytest.mark.parametrize("code", ["BCDF-GHJ", "' OR 1=1 --", "BCDFGHJKLM", "ÄÖÜß-BCDF", "AEIO-UAEI", "%00"])
async def test_what_cannot_be_a_code_is_none(site: Site, code: str) -> None:
    assert (await (await site.as_("ada")).get("/device", params={"user_code": code})).status_code == 404


async def test_who_is_not_signed_in_comes_back_with_the_code(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    browser = site.browser()
    to_login = await browser.get(codes["verification_uri_complete"])
    assert to_login.status_code == 303
    page = await browser.get(to_login.headers["location"])
    assert f"/device?user_code={codes['user_code']}" in page.text
    assert (await flow.answer(browser, codes["user_code"])).status_code == 401


async def test_a_token_lets_nobody_in(site: Site, program: httpx2.AsyncClient) -> None:
    got = await flow.log_in(site, program, scopes=("read", "write"))
    codes = await flow.begin(program)
    answer = await program.post(
        "/device",
        data={"user_code": codes["user_code"], "decision": "allow", "scopes": "write"},
        headers={"Authorization": f"Bearer {got['access_token']}"},
    )
    assert answer.status_code == 403
    assert (await flow.poll(program, codes["device_code"])).json()["error"] == "authorization_pending"


async def test_another_site_lets_nobody_in(site: Site, program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    ada = await site.as_("ada")
    ada.headers["sec-fetch-site"] = "cross-site"
    assert (await flow.answer(ada, codes["user_code"])).status_code == 403
    ada.headers["sec-fetch-site"] = "same-origin"
    page = await ada.get(codes["verification_uri_complete"])
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]  # nor in a frame of its own


@pytest.mark.parametrize("scopes", [(), ("admin",), ("read", "admin"), ("nonsense",)])
async def test_nobody_allows_more_than_was_asked_or_nothing(
    site: Site, program: httpx2.AsyncClient, scopes: tuple[str, ...]
) -> None:
    codes = await flow.begin(program)
    assert (await flow.answer(await site.as_("ada"), codes["user_code"], scopes=scopes)).status_code == 422
    assert (await flow.poll(program, codes["device_code"])).json()["error"] == "authorization_pending"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({}, "invalid_client"),
        ({"client_id": "unknown"}, "invalid_client"),
        ({"client_id": flow.HUB_CLI_ID, "scope": "everything"}, "invalid_scope"),
        ({"client_id": flow.HUB_CLI_ID, "client_secret": "x"}, "invalid_client"),
    ],
)
async def test_who_may_not_begin_is_told_in_the_words_of_oauth(
    program: httpx2.AsyncClient, sent: dict[str, str], error: str
) -> None:
    answer = await program.post("/oauth/device", data=sent)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert answer.headers["cache-control"] == "no-store"


async def test_parameters_in_the_address_or_sent_twice_are_refused(program: httpx2.AsyncClient) -> None:
    codes = await flow.begin(program)
    in_address = await program.post(
        f"/oauth/token?device_code={codes['device_code']}",
        data={"grant_type": flow.DEVICE_CODE, "client_id": flow.HUB_CLI_ID},
    )
    twice = await program.post(
        "/oauth/token", data={"grant_type": [flow.DEVICE_CODE, "refresh_token"], "client_id": flow.HUB_CLI_ID}
    )
    assert [in_address.json()["error"], twice.json()["error"]] == ["invalid_request"] * 2


@pytest.mark.parametrize("grant_type", ["password", "implicit", "client_credentials", "", "refresh_token "])
async def test_other_grant_types_do_not_exist_for_the_command(program: httpx2.AsyncClient, grant_type: str) -> None:
    answer = await program.post("/oauth/token", data={"grant_type": grant_type, "client_id": flow.HUB_CLI_ID})
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.text


async def test_a_renewed_token_works_beside_the_old_one(site: Site, program: httpx2.AsyncClient) -> None:
    first = await flow.log_in(site, program)
    second = (await flow.refresh(program, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    for token in (first, second):  # other processes hold the old one until it ends
        assert (await flow.whoami(program, token["access_token"])).status_code == 200


async def test_a_client_that_lost_the_answer_tries_again(site: Site, program: httpx2.AsyncClient) -> None:
    first = await flow.log_in(site, program)
    with time_machine.travel(now(), tick=False) as clock:
        await flow.refresh(program, first["refresh_token"])
        clock.shift(30)
        again = await flow.refresh(program, first["refresh_token"])
    assert again.status_code == 200
    assert (await flow.refresh(program, again.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize("how", ["late", "often"])
async def test_a_stolen_refresh_token_ends_the_whole_family(site: Site, program: httpx2.AsyncClient, how: str) -> None:
    first = await flow.log_in(site, program)
    other = await flow.log_in(site, program)
    with time_machine.travel(now(), tick=False) as clock:
        second = (await flow.refresh(program, first["refresh_token"])).json()
        if how == "late":
            clock.shift(61)
        else:
            for _ in range(3):
                assert (await flow.refresh(program, first["refresh_token"])).status_code == 200
        refused = await flow.refresh(program, first["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        for token in (first, second):
            assert (await flow.whoami(program, token["access_token"])).status_code == 401
        assert (await flow.refresh(program, second["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await flow.whoami(program, other["access_token"])).status_code == 200
    why = [event.body["why"] for event in await flow.events(site) if event.kind == "tokens:grant:revoke"]
    assert why == ["a refresh token was used again"]


async def test_a_grant_ends_after_a_year_however_often_it_was_renewed(site: Site, program: httpx2.AsyncClient) -> None:
    got = await flow.log_in(site, program)
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(13):
            clock.shift(timedelta(days=28))
            got = (await flow.refresh(program, got["refresh_token"])).json()
        clock.shift(timedelta(days=2))
        assert (await flow.refresh(program, got["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await flow.whoami(program, got["access_token"])).status_code == 401


async def test_renewing_gives_no_more_than_was_granted(site: Site, program: httpx2.AsyncClient) -> None:
    first = await flow.log_in(site, program, scopes=("read",))
    more = await flow.refresh(program, first["refresh_token"], scope="read write")
    assert more.json()["error"] == "invalid_scope"
    same = await flow.refresh(program, first["refresh_token"])
    assert same.json()["scope"] == "read"


async def test_a_disabled_person_has_neither_token_nor_a_new_one(site: Site, program: httpx2.AsyncClient) -> None:
    got = await flow.log_in(site, program)
    async with site.gatekeeper.db.write() as session:
        ada = await people.find(session, "ada")
        await people.disable(session, ada, by=OPERATOR)
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    assert (await flow.refresh(program, got["refresh_token"])).json()["error"] == "invalid_grant"


async def test_ending_an_application_binds_on_the_next_request(site: Site, program: httpx2.AsyncClient) -> None:
    got = await flow.log_in(site, program)
    ada, alan = await site.as_("ada"), await site.as_("alan")
    page = await ada.get("/settings/applications")
    address = page.text.partition('action="/settings/applications/')[2].partition('"')[0]
    assert (await alan.post(f"/settings/applications/{address}")).status_code == 404
    assert (await flow.whoami(program, got["access_token"])).status_code == 200
    assert (await ada.post(f"/settings/applications/{address}")).status_code == 303
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    assert (await flow.refresh(program, got["refresh_token"])).json()["error"] == "invalid_grant"
    assert "No applications" in words((await ada.get("/settings/applications")).text)


async def test_no_secret_is_stored_logged_or_in_the_evidence(
    site: Site, program: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("DEBUG"):
        codes = await flow.begin(program)
        await flow.answer(await site.as_("ada"), codes["user_code"])
        got = (await flow.poll(program, codes["device_code"])).json()
    secrets = [codes["device_code"], codes["user_code"], got["access_token"], got["refresh_token"]]
    async with site.gatekeeper.db.read() as session:
        rows = [
            str(row.model_dump())
            for table in (AccessToken, RefreshToken, DeviceRequest)
            for row in await session.scalars(sa.select(table))
        ]
    seen = [*rows, caplog.text, *capsys.readouterr(), *(str(event.body) for event in await flow.events(site))]
    assert len(rows) == 3
    assert not [text for text in seen for secret in secrets if secret in text]


async def test_acts_are_in_the_evidence(site: Site, program: httpx2.AsyncClient) -> None:
    await flow.log_in(site, program)
    kinds = [event.kind for event in await flow.events(site)]
    assert kinds[-2:] == ["tokens:grant:open", "tokens:token:issue"]


async def test_without_tls_nothing_is_given(template: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    shutil.copyfile(template, tmp_path / "plain" / "gatekeeper.sqlite3")
    site = await open_site(tmp_path / "plain", url="http://hub.test")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site.app), base_url=site.url) as program:
        answer = await program.post("/oauth/device", data={"client_id": flow.HUB_CLI_ID})
    assert (answer.status_code, answer.json()["error"]) == (400, "insecure_transport")
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


async def test_revoking_everything_ends_applications_too(site: Site, program: httpx2.AsyncClient) -> None:
    got = await flow.log_in(site, program)
    async with site.gatekeeper.db.write() as session:
        ada = await people.find(session, "ada")
        assert await tokens.revoke_all(session, ada, by=OPERATOR) == 1
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    assert (await flow.refresh(program, got["refresh_token"])).json()["error"] == "invalid_grant"
