"""Putting a bundle of policies in force, and taking it back: each an event of the evidence log.

A bundle is kept by its digest before it is in force, and is checked whole: a bad one is refused and the old one stays.
Every process follows the newest activation from its next request on (`InForce.refresh`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.authz import bundle, sidefiles
from gatekeeper.authz.bundle import BrokenPolicies
from gatekeeper.authz.check import Report, check
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.tables import PolicyActivation, PolicyBundle, Source
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.canonical import canonical_json, sha256_hex

LONGEST_NOTE = 2000
_SHORTEST_PREFIX = 8

_log = structlog.get_logger("gatekeeper.authz")


class InForce:
    """The policies that this process decides by: those of the newest activation.

    shelf  a directory where bundles are laid out as folders, since their tables of stages and limits are read as files
    """

    def __init__(self, policies: Policies, shelf: Path) -> None:
        self.current = policies
        self._shelf = shelf
        self._refused = ""
        self._version: int | None = None

    async def refresh(self, session: AsyncSession, *, version: int | None = None) -> Policies:
        """The policies in force as `session` sees them; what cannot be loaded leaves the old ones, and is an alarm.

        version  of everything that decisions read, taken before the session's snapshot: while it stands, nothing is
                 looked up. None where it cannot be told.
        """
        if version is not None and version == self._version:
            return self.current
        self._version = version
        sha256 = await session.scalar(
            sa.select(col(PolicyActivation.bundle_sha256)).order_by(col(PolicyActivation.number).desc()).limit(1)
        )
        if sha256 is None or sha256 in (self.current.sha256, self._refused):
            return self.current
        try:
            loaded = await unfold(session, sha256, self._shelf)
        except (BrokenPolicies, OSError, ValueError) as error:
            self._refused = sha256
            _log.error("policies could not be put in force, the old ones stay", bundle=sha256, problem=str(error))
            return self.current
        loaded.alarms = self.current.alarms
        self.current = loaded
        return loaded


async def follow_folder(session: AsyncSession, policies: Policies) -> PolicyActivation:
    """What a start does with the folder it read: it is put in force, unless a person put another bundle there.

    Raises BrokenPolicies where one of its tables, such as the ladder of stages, cannot be used.
    """
    newest = await _newest(session)
    is_same = newest is not None and newest.bundle_sha256 == policies.sha256
    if newest is not None and newest.source is Source.COMMAND and not is_same:
        _log.info("policies put in force by hand stay", bundle=newest.bundle_sha256, folder=policies.sha256)
        return newest
    assert policies.directory is not None
    _require_tables(policies.directory)
    if newest is not None and is_same:
        return newest
    await _keep(session, policies.sha256, bundle.read(policies.directory))
    return await _activate(session, policies.sha256, newest, by=OPERATOR, source=Source.FOLDER, note="")


async def activate(session: AsyncSession, directory: Path, *, by: Principal, note: str) -> PolicyActivation:
    """Put the folder `directory` in force, until somebody puts another bundle there.

    Raises BrokenPolicies for a folder with any problem (its cases included), Conflict when it is in force already.
    """
    note = _checked_note(note)
    report = check(directory)
    if not report.is_good:
        raise BrokenPolicies(list(report.problems))
    newest = await _newest(session)
    if newest is not None and newest.bundle_sha256 == report.sha256 and newest.source is Source.COMMAND:
        raise Conflict("These policies are in force already.", next_step="Change the folder first.")
    await _keep(session, report.sha256, bundle.read(directory))
    return await _activate(session, report.sha256, newest, by=by, source=Source.COMMAND, note=note)


async def propose(session: AsyncSession, directory: Path, report: Report, *, by: Principal) -> str:
    """Keep the folder `directory` as a candidate, in force only once somebody activates it; returns its digest.

    report  what `check` found about it, cases included: it takes seconds, so it is made outside of the transaction
    Raises BrokenPolicies for a folder with any problem.
    """
    if not report.is_good:
        raise BrokenPolicies(list(report.problems))
    if await session.get(PolicyBundle, report.sha256) is None:
        await _keep(session, report.sha256, bundle.read(directory))
        await ledger.record(session, "policies:bundle:propose", actor=by.person_id, subject=report.sha256)
    return report.sha256


async def candidates(session: AsyncSession, *, limit: int = 20) -> Sequence[PolicyBundle]:
    """Bundles that were kept and never in force, the newest first."""
    was_active = sa.exists().where(col(PolicyActivation.bundle_sha256) == col(PolicyBundle.sha256))
    query = sa.select(PolicyBundle).where(~was_active).order_by(col(PolicyBundle.added_at).desc()).limit(limit)
    return (await session.scalars(query)).all()


async def activate_candidate(
    session: AsyncSession, sha256: str, *, instead_of: str, by: Principal, note: str
) -> PolicyActivation:
    """Put a candidate in force, by its whole digest.

    instead_of  what was in force when somebody looked at what would change
    Raises Conflict when something else is by now, NotFound for what is no candidate, BrokenPolicies for one that this
    version of the program cannot use.
    """
    note = _checked_note(note)
    newest = await _newest(session)
    if newest is None or newest.bundle_sha256 != instead_of:
        raise Conflict(
            "Other policies were put in force in the meantime.", next_step="Look again at what would change now."
        )
    if sha256 not in {each.sha256 for each in await candidates(session, limit=1000)}:
        raise NotFound(f"There is no candidate {sha256[:16]}.", next_step="Choose one from the list.")
    await _require_usable(session, sha256)
    return await _activate(session, sha256, newest, by=by, source=Source.COMMAND, note=note)


async def roll_back(session: AsyncSession, *, by: Principal, note: str, to: str = "") -> PolicyActivation:
    """Put an earlier bundle in force again: the one before the present one, or the one whose digest begins with `to`.

    Raises Conflict when there is no earlier one, NotFound or Invalid for a digest that fits none or several,
    BrokenPolicies for one that this version of the program cannot use any more.
    """
    note = _checked_note(note)
    past = await history(session)
    if not past:
        raise Conflict("No policies were put in force yet.", next_step="Start the server once.")
    sha256 = _chosen(past, to)
    await _require_usable(session, sha256)
    return await _activate(session, sha256, past[0], by=by, source=Source.COMMAND, note=note)


async def history(session: AsyncSession, *, limit: int = 1000) -> Sequence[PolicyActivation]:
    """What was in force, newest first."""
    query = sa.select(PolicyActivation).order_by(col(PolicyActivation.number).desc()).limit(limit)
    return (await session.scalars(query)).all()


@contextmanager
def with_changed(policies: Policies, name: str, text: str) -> Iterator[Policies]:
    """These policies with one of their files replaced, for as long as they are looked at; they are put nowhere.

    Raises NotFound for a file that there is not, BrokenPolicies where the result cannot be used.
    """
    assert policies.directory is not None
    files = bundle.read(policies.directory)
    if name not in files:
        raise NotFound(f"There is no file {name[:100]} in the policies.", next_step="Choose one from the list.")
    with TemporaryDirectory() as folder:
        bundle.lay_out(Path(folder), files | {name: text})
        yield Policies.load(Path(folder))


async def active_folder(session: AsyncSession, shelf: Path) -> Path | None:
    """The bundle in force laid out as a folder in `shelf`; None before the first start."""
    newest = await _newest(session)
    return await _lay_out(session, newest.bundle_sha256, shelf) if newest else None


async def unfold(session: AsyncSession, sha256: str, shelf: Path) -> Policies:
    """The kept bundle `sha256`, laid out in `shelf` and loaded.

    Raises NotFound for one that was never kept, BrokenPolicies for one that this version of the program cannot use.
    """
    loaded = Policies.load(await _lay_out(session, sha256, shelf))
    if loaded.sha256 != sha256:
        raise BrokenPolicies([f"bundle {sha256[:16]} does not have the digest it is kept under."])
    _require_tables(shelf / sha256)
    return loaded


async def _require_usable(session: AsyncSession, sha256: str) -> None:
    with TemporaryDirectory() as shelf:
        await unfold(session, sha256, Path(shelf))


async def _lay_out(session: AsyncSession, sha256: str, shelf: Path) -> Path:
    kept = await session.get(PolicyBundle, sha256)
    if kept is None:
        raise NotFound(f"There is no bundle {sha256[:16]}.", next_step="See `gatekeeper policies history`.")
    folder = shelf / sha256
    bundle.lay_out(folder, kept.files)
    return folder


async def _newest(session: AsyncSession) -> PolicyActivation | None:
    found = await history(session, limit=1)
    return found[0] if found else None


async def _keep(session: AsyncSession, sha256: str, files: dict[str, str]) -> None:
    if await session.get(PolicyBundle, sha256) is None:
        session.add(PolicyBundle(sha256=sha256, files=dict(files)))
        await session.flush()  # activations refer to it


async def _activate(
    session: AsyncSession, sha256: str, newest: PolicyActivation | None, *, by: Principal, source: Source, note: str
) -> PolicyActivation:
    row = PolicyActivation(
        number=newest.number + 1 if newest else 1,
        bundle_sha256=sha256,
        source=source,
        person_id=by.person_id,
        note=note,
    )
    session.add(row)
    body = {"bundle": sha256, "before": newest.bundle_sha256 if newest else None, "source": source.value}
    body |= {"note_sha256": sha256_hex(canonical_json(note))} if note else {}
    await ledger.record(
        session, "policies:bundle:activate", actor=by.person_id, subject=row.id, body=body, policy=sha256
    )
    return row


def _require_tables(folder: Path) -> None:
    if problems := sidefiles.problems(folder):
        raise BrokenPolicies(problems)


def _checked_note(note: str) -> str:
    note = note.strip()
    if not note or len(note) > LONGEST_NOTE:
        raise Invalid(
            f"Say why, in at most {LONGEST_NOTE} characters: it is kept with the change.",
            next_step="Give the reason with --note.",
        )
    return note


def _chosen(past: Sequence[PolicyActivation], to: str) -> str:
    present = past[0].bundle_sha256
    others = list(dict.fromkeys(row.bundle_sha256 for row in past if row.bundle_sha256 != present))
    if not to:
        if not others:
            raise Conflict("No other policies were ever in force.", next_step="Put a changed folder in force instead.")
        return others[0]
    fitting = [sha256 for sha256 in others if sha256.startswith(to)] if len(to) >= _SHORTEST_PREFIX else []
    if len(fitting) != 1:
        kind = Invalid if fitting or len(to) < _SHORTEST_PREFIX else NotFound
        raise kind(
            f"{to!r} does not name one bundle that was in force before.",
            next_step=f"Give at least {_SHORTEST_PREFIX} characters of a digest from `gatekeeper policies history`.",
        )
    return fitting[0]
