"""Who signs images here: this hub's own authority, made at first start, or the operator's certificate.

In `keys/provenance`, all of it 0600 in a 0700 folder:

    authority.pem      key and certificate of the own authority, valid for twenty years
    signer.pem         key and certificates that sign now; each signs for a year and stays valid for ten, so that what
                       it signed on its last day can be verified for nine years without a time stamp
    trusted/*.pem      the chain of every signer this hub ever had; taking one away is to distrust it
    mark.key           the key of the watermark
"""

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import replace_secret_file, secret_file
from gatekeeper.provenance.certificates import (
    BrokenCertificate,
    Credential,
    check,
    fingerprint,
    make_authority,
    make_leaf,
)

_log = structlog.get_logger("gatekeeper.provenance")

AUTHORITY_VALID = timedelta(days=365 * 20)
SIGNER_VALID = timedelta(days=365 * 10)
SIGNER_USED = timedelta(days=365)
SOON = timedelta(days=30)


class Authority:
    """What signs now, and whose signatures count as this hub's.

    owner        the hub's name in certificates
    certificate  PEM file of the operator's chain, with `key` its private key; without them the hub certifies itself
    """

    def __init__(self, folder: Path, *, owner: str, certificate: Path | None = None, key: Path | None = None) -> None:
        self._folder = folder
        self._owner = owner
        self._lock = threading.Lock()
        self._files = (certificate, key) if certificate is not None and key is not None else None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.credential = self._stored()
        check(self.credential, at=now())
        self._remember()

    @property
    def is_own(self) -> bool:
        """Whether the hub certifies itself."""
        return self._files is None

    def follow(self, try_out: Callable[[Credential], None]) -> None:
        """Sign with what lies in the files now, where it was replaced since they were read. Safe to repeat.

        try_out  raises BrokenCertificate for a credential whose signatures do not verify
        Raises BrokenCertificate for what cannot be used, and goes on with what it has.
        """
        with self._lock:
            stored = self._stored()
            if stored.chain != self.credential.chain:
                check(stored, at=now())
                try_out(stored)
                self.credential = stored
                self._remember()
                _log.info("images are signed with another certificate now", sha256=fingerprint(stored.leaf))

    def look_after(self) -> None:
        """Renew the own signer when its year of use is over; warn of the end of the operator's. Safe to repeat."""
        with self._lock:
            leaf = self.credential.leaf
            if self.is_own and now() >= leaf.not_valid_before_utc + SIGNER_USED:
                stored = self._stored()
                is_renewed = stored.leaf != leaf  # by another process
                self.credential = stored if is_renewed else self._renewed()
                self._remember()
            elif now() >= leaf.not_valid_after_utc - SOON:
                _log.warning("the certificate for signing images ends soon", ends=str(leaf.not_valid_after_utc))

    def rotate(self, *, with_authority: bool = False) -> None:
        """Sign with a new key from now on, by a new authority if asked. What was signed before stays trusted."""
        if not self.is_own:
            raise BrokenCertificate(
                "Images are signed with the operator's certificate here.",
                next_step="Replace its files; the server takes up new ones within a minute.",
            )
        with self._lock:
            if with_authority:
                made = make_authority(self._owner, valid=AUTHORITY_VALID)
                replace_secret_file(self._folder / "authority.pem", made.pem)
            self.credential = self._renewed()
            self._remember()

    @property
    def chains(self) -> list[tuple[x509.Certificate, ...]]:
        """Of every signer this hub ever had and still trusts, the present one's first."""
        files = sorted((self._folder / "trusted").glob("*.pem"))
        chains = [tuple(x509.load_pem_x509_certificates(file.read_bytes())) for file in files]
        return sorted(chains, key=lambda chain: chain != self.credential.chain)

    @property
    def anchors_pem(self) -> bytes:
        """The certificates to trust in order to trust this hub's images: the last one of each chain, once."""
        return anchors_of(self.chains)

    def _stored(self) -> Credential:
        if self._files is not None:
            return _read(*self._files)
        return Credential.parse(secret_file(self._folder / "signer.pem", lambda: self._make_signer().pem))

    def _make_signer(self) -> Credential:
        stored = secret_file(
            self._folder / "authority.pem", lambda: make_authority(self._owner, valid=AUTHORITY_VALID).pem
        )
        return make_leaf(Credential.parse(stored), self._owner, valid=SIGNER_VALID)

    def _renewed(self) -> Credential:
        made = self._make_signer()
        replace_secret_file(self._folder / "signer.pem", made.pem)
        return made

    def _remember(self) -> None:
        chain = self.credential.chain_pem
        secret_file(self._folder / "trusted" / f"{fingerprint(self.credential.leaf)[:32]}.pem", lambda: chain)


def anchors_of(chains: Iterable[tuple[x509.Certificate, ...]]) -> bytes:
    """PEM of the last certificate of each chain, once."""
    return b"".join(dict.fromkeys(chain[-1].public_bytes(Encoding.PEM) for chain in chains))


def _read(certificate: Path, key: Path) -> Credential:
    try:
        return Credential.parse(key.read_bytes() + b"\n" + certificate.read_bytes())
    except OSError as error:
        raise BrokenCertificate(
            f"The certificate for signing images cannot be read: {error.filename}: {error.strerror}.",
            next_step="Check GATEKEEPER_PROVENANCE_CERTIFICATE_FILE and GATEKEEPER_PROVENANCE_KEY_FILE.",
        ) from error
