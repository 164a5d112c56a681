"""A job in continuous integration, with the unmodified client: no secret but its own identity, and an upload."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.wire.server import Hub
from tests.wire.serving import serving

KEY = ECKey.generate_key("P-256", {"kid": "one"})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub of its own, which may ask issuers on loopback."""
    with serving(tmp_path / "hub", issuer_allowed_networks="127.0.0.0/8") as server:
        yield server


@pytest.fixture
def issuer() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {"keys": [KEY.as_dict(private=False)]}
            document = {"issuer": url, "jwks_uri": f"{url}/jwks"}
            body = json.dumps(keys if self.path == "/jwks" else document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield url
    server.shutdown()
    server.server_close()
    thread.join()


def statement(hub: Hub, issuer: str, repository: str) -> str:
    at = int(time.time())
    claims = {"iss": issuer, "aud": hub.url, "sub": repository, "iat": at, "exp": at + 300, "jti": str(time.time_ns())}
    return jwt.encode({"alg": "ES256", "kid": "one"}, claims | {"repository": repository}, KEY)


def test_a_trusted_job_uploads_and_another_does_not(hub: Hub, issuer: str, run_client: Any) -> None:
    run_client("from huggingface_hub import HfApi\nanswer = str(HfApi().create_repo('ada/model'))", person="ada")
    with httpx2.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"accept": "text/html"}) as browser:
        assert (
            browser.post("/login", data={"name": "ada", "password": "correct horse battery staple"}).status_code == 303
        )
        sent = {
            "label": "ci",
            "issuer": issuer,
            "claims": "repository = lab/code",
            "scopes": ["read", "download", "write"],
        }
        assert browser.post("/admin/repositories/models/ada/model/jobs", data=sent).status_code == 303

    code = """
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.errors import HfHubHTTPError
        try:
            token = get_token()
            told = HfApi().whoami()
            HfApi().upload_file(path_or_fileobj=b'made by a job', path_in_repo='made.txt', repo_id='ada/model')
            answer = [token[:3], told['name'], told['auth']['accessToken']['role']]
        except HfHubHTTPError as error:
            answer = str(error)
    """
    job = {"HF_OIDC_RESOURCE": "ada/model", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"}
    trusted = job | {"HF_OIDC_ID_TOKEN": statement(hub, issuer, "lab/code")}
    assert run_client(code, person=None, env=trusted) == ["gk_", "ada", "fineGrained"]
    other = job | {"HF_OIDC_ID_TOKEN": statement(hub, issuer, "evil/code")}
    assert "No trusted job" in run_client(code, person=None, env=other)
