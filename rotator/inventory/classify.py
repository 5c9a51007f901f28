"""From a registry entry to the principal it authenticates as. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Registry
from rotator.model.group import Binding, Inline, VaultReference
from rotator.model.image import DOCKER_HUB, normal_server

# The user name of `az acr login --expose-token`: the password beside it is a refresh token that lives for three hours
# (MicrosoftDocs/azure-docs#65042 shows what a group that stores one comes to).
REFRESH_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a user name
ENTRA = "entra"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# GitLab names a deploy token so unless it is given a name of its own (docs.gitlab.com/user/project/deploy_tokens).
_DEPLOY_TOKEN = re.compile(r"gitlab\+deploy-token-\d+")
_ECR = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHosts:
    """Which hosts belong to which service, beyond what the hosts' names tell.

    An Azure registry is recognised by its resource first and by `acr_suffixes` only when it was not read. `gitlab` and `quay`
    take the hosts of self-managed installations, `docker_organizations` names in lower case.
    `quay_pairs` maps host and robot to the first of its pair, after which the pair is called.
    """

    acr_suffixes: tuple[str, ...] = (".azurecr.io", ".azurecr.cn", ".azurecr.us")
    gitlab: tuple[str, ...] = ()
    quay: tuple[str, ...] = ()
    docker_organizations: tuple[str, ...] = ()
    quay_pairs: Mapping[tuple[str, str], str] = field(default_factory=dict)


DEFAULT_HOSTS = KnownHosts()


def classify(binding: Binding, registries: Mapping[str, Registry], hosts: KnownHosts = DEFAULT_HOSTS) -> Principal | None:
    """Return whom `binding` authenticates as, or None when it presents no user name.

    `registries` maps login servers in lower case to registries. A login server is looked up there and never made from a
    registry's name, because newer registries are called `name-hash.azurecr.io`.
    """
    if not isinstance(binding.source, Inline | VaultReference):
        return None
    user = binding.source.username.strip()
    host = normal_server(binding.registry)
    if not user:
        return None
    elsewhere = _elsewhere(host, user, hosts)
    if elsewhere is not None:
        return elsewhere
    registry = registries.get(host)
    resource_id = registry.id.text if registry else ""
    if user == REFRESH_TOKEN_USER:
        return Principal(kind=PrincipalKind.ACR_REFRESH_TOKEN, registry=host, name=user, resource_id=resource_id)
    if _GUID.fullmatch(user.lower()):
        # A service principal is managed in the directory and may be known to several registries: one principal for all.
        return Principal(kind=PrincipalKind.ENTRA_APP, registry=ENTRA, name=user.lower())
    if registry is None and not is_azure_registry(host, registries, hosts):
        return Principal(kind=PrincipalKind.OTHER, registry=host, name=user)
    admin = registry.name.lower() if registry else _admin_of(host)
    if user.lower() == admin:
        return Principal(kind=PrincipalKind.ACR_ADMIN, registry=host, name=admin, resource_id=resource_id)
    return Principal(kind=PrincipalKind.ACR_TOKEN, registry=host, name=user, resource_id=resource_id)


def is_azure_registry(host: str, registries: Mapping[str, Registry], hosts: KnownHosts = DEFAULT_HOSTS) -> bool:
    """Say whether a normalised host is an Azure container registry, known or recognised by its suffix."""
    return host in registries or host.endswith(tuple(suffix.lower() for suffix in hosts.acr_suffixes))


def _elsewhere(host: str, user: str, hosts: KnownHosts) -> Principal | None:
    """Return the principal of a service other than Azure's whose host is known."""
    if _ECR.fullmatch(host):
        # ECR takes no other user name (docs.aws.amazon.com/AmazonECR: registry_auth).
        return Principal(kind=PrincipalKind.ECR, registry=host, name="AWS")
    if host == DOCKER_HUB:
        # An organisation's token is presented under the organisation's name, which looks like anybody's.
        organization = user.lower() in hosts.docker_organizations
        kind = PrincipalKind.DOCKER_HUB_ORG if organization else PrincipalKind.DOCKER_HUB
    elif host == "ghcr.io":
        kind = PrincipalKind.GHCR
    elif host in _normal(("registry.gitlab.com", *hosts.gitlab)):
        kind = PrincipalKind.GITLAB_DEPLOY_TOKEN if _DEPLOY_TOKEN.fullmatch(user) else PrincipalKind.GITLAB
    elif host in _normal(("quay.io", *hosts.quay)):
        pair = hosts.quay_pairs.get((host, user))
        if pair is not None:
            return Principal(kind=PrincipalKind.QUAY_PAIR, registry=host, name=pair)
        kind = PrincipalKind.QUAY
    else:
        return None
    return Principal(kind=kind, registry=host, name=user)


def _normal(hosts: tuple[str, ...]) -> set[str]:
    return {normal_server(host) for host in hosts}


def _admin_of(host: str) -> str:
    # Registry names are letters and digits only, so what follows a hyphen is the hash that Azure added to the login server.
    return host.split(".", 1)[0].partition("-")[0]
