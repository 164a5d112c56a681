"""Fixtures for tests of provenance.

issuer  a company's authority and a maker of certificates by it
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatekeeper.kit.clock import now
from gatekeeper.provenance.certificates import Credential, PrivateKey, make_authority

Files = tuple[Path, Path]
Issuer = Callable[..., Files]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    root = make_authority("Company", valid=timedelta(days=900))

    def issue(
        *,
        use: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
        key: PrivateKey | None = None,
        days: tuple[int, int] = (-10, 90),
        is_whole: bool = True,
        is_authority: bool = False,
        certified_key: PrivateKey | None = None,
    ) -> Files:
        """Certificate and key file, by default good ones."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        public = (certified_key or own).public_key()
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Company")])
        start, end = (now() + timedelta(days=day) for day in days)
        builder = x509.CertificateBuilder(root.leaf.subject, name, public, x509.random_serial_number(), start, end)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), True)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = builder.add_extension(usage, True)
        if use is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
        builder = builder.add_extension(identifier, False)
        assert not isinstance(root.key, Ed25519PrivateKey)
        made = Credential(own, (builder.sign(root.key, hashes.SHA256()), *(root.chain if is_whole else ())))
        certificate, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
        certificate.write_bytes(made.chain_pem)
        key_file.write_bytes(made.pem.partition(b"-----BEGIN CERTIFICATE")[0])
        return certificate, key_file

    return issue
