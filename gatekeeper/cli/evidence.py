"""`ledger`, `receipt`: check what was done, without trusting the running server."""

import base64
import json
from pathlib import Path
from typing import TextIO

import click

from gatekeeper import ledger, licensing
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.note import Checkpoint, open_note, verifier_key


@click.group("ledger")
def ledger_group() -> None:
    """The evidence log."""


@ledger_group.command("verify")
@click.option(
    "--checkpoint",
    "--kept",
    "kept",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A checkpoint kept elsewhere.",
)
@json_option
@pass_house
@command
async def verify_ledger(house: House, kept: tuple[Path, ...], as_json: bool) -> None:
    """Recompute every leaf and every subtree, and compare them with every signed checkpoint."""
    notes = tuple(path.read_text() for path in kept)
    async with house.read() as session:
        report = await ledger.verify(session, house.keys.signing.public, kept=notes)
    value = {
        "intact": report.is_intact,
        "size": report.size,
        "root": report.root.hex(),
        "checkpoints": report.checkpoints,
        "pending": report.pending,
        "faults": report.faults,
    }
    text = f"{report.size} events, {report.checkpoints} checkpoints, {report.pending} not sealed yet."
    show(value, text + ("\n" + "\n".join(report.faults) if report.faults else " Intact."), as_json=as_json)
    if not report.is_intact:
        raise Failure("The log was changed or damaged.")


@ledger_group.command("checkpoint")
@json_option
@pass_house
@command
async def checkpoint(house: House, as_json: bool) -> None:
    """Seal what is pending and print the signed checkpoint: keep it somewhere this server cannot write."""
    await house.require_current()
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    async with house.read() as session:
        head = await ledger.newest_checkpoint(session)
    if head is None:
        raise Failure("The log is empty, so there is nothing to sign yet.")
    show({"size": head.size, "root": head.root_sha256, "note": head.note}, head.note.rstrip("\n"), as_json=as_json)


@ledger_group.command("key")
@json_option
@pass_house
@command
async def public_key(house: House, as_json: bool) -> None:
    """Print the public key with which others check this log, receipts and reports: publish it outside of this hub."""
    text = verifier_key(house.settings.ledger_origin, house.keys.signing.public)
    show({"key": text}, text, as_json=as_json)


@ledger_group.command("prove")
@click.argument("event_id")
@pass_house
@command
async def prove(house: House, event_id: str) -> None:
    """Print the inclusion proof of one event as JSON."""
    async with house.read() as session:
        proof = await ledger.prove(session, event_id)
    click.echo(json.dumps(proof.as_json(), indent=2))


@ledger_group.command("consistency")
@click.argument("checkpoint", type=click.File())
@pass_house
@command
async def consistency(house: House, checkpoint: TextIO) -> None:
    """Print the proof, as JSON, that the log of now begins with that of a kept CHECKPOINT."""
    try:
        old = Checkpoint.parse(open_note(checkpoint.read(), house.keys.signing.public))
    except ValueError as error:
        raise Failure(f"The kept checkpoint cannot be trusted: {error}.") from None
    async with house.read() as session:
        growth = await ledger.prove_from(session, old.size)
    click.echo(json.dumps(growth.as_json(), indent=2))


@ledger_group.command("check")
@click.argument("proof", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="One that was kept.")
@click.option("--key", default="", help="The hub's public key in base64; this hub's own if left out.")
@json_option
@click.pass_context
def check(context: click.Context, proof: Path, checkpoint: Path | None, key: str, as_json: bool) -> None:
    """Check a PROOF offline: with --key, neither database nor network is needed."""
    public = _public_key(context, key)
    try:
        found = ledger.offline.check(proof.read_bytes(), public, kept=checkpoint.read_text() if checkpoint else None)
    except GatekeeperError as error:
        raise Failure(error.sentence) from None
    show({"valid": found.is_valid, "text": found.text}, found.text, as_json=as_json)
    if not found.is_valid:
        raise Failure("The proof does not hold.")


@click.group()
def receipt() -> None:
    """Receipts of acceptances and images."""


@receipt.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", default="", help="The hub's public key in base64; this hub's own if left out.")
@json_option
@click.pass_context
def verify_receipt(context: click.Context, file: Path, key: str, as_json: bool) -> None:
    """Check a receipt offline: with --key, neither database nor network is needed."""
    public = _public_key(context, key)
    try:
        verdict = licensing.verify_receipt(licensing.read_receipt(file.read_bytes()), public)
    except GatekeeperError as error:
        raise Failure(error.sentence) from None
    value = {"valid": verdict.is_valid, "problem": verdict.problem, "statement": verdict.statement}
    value["number"] = verdict.number
    proven = "" if verdict.number is None else f" It is number {verdict.number} of the log."
    show(value, f"Valid.{proven}" if verdict.is_valid else f"Not valid. {verdict.problem}", as_json=as_json)
    if not verdict.is_valid:
        raise Failure("Do not rely on this receipt.")


def _public_key(context: click.Context, key: str) -> bytes:
    """The key as given, also in the form that C2SP tools take (`name+id+base64`); this hub's own for none."""
    if not key:
        return context.ensure_object(House).keys.signing.public
    try:
        raw = base64.b64decode(key.split("+", 2)[2] if key.count("+") >= 2 and len(key) > 44 else key, validate=True)
    except ValueError:
        raise Failure("The key is not base64; take it from /api/ledger/key of the hub.") from None
    return raw[1:] if len(raw) == 33 and raw[0] == 1 else raw
