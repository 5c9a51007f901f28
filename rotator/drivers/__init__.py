"""One driver a credential kind, and the table of them all.

A new kind is a driver here, a cloud in the sandbox, and a line in each one's table; the contract tests run over this one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from rotator.clients.arm import Arm
from rotator.clients.aws import EcrLogins
from rotator.clients.gitlab import API as GITLAB
from rotator.clients.gitlab import GitLab, GitLabSite
from rotator.clients.graph import Graph
from rotator.clients.pulls import PullProbe
from rotator.clients.rest import Reach, Rest
from rotator.drivers.acr_admin import AcrAdmin
from rotator.drivers.acr_token import AcrToken
from rotator.drivers.docker_hub import DockerHubTokens, HubAccount
from rotator.drivers.ecr import EcrLease
from rotator.drivers.entra_app import EntraApp
from rotator.drivers.ghcr import Ghcr
from rotator.drivers.gitlab_deploy_token import GitLabDeployToken
from rotator.drivers.gitlab_token import GitLabToken
from rotator.drivers.managing import managing_secret
from rotator.drivers.other import Other
from rotator.drivers.quay import QuayHost, QuayRobots
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import ConfigError
from rotator.model.secret import Secret
from rotator.ports import Clock, Directory, DriverTable, PrincipalReader, RegistryDriver


def _no_vault(name: str) -> Secret:
    raise ConfigError(f"the vault's secret {name} is needed, and no vault is configured")


def _no_network(root: str, api: str) -> Rest:
    raise ConfigError(f"{api} at {root} is needed, and no network is configured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What drivers are built from. `logins` is None when AWS is not configured.

    `registry_id` finds an Azure registry by its login server, for principals read from a tag without their resource.
    `secret_of` reads a vault secret by its name: what other parties' services are asked with; `reach` makes their clients.
    `hub_accounts` are Docker IDs and organisations by name, `quays` installations of Quay by host. `held` reads the vault's
    current secret of a principal, None where there is none.
    """

    clock: Clock
    arm: Arm
    graph: Graph
    directory: Directory
    pulls: PullProbe
    logins: EcrLogins | None = None
    registry_id: Callable[[str], ArmId | None] = lambda _server: None
    secret_of: Callable[[str], Secret] = _no_vault
    reach: Reach = _no_network
    hub_accounts: Mapping[str, HubAccount] = field(default_factory=dict)
    quays: Mapping[str, QuayHost] = field(default_factory=dict)
    gitlab: tuple[GitLabSite, ...] = ()
    held: Callable[[Principal], Secret | None] = lambda _principal: None

    def gitlab_at(self, host: str) -> GitLab:
        """Return the client of the GitLab whose registry has this host; ConfigError, saying what to write, when none is known."""
        for site in self.gitlab:
            if site.host.lower() == host.lower():
                token = managing_secret(self.secret_of, site.secret, "registries.gitlab: secret")
                return GitLab(site, self.reach(site.api, GITLAB), token)
        raise ConfigError(
            f"nothing says how the tokens of {host} are managed",
            advice=f"Add registries.gitlab: [{{host: {host}, api: https://..., secret: <vault secret>, projects: [...]}}]",
        )


Build = Callable[[Dependencies], RegistryDriver]


def _quay(kind: PrincipalKind, needs: Dependencies) -> RegistryDriver:
    return QuayRobots(kind, needs.quays, needs.secret_of, needs.reach, needs.pulls, needs.clock)


def _docker_hub(kind: PrincipalKind, needs: Dependencies) -> RegistryDriver:
    return DockerHubTokens(kind, needs.hub_accounts, needs.secret_of, needs.reach, needs.pulls, needs.clock)


DRIVERS: Mapping[PrincipalKind, Build] = MappingProxyType(
    {
        PrincipalKind.ACR_TOKEN: lambda needs: AcrToken(needs.arm, needs.pulls, needs.clock, needs.registry_id),
        PrincipalKind.ENTRA_APP: lambda needs: EntraApp(needs.graph, needs.directory, needs.pulls, needs.clock),
        PrincipalKind.GITLAB: lambda needs: GitLabToken(needs.gitlab_at, needs.pulls, needs.clock),
        PrincipalKind.GITLAB_DEPLOY_TOKEN: lambda needs: GitLabDeployToken(needs.gitlab_at, needs.pulls, needs.clock),
        PrincipalKind.ECR: lambda needs: EcrLease(needs.logins, needs.pulls, needs.clock),
        PrincipalKind.DOCKER_HUB: partial(_docker_hub, PrincipalKind.DOCKER_HUB),
        PrincipalKind.DOCKER_HUB_ORG: partial(_docker_hub, PrincipalKind.DOCKER_HUB_ORG),
        PrincipalKind.ACR_ADMIN: lambda needs: AcrAdmin(needs.arm, needs.pulls, needs.clock, needs.registry_id),
        PrincipalKind.QUAY: partial(_quay, PrincipalKind.QUAY),
        PrincipalKind.QUAY_PAIR: partial(_quay, PrincipalKind.QUAY_PAIR),
        PrincipalKind.GHCR: lambda needs: Ghcr(needs.reach, needs.held, needs.pulls, needs.clock),
        PrincipalKind.OTHER: lambda needs: Other(needs.pulls, needs.clock),
    }
)


# Of these the inventory learns otherwise: Azure lists all tokens and applications, and Amazon lists no logins.
LISTED_ELSEWHERE = frozenset({PrincipalKind.ACR_TOKEN, PrincipalKind.ENTRA_APP, PrincipalKind.ECR})


def readers_of(drivers: DriverTable) -> Mapping[PrincipalKind, PrincipalReader]:
    """Return the drivers that an inventory must ask about each principal."""
    return {kind: driver for kind, driver in drivers.items() if kind not in LISTED_ELSEWHERE}


def build_drivers(needs: Dependencies) -> DriverTable:
    """Return a driver for every kind that this version can rotate."""
    return {kind: build(needs) for kind, build in DRIVERS.items()}
