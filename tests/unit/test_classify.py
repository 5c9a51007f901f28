import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.inventory.classify import KnownHosts, classify
from rotator.model.credential import Principal
from rotator.model.group import Absent, Inline, ManagedIdentity, Source, VaultReference
from tests.builders import APP_ID, ECR_SERVER, binding, registry, registry_id

KNOWN = {one.login_server: one for one in (registry("demo"), registry("hashed", login_server="hashed-c4e1a9.azurecr.io"))}
HOSTS = KnownHosts(gitlab=("git.example.com:5050",), quay=("quay.example.com",))

CASES: dict[str, tuple[str, Source, str | None]] = {
    "a user name is a repository token": ("demo.azurecr.io", Inline("pull"), "acr-token:demo.azurecr.io/pull"),
    "the registry's own name is its admin user": ("demo.azurecr.io", Inline("demo"), "acr-admin:demo.azurecr.io/demo"),
    "the admin user is known in any case": ("demo.azurecr.io", Inline("DEMO"), "acr-admin:demo.azurecr.io/demo"),
    "a login server with a hash belongs to the registry that says so": (
        "hashed-c4e1a9.azurecr.io",
        Inline("hashed"),
        "acr-admin:hashed-c4e1a9.azurecr.io/hashed",
    ),
    "an unread registry is recognised by its suffix": ("other.azurecr.io", Inline("ci"), "acr-token:other.azurecr.io/ci"),
    "an unread registry's admin user is recognised before the hash": (
        "other-9f8e.azurecr.cn",
        Inline("other"),
        "acr-admin:other-9f8e.azurecr.cn/other",
    ),
    "a server is compared without scheme and case": (
        "https://DEMO.azurecr.io/",
        Inline("pull"),
        "acr-token:demo.azurecr.io/pull",
    ),
    "an application's id is a service principal of the directory": (
        "demo.azurecr.io",
        Inline(APP_ID.upper()),
        f"entra-app:entra/{APP_ID}",
    ),
    "a service principal at a host of one's own": ("images.example.com", Inline(APP_ID), f"entra-app:entra/{APP_ID}"),
    "zeros are a refresh token": (
        "demo.azurecr.io",
        Inline("00000000-0000-0000-0000-000000000000"),
        "acr-refresh-token:demo.azurecr.io/00000000-0000-0000-0000-000000000000",
    ),
    "a vault reference authenticates like a password": (
        "demo.azurecr.io",
        VaultReference("pull", "https://v.vault.azure.net/secrets/pull", "id"),
        "acr-token:demo.azurecr.io/pull",
    ),
    "ECR knows one user": (ECR_SERVER, Inline("AWS"), f"ecr:{ECR_SERVER}/AWS"),
    "ECR in China": (
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
        Inline("AWS"),
        "ecr:123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/AWS",
    ),
    "a host that only ends like ECR is none": (
        "evil.dkr.ecr.eu-west-1.amazonaws.com.example.com",
        Inline("AWS"),
        "other:evil.dkr.ecr.eu-west-1.amazonaws.com.example.com/AWS",
    ),
    "Docker Hub by its short name": ("docker.io", Inline("builds"), "docker-hub:index.docker.io/builds"),
    "Docker Hub by its old address": ("https://index.docker.io/v1/", Inline("builds"), "docker-hub:index.docker.io/builds"),
    "GitHub": ("ghcr.io", Inline("octo"), "ghcr:ghcr.io/octo"),
    "GitLab's own service": (
        "registry.gitlab.com",
        Inline("gitlab+deploy-token-7"),
        "gitlab-deploy-token:registry.gitlab.com/gitlab+deploy-token-7",
    ),
    "GitLab on a host of one's own": ("git.example.com:5050", Inline("robot"), "gitlab:git.example.com:5050/robot"),
    "Quay's own service": ("quay.io", Inline("org+robot"), "quay:quay.io/org+robot"),
    "Quay on a host of one's own": ("quay.example.com", Inline("org+robot"), "quay:quay.example.com/org+robot"),
    "any other registry": ("harbor.example.com", Inline("robot$ci"), "other:harbor.example.com/robot$ci"),
    "a managed identity is no principal": ("demo.azurecr.io", ManagedIdentity("id", attached=True), None),
    "nothing is no principal": ("demo.azurecr.io", Absent(), None),
    "a missing user name tells nothing": ("demo.azurecr.io", Inline(" "), None),
}


@pytest.mark.parametrize(("server", "source", "expected"), CASES.values(), ids=CASES.keys())
def test_an_entry_is_classified(server: str, source: Source, expected: str | None) -> None:
    principal = classify(binding(source, registry=server), KNOWN, HOSTS)
    assert (principal.id if principal else None) == expected


@pytest.mark.parametrize("user", ["pull", "demo", "00000000-0000-0000-0000-000000000000"])
def test_what_lives_in_a_registry_points_at_its_resource(user: str) -> None:
    principal = classify(binding(Inline(user)), KNOWN)
    assert principal is not None
    assert principal.resource_id == registry_id().text


def test_suffixes_can_be_configured() -> None:
    entry = binding(Inline("pull"), registry="demo.azurecr.sovereign.example")
    principal = classify(entry, {}, KnownHosts(acr_suffixes=(".azurecr.sovereign.example",)))
    assert principal is not None
    assert principal.kind == "acr-token"


@given(host=st.text(max_size=40), user=st.text(max_size=40))
def test_any_text_is_classified_to_a_principal_that_its_id_gives_back(host: str, user: str) -> None:
    principal = classify(binding(Inline(user), registry=host, images=()), KNOWN, HOSTS)
    if principal is not None:
        assert Principal.parse(principal.id) == principal
