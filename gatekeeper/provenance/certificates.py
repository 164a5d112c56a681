"""Certificates for signing images: made here, or the operator's, which are read and checked.

The profile is C2PA's (specification 2.x, "C2PA Signing Credentials"): an end-entity certificate with the key usage
digitalSignature and the extended key usage emailProtection, issued by somebody.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

_CURVES = {"secp256r1": ("es256", hashes.SHA256), "secp384r1": ("es384", hashes.SHA384)}
_BEFORE = timedelta(hours=1)  # a clock that is a little behind must not see a certificate of the future


class BrokenCertificate(GatekeeperError):
    """The certificate or key for signing images cannot be used; the text names what is wrong."""

    code = "BrokenCertificate"


@dataclass(frozen=True)
class Credential:
    """A private key and its certificates, the signer's first, its issuer's last."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The signer's own certificate."""
        return self.chain[0]

    @property
    def algorithm(self) -> str:
        """Its name in COSE, in small letters: es256, es384 or ed25519."""
        return "ed25519" if isinstance(self.key, Ed25519PrivateKey) else _CURVES[self.key.curve.name][0]

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ec.ECDSA(_CURVES[self.key.curve.name][1]()))

    @property
    def chain_pem(self) -> bytes:
        """Its certificates as PEM."""
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)

    @property
    def pem(self) -> bytes:
        """Key and certificates as PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.chain_pem

    @classmethod
    def parse(cls, pem: bytes) -> "Credential":
        """Raises BrokenCertificate for what is no PEM of a usable key and at least one certificate."""
        try:
            key = load_pem_private_key(pem, None)
            chain = x509.load_pem_x509_certificates(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BrokenCertificate(f"Key or certificates for signing images cannot be read: {error}") from error
        is_usable = isinstance(key, Ed25519PrivateKey) or (
            isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES
        )
        if not is_usable:
            raise BrokenCertificate(
                "Images are signed with ECDSA on P-256 or P-384, or with Ed25519; this key is another kind.",
                next_step="Have a certificate issued for such a key.",
            )
        assert isinstance(key, PrivateKey)
        return cls(key, tuple(chain))


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate, in hex."""
    return sha256_hex(certificate.public_bytes(Encoding.DER))


def make_authority(owner: str, *, valid: timedelta) -> Credential:
    """A new certificate authority of this hub, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(owner, "Gatekeeper image authority")
    builder = _builder(name, name, key, valid).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    return Credential(key, (builder.add_extension(_usage(is_authority=True), True).sign(key, hashes.SHA256()),))


def make_leaf(authority: Credential, owner: str, *, valid: timedelta) -> Credential:
    """A new key for signing images, certified by `authority`."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.leaf
    issuer_key = authority.key.public_key()
    builder = (
        _builder(_name(owner, "Gatekeeper images"), issuer.subject, key, valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_usage(is_authority=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False)
    )
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    return Credential(key, (builder.sign(authority.key, hashes.SHA256()), *authority.chain))


def check(credential: Credential, *, at: datetime) -> None:
    """Raises BrokenCertificate, saying what to do, for a credential whose signatures others could not accept."""
    if found := _problem_of(credential, at):
        problem, next_step = found
        raise BrokenCertificate(f"The certificate for signing images cannot be used: {problem}", next_step=next_step)


def _problem_of(credential: Credential, at: datetime) -> tuple[str, str] | None:
    leaf, chain = credential.leaf, credential.chain
    if _spki(leaf.public_key()) != _spki(credential.key.public_key()):
        return "its public key is not that of the private key.", "Put the signer's own certificate first in the file."
    if len(chain) < 2:
        return "its issuer is missing.", "Append the certificates of those who issued it, up to the root."
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return "the chain is broken: one was not issued by the next.", "Order them from the signer to the root."
    if not leaf.not_valid_before_utc <= at < leaf.not_valid_after_utc:
        return (
            f"it is valid from {leaf.not_valid_before_utc:%Y-%m-%d} until {leaf.not_valid_after_utc:%Y-%m-%d}.",
            "Have it renewed."
            if at >= leaf.not_valid_after_utc
            else "Look whether the clock of this machine is right.",
        )
    return _problem_of_use(leaf)


def _problem_of_use(leaf: x509.Certificate) -> tuple[str, str] | None:
    try:
        if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "it is a certificate authority's own.", "Have it issue one for signing."
    except x509.ExtensionNotFound:
        pass
    try:
        if not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return "its key usage lacks digitalSignature.", "Have one issued that has it."
    except x509.ExtensionNotFound:
        return "it states no key usage.", "Have one issued with the key usage digitalSignature."
    wanted = "Have one issued with the extended key usage emailProtection, which C2PA asks for."
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "it states no extended key usage.", wanted
    if ExtendedKeyUsageOID.EMAIL_PROTECTION not in uses:
        names = ", ".join(use._name for use in uses)
        return f"its extended key usage is {names}.", wanted
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses:
        return "it may be used for anything.", wanted
    return None


def _name(owner: str, what: str) -> x509.Name:
    # RFC 5280 allows 64 characters in each.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{what} {now():%Y-%m-%d}"),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta
) -> x509.CertificateBuilder:
    public, start = key.public_key(), now() - _BEFORE
    return (
        x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number(), start, start + _BEFORE + valid)
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _spki(key: object) -> bytes:
    public: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # every kind of public key has it
    return public
