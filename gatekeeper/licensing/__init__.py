"""Licenses: immutable texts, the terms of a commit, what was shown to whom, and signed acceptances.

A text is its bytes, found by digest. The terms of a commit are an ordered bundle of texts and a form. A person accepts
a bundle for one repository, by an act of their own, and holds a receipt that anybody verifies offline.
"""

from gatekeeper.licensing.acceptance import (
    PRESENTATION_LIFE,
    accept,
    acceptances_of,
    current_acceptance,
    own_acceptance,
    present,
    text_to_show,
    withdraw_acceptance,
)
from gatekeeper.licensing.catalogue import add_license, by_license_id, import_catalogue
from gatekeeper.licensing.countries import COUNTRIES
from gatekeeper.licensing.forms import FieldKind, Form, FormField, Option
from gatekeeper.licensing.house import HouseForm
from gatekeeper.licensing.receipt import Verdict, key_id, read_receipt, sign_receipt, verify_receipt
from gatekeeper.licensing.terms import Document, Terms, keep, stored, terms_for, text_of
from gatekeeper.licensing.texts import add, canonical_sha256, get, is_readable, similar

__all__ = [
    "COUNTRIES",
    "PRESENTATION_LIFE",
    "Document",
    "FieldKind",
    "Form",
    "FormField",
    "HouseForm",
    "Option",
    "Terms",
    "Verdict",
    "accept",
    "acceptances_of",
    "add",
    "add_license",
    "by_license_id",
    "canonical_sha256",
    "current_acceptance",
    "get",
    "import_catalogue",
    "is_readable",
    "keep",
    "key_id",
    "own_acceptance",
    "present",
    "read_receipt",
    "sign_receipt",
    "similar",
    "stored",
    "terms_for",
    "text_of",
    "text_to_show",
    "verify_receipt",
    "withdraw_acceptance",
]
