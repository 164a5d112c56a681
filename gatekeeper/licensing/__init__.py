"""Licenses: immutable texts, the terms of a commit, what was shown to whom, and signed acceptances.

A text is its bytes, found by digest. The terms of a commit are an ordered bundle of texts and a form. A person accepts
a bundle for one repository, by an act of their own, and holds a receipt that anybody verifies offline.
"""

from gatekeeper.licensing.acceptance import accept, present
from gatekeeper.licensing.accepted import (
    acceptances_of,
    claim_of,
    current_acceptance,
    latest_acceptance,
    own_acceptance,
    withdraw_acceptance,
)
from gatekeeper.licensing.catalogue import Catalogue, Known, add_license, by_license_id, import_catalogue
from gatekeeper.licensing.changes import (
    GRACE_DAYS,
    Earlier,
    asked_again,
    changes_of,
    classify,
    difference,
    earlier_texts,
    earlier_texts_of,
    get_change,
    put_in_force,
)
from gatekeeper.licensing.circumstances import (
    BY_API,
    MAX_INSTITUTION_CHARS,
    MAX_TYPED_NAME_CHARS,
    Act,
    Keeping,
    Source,
    forget_sources,
)
from gatekeeper.licensing.countries import COUNTRIES
from gatekeeper.licensing.differences import Difference, between
from gatekeeper.licensing.fields import FieldKind, FormField
from gatekeeper.licensing.flow_down import FlowDown, Place, flow_down
from gatekeeper.licensing.forms import Form
from gatekeeper.licensing.house import HouseForm
from gatekeeper.licensing.packaged import packaged_text
from gatekeeper.licensing.receipt import read_receipt, sign_receipt, verify_receipt, with_proof
from gatekeeper.licensing.recognition import license_ids, recognize, recognized, suggested
from gatekeeper.licensing.tables import ChangeClass, TermsChange
from gatekeeper.licensing.terms import Document, Terms, keep, resolve, stored, terms_for, text_of
from gatekeeper.licensing.texts import add, canonical_sha256, get, is_readable, similar
from gatekeeper.licensing.versions import tell_of_newer

__all__ = [
    "BY_API",
    "COUNTRIES",
    "GRACE_DAYS",
    "MAX_INSTITUTION_CHARS",
    "MAX_TYPED_NAME_CHARS",
    "Act",
    "Catalogue",
    "ChangeClass",
    "Difference",
    "Document",
    "Earlier",
    "FieldKind",
    "FlowDown",
    "Form",
    "FormField",
    "HouseForm",
    "Keeping",
    "Known",
    "Place",
    "Source",
    "Terms",
    "TermsChange",
    "accept",
    "acceptances_of",
    "add",
    "add_license",
    "asked_again",
    "between",
    "by_license_id",
    "canonical_sha256",
    "changes_of",
    "claim_of",
    "classify",
    "current_acceptance",
    "difference",
    "earlier_texts",
    "earlier_texts_of",
    "flow_down",
    "forget_sources",
    "get",
    "get_change",
    "import_catalogue",
    "is_readable",
    "keep",
    "latest_acceptance",
    "license_ids",
    "own_acceptance",
    "packaged_text",
    "present",
    "put_in_force",
    "read_receipt",
    "recognize",
    "recognized",
    "resolve",
    "sign_receipt",
    "similar",
    "stored",
    "suggested",
    "tell_of_newer",
    "terms_for",
    "text_of",
    "verify_receipt",
    "with_proof",
    "withdraw_acceptance",
]
