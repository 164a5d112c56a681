"""Every denial code through the public client: what its user reads names the case and says what to do next."""

import httpx2
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
from huggingface_hub.utils import hf_raise_for_status

from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Code, Denied, Policies, decide
from gatekeeper.authz.decide import error_for
from gatekeeper.authz.resource import Target
from gatekeeper.errors import Gated
from gatekeeper.web.respond import error_json
from tests.gatekeeper.authz.builders import NOW
from tests.gatekeeper.authz.test_reasons import CASES


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies.load()


@pytest.mark.parametrize(
    ("code", "principal", "action", "resource"),
    [case[:4] for case in CASES],
    ids=[f"{case[0]}-{case[2]}-{number}" for number, case in enumerate(CASES)],
)
def test_the_public_client_shows_the_case_and_the_next_step(
    policies: Policies, code: Code, principal: Principal, action: Action, resource: Target
) -> None:
    denied = decide(policies, principal, action, resource, NOW)
    assert isinstance(denied, Denied)
    error = error_for(denied, principal, action)
    answer = error_json(error, has_credential=principal.is_signed_in)
    request = httpx2.Request("GET", "https://hub.example.org/acme/demo/resolve/main/w.bin")

    with pytest.raises(HfHubHTTPError) as caught:
        hf_raise_for_status(
            httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.body, request=request)
        )

    shown = str(caught.value)
    assert error.next_step in shown
    assert isinstance(caught.value, GatedRepoError) is isinstance(error, Gated)
    if not denied.hides:  # whoever may not know that it exists is told what everybody is told of nothing
        assert denied.reason in shown
        assert denied.next_step in shown
