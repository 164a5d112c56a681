"""Marks and signs what is given out, and says of any file what it is. Work for a thread: nothing here may wait in the
event loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Any

from PIL import Image

from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.signing import secret_file
from gatekeeper.provenance import pictures
from gatekeeper.provenance.authority import Authority
from gatekeeper.provenance.certificates import BrokenCertificate, Credential
from gatekeeper.provenance.manifests import ManifestReader, ManifestWriter, Signature, SignatureState
from gatekeeper.provenance.pictures import ImageFormat
from gatekeeper.provenance.watermark import SMALLEST_SIDE, Mark

_BETTER = (50, 75, 90, 100)  # qualities that are tried in turn where the mark is lost at the one that was asked for


@dataclass(frozen=True, slots=True)
class Certified:
    """An image as it is given out. `is_marked` is False where no mark can be read, as in one that is too small."""

    content: bytes
    sha256: str
    number: int
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """What a file says about itself. `number` is the record's that its watermark names, None for none."""

    sha256: str
    kind: ImageFormat
    width: int
    height: int
    signature: Signature
    number: int | None


class Notary:
    """One hub's. Used by several threads at once."""

    def __init__(self, authority: Authority, *, mark_key: bytes) -> None:
        self.authority = authority
        self._mark = Mark(mark_key)
        self._take_up()

    @classmethod
    def load(cls, folder: Path, *, owner: str, certificate: Path | None = None, key: Path | None = None) -> "Notary":
        """The notary whose keys lie in `folder`, made on first use.

        certificate, key  files of the operator's; tried on an image at once
        Raises BrokenCertificate for what others could not verify.
        """
        authority = Authority(folder, owner=owner, certificate=certificate, key=key)
        notary = cls(authority, mark_key=secret_file(folder / "mark.key", lambda: token_bytes(32)))
        if not authority.is_own:
            try_out(authority.credential)
        return notary

    def follow(self) -> None:
        """Take up what was put in the place of certificate and key, or taken from those that are trusted, since they
        were read. Safe to repeat. Raises BrokenCertificate for what cannot be used, and goes on with what it has."""
        self.authority.follow(try_out)
        if self._chains != self.authority.chains:
            self._take_up()

    def certify(
        self,
        content: bytes,
        number: int,
        facts: Mapping[str, Any],
        *,
        kind: ImageFormat = ImageFormat.PNG,
        quality: int | None = None,
    ) -> Certified:
        """The image, marked with a record's number, and signed with what is known of its making.

        facts  JSON; neither prompt nor person
        Raises Invalid, TooLarge and c2pa.C2paError; then nothing may be given out.
        """
        if self._credential is not self.authority.credential:
            self._take_up()
        image, _ = pictures.read(content)
        written, is_marked = self._written(image, number, kind, quality)
        signed = self._writer.write(written, kind, facts)
        return Certified(signed, sha256_hex(signed), number, is_marked)

    def examine(self, content: bytes) -> Examination:
        """What an untrusted file says about itself. Raises TooLarge and Invalid for what is no image."""
        image, kind = pictures.read(content)
        signature = self._reader.read(content, kind)
        return Examination(
            sha256_hex(content), kind, image.width, image.height, signature, number=self._mark.read(image)
        )

    def _written(self, image: Image.Image, number: int, kind: ImageFormat, quality: int | None) -> tuple[bytes, bool]:
        """The marked file, and whether its mark can be read: what loses something is looked at as it was written."""
        if min(image.size) < SMALLEST_SIDE:
            return pictures.write(image, kind, quality=quality), False
        marked = self._mark.write(image, number)
        better = [each for each in _BETTER if quality is not None and each > quality]
        for tried in (quality, *better):
            written = pictures.write(marked, kind, quality=tried)
            if kind is ImageFormat.PNG or self._mark.is_in(pictures.read(written)[0], number):
                return written, True
        return written, False

    def _take_up(self) -> None:
        credential, self._chains = self.authority.credential, self.authority.chains
        self._reader = ManifestReader(self._chains)
        self._writer = ManifestWriter(credential)
        self._credential = credential


def try_out(credential: Credential) -> None:
    """Sign a small image and read it. Raises BrokenCertificate unless what it signs can be trusted."""
    blank = pictures.write(pictures.blank(), ImageFormat.PNG)
    try:
        signed = ManifestWriter(credential).write(blank, ImageFormat.PNG, {})
        found = ManifestReader([credential.chain]).read(signed, ImageFormat.PNG)
    except Exception as error:
        raise BrokenCertificate(
            f"The certificate for signing images cannot be used: {error}.",
            next_step="See docs/provenance.md for what it must be like.",
        ) from error
    if found.state is not SignatureState.TRUSTED:
        raise BrokenCertificate(
            f"What the certificate for signing images signs does not verify: {', '.join(found.problems)}.",
            next_step="Check that the file holds the whole chain up to the root.",
        )
