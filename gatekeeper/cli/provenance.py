"""`verify`, `provenance`: what an image is, and with which certificate images are signed."""

from typing import BinaryIO

import click

from gatekeeper import authz, provenance
from gatekeeper.app import open_notary
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.provenance import MAX_BYTES, Authority, fingerprint


@click.command("verify")
@click.argument("file", type=click.File("rb"))
@json_option
@pass_house
@command
async def verify_image(house: House, file: BinaryIO, as_json: bool) -> None:
    """Tell whether this hub made the image in FILE: its signature, its watermark, our record.

    The exit status is 0 when any of the three says so.
    """
    examination = open_notary(house.settings).examine(file.read(MAX_BYTES + 1))
    async with house.read() as session:
        policies = house.policies
        verdict = await provenance.judge(session, examination, is_public=authz.is_public_by(lambda: policies))
    parts = [
        f"{finding.title}\n  It proves: {finding.proves}\n  It does not prove: {finding.proves_not}"
        for finding in verdict.findings
    ]
    show(verdict.as_json(), "\n".join(parts), as_json=as_json)
    if not verdict.is_ours:
        raise Failure("Nothing shows that this hub made the image.")


@click.group("provenance")
def provenance_group() -> None:
    """The certificate with which images are signed."""


@provenance_group.command("show")
@json_option
@pass_house
@command
async def show_certificate(house: House, as_json: bool) -> None:
    """Print who signs, until when, and the certificates that others have to trust."""
    _tell(open_notary(house.settings).authority, as_json=as_json)


@provenance_group.command("rotate")
@click.option("--authority", "with_authority", is_flag=True, help="Begin a new authority too: others must trust it.")
@json_option
@pass_house
@command
async def rotate(house: House, with_authority: bool, as_json: bool) -> None:
    """Sign with a new key from now on. What was signed before stays trusted.

    A running server takes it up within a minute.
    """
    authority = open_notary(house.settings).authority
    authority.rotate(with_authority=with_authority)
    _tell(authority, as_json=as_json)


def _tell(authority: Authority, *, as_json: bool) -> None:
    leaf = authority.credential.leaf
    pem = authority.anchors_pem.decode()
    value = {
        "is_own": authority.is_own,
        "signer": leaf.subject.rfc4514_string(),
        "issuer": leaf.issuer.rfc4514_string(),
        "sha256": fingerprint(leaf),
        "valid_until": leaf.not_valid_after_utc.isoformat(),
        "certificates": pem,
    }
    text = (
        f"{value['signer']}, issued by {value['issuer']}, valid until {leaf.not_valid_after_utc:%Y-%m-%d}.\n"
        f"SHA-256 {value['sha256']}\nTo be trusted by whoever checks images:\n{pem.rstrip()}"
    )
    show(value, text, as_json=as_json)
