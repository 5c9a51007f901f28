"""What is Docker Hub's own: the limit of an organisation's tokens, what a token may reach, and who may manage them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.drivers.docker_hub import MANAGEMENT_LABEL, DockerHubTokens, HubAccount
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import ConfigError, Denied, Held, Rejected, RemoteError, VerificationFailed
from rotator.model.image import ImageReference
from rotator.sandbox.clouds.dockerhub import HubAccount as EmulatedAccount
from rotator.sandbox.clouds.dockerhub import HubToken
from tests.contract.groups.conftest import Cloud

TTL = timedelta(days=90)
ID = Principal(kind=PrincipalKind.DOCKER_HUB, registry="index.docker.io", name="contoso")
ORG = Principal(kind=PrincipalKind.DOCKER_HUB_ORG, registry="index.docker.io", name="contosoinc")


def account_of(cloud: Cloud, principal: Principal) -> EmulatedAccount:
    return cloud.sandbox.world.hub.accounts[principal.name]


def fill(cloud: Cloud, count: int, label: str, *, active: bool = True, expired: bool = False) -> list[HubToken]:
    now, world = cloud.clock.now(), cloud.sandbox.world
    ends_at = now - timedelta(days=1) if expired else None
    with world.lock:
        made = [world.hub.issue(account_of(cloud, ORG), label, ("contosoinc/agent",), ends_at, now) for _ in range(count)]
        for one in made:
            one.active = active
    return made


def team(cloud: Cloud) -> None:
    account_of(cloud, ORG).plan = "team"


def driver_with(cloud: Cloud, account: HubAccount) -> DockerHubTokens:
    built = cloud.drivers[ORG.kind]
    assert isinstance(built, DockerHubTokens)
    return DockerHubTokens(ORG.kind, {ORG.name: account}, built._secret_of, built._reach, cloud.pulls, cloud.clock)


def test_expired_tokens_make_room_before_a_new_one_is_made(cloud: Cloud) -> None:
    team(cloud)
    fill(cloud, 9, "somebody's, long ended", expired=True)
    cloud.drivers[ORG.kind].issue(ORG, "rot-1a2b", TTL, "")
    assert sorted(one.label for one in account_of(cloud, ORG).tokens.values()) == ["aci", "rot-1a2b"]


def test_of_what_was_switched_off_only_our_own_is_deleted(cloud: Cloud) -> None:
    theirs, ours = fill(cloud, 1, "theirs", active=False), fill(cloud, 1, "rot-00ff", active=False)
    cloud.drivers[ORG.kind].issue(ORG, "rot-1a2b", TTL, "")
    left = account_of(cloud, ORG).tokens
    assert theirs[0].id in left
    assert ours[0].id not in left


def test_a_limit_that_others_have_reached_is_named_and_nobodys_live_token_is_deleted(cloud: Cloud) -> None:
    team(cloud)
    fill(cloud, 9, "theirs")
    with pytest.raises(Held, match=r"contosoinc has 10 tokens, and its plan allows 10 \(Team\)"):
        cloud.drivers[ORG.kind].issue(ORG, "rot-1a2b", TTL, "")
    assert len(account_of(cloud, ORG).tokens) == 10


def test_a_new_token_of_an_organisation_pulls_its_repositories_and_no_others(cloud: Cloud) -> None:
    driver = cloud.drivers[ORG.kind]
    made, secret = driver.issue(ORG, "rot-1a2b", TTL, "")
    cloud.clock.sleep(timedelta(seconds=5))
    driver.verify(made, secret, [ImageReference.parse("docker.io/contosoinc/agent:v1")])
    with pytest.raises(VerificationFailed, match="contoso/toolbox"):
        driver.verify(made, secret, [ImageReference.parse("docker.io/contoso/toolbox:v1")])


def test_without_repositories_a_new_token_reaches_what_the_last_one_did(cloud: Cloud) -> None:
    account = HubAccount(identifier="contosoinc-owner", secret_name="docker-hub-contosoinc-owner")
    driver = driver_with(cloud, account)
    driver.issue(ORG, "rot-1a2b", TTL, "")
    newest = max(account_of(cloud, ORG).tokens.values(), key=lambda one: one.created_at)
    assert newest.reach == ("contosoinc/agent",)
    account_of(cloud, ORG).tokens.clear()
    with pytest.raises(ConfigError, match="which repositories"):
        driver.issue(ORG, "rot-3c4d", TTL, "")


def test_the_token_that_manages_the_others_is_no_pull_credential(cloud: Cloud) -> None:
    before = cloud.drivers[ID.kind].inspect(ID)
    with cloud.sandbox.world.lock:
        account, now = account_of(cloud, ID), cloud.clock.now()
        cloud.sandbox.world.hub.issue(account, MANAGEMENT_LABEL, ("repo:admin",), None, now)
    assert cloud.drivers[ID.kind].inspect(ID) == before


def test_a_secret_that_is_not_in_the_vault_is_a_matter_of_configuration(cloud: Cloud) -> None:
    account = HubAccount(identifier="contosoinc-owner", secret_name="forgotten")
    with pytest.raises(ConfigError, match=r"registries\.docker_hub\.contosoinc\.secret names the vault's secret forgotten"):
        driver_with(cloud, account).inspect(ORG)


def test_who_is_no_owner_is_denied_and_told_what_is_missing(cloud: Cloud) -> None:
    account = HubAccount(identifier="contoso", secret_name="docker-hub-contoso")
    with pytest.raises(Denied, match="an owner of contosoinc"):
        driver_with(cloud, account).inspect(ORG)
    with pytest.raises(Denied, match="log in to Docker Hub"):
        driver_with(cloud, replace(account, secret_name="docker-hub-contosoinc-owner")).inspect(ORG)


def test_a_plan_that_allows_no_scoped_tokens_refuses_in_words(cloud: Cloud) -> None:
    account_of(cloud, ID).plan = "free"
    with pytest.raises((Denied, Rejected)) as caught:
        cloud.drivers[ID.kind].issue(ID, "rot-1a2b", TTL, "")
    assert isinstance(caught.value, RemoteError)
    assert caught.value.operation == "create-token"
