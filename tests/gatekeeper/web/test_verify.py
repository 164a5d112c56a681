"""Every way to an image gives the marked and signed file, and anybody can find out what it is."""

import base64
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio import to_thread
from click.testing import CliRunner
from cryptography import x509
from PIL import Image

from gatekeeper import provenance, tokens
from gatekeeper.cli.main import main
from gatekeeper.generation import Generation
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.provenance import Credential
from gatekeeper.provenance.certificates import make_authority
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from gatekeeper.web.verifying import FIELD
from inference.contract import ImageOrder, Preview
from tests.gatekeeper.generation.stub import StubWorker, all_good, png_of
from tests.gatekeeper.provenance.builders import ended, png, texture
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

PROMPT = "a red apple with a secret"


async def token_of(site: Site, name: str) -> str:
    async with site.gatekeeper.db.write() as session:
        _, secret = await tokens.issue(
            session, site.people[name], label="x", role="write", key=site.gatekeeper.keys.tokens
        )
    return secret


async def program(site: Site, name: str = "ada") -> httpx2.AsyncClient:
    """A program of somebody who has access."""
    await ask_for_access(await site.as_(name))
    transport = httpx2.ASGITransport(app=site.app)
    headers = {"authorization": f"Bearer {await token_of(site, name)}"}
    return httpx2.AsyncClient(transport=transport, base_url=site.url, headers=headers)


async def image_of(site: Site) -> bytes:
    """An image as the public inference client gets it."""
    answer = await (await program(site)).post(f"/models{MODEL}", json={"inputs": PROMPT})
    assert answer.status_code == 200, answer.text
    return answer.content


async def ask(site: Site, content: bytes) -> dict[str, Any]:
    answer = await site.browser().post("/api/verify", content=content)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def by_inference_client(site: Site) -> bytes:
    return await image_of(site)


async def by_openai(site: Site) -> bytes:
    order = {"model": "lab/emoji", "prompt": PROMPT, "response_format": "b64_json", "output_format": "webp"}
    answer = await (await program(site)).post("/v1/images/generations", json=order)
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["data"][0]["b64_json"])


async def by_job(site: Site) -> bytes:
    http = await program(site)
    made = (await http.post("/api/generations", json={"model": "lab/emoji", "prompt": PROMPT})).json()
    assert "event: done" in (await http.get(made["events"])).text
    [image] = (await http.get(made["url"])).json()["images"]
    content = (await http.get(image["url"])).content
    assert sha256_hex(content) == image["sha256"]
    return content


async def by_playground(site: Site) -> bytes:
    ada = await site.as_("ada")
    await ask_for_access(ada)
    order = {"prompt": PROMPT, "steps": "5", "guidance": "4", "images": "1", "seed": "7"}
    page = (await ada.get((await ada.post(f"{MODEL}/playground", data=order)).headers["location"])).text
    address = re.search(r'src="(/generations/[^"]+\.png)"', page)
    assert address is not None
    again = await ada.get(address[1])
    assert (await ada.get(address[1])).content == again.content
    return again.content


@pytest.mark.parametrize("door", [by_inference_client, by_openai, by_job, by_playground])
async def test_every_door_gives_the_marked_and_signed_file(site: Site, model: Repo, door: Callable[..., Any]) -> None:
    site.worker(StubWorker())
    content = await door(site)
    assert content != png_of(0)
    found = await ask(site, content)
    assert [found[way]["state"] for way in ("signature", "watermark", "record")] == ["trusted", "found", "exact"]
    facts, record = found["signature"]["facts"], found["record"]["details"]
    assert found["watermark"]["record"] == facts["record"] == record["number"]
    assert facts["receipt_id"] == record["receipt_id"]
    assert (record["image_sha256"], record["model"]) == (sha256_hex(content), "lab/emoji")
    assert facts["model"]["repository"] == "lab/emoji"
    assert facts["model"]["commit"] == record["commit"]
    async with site.gatekeeper.db.read() as session:
        made = await session.get_one(Generation, facts["decision"]["id"])
    [receipt] = made.receipt["images"] if made.receipt else []
    assert receipt["statement"]["image_sha256"] == sha256_hex(content)
    assert receipt["statement"]["provenance"] == {"record": record["number"], "is_marked": True}
    assert facts["safety"]["sld"] == receipt["statement"]["safety"]["sld"]


async def test_previews_are_marked_as_their_image_and_signed_as_previews(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(order: ImageOrder) -> list[Any]:
        look = Preview(index=0, step=1, png_base64=base64.b64encode(png_of(1)).decode())
        return [look, *all_good(order)]

    site.worker(StubWorker(looked))
    http = await program(site)
    order = {"model": "lab/emoji", "prompt": PROMPT, "previews": 1}
    made = (await http.post("/api/generations", json=order)).json()
    told = (await http.get(made["events"])).text
    [data] = re.findall(r"event: preview\ndata: (.*)", told)
    preview = await ask(site, base64.b64decode(json.loads(data)["png_base64"]))
    assert (preview["signature"]["state"], preview["signature"]["facts"]["is_preview"]) == ("trusted", True)
    [image] = (await http.get(made["url"])).json()["images"]
    final = await ask(site, (await http.get(image["url"])).content)
    assert preview["watermark"]["record"] == final["watermark"]["record"] == final["record"]["details"]["number"]
    assert "is_preview" not in final["signature"]["facts"]


async def test_neither_prompt_nor_person_is_in_a_file(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    content = await image_of(site)
    ada = site.people["ada"]
    for private in (PROMPT, "secret", ada.id, ada.name, ada.email or "ada@", "hub.test/~ada"):
        for written in (private.encode(), private.encode("utf-16-le"), base64.b64encode(private.encode())[:-4]):
            assert written not in content or len(written) < 4, private


async def test_what_is_not_public_is_not_named(site: Site) -> None:
    repo = await site.model("hidden", stage=Stage.INTERNAL)
    site.worker(StubWorker())
    grace = await site.as_("grace")
    answer = await grace.post("/lab/hidden/playground", data={"prompt": PROMPT, "steps": "5", "seed": "7"})
    page = (await grace.get(answer.headers["location"])).text
    address = re.search(r'src="(/generations/[^"]+\.png)"', page)
    assert address is not None, words(page)
    content = (await grace.get(address[1])).content
    for name in ("hidden", repo.id):
        assert name.encode() not in content
    found = await ask(site, content)
    assert (found["record"]["state"], found["record"]["details"]["model"]) == ("exact", None)
    assert found["record"]["details"]["commit"] is None
    sent = {FIELD: ("a.png", content, "image/png")}
    said = words((await site.browser().post("/verify", files=sent)).text)
    assert "Model Not public" in said
    assert "hidden" not in said


async def test_an_image_that_cannot_be_signed_is_not_given_out(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker(StubWorker())

    def broken(*_: Any) -> bytes:
        raise RuntimeError("the key is gone")

    monkeypatch.setattr("gatekeeper.provenance.notary.ManifestWriter.write", broken)
    http = await program(site)
    answer = await http.post(f"/models{MODEL}", json={"inputs": PROMPT})
    assert answer.status_code == 503
    assert "could not be marked and signed" in answer.json()["error"]
    assert not list(site.gatekeeper.images.root.glob("*"))
    [made] = (await http.get("/api/generations")).json()
    assert (made["status"], made["code"], made["images"]) == ("failed", "not_certified", [])


async def test_a_copy_without_metadata_is_found_by_its_mark(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    content = await image_of(site)
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, "JPEG", quality=80)
    found = await ask(site, file.getvalue())
    assert [found[way]["state"] for way in ("signature", "watermark", "record")] == ["missing", "found", "found"]
    assert found["record"]["details"]["image_sha256"] == sha256_hex(content)


async def test_an_image_from_elsewhere_is_nothing_of_ours(site: Site) -> None:
    found = await ask(site, png(texture(64)))
    assert [found[way]["state"] for way in ("signature", "watermark", "record")] == ["missing", "not_found", "none"]
    assert all(found[way]["proves"] and found[way]["does_not_prove"] for way in ("signature", "watermark", "record"))


async def test_of_certificates_that_have_ended_only_our_records_tell_which_were_ours(
    site: Site, model: Repo, tmp_path: Path
) -> None:
    site.worker(StubWorker())
    facts = (await ask(site, await image_of(site)))["signature"]["facts"]
    ours = Credential.parse((site.gatekeeper.settings.keys_dir / "provenance" / "authority.pem").read_bytes())
    forger = make_authority("hub.test", valid=timedelta(days=900))
    serial = site.gatekeeper.notary.authority.credential.leaf.serial_number  # in every image, for everybody to read
    genuine, forged = ended([ours, forger], serial=serial, facts=facts)

    async with site.gatekeeper.db.write() as session:
        record = await provenance.find_record(session, facts["record"])
        assert record is not None
        record.image_sha256 = sha256_hex(genuine)
    told = await ask(site, genuine)
    assert (told["signature"]["state"], told["record"]["state"]) == ("expired", "exact")
    assert told["signature"]["facts"] == facts

    refused = await ask(site, forged)
    assert (refused["signature"]["state"], refused["signature"]["facts"]) == ("invalid", {})
    assert (refused["record"]["state"], refused["record"]["details"]) == ("none", None)
    file = tmp_path / "forged.png"
    file.write_bytes(forged)
    env = {"GATEKEEPER_DATA_DIR": str(site.gatekeeper.settings.data_dir)}
    result = await to_thread.run_sync(lambda: CliRunner().invoke(main, ["verify", str(file)], env=env))
    assert (result.exit_code, "Nothing shows" in result.output) == (1, True), result.output


async def test_the_page_needs_neither_account_nor_script(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    content = await image_of(site)
    browser = site.browser()
    page = await browser.get("/verify")
    assert 'enctype="multipart/form-data"' in page.text
    answer = await browser.post("/verify", files={FIELD: ("<b>.png", content, "text/html")})
    said = words(answer.text)
    assert "Signed by this hub, and unchanged since." in said
    assert "bit for bit, what this hub gave out" in said
    assert said.count("What it proves:") == said.count("What it does not prove:") == 3
    assert site.people["ada"].id not in answer.text


@pytest.mark.parametrize("path", ["/verify", "/api/verify"])
async def test_what_is_no_image_or_too_large_is_refused_with_a_reason(site: Site, path: str) -> None:
    browser = site.browser()
    sent: list[tuple[dict[str, Any], int, str]] = [
        ({"content": b"no image"}, 422, "not an image"),
        ({"content": b""}, 422, "not an image"),
        ({"files": {"other": ("a.png", b"x", "image/png")}}, 422, "No file was sent"),
        ({"files": {FIELD: ("a.png", b"x", "image/png"), "b": ("b.png", b"x", "image/png")}}, 422, "No file was sent"),
        ({"data": {FIELD: "text"}, "files": {"x": ("", b"", "")}}, 422, "No file was sent"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "No file was sent"),
        ({"content": b"\0" * (2**24 + 2**16 + 1)}, 413, "larger than"),
        ({"content": b"\0" * (2**24 + 1)}, 413, "up to 16 MiB"),
    ]
    for request, status, sentence in sent:
        answer = await browser.post(path, **request)
        assert (answer.status_code, sentence in words(answer.text)) == (status, True), words(answer.text)


async def test_the_authority_s_certificate_is_public_and_its_key_is_not(site: Site) -> None:
    answer = await site.browser().get("/.well-known/provenance-ca.pem")
    [certificate] = x509.load_pem_x509_certificates(answer.content)
    assert certificate == site.gatekeeper.notary.authority.credential.chain[-1]
    assert b"PRIVATE" not in answer.content
