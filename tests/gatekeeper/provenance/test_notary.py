import io
import json
import socket
import struct
import threading
import zlib
from pathlib import Path

import c2pa
import pytest
from PIL import Image

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.provenance import ImageFormat, Notary, SignatureState
from gatekeeper.provenance.pictures import MAX_BYTES, TRAINED_MEDIA
from tests.gatekeeper.provenance.builders import FACTS, NOTARY, emoji, png, texture

FORMATS = list(ImageFormat)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("side", [64, 96])
def test_what_is_certified_says_so_in_four_ways(kind: ImageFormat, side: int) -> None:
    certified = NOTARY.certify(png(texture(side)), 7, FACTS, kind=kind)
    found = NOTARY.examine(certified.content)
    assert (found.kind, found.width, found.height, found.sha256) == (kind, side, side, certified.sha256)
    assert (found.signature.state, dict(found.signature.facts)) == (SignatureState.TRUSTED, FACTS)
    assert found.number == 7
    opened = Image.open(io.BytesIO(certified.content))
    assert TRAINED_MEDIA in str(opened.info)
    with c2pa.Reader(kind.media_type, io.BytesIO(certified.content)) as reader:
        manifest = json.loads(reader.json())
    [active] = manifest["manifests"].values()
    assert "thumbnail" not in str(active)
    [action] = active["assertions"][0]["data"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", TRAINED_MEDIA)


@pytest.mark.parametrize("kind", [ImageFormat.JPEG, ImageFormat.WEBP])
@pytest.mark.parametrize("quality", [1, 30])
def test_no_quality_that_is_asked_for_destroys_the_mark(kind: ImageFormat, quality: int) -> None:
    for picture in (emoji(128), texture(128)):
        certified = NOTARY.certify(png(picture), 7, FACTS, kind=kind, quality=quality)
        assert certified.is_marked
        assert NOTARY.examine(certified.content).number == 7


def test_what_carries_no_mark_is_not_said_to() -> None:
    assert not NOTARY.certify(png(texture(32)), 7, FACTS).is_marked


@pytest.mark.parametrize("kind", FORMATS)
def test_no_change_of_picture_or_facts_goes_unseen(kind: ImageFormat) -> None:
    content = NOTARY.certify(png(texture(64)), 7, FACTS, kind=kind).content
    pixels, seen = Image.open(io.BytesIO(content)).tobytes(), 0
    for position in range(3, len(content), len(content) // 60):
        changed = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        try:
            found = NOTARY.examine(changed).signature
        except Invalid:
            seen += 1
            continue
        if found.state is SignatureState.TRUSTED:  # filler of the signature itself, which nobody reads
            assert (Image.open(io.BytesIO(changed)).tobytes(), found.facts) == (pixels, FACTS), position
        else:
            seen += 1
    assert seen >= 10


def test_a_picture_saved_again_has_lost_its_signature_but_not_its_mark() -> None:
    certified = NOTARY.certify(png(texture(128)), 9, FACTS)
    again = png(Image.open(io.BytesIO(certified.content)))
    found = NOTARY.examine(again)
    assert (found.signature.state, found.number) == (SignatureState.MISSING, 9)


def test_a_manifest_that_is_copied_to_another_picture_does_not_hold() -> None:
    content, other = NOTARY.certify(png(emoji(64)), 9, FACTS).content, png(texture(64))
    start = content.index(b"caBX") - 4
    end = start + 12 + struct.unpack(">I", content[start : start + 4])[0]
    forged = other[:33] + content[start:end] + other[33:]
    assert NOTARY.examine(forged).signature.state is SignatureState.INVALID


def test_another_hub_s_images_are_intact_but_unknown(tmp_path: Path) -> None:
    other = Notary.load(tmp_path / "provenance", owner="elsewhere.test")
    found = NOTARY.examine(other.certify(png(emoji(64)), 3, FACTS).content)
    assert (found.signature.state, found.signature.facts, found.number) == (SignatureState.VALID, {}, None)
    assert found.signature.signer == "elsewhere.test"


def test_below_one_tile_an_image_is_signed_and_not_marked() -> None:
    certified = NOTARY.certify(png(emoji(64).resize((56, 64))), 3, FACTS)
    assert not certified.is_marked
    assert NOTARY.examine(certified.content).signature.state is SignatureState.TRUSTED


def test_many_threads_sign_at_once() -> None:
    content, done = png(emoji(64)), []

    def sign(first: int) -> None:
        for number in range(first, first + 10):
            found = NOTARY.examine(NOTARY.certify(content, number, FACTS).content)
            done.append((found.signature.state, found.number == number))

    threads = [threading.Thread(target=sign, args=(first,)) for first in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [(SignatureState.TRUSTED, True)] * 40


def test_reading_a_file_makes_the_server_fetch_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        credential = NOTARY.authority.credential
        pem = credential.chain_pem.decode()
        signer = c2pa.Signer.from_callback(credential.sign, c2pa.C2paSigningAlg.ES256, pem)
        linked = io.BytesIO()
        created = {"action": "c2pa.created", "digitalSourceType": TRAINED_MEDIA}
        actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
        with c2pa.Builder(json.dumps({"assertions": [actions]})) as builder:
            builder.set_no_embed()
            builder.set_remote_url(f"http://127.0.0.1:{server.getsockname()[1]}/m.c2pa")
            builder.sign(signer, "image/png", io.BytesIO(png(emoji(64))), linked)
        found = NOTARY.examine(linked.getvalue())
        assert found.signature.state in {SignatureState.MISSING, SignatureState.INVALID}
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_photograph_with_further_pictures_behind_it_is_a_jpeg() -> None:
    first, file = texture(96), io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[emoji(96)])
    found = NOTARY.examine(file.getvalue())
    assert (found.kind, found.width, found.signature.state) == (ImageFormat.JPEG, 96, SignatureState.MISSING)


def bomb(width: int, height: int) -> bytes:
    """A small PNG file of very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10**6)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(5_000, 5_000), (12_000, 12_000), (60_000, 60_000)], ids=str)
def test_decompression_bombs_are_not_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge, match="pixels"):
        NOTARY.examine(bomb(*size))


def test_what_is_no_image_is_said_so() -> None:
    for content in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        with pytest.raises(Invalid, match="not an image"):
            NOTARY.examine(content)
    with pytest.raises(TooLarge):
        NOTARY.examine(b"\0" * (MAX_BYTES + 1))


def test_a_picture_that_cannot_be_unpacked_is_called_damaged() -> None:
    content = NOTARY.certify(png(texture(64)), 7, FACTS).content
    place = content.index(b"IDAT") + 40
    for changed in (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], content[: place + 40]):
        with pytest.raises(Invalid, match="damaged"):
            NOTARY.examine(changed)
