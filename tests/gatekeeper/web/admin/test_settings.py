"""The page of settings: everything documented is on it, and no secret is."""

from pathlib import Path

import pytest

from gatekeeper.settings import Settings
from gatekeeper.web.admin.settings import grouped, in_force
from inference.contract import SettingFact
from tests.gatekeeper.web.admin.test_inference import HEALTH, Told
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio
DOCS = Path(__file__).parents[4] / "docs"


def test_each_setting_says_where_it_comes_from_and_secrets_only_that_they_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("GATEKEEPER_SESSION_DAYS=3\nGATEKEEPER_PORT=1\n")
    monkeypatch.setenv("GATEKEEPER_PORT", "9000")
    monkeypatch.setenv("GATEKEEPER_MAIL_PASSWORD", "sec-ret-1")
    monkeypatch.setenv("GATEKEEPER_DATABASE_URL", "postgresql+psycopg://hub:sec-ret-2@db/hub?password=sec-ret-3")

    rows = {row.variable.removeprefix("GATEKEEPER_").lower(): row for row in in_force(Settings(host="::1"))}

    assert list(rows) == list(Settings.model_fields)
    told = {name: (rows[name].value, rows[name].source) for name in ("port", "session_days", "host", "mail_host")}
    assert told == {
        "port": ("9000", "environment"),
        "session_days": ("3 days", "file"),
        "host": ("::1", "command"),
        "mail_host": ("not set", "default"),
    }
    assert rows["lfs_part_bytes"].value == "67.1 MB"
    assert (rows["mail_password"].value, rows["oidc_client_secret"].value) == ("set", "not set")
    assert rows["database_url"].value == "postgresql+psycopg://hub:***@db/hub?***"
    assert "sec-ret" not in str(rows)
    assert all(row.text for row in rows.values())
    changed = {name: row.instead_of for name, row in rows.items() if row.instead_of}
    assert changed == {
        "port": "8000", "session_days": "14 days", "host": "127.0.0.1", "mail_password": "not set",
        "database_url": "not set",
    }  # fmt: skip


def test_every_setting_stands_under_a_subject_whose_page_there_is() -> None:
    groups = grouped(in_force(Settings(_env_file=None)))
    assert sorted(row.variable for _, _, rows in groups for row in rows) == sorted(
        f"GATEKEEPER_{name.upper()}" for name in Settings.model_fields
    )
    assert [row.variable for row in groups[-1][2]] == ["GATEKEEPER_STYLEGUIDE"], "new settings need a subject"
    assert all((DOCS / page).is_file() for _, page, _ in groups)


async def test_only_who_runs_the_hub_reads_them(site: Site) -> None:
    answers = [(await (await site.as_(name)).get("/admin/settings")).status_code for name in ("grace", "ada", "olga")]
    page = (await (await site.as_("olga")).get("/admin/settings?chosen=yes")).text.replace("<wbr>", "")

    assert answers == [403, 403, 200]
    assert "It is switched off." in page
    assert "GATEKEEPER_PUBLIC_URL" in page
    assert "/docs/nginx.md" in page
    assert "GATEKEEPER_SESSION_DAYS" not in page


async def test_the_worker_s_are_shown_as_it_tells_them(site: Site) -> None:
    fact = SettingFact(variable="INFERENCE_MAX_ROWS", value="48", source="environment", text="Rows at once.")
    site.gatekeeper.worker = Told(HEALTH.model_copy(update={"settings": (fact,)}))  # type: ignore[assignment]
    olga = await site.as_("olga")
    page = (await olga.get("/admin/settings?chosen=yes")).text.replace("<wbr>", "")
    assert "INFERENCE_MAX_ROWS" in page
    site.gatekeeper.worker = Told(HEALTH)  # type: ignore[assignment]
    assert "Look where it was started" in (await olga.get("/admin/settings")).text
