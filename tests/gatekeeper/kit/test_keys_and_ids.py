"""Keys in files, signatures, ids, and columns."""

import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gatekeeper.access.tables import RequestState
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.signing import SigningKey, secret_file, verify_signature


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing"
    first, second = SigningKey.load_or_create(path), SigningKey.load_or_create(path)
    assert first.public == second.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["signing"]


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="32-byte"):
        SigningKey.load_or_create(tmp_path / "key")


def test_a_secret_file_is_not_made_again(tmp_path: Path) -> None:
    assert secret_file(tmp_path / "s", lambda: b"one") == secret_file(tmp_path / "s", lambda: b"two") == b"one"


def test_a_signature_holds_for_its_message_and_key_only(tmp_path: Path) -> None:
    key, other = SigningKey.load_or_create(tmp_path / "a"), SigningKey.load_or_create(tmp_path / "b")
    signature = key.sign(b"message")
    assert verify_signature(key.public, b"message", signature)
    assert not verify_signature(key.public, b"massage", signature)
    assert not verify_signature(other.public, b"message", signature)
    assert not verify_signature(b"short", b"message", signature)
    assert not verify_signature(key.public, b"message", b"")


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert {len(one) for one in ids} == {26}
    assert [one[:10] for one in ids] == sorted(one[:10] for one in ids)


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])
def test_an_instant_comes_back_aware_and_in_utc(dialect: sa.Dialect) -> None:
    column = UtcDateTime()
    east = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    stored = column.process_bind_param(east, dialect)
    assert column.process_result_value(stored, dialect) == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        column.process_bind_param(datetime(2026, 1, 1), dialect)


def test_an_enum_is_stored_by_value() -> None:
    column, dialect = EnumText(RequestState), sqlite.dialect()
    assert column.process_bind_param(RequestState.IN_REVIEW, dialect) == "in_review"
    assert column.process_result_value("in_review", dialect) is RequestState.IN_REVIEW
    with pytest.raises(ValueError):
        column.process_bind_param("no such state", dialect)
