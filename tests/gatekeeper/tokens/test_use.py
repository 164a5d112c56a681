"""Where a token was last used: enough for its owner to notice a stranger, too little to follow them."""

import pytest

from gatekeeper import tokens
from gatekeeper.accounts import people
from gatekeeper.db import Database
from gatekeeper.tokens import LastUse, Seen

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("address", "agent", "place", "client"),
    [
        ("203.0.113.77", "hf_hub/2.4.0; python/3.11", "203.0.113.0/24", "hf_hub"),
        ("2001:db8:1:2::5", "git/2.39.5", "2001:db8:1::/48", "git"),
        ("::ffff:203.0.113.77", "", "203.0.113.0/24", None),
        ("fe80::1%eth0", "<script>", "fe80::/48", None),
        ("testclient", "x" * 500, None, "x" * 30),
    ],
)
def test_a_network_and_a_program_are_kept_and_no_more(address: str, agent: str, place, client) -> None:
    assert Seen.of(address, agent) == Seen(place, client)


async def test_the_last_use_is_stored_and_a_cached_answer_leaves_the_place(database: Database) -> None:
    async with database.write() as session:
        ada = await people.add(session, "ada", email="ada@example.org")
        token, _ = await tokens.issue(session, ada, label="x", key=b"k")
    uses = LastUse()
    uses.saw(token.id, Seen("203.0.113.0/24", "git"))
    await uses.write(database)
    uses.saw(token.id)
    await uses.write(database)
    async with database.read() as session:
        used = (await tokens.last_used(session, ada.id))[token.id]
    assert (used.place, used.client) == ("203.0.113.0/24", "git")
