import re
from pathlib import Path
from typing import Any

import pytest
import structlog
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from gatekeeper.kit.clock import now
from gatekeeper.provenance import Authority, BrokenCertificate, Notary, SignatureState
from gatekeeper.provenance.authority import SIGNER_USED
from tests.gatekeeper.provenance.builders import FACTS, emoji, png
from tests.gatekeeper.provenance.conftest import Issuer

PNG = png(emoji(64))


def load(folder: Path) -> Notary:
    return Notary.load(folder / "provenance", owner="hub.test")


def state(notary: Notary, content: bytes) -> SignatureState:
    return notary.examine(content).signature.state


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert first.authority.credential.leaf == second.authority.credential.leaf
    assert state(second, first.certify(PNG, 1, FACTS).content) is SignatureState.TRUSTED
    files = [path for path in (tmp_path / "provenance").rglob("*") if path.is_file()]
    assert {path.name for path in files} > {"authority.pem", "signer.pem", "mark.key"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert b"PRIVATE" not in first.authority.anchors_pem


def test_a_signer_is_renewed_after_its_year_and_what_it_signed_stays_trusted(tmp_path: Path) -> None:
    with time_machine.travel(now() - SIGNER_USED, tick=False):
        notary, other_process = load(tmp_path), load(tmp_path)
        before, first = notary.certify(PNG, 1, FACTS).content, notary.authority.credential
        notary.authority.look_after()
        assert notary.authority.credential is first
    for each in (notary, other_process):
        each.authority.look_after()
    assert notary.authority.credential.leaf == other_process.authority.credential.leaf != first.leaf
    assert notary.authority.credential.chain[1:] == first.chain[1:]
    assert state(notary, notary.certify(PNG, 2, FACTS).content) is SignatureState.TRUSTED
    for each in (notary, load(tmp_path)):
        assert state(each, before) is SignatureState.TRUSTED


def test_a_new_authority_leaves_old_images_trusted_and_both_are_published(tmp_path: Path) -> None:
    notary = load(tmp_path)
    before = notary.certify(PNG, 1, FACTS).content
    notary.authority.rotate(with_authority=True)
    after = notary.certify(PNG, 2, FACTS).content
    assert [state(notary, content) for content in (before, after)] == [SignatureState.TRUSTED] * 2
    assert notary.authority.anchors_pem.count(b"BEGIN CERTIFICATE") == 2
    old = [file for file in (tmp_path / "provenance" / "trusted").iterdir() if not _is_of(file, notary)]
    old[0].unlink()  # distrusted
    assert state(load(tmp_path), before) is SignatureState.VALID
    assert state(load(tmp_path), after) is SignatureState.TRUSTED


def test_a_running_server_takes_up_what_was_rotated_and_forgets_whom_nobody_trusts(tmp_path: Path) -> None:
    running, command = load(tmp_path), load(tmp_path)
    before = running.certify(PNG, 1, FACTS).content
    command.authority.rotate()
    running.follow()
    assert running.authority.credential.leaf == command.authority.credential.leaf
    after = running.certify(PNG, 2, FACTS).content
    assert [state(running, content) for content in (before, after)] == [SignatureState.TRUSTED] * 2
    for file in (tmp_path / "provenance" / "trusted").iterdir():
        if not _is_of(file, running):
            file.unlink()
    running.follow()
    assert [state(running, content) for content in (before, after)] == [SignatureState.VALID, SignatureState.TRUSTED]


def test_a_running_server_takes_up_the_operators_new_files_once_they_fit(tmp_path: Path, issuer: Issuer) -> None:
    certificate, key = issuer()
    notary = Notary.load(tmp_path / "p", owner="x", certificate=certificate, key=key)
    before, old_key = notary.certify(PNG, 1, FACTS).content, key.read_bytes()
    new_certificate, new_key = (file.read_bytes() for file in issuer())
    certificate.write_bytes(new_certificate)
    key.write_bytes(old_key)
    with pytest.raises(BrokenCertificate, match="private key"):
        notary.follow()
    assert state(notary, notary.certify(PNG, 2, FACTS).content) is SignatureState.TRUSTED
    key.write_bytes(new_key)
    notary.follow()
    after = notary.certify(PNG, 3, FACTS).content
    assert [state(notary, content) for content in (before, after)] == [SignatureState.TRUSTED] * 2
    assert notary.authority.credential.chain_pem == new_certificate


def _is_of(file: Path, notary: Notary) -> bool:
    return file.read_bytes() == notary.authority.credential.chain_pem


@pytest.mark.parametrize("key", [ec.SECP256R1(), ec.SECP384R1(), None], ids=["p256", "p384", "ed25519"])
def test_an_operators_certificate_signs_and_is_trusted(tmp_path: Path, issuer: Issuer, key: Any) -> None:
    own = ec.generate_private_key(key) if key else Ed25519PrivateKey.generate()
    certificate, key_file = issuer(key=own)
    notary = Notary.load(tmp_path / "p", owner="hub.test", certificate=certificate, key=key_file)
    found = notary.examine(notary.certify(PNG, 1, FACTS).content).signature
    assert (found.state, found.signer, found.facts["record"]) == (SignatureState.TRUSTED, "Company", FACTS["record"])
    with pytest.raises(BrokenCertificate, match="operator's"):
        notary.authority.rotate()


def test_others_whom_the_operators_issuer_certified_are_not_this_hub(tmp_path: Path, issuer: Issuer) -> None:
    theirs = Notary.load(tmp_path / "theirs", owner="x", **dict(zip(("certificate", "key"), issuer(), strict=True)))
    signed = theirs.certify(PNG, 1, FACTS).content
    ours = Notary.load(tmp_path / "ours", owner="x", **dict(zip(("certificate", "key"), issuer(), strict=True)))
    found = ours.examine(signed).signature
    assert (found.state, found.facts) == (SignatureState.VALID, {})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "for servers": ({"use": ExtendedKeyUsageOID.SERVER_AUTH}, "extended key usage is serverAuth.*emailProtection"),
    "for code": ({"use": ExtendedKeyUsageOID.CODE_SIGNING}, "extended key usage is codeSigning.*emailProtection"),
    "for nothing": ({"use": None}, "states no extended key usage"),
    "over": ({"days": (-90, -1)}, "valid from .* Have it renewed"),
    "not yet": ({"days": (1, 90)}, "valid from .* clock of this machine"),
    "without issuer": ({"is_whole": False}, "issuer is missing"),
    "an authority": ({"is_authority": True}, "authority's own"),
    "of another key": ({"certified_key": ec.generate_private_key(ec.SECP256R1())}, "not that of the private key"),
    "rsa": ({"key": rsa.generate_private_key(65537, 2048)}, "P-256 or P-384, or with Ed25519"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_certificate_that_others_could_not_verify_stops_the_start(tmp_path: Path, issuer: Issuer, case: str) -> None:
    arguments, sentence = BAD[case]
    certificate, key = issuer(**arguments)
    with pytest.raises(BrokenCertificate) as refused:
        Notary.load(tmp_path / "provenance", owner="hub.test", certificate=certificate, key=key)
    assert re.search(sentence, refused.value.sentence), refused.value.sentence


def test_missing_and_broken_files_are_named(tmp_path: Path, issuer: Issuer) -> None:
    certificate, key = issuer()
    with pytest.raises(BrokenCertificate, match=r"gone\.pem"):
        Authority(tmp_path / "p", owner="x", certificate=tmp_path / "gone.pem", key=key)
    certificate.write_text("no certificate")
    with pytest.raises(BrokenCertificate, match="cannot be"):
        Authority(tmp_path / "p", owner="x", certificate=certificate, key=key)
    with pytest.raises(BrokenCertificate, match="cannot be read"):
        Authority(tmp_path / "p", owner="x", certificate=certificate, key=certificate)


def test_the_end_of_an_operators_certificate_is_told_before_it_comes(tmp_path: Path, issuer: Issuer) -> None:
    certificate, key = issuer(days=(-10, 20))
    authority = Authority(tmp_path / "p", owner="x", certificate=certificate, key=key)
    with structlog.testing.capture_logs() as logs:
        authority.look_after()
    assert [log["event"] for log in logs] == ["the certificate for signing images ends soon"]
