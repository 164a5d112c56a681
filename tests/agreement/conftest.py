"""Fixtures of a whole hub in this process: the real application on a real SQLite file, driven through its one entrance.

hub           the application, started; one for each module of tests
ada           administers it and owns ada/gated: headers of a token that may do everything, and of a browser
nothing_kept  fails a test whose requests left something behind
kept          see tests.agreement.asking
"""

from collections.abc import Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import schema, tokens
from gatekeeper.accounts import people, sessions
from gatekeeper.repos import Gate
from tests.agreement.asking import kept
from tests.agreement.hub import Hub
from tests.gatekeeper.licensing.builders import make_person, make_repo

__all__ = ["kept"]  # a fixture that lies elsewhere


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data_dir = tmp_path_factory.mktemp("agreement")
    schema.make_template(data_dir / "gatekeeper.sqlite3")
    with Hub.start(data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def ada(hub: Hub) -> dict[str, dict[str, str]]:
    async def fill(session: AsyncSession) -> dict[str, dict[str, str]]:
        principal = await make_person(session, "ada", is_admin=True)
        await make_repo(session, principal, name="gated", gate=Gate.MANUAL)
        person = await people.get(session, principal.person_id or "")
        assert person is not None
        scopes = ["read", "download", "generate", "write", "review", "admin"]
        keys = hub.gatekeeper.keys
        _, secret = await tokens.issue(session, person, label="t", role="write", scopes=scopes, key=keys.tokens)
        _, cookie = await sessions.start(session, person, key=keys.sessions, user_agent="", days=1)
        return {
            "token": {"Authorization": f"Bearer {secret}"},
            "browser": {"Cookie": f"gatekeeper_session={cookie}", "Sec-Fetch-Site": "same-origin"},
        }

    return hub.write(fill)


@pytest.fixture
def nothing_kept(hub: Hub, ada: dict[str, dict[str, str]]) -> Iterator[None]:
    before = hub.rows()
    yield
    # Failed sign-ins are counted, begun ones remembered, and a page that shows terms remembers what it showed; a form
    # of choices that are all left out is a valid choice. Downloads that were allowed are counted some time later.
    kept = {table for table, count in hub.rows().items() if count != before[table]}
    assert kept <= {
        "sign_in_attempt",
        "sign_in_step",
        "presentation",
        "license_text",
        "terms_bundle",
        "repo_terms",
        "ledger_event",
        "download_count",
        "notice_preference",
        "personal_key",
    }
