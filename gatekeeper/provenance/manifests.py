"""C2PA manifests: written into images that are given out, and read from any image.

Compatibility: what `FACTS` holds is read for good; fields are added, never renamed or given a new meaning.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import c2pa
from cryptography import x509

from gatekeeper import __version__
from gatekeeper.provenance.authority import anchors_of
from gatekeeper.provenance.certificates import Credential
from gatekeeper.provenance.pictures import TRAINED_MEDIA, ImageFormat

FACTS = "io.github.gatekeeper-hub.image"
_AGENT = {"name": "Gatekeeper", "version": __version__}
# Thumbnails would make a file up to a megabyte larger; whoever reads a file must not make this server fetch anything.
_SETTINGS: dict[str, Any] = {
    "version_major": 1,
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}
_NO_MANIFEST = "ManifestNotFound"
_EXPIRED = "signingCredential.expired"
_OF_TRUST = {"signingCredential.untrusted", _EXPIRED}


class SignatureState(StrEnum):
    """What the signed metadata of a file is worth."""

    TRUSTED = "trusted"  # this hub signed exactly these bytes
    EXPIRED = "expired"  # intact, by somebody whose certificate has ended; whose it was, only a record can tell
    VALID = "valid"  # intact, by somebody whom this hub does not know
    INVALID = "invalid"  # the file was changed afterwards, or the metadata is broken
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Signature:
    """The signed metadata of a file.

    signer    who signed, as their certificate says; to be believed only where `state` is trusted
    problems  C2PA's codes of what is wrong
    facts     what this hub stated, where it signed; where the certificate has ended, what its signer did
    """

    state: SignatureState
    signer: str = ""
    problems: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class ManifestWriter:
    """Signs files for one signer; used by several threads at once."""

    def __init__(self, credential: Credential) -> None:
        self._context = c2pa.Context.from_dict(_SETTINGS)
        self._signer = c2pa.Signer.from_callback(
            credential.sign,
            c2pa.C2paSigningAlg[credential.algorithm.upper()],
            credential.chain_pem.decode(),
        )

    def write(self, content: bytes, kind: ImageFormat, facts: Mapping[str, Any]) -> bytes:
        """The same image, signed. Raises c2pa.C2paError."""
        created = {"action": "c2pa.created", "digitalSourceType": TRAINED_MEDIA, "softwareAgent": _AGENT}
        manifest = {
            "claim_generator_info": [_AGENT],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
                {"label": FACTS, "data": dict(facts)},
            ],
        }
        signed = io.BytesIO()
        with c2pa.Builder(json.dumps(manifest), self._context) as builder:
            builder.sign(self._signer, kind.media_type, io.BytesIO(content), signed)
        return signed.getvalue()


class ManifestReader:
    """Reads the manifests of any file.

    chains  of this hub's signers, each from the signer to its root
    """

    def __init__(self, chains: Sequence[tuple[x509.Certificate, ...]]) -> None:
        trust = {"user_anchors": anchors_of(chains).decode()}
        self._context = c2pa.Context.from_dict({**_SETTINGS, "trust": trust})
        self._ours = {str(chain[0].serial_number) for chain in chains}

    def read(self, content: bytes, kind: ImageFormat) -> Signature:
        """What the file's signed metadata says and whether it holds. Never raises for a bad file."""
        try:
            with c2pa.Reader(kind.media_type, io.BytesIO(content), context=self._context) as reader:
                state = reader.get_validation_state()
                results = reader.get_validation_results() or {}
                manifest = reader.get_active_manifest() or {}
        except c2pa.C2paError as error:
            if str(error).startswith(_NO_MANIFEST):
                return Signature(SignatureState.MISSING)
            return Signature(SignatureState.INVALID, problems=("manifest.unreadable",))
        return self._judge(state, results, manifest)

    def _judge(self, state: str | None, results: Mapping[str, Any], manifest: Mapping[str, Any]) -> Signature:
        signed_by = manifest.get("signature_info") or {}
        signer = str(signed_by.get("issuer") or signed_by.get("common_name") or "")[:200]
        failures = (results.get("activeManifest") or {}).get("failure", [])
        problems = tuple(dict.fromkeys(str(failure.get("code")) for failure in failures))
        # An anchor may be a company's, which certifies others too: a signer is ours only if its certificate is.
        is_ours = signed_by.get("cert_serial_number") in self._ours
        match state:
            case "Trusted" if is_ours:
                return Signature(SignatureState.TRUSTED, signer, facts=_facts(manifest))
            case "Trusted" | "Valid":
                return Signature(SignatureState.VALID, signer)
            # Whose an ended certificate was nothing here tells: its issuer is not checked, its number is public.
            case _ if _EXPIRED in problems and set(problems) <= _OF_TRUST:
                return Signature(SignatureState.EXPIRED, signer, problems, _facts(manifest))
        return Signature(SignatureState.INVALID, signer, problems)


def _facts(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found = [each.get("data") for each in manifest.get("assertions", []) if each.get("label") == FACTS]
    return found[0] if found and isinstance(found[0], dict) else {}
