"""Webhooks reach no private network, however their address is written and whatever a name server answers."""

import ipaddress

import pytest

from gatekeeper.errors import Invalid
from gatekeeper.notices import Rules, Sender
from gatekeeper.notices.targets import check_addresses, check_url, is_public
from tests.gatekeeper.notices.receiver import Receiver

pytestmark = pytest.mark.anyio
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::1", "2002:a00:1::", "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_open_internet_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_open_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/", "ftp://hooks.example.org/", "https://", "https:///x", "hooks.example.org",
        "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://10.0.0.1:443/",
        "https://user@hooks.example.org/", "https://hooks.example.org/#part", "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/", "https://hooks.example.org/a b", "https://hooks.example.org\\@10.0.0.1/",
        "https://h\u00f6oks.example.org/", "https://hooks.example.org/\r\nX-Evil: 1", "https://[::1/", "file:///etc/passwd",
        f"https://hooks.example.org/{'x' * 2000}",
    ],
)  # fmt: skip
def test_an_address_that_no_webhook_may_have_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_url(url, Rules())
    assert caught.value.next_step


def test_addresses_that_a_webhook_may_have() -> None:
    assert check_url("https://hooks.example.org/a?b=c", Rules())
    assert check_url("https://hooks.example.org:8443/", Rules())
    assert check_url("http://hooks.example.org/", Rules(is_http=True))
    assert check_url("http://10.1.2.3:9000/hook", Rules((ipaddress.ip_network("10.0.0.0/8"),)))
    with pytest.raises(Invalid):
        check_url("http://10.1.2.3:9000/hook", Rules((ipaddress.ip_network("10.9.0.0/16"),)))


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Exception, match="private network"):
        check_addresses(["8.8.8.8", "10.0.0.1"], "https", 443, Rules())


def test_an_allowed_network_lets_nothing_else_in() -> None:
    rules = Rules(LOOPBACK)
    assert check_addresses(["127.0.0.1"], "http", 9000, rules)
    assert check_addresses(["::ffff:127.0.0.1"], "http", 9000, rules)
    for addresses in (["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["8.8.8.8"], ["127.0.0.1", "8.8.8.8"]):
        with pytest.raises(Exception, match=r"private network|https only"):
            check_addresses(addresses, "http", 9000, rules)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"])
async def test_loopback_under_another_name_is_not_connected_to(receiver: Receiver, host: str) -> None:
    outcome = await Sender(Rules(is_http=True)).post(f"http://{host}:{receiver.port}/hook", {}, b"{}")
    assert not outcome.is_good
    assert outcome.error in (
        "The webhook's host leads into a private network.", "The webhook's host has no address."
    )  # fmt: skip
    assert receiver.got == []


async def test_a_name_server_that_changes_its_mind_leads_nowhere_else(receiver: Receiver) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) == 1 else ["127.0.0.1"]

    sender = Sender(Rules((ipaddress.ip_network("192.0.2.0/24"),)), resolve=rebinding, seconds=0.3)
    outcome = await sender.post(f"http://rebind.example.org:{receiver.port}/hook", {}, b"{}")
    assert not outcome.is_good
    assert asked == ["rebind.example.org"]  # once: what is connected to is what was checked
    assert receiver.got == []


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers, receiver.location = [302], "http://127.0.0.1:1/elsewhere"
    outcome = await Sender(Rules(LOOPBACK)).post(receiver.url, {}, b"{}")
    assert (outcome.status, outcome.is_good, outcome.error) == (302, False, "A redirect, which is not followed.")
    assert len(receiver.got) == 1


async def test_a_receiver_that_never_ends_is_left_early(receiver: Receiver) -> None:
    receiver.body = b"x" * 5_000_000
    outcome = await Sender(Rules(LOOPBACK)).post(receiver.url, {}, b"{}")
    assert outcome.is_good
    assert outcome.response_bytes < 1_000_000


async def test_a_closed_port_is_told_without_the_address() -> None:
    outcome = await Sender(Rules(LOOPBACK)).post("http://127.0.0.1:1/hook", {}, b"{}")
    assert (outcome.status, outcome.error) == (None, "The connection was refused.")
