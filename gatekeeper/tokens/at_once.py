"""A token looked up at once: one statement of plain sqlite3 in the calling thread, some ten microseconds.

`resolve` takes several statements of the ORM, each a change of threads. Here only the ordinary case is answered; about
whatever else (another database, a bad token, one made with another, a service account, an organization that demands
something of tokens or members) the answer is None, and `resolve` says what is right.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from gatekeeper.accounts import Principal, Role, principals
from gatekeeper.db import Database, connect_sqlite
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.tokens.use import NOWHERE, Seen, saw

# A token is found by its keyed hash, as in `resolve`. What limits it beyond its scopes leaves no row, and JSON null
# is how "nothing" is stored.
_QUERY = """
SELECT t.id, t.scopes, t.expires_at, p.id, p.name, p.is_admin, m.organization_id, m.role, m.is_safety,
       EXISTS (SELECT 1 FROM team_member i WHERE i.membership_id = m.id)
FROM access_token t JOIN person p ON p.id = t.person_id LEFT JOIN membership m ON m.person_id = p.id
WHERE t.secret_hash = ? AND t.revoked_at IS NULL AND t.parent_id IS NULL AND NOT p.is_disabled
  AND coalesce(t.reach, 'null') = 'null'
  AND NOT EXISTS (SELECT 1 FROM service_account s WHERE s.person_id = p.id)
  AND NOT EXISTS (SELECT 1 FROM token_policy d JOIN membership o ON o.organization_id = d.organization_id
                  WHERE o.person_id = p.id)
  AND NOT EXISTS (SELECT 1 FROM organization a JOIN membership o ON o.organization_id = a.id
                  WHERE o.person_id = p.id AND a.asks_factor)
"""


class AtOnce:
    """Reads what is committed, so it is for requests that only read: those that write ask in their own transaction."""

    def __init__(self, database: Database, *, key: bytes) -> None:
        self._key = key
        self._cursor = connect_sqlite(database.path).cursor() if database.path else None

    def resolve(self, secret: str, *, seen: Seen = NOWHERE) -> Principal | None:
        """Whose token this is; None when `tokens.resolve` has to say."""
        if self._cursor is None or not secret.isascii():
            return None
        rows = self._cursor.execute(_QUERY, (keyed_hash(self._key, secret),)).fetchall()
        if not rows:
            return None
        principal = _principal(tuple(rows))
        if principal.valid_until is not None and principal.valid_until <= now():
            return None
        saw(str(principal.token_id), seen)
        return principal

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()


@lru_cache(maxsize=4096)
def _principal(rows: tuple[Any, ...]) -> Principal:
    """Kept under all that was found, so what is kept is what would be made again."""
    token_id, scopes, ends, person_id, name, is_admin, *_ = rows[0]
    return principals.standing_as(
        [(row[6], Role(row[7]), bool(row[8]), bool(row[9])) for row in rows if row[6] is not None],
        person_id=person_id,
        name=name,
        is_admin=bool(is_admin),
        token_id=token_id,
        scopes=frozenset(json.loads(scopes)),
        valid_until=datetime.fromisoformat(f"{ends}+00:00") if ends else None,
    )
