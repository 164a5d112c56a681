"""The main job, end to end, as people live it: applicant, maintainer and the public clients, on the bundled model."""

import io
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from huggingface_hub import HfApi, InferenceClient
from huggingface_hub.errors import BadRequestError, GatedRepoError, HfHubHTTPError
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Page, expect

from gatekeeper.cli.demo import NAME, NAMESPACE
from tests.journeys.conftest import ROOT, Demo

MODEL = f"{NAMESPACE}/{NAME}"
Visit = Callable[..., Page]
_INDIA = timezone(timedelta(hours=5, minutes=30))


def test_from_the_license_to_an_image_and_to_the_hold(demo: Demo, visit: Visit, tmp_path: Path) -> None:
    ada = visit("ada", java_script_enabled=False)  # the whole way in works without script
    maintainer = visit("maintainer")

    token = make_token(ada)
    api = HfApi(endpoint=demo.url, token=token)
    with pytest.raises(GatedRepoError, match="restricted"):
        api.auth_check(MODEL)
    client = InferenceClient(base_url=f"{demo.url}/models/{MODEL}", token=token)
    with pytest.raises(GatedRepoError):
        client.text_to_image("a red apple")

    accept_the_license(ada)
    client.text_to_image("a red apple", num_inference_steps=2)  # which nobody was asked for
    maintainer.goto("/admin/requests")
    expect(maintainer.locator("main a[href^='/admin/requests/']").get_by_text("ada", exact=True)).to_have_count(0)
    with pytest.raises(GatedRepoError, match="restricted"):
        api.auth_check(MODEL)

    ask_for_access(ada)
    ada.goto("/requests")
    expect(ada.get_by_text(MODEL).first).to_be_visible()
    approve(maintainer)

    api.auth_check(MODEL)
    picture = client.text_to_image("a red apple", seed=7, num_inference_steps=20)
    assert is_reddish(picture)
    again = client.text_to_image("a red apple", seed=7, num_inference_steps=20)
    assert differs_by(picture, again) < 6  # of 255 levels: nothing but the marks, which tell the two apart
    assert picture.tobytes() != again.tobytes()
    with pytest.raises(BadRequestError, match=r"(?i)bomb|weapon"):
        client.text_to_image("a bomb")

    folder = api.snapshot_download(MODEL, local_dir=tmp_path / "model")
    assert (Path(folder) / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size > 1_000_000
    loads_with_diffusers(demo, token, tmp_path)

    make_an_image(ada)
    receipt_verifies(visit(java_script_enabled=False), ada, tmp_path)
    times_are_the_readers(ada, visit("ada", timezone_id="Asia/Kolkata"))
    hold(maintainer)

    with pytest.raises(GatedRepoError, match=r"(?i)hold|held"):
        api.hf_hub_download(MODEL, "unet/diffusion_pytorch_model.safetensors", cache_dir=tmp_path / "fresh")
    with pytest.raises(HfHubHTTPError, match=r"(?i)hold|held"):
        client.text_to_image("a red apple")
    ada.goto(f"/{MODEL}")
    expect(ada.get_by_text("hold", exact=False).first).to_be_visible()

    lift_the_hold(maintainer)
    api.auth_check(MODEL)
    assert "Intact." in demo.command("ledger", "verify")
    log = demo.log.read_text().rpartition("(Ctrl-C stops it)")[2]  # what follows the greeting
    for secret in (token, demo.passwords["ada"], "red apple", "127.0.0.1"):
        assert secret not in log


def make_token(page: Page, role: str = "Read") -> str:
    page.goto("/settings/tokens")
    page.get_by_label("Label").fill(f"journey {secrets.token_hex(4)}")
    page.get_by_label(role, exact=True).check()
    page.get_by_role("button", name="Make the token").click()
    return page.locator("code.secret").inner_text().strip()


def accept_the_license(page: Page) -> None:
    page.goto(f"/{MODEL}")
    page.get_by_role("link", name="Files").first.wait_for()
    page.goto(f"/{MODEL}/access")
    fill_and_send(page)
    expect(page.get_by_role("link", name="Open the playground")).to_be_visible()


def ask_for_access(page: Page) -> None:
    page.goto(f"/{MODEL}/access")
    fill_and_send(page)
    expect(page.get_by_text("Your request", exact=False).first).to_be_visible()


def fill_and_send(page: Page) -> None:
    for box in page.locator("form input[type=checkbox]:visible").all():
        assert not box.is_checked(), "nothing may be ticked beforehand"
        box.check()
    for field in page.locator("form textarea:visible, form input[type=text]:visible").all():
        field.fill("I study how small models draw.")
    for choice in page.locator("form select:visible").all():
        choice.select_option(index=1)
    page.locator("main form button.button-main").click()
    page.wait_for_load_state()


def approve(page: Page) -> None:
    page.goto("/admin/requests")
    page.locator("main a[href^='/admin/requests/']").get_by_text("ada", exact=True).click()
    page.get_by_role("button", name="Approve ada").click()
    page.wait_for_load_state()


def make_an_image(page: Page) -> None:
    page.goto(f"/{MODEL}/playground")
    page.get_by_label("What should be in the picture?").fill("a red apple")
    page.get_by_role("button", name="Make the image").click()
    page.wait_for_url("**/generations/**")
    expect(page.locator("main img").first).to_be_visible()


def hold(page: Page) -> None:
    page.goto(f"/{MODEL}/releases")
    page.get_by_role("link", name="Hold").click()
    expect(page.get_by_role("heading", name="What this does, at once")).to_be_visible()
    page.get_by_label("Reason").fill("A report of harm is being looked into.")
    page.locator("main form button.button-stop").click()
    page.wait_for_load_state()


def lift_the_hold(page: Page) -> None:
    page.goto(f"/{MODEL}/releases")
    page.get_by_role("button", name="Lift the hold").click()
    page.wait_for_load_state()


def receipt_verifies(auditor: Page, page: Page, folder: Path) -> None:
    """Who was handed the file alone proves it with the hub's public key, without an account, a database or the hub."""
    page.goto("/receipts")
    page.locator("main a[href^='/receipts/']").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").first.click()
    file = folder / "receipt.json"
    download.value.save_as(file)
    auditor.goto("/transparency")
    auditor.get_by_role("link", name="key", exact=True).click()
    key = auditor.locator("body").inner_text().strip()
    assert re.search(r"Valid\. It is number \d+ of the log\.", verified(file, key).stdout)
    changed = json.loads(file.read_text())
    changed["statement"]["method"] = "terminal"
    file.write_text(json.dumps(changed))
    done = verified(file, key)
    assert done.returncode == 1
    assert "Not valid." in done.stdout


def verified(file: Path, key: str) -> subprocess.CompletedProcess[str]:
    """`gatekeeper receipt verify`, where nothing else of the hub is."""
    return subprocess.run(
        [sys.executable, "-m", "gatekeeper", "receipt", "verify", str(file), "--key", key],
        env={**os.environ, "GATEKEEPER_DATA_DIR": str(file.parent / "nothing")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def times_are_the_readers(plain: Page, page: Page) -> None:
    """Without script they are told in UTC; with it in the reader's zone, and UTC is in the title."""
    plain.goto("/receipts")
    receipt = plain.locator("main a[href^='/receipts/']:not([download])").first.get_attribute("href") or ""
    plain.goto(receipt)
    page.goto(receipt)
    told = plain.locator("main time").all()
    assert told
    for one, other in zip(told, page.locator("main time").all(), strict=True):
        at = datetime.fromisoformat(one.get_attribute("datetime") or "").astimezone(_INDIA)
        assert one.inner_text().endswith("UTC")
        assert other.inner_text() == f"{at:%-d %b %Y, %H:%M}".replace("Sep ", "Sept ")
        assert other.get_attribute("title") == one.inner_text()


def loads_with_diffusers(demo: Demo, token: str, folder: Path) -> None:
    code = (
        "import sys, torch; from diffusers import DiffusionPipeline; torch.set_num_threads(1)\n"
        f"pipe = DiffusionPipeline.from_pretrained({MODEL!r}, token={token!r}, use_safetensors=True)\n"
        "image = pipe('a red apple', num_inference_steps=4).images[0]; print(image.size)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": demo.url, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "(64, 64)" in done.stdout


def differs_by(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures in levels."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


def is_reddish(picture: Image.Image) -> bool:
    """Whether the middle of the picture is more red than green and blue."""
    small = picture.convert("RGB").resize((8, 8)).crop((2, 3, 6, 7))
    data = io.BytesIO(small.tobytes()).read()
    red, green, blue = (sum(data[channel::3]) for channel in range(3))
    return red > 1.3 * green and red > 1.3 * blue
