"""The product's adapters on a sandbox of their own, as the composition root would build them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotator.azure.containergroups import ContainerGroups
from rotator.azure.directory import EntraDirectory
from rotator.azure.groupclient import GroupClient
from rotator.azure.identity import ClockedCredential, token_credential
from rotator.azure.pacing import WritePacer
from rotator.azure.values import StoredValues
from rotator.azure.vault import KeyVault
from rotator.clients.arm import Arm
from rotator.clients.aws import EcrLogins, WebIdentityRole
from rotator.clients.clock import SandboxClock
from rotator.clients.graph import Graph
from rotator.clients.network import Network
from rotator.clients.pulls import PullProbe
from rotator.clients.rest import Rest
from rotator.drivers import Dependencies, build_drivers
from rotator.model.arm import ArmId
from rotator.model.group import ContainerGroup, WriteOnlyField
from rotator.model.secret import Secret
from rotator.ports import DriverTable
from rotator.sandbox import FaultPlan, Sandbox, SandboxOptions
from rotator.settings.registries import GitLabSettings, Registries
from rotator.wiring import hub_accounts, quays

ARM = "https://management.azure.com"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A running sandbox and everything that speaks to it."""

    sandbox: Sandbox
    clock: SandboxClock
    network: Network
    credential: ClockedCredential
    arm: Arm
    pulls: PullProbe
    vault: KeyVault
    groups: GroupClient
    platform: ContainerGroups
    values: StoredValues
    needs: Dependencies
    drivers: DriverTable

    def group(self, name: str) -> ContainerGroup:
        return self.platform.read(self.id_of(name))

    def id_of(self, name: str) -> ArmId:
        return next(ArmId(one.id) for one in self.sandbox.world.groups.by_id.values() if one.name == name)

    def missing(self, group: ContainerGroup) -> list[WriteOnlyField]:
        return [field for field in group.write_only if self.values.locate(group, field) is None]

    def break_(self, **rule: object) -> None:
        """Let one fault strike from now on."""
        self.sandbox.world.faults = FaultPlan.parse([rule])

    def requests(self, operation: str) -> int:
        return self.sandbox.world.requests.get(operation, 0)


@pytest.fixture(autouse=True)
def _whole() -> None:
    """Each test here has a world of its own, so the module's shared sandbox of the folder above is not started."""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cloud]]:
    running: list[Sandbox] = []

    def begin(estate: str = "demo", groups: int | None = None) -> Cloud:
        directory = tmp_path / f"sandbox-{len(running)}"
        sandbox = Sandbox(SandboxOptions(estate=estate, groups=groups, directory=directory)).start()
        running.append(sandbox)
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        return connect(sandbox)

    yield begin
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def cloud(start: Callable[..., Cloud]) -> Cloud:
    return start()


def connect(sandbox: Sandbox) -> Cloud:
    settings = sandbox.configuration
    network = Network(resolve=settings["network"]["resolve"], ca_file=sandbox.ca_file)
    clock = SandboxClock(sandbox.control_url, network)
    credential = token_credential(
        "managed-identity",
        tenant_id=settings["tenant_id"],
        client_id=settings["identity"]["client_id"],
        clock=clock,
        network=network,
        authority="https://login.microsoftonline.com",
    )
    arm = Arm(credential, ARM, ARM, network, clock)
    groups = GroupClient(credential, ARM, ARM, network, clock)
    graph = Graph(credential, "https://graph.microsoft.com", network, clock)
    pulls = PullProbe(network)
    vault = KeyVault(settings["vault"]["url"], credential, network, clock)
    roles = {
        one["registry"]: WebIdentityRole(role_arn=one["role_arn"], audience=one["audience"])
        for one in settings.get("aws", {}).get("roles", ())
    }
    logins = EcrLogins(
        clock,
        roles=roles,
        web_identity=lambda audience: Secret(credential.get_token(f"{audience}/.default").token),
        endpoint_url=f"https://{sandbox.address}",
        ca_file=sandbox.ca_file,
    )
    others = Registries.model_validate(settings.get("registries", {}))
    needs = Dependencies(
        clock=clock,
        arm=arm,
        graph=graph,
        directory=EntraDirectory(graph),
        pulls=pulls,
        logins=logins,
        secret_of=vault.read,
        reach=lambda root, api: Rest(root, api, network, clock),
        hub_accounts=hub_accounts(others),
        quays=quays(others),
        gitlab=tuple(GitLabSettings(**one).site() for one in settings.get("registries", {}).get("gitlab", ())),
    )
    return Cloud(
        sandbox=sandbox,
        clock=clock,
        network=network,
        credential=credential,
        arm=arm,
        pulls=pulls,
        vault=vault,
        groups=groups,
        platform=ContainerGroups(groups, arm, clock, WritePacer(clock)),
        values=StoredValues(vault, arm, subscriptions=settings["scope"]["subscriptions"]),
        needs=needs,
        drivers=build_drivers(needs),
    )
