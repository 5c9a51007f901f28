"""One sandbox for each test module, and the product's real clients on the way to it.

The clients get what a deployment would give them: real host names, a route, a certificate authority, a managed identity and the
sandbox's clock. Only what a test plants or spoils goes through the sandbox's own doors.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from rotator.azure.identity import ClockedCredential, token_credential
from rotator.clients.arm import Arm
from rotator.clients.clock import SandboxClock
from rotator.clients.graph import Graph
from rotator.clients.network import Network
from rotator.sandbox import FaultPlan, Sandbox, SandboxOptions

AUTHORITY = "https://login.microsoftonline.com"
ARM = "https://management.azure.com"
GRAPH = "https://graph.microsoft.com"
LOGS = "https://api.loganalytics.io"


@dataclass
class Sight:
    """What the observers of all clients saw: (service, operation, code) for each request."""

    requests: list[tuple[str, str, str]]

    def observe(self, service: str, operation: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((service, operation, code))

    def codes(self, service: str, operation: str) -> list[str]:
        return [code for each, name, code in self.requests if (each, name) == (service, operation)]


@pytest.fixture(scope="module")
def estate() -> str:
    """The estate that the module's sandbox is seeded with; a module that wants another overrides this."""
    return "demo"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, estate: str) -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(directory=tmp_path_factory.mktemp("sandbox"), estate=estate)) as running:
        yield running


@pytest.fixture(scope="module")
def network(sandbox: Sandbox) -> Network:
    return Network(resolve={"*": sandbox.address}, ca_file=sandbox.ca_file)


@pytest.fixture(scope="module")
def clock(sandbox: Sandbox, network: Network) -> SandboxClock:
    return SandboxClock(sandbox.control_url, network)


@pytest.fixture
def sight() -> Sight:
    return Sight([])


@pytest.fixture(autouse=True)
def _whole(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start each test without faults, on a host that has the rotator's managed identity."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    sandbox.world.faults = FaultPlan()
    yield
    sandbox.world.faults = FaultPlan()


@pytest.fixture
def faults(network: Network, sandbox: Sandbox) -> Callable[..., None]:
    """Spoil requests: faults({"on": "vault.set", "nth": 1, "drop_after": True})."""

    def plan(*rules: dict[str, object]) -> None:
        with network.http_client(timedelta(seconds=10)) as client:
            client.post(f"{sandbox.control_url}/faults", content=json.dumps(rules)).raise_for_status()

    return plan


@pytest.fixture
def credential(sandbox: Sandbox, network: Network, clock: SandboxClock, sight: Sight) -> ClockedCredential:
    return token_credential(
        "managed-identity",
        tenant_id=sandbox.estate.tenant_id,
        client_id=sandbox.estate.client_id,
        clock=clock,
        network=network,
        authority=AUTHORITY,
        observe=sight.observe,
    )


@pytest.fixture
def arm(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> Arm:
    return Arm(credential, ARM, ARM, network, clock, sight.observe)


@pytest.fixture
def graph(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> Graph:
    return Graph(credential, GRAPH, network, clock, sight.observe)


@pytest.fixture
def nobody(sandbox: Sandbox, network: Network, clock: SandboxClock) -> ClockedCredential:
    """A credential of an identity without any right."""
    world = sandbox.world
    with world.lock:
        home = next(iter(world.arm.resource_groups.values()))
        stranger = world.arm.add_identity(home, f"id-stranger-{world.text(6).lower()}")
    return token_credential(
        "managed-identity",
        tenant_id=sandbox.estate.tenant_id,
        client_id=stranger.client_id,
        clock=clock,
        network=network,
        authority=AUTHORITY,
    )
