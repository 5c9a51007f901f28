"""Pulling for real, from every registry that the demo estate knows."""

import pytest

from rotator.clients.pulls import PullProbe
from rotator.model.errors import NotFound, Throttled, Unavailable, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from tests.contract.groups.conftest import Cloud

MAIN = "contosoplatform.azurecr.io"


def stored_password(cloud: Cloud, group: str) -> tuple[ImageReference, str, Secret]:
    """What a group of the estate pulls with."""
    found = next(one for one in cloud.sandbox.world.groups.by_id.values() if one.name == group)
    inside = found.document["properties"]
    entry = inside["imageRegistryCredentials"][0]
    image = ImageReference.parse(inside["containers"][0]["properties"]["image"])
    return image, entry["username"], Secret(entry["password"])


@pytest.mark.parametrize(
    "group",
    ["web-frontend", "payments-billing", "scorer-fresh", "legacy-portal", "tools-toolbox", "tools-agent", "tools-runner",
     "tools-exporter", "tools-cron"],
)  # fmt: skip
def test_what_a_group_stores_can_pull_and_a_changed_one_cannot(cloud: Cloud, group: str) -> None:
    image, username, secret = stored_password(cloud, group)
    cloud.pulls.probe(image, username, secret)
    wrong = Secret(secret.reveal()[:-4] + "AAAA")
    with pytest.raises(VerificationFailed, match="does not accept the credential"):
        cloud.pulls.probe(image, username, wrong)


@pytest.mark.parametrize("group", ["payments-gateway", "payments-reports", "scorer-late"])
def test_an_expired_credential_is_not_accepted(cloud: Cloud, group: str) -> None:
    with pytest.raises(VerificationFailed):
        cloud.pulls.probe(*stored_password(cloud, group))


@pytest.mark.parametrize("group", ["web-frontend", "scorer-fresh", "tools-cron"])
def test_a_missing_image_is_not_found(cloud: Cloud, group: str) -> None:
    image, username, secret = stored_password(cloud, group)
    gone = ImageReference(server=image.server, repository=image.repository, reference="v99")
    with pytest.raises(NotFound, match="v99"):
        cloud.pulls.probe(gone, username, secret)


def test_a_firewall_is_told_from_a_wrong_credential(cloud: Cloud) -> None:
    image, username, secret = stored_password(cloud, "web-frontend")
    registry = next(one for one in cloud.sandbox.world.registries.acr.values() if one.login_server == MAIN)
    registry.properties["publicNetworkAccess"] = "Disabled"
    with pytest.raises(VerificationFailed, match="firewall"):
        cloud.pulls.probe(image, username, secret)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"on": "registry.acr.ping", "status": 503}, Unavailable, id="it is down"),
        pytest.param({"on": "registry.acr.token", "status": 500}, Unavailable, id="its token service is down"),
        pytest.param({"on": "registry.acr.manifest", "status": 502}, Unavailable, id="a gateway is down"),
        pytest.param({"on": "registry.acr.manifest", "status": 418}, Unavailable, id="it answers something odd"),
        pytest.param({"on": "registry.acr.token", "status": 429, "retry_after": 7}, Throttled, id="it throttles"),
        pytest.param({"on": "registry.acr.token", "drop_after": True}, Unavailable, id="its answer is lost"),
        pytest.param({"on": "registry.acr.token", "truncate": True}, Unavailable, id="its answer is cut off"),
    ],
)
def test_a_registry_that_cannot_answer_says_nothing_about_the_credential_when(
    cloud: Cloud, rule: dict[str, object], expected: type[Exception]
) -> None:
    image, username, secret = stored_password(cloud, "web-frontend")
    cloud.break_(**rule)
    with pytest.raises(expected) as caught:
        cloud.pulls.probe(image, username, secret)
    assert MAIN in str(caught.value)
    assert secret.reveal() not in f"{caught.value} {caught.value.__dict__}"
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after is not None


def test_each_probe_has_a_connection_of_its_own_and_is_counted(cloud: Cloud) -> None:
    seen: list[tuple[str, str, str]] = []
    probe = PullProbe(cloud.network, lambda service, operation, code, _seconds: seen.append((service, operation, code)))
    image, username, secret = stored_password(cloud, "web-frontend")
    probe.probe(image, username, secret)
    assert seen == [("registry", "pull", "401"), ("registry", "pull", "200"), ("registry", "pull", "200")]


def test_a_host_that_does_not_exist_is_unavailable() -> None:
    from rotator.clients.network import Network

    probe = PullProbe(Network(resolve={"*": "127.0.0.1:9"}))
    with pytest.raises(Unavailable, match="nothing was sent"):
        probe.probe(ImageReference.parse("nowhere.azurecr.io/app:1"), "u", Secret("p"))
