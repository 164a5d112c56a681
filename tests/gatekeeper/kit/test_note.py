"""Signed notes and checkpoints in the form of the C2SP."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatekeeper.kit.note import Checkpoint, key_id, open_note, sign_note, verifier_key
from gatekeeper.kit.signing import SigningKey

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.generate())
HEAD = Checkpoint("hub.example.org/ledger", 7, b"r" * 32)


def test_the_published_example_of_a_note_verifies() -> None:
    # The example key and note of Go's golang.org/x/mod/sumdb/note documentation.
    verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    name, identity, encoded = verifier.split("+")
    public = base64.b64decode(encoded)[1:]
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    note = f"{text}\n\u2014 PeterNeumann {signature}\n"
    assert key_id(name, public).hex() == identity
    assert open_note(note, public, name=name) == text
    assert verifier_key(name, public) == verifier


def test_what_is_signed_opens() -> None:
    note = sign_note(HEAD.text, KEY, name="hub.example.org/ledger")
    assert Checkpoint.parse(open_note(note, KEY.public)) == HEAD
    assert note.startswith("hub.example.org/ledger\n7\n")


@pytest.mark.parametrize("change", [("7\n", "8\n"), ("hub.", "hob."), ("\u2014", "-"), ("\n\n", "\n")])
def test_a_changed_note_does_not_open(change: tuple[str, str]) -> None:
    note = sign_note(HEAD.text, KEY, name="hub.example.org/ledger").replace(*change)
    with pytest.raises(ValueError):
        open_note(note, KEY.public, name="hub.example.org/ledger")


def test_another_key_or_name_does_not_open() -> None:
    note = sign_note(HEAD.text, KEY, name="a")
    with pytest.raises(ValueError):
        open_note(note, OTHER.public)
    with pytest.raises(ValueError):
        open_note(note, KEY.public, name="b")


def test_signatures_of_others_are_passed_over() -> None:
    note = sign_note(HEAD.text, OTHER, name="witness")
    note += sign_note(HEAD.text, KEY, name="log").rpartition("\n\n")[2]
    assert open_note(note + "", KEY.public) == HEAD.text
    assert open_note(note, OTHER.public) == HEAD.text


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", "\n1\nAAAA\n", "a\n-1\nAAAA\n", "a\n01\nAAAA\n", "a\n1\n!\n", "a\n1\nAAAA\n", "a\n1\nAAAA"],
)
def test_other_texts_are_no_checkpoint(text: str) -> None:
    with pytest.raises(ValueError):
        Checkpoint.parse(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b"])
def test_a_key_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError):
        sign_note(HEAD.text, KEY, name=name)
