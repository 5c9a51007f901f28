"""Connections go where the network says, and the requests on them look as if they went to the real host."""

import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.rest import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from rotator.clients.network import Address, Network
from rotator.model.errors import Fenced
from tests.unit.wireserver import ShownClock, Wire, serving

SECOND = timedelta(seconds=1)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with serving(tmp_path) as running:
        yield running


def network(wire: Wire, **resolve: str) -> Network:
    return Network(resolve=resolve or {"*": wire.address}, ca_file=wire.ca_file)


def shut(method: str) -> None:
    if method != "GET":
        raise Fenced


def test_a_shut_fence_ends_a_request_before_it_is_on_the_wire_and_after_it_could_connect(wire: Wire) -> None:
    """Through both kinds of transport, on a new connection and on one that is open; it comes as what it is, no failed request."""
    fenced = Network(resolve={"*": wire.address}, ca_file=wire.ca_file, fence=shut)
    azure = fenced.azure_transport(ShownClock())
    with fenced.http_client(SECOND) as client, azure:
        ways: tuple[Callable[[str], object], ...] = (
            lambda method: client.request(method, "https://demo.azurecr.io/"),
            lambda method: azure.send(HttpRequest(method, "https://demo.vault.azure.net/")),
        )
        for method in ("PUT", "GET", "POST", "PATCH", "DELETE", "GET"):
            for send in ways:
                with pytest.raises(Fenced) if method != "GET" else nullcontext():
                    send(method)
    assert {one.method for one in wire.seen} == {"GET"}
    assert len(wire.seen) == 4
    assert wire.connections >= 2


@pytest.mark.parametrize(
    ("resolve", "host", "expected"),
    [
        pytest.param({}, "a.azurecr.io", None, id="nothing is configured"),
        pytest.param({"*": "10.0.0.1:8443"}, "a.azurecr.io", Address(host="10.0.0.1", port=8443), id="a star takes every name"),
        pytest.param({"*.azurecr.io": "10.0.0.1"}, "a.azurecr.io", Address(host="10.0.0.1", port=None), id="the port may stay"),
        pytest.param({"*.azurecr.io": "10.0.0.1"}, "a.azurecr.io.evil.example", None, id="a glob ends where it ends"),
        pytest.param(
            {"*": "10.0.0.1", "*.azurecr.io": "10.0.0.2", "a.azurecr.io": "10.0.0.3"},
            "A.azurecr.io",
            Address(host="10.0.0.3", port=None),
            id="the exact name wins, in any case",
        ),
        pytest.param(
            {"*": "10.0.0.1", "*.azurecr.io": "10.0.0.2"},
            "b.azurecr.io",
            Address(host="10.0.0.2", port=None),
            id="the longer glob wins",
        ),
        pytest.param({"*": "10.0.0.1:8443"}, "127.0.0.1", None, id="an address needs no resolving"),
        pytest.param({"*": "10.0.0.1:8443"}, "::1", None, id="nor does an IPv6 address"),
        pytest.param({"127.0.0.1": "10.0.0.1"}, "127.0.0.1", Address(host="10.0.0.1", port=None), id="unless it is named"),
        pytest.param({"a.example": "[fd00::1]:8443"}, "a.example", Address(host="fd00::1", port=8443), id="IPv6 targets"),
    ],
)
def test_where_a_host_leads(resolve: dict[str, str], host: str, expected: Address | None) -> None:
    assert Network(resolve=resolve).address_of(host) == expected


@given(host=st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,10}){0,3}", fullmatch=True))
def test_an_exact_entry_always_wins_over_a_glob(host: str) -> None:
    assert Network(resolve={"*": "10.0.0.1", host: "10.0.0.2"}).address_of(host) == Address(host="10.0.0.2", port=None)


def test_httpx_keeps_the_real_host_in_url_header_and_server_name(wire: Wire) -> None:
    with network(wire).http_client(SECOND) as client:
        answer = client.get("https://demo.azurecr.io/v2/")
    assert str(answer.request.url) == "https://demo.azurecr.io/v2/"
    assert (wire.seen[0].host, wire.seen[0].server_name) == ("demo.azurecr.io", "demo.azurecr.io")


def test_httpx_checks_the_certificate_against_the_real_host(wire: Wire) -> None:
    with network(wire).http_client(SECOND) as client, pytest.raises(httpx.ConnectError):
        client.get("https://not-in-the-certificate.azurecr.io/")
    assert wire.seen == []


def test_httpx_never_shares_a_connection_between_hosts(wire: Wire) -> None:
    with network(wire).http_client(SECOND) as client:
        for host in ("demo.azurecr.io", "other.azurecr.io", "demo.azurecr.io"):
            client.get(f"https://{host}/")
    assert [one.server_name for one in wire.seen] == ["demo.azurecr.io", "other.azurecr.io", "demo.azurecr.io"]
    assert wire.connections == 2


def test_azure_transport_keeps_the_real_host_and_reuses_connections(wire: Wire) -> None:
    transport = network(wire).azure_transport(ShownClock())
    for _ in range(3):
        transport.send(HttpRequest("GET", "https://demo.vault.azure.net/secrets"))
    assert {(one.host, one.server_name) for one in wire.seen} == {("demo.vault.azure.net", "demo.vault.azure.net")}
    assert wire.connections == 1


def test_azure_transport_keeps_no_cookies(wire: Wire) -> None:
    transport = network(wire).azure_transport(ShownClock())
    wire.answer(set_cookie="affinity=1")
    for _ in range(2):
        transport.send(HttpRequest("GET", "https://management.azure.com/"))
    assert [one.cookie for one in wire.seen] == [None, None]


def test_azure_transport_reads_no_netrc(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine management.azure.com login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    transport = network(wire).azure_transport(ShownClock())
    request = HttpRequest("GET", "https://management.azure.com/", headers={"Authorization": "Bearer ours"})
    transport.send(request)
    assert wire.seen[0].authorization == "Bearer ours"


def test_azure_transport_waits_on_our_clock() -> None:
    clock = ShownClock()
    Network().azure_transport(clock).sleep(90)
    assert clock.slept == [timedelta(seconds=90)]


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "resolve"),
    [
        pytest.param("https://demo.azurecr.io/", "closed", id="nobody listens there"),
        pytest.param("https://not-in-the-certificate.example/", "wire", id="the certificate is for somebody else"),
    ],
)
def test_a_connection_that_fails_proves_that_nothing_was_sent(wire: Wire, url: str, resolve: str) -> None:
    address = wire.address if resolve == "wire" else f"127.0.0.1:{closed_port()}"
    transport = Network(resolve={"*": address}, ca_file=wire.ca_file).azure_transport(ShownClock())
    with pytest.raises(ServiceRequestError):
        transport.send(HttpRequest("POST", url, json={}))
    assert wire.seen == []


def test_an_untrusted_authority_proves_that_nothing_was_sent(wire: Wire) -> None:
    transport = Network(resolve={"*": wire.address}).azure_transport(ShownClock())
    with pytest.raises(ServiceRequestError, match="TLS: "):
        transport.send(HttpRequest("POST", "https://demo.azurecr.io/", json={}))


@pytest.mark.parametrize("how", ["lose", "truncate"])
def test_an_answer_that_breaks_off_is_a_response_error(wire: Wire, how: str) -> None:
    setattr(wire, how, True)
    transport = network(wire).azure_transport(ShownClock())
    with pytest.raises(AzureError) as raised:
        transport.send(HttpRequest("POST", "https://management.azure.com/", json={}))
    assert not isinstance(raised.value, ServiceRequestError)
    assert how == "truncate" or isinstance(raised.value, ServiceResponseError)
    assert len(wire.seen) == 1


def test_a_handshake_that_never_ends_proves_that_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        transport = Network(resolve={"*": address}).azure_transport(
            ShownClock(), connect=timedelta(seconds=0.2), read=timedelta(seconds=0.2)
        )
        with pytest.raises(ServiceRequestError):
            transport.send(HttpRequest("POST", "https://demo.azurecr.io/", json={}))


def test_every_request_is_reported_once(wire: Wire) -> None:
    seen: list[tuple[str, str, str]] = []

    def observe(service: str, operation: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        seen.append((service, operation, code))

    from rotator.clients.observed import naming

    wire.answer(429)
    transport = network(wire).azure_transport(ShownClock(), observe)
    with naming("arm", "list-groups"):
        transport.send(HttpRequest("GET", "https://management.azure.com/"))
        wire.lose = True
        with pytest.raises(ServiceResponseError):
            transport.send(HttpRequest("GET", "https://management.azure.com/"))
    wire.lose = False
    with network(wire).http_client(SECOND, observe) as client, naming("registry", "token"):
        client.get("https://demo.azurecr.io/")
        with pytest.raises(httpx.ConnectError):
            client.get("https://elsewhere.example/")
    assert seen == [
        ("arm", "list-groups", "429"),
        ("arm", "list-groups", "unanswered"),
        ("registry", "token", "200"),
        ("registry", "token", "unsent"),
    ]
