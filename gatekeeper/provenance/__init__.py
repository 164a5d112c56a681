"""Provenance: marks and signs what is given out, and tells anybody what an image is.

    notary = Notary.load(folder, owner=...)                    once, at start; a broken certificate stops the start
    certified = notary.certify(png, number, facts)             in a thread; whatever it raises, nothing is given out
    verdict = await judge(session, notary.examine(content), is_public=...)

Keys never leave the web process. A file says what made it, never who asked for it or with which words.
"""

from gatekeeper.provenance.authority import Authority
from gatekeeper.provenance.certificates import BrokenCertificate, Credential, fingerprint
from gatekeeper.provenance.manifests import FACTS, Signature, SignatureState
from gatekeeper.provenance.notary import Certified, Examination, Notary
from gatekeeper.provenance.pictures import MAX_BYTES, ImageFormat
from gatekeeper.provenance.records import find_record, fresh_numbers, number_text, of_receipts
from gatekeeper.provenance.tables import ImageRecord
from gatekeeper.provenance.verdict import Finding, IsPublic, Verdict, judge

__all__ = [
    "FACTS",
    "MAX_BYTES",
    "Authority",
    "BrokenCertificate",
    "Certified",
    "Credential",
    "Examination",
    "Finding",
    "ImageFormat",
    "ImageRecord",
    "IsPublic",
    "Notary",
    "Signature",
    "SignatureState",
    "Verdict",
    "find_record",
    "fingerprint",
    "fresh_numbers",
    "judge",
    "number_text",
    "of_receipts",
]
