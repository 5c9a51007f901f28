"""What every driver promises, over the table of drivers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from rotator.drivers import DRIVERS, LISTED_ELSEWHERE, build_drivers
from rotator.drivers.ghcr import instant_of
from rotator.model.credential import (
    NAMED_SLOTS,
    Credential,
    Handle,
    Origin,
    Overlap,
    Principal,
    PrincipalKind,
    RetireMode,
    is_brought,
)
from rotator.model.errors import ConfigError, Held, Indeterminate, NotFound, Rejected, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import RegistryDriver, SecretExaminer
from rotator.sandbox.estates.builder import ECR_SERVER
from tests.contract.groups.conftest import Cloud

MARKER = "rot-1a2b3c"
TTL = timedelta(days=90)
NEVER_EMPTY = {PrincipalKind.ACR_ADMIN, PrincipalKind.QUAY, PrincipalKind.QUAY_PAIR}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A principal of the demo estate, an image that it may pull, and how to find what it pulls with now."""

    principal: Principal
    image: str
    free_slot: str = ""
    forbidden: str = ""


def subject(cloud: Cloud, kind: PrincipalKind) -> Subject:
    world = cloud.sandbox.world
    main = next(one for one in world.registries.acr.values() if one.name == "contosoplatform")
    if kind is PrincipalKind.ACR_TOKEN:
        token = Principal(kind=kind, registry=main.login_server, name="aci-web-pull", resource_id=main.id)
        return Subject(
            principal=token,
            image=f"{main.login_server}/platform/web:v1",
            free_slot="password2",
            forbidden=f"{main.login_server}/payments/ledger:v1",
        )
    if kind is PrincipalKind.ENTRA_APP:
        app = next(one for one in world.graph.applications() if one.display_name == "sp-aci-billing")
        return Subject(
            principal=Principal(kind=kind, registry="entra", name=app.app_id), image=f"{main.login_server}/payments/billing:v1"
        )
    if kind is PrincipalKind.DOCKER_HUB:
        return Subject(
            principal=Principal(kind=kind, registry="index.docker.io", name="contoso"), image="docker.io/contoso/toolbox:v1"
        )
    if kind is PrincipalKind.DOCKER_HUB_ORG:
        return Subject(
            principal=Principal(kind=kind, registry="index.docker.io", name="contosoinc"),
            image="docker.io/contosoinc/agent:v1",
            forbidden="docker.io/contoso/toolbox:v1",
        )
    if kind is PrincipalKind.ACR_ADMIN:
        legacy = next(one for one in world.registries.acr.values() if one.name == "contosolegacy")
        return Subject(
            principal=Principal(kind=kind, registry=legacy.login_server, name=legacy.name, resource_id=legacy.id),
            image=f"{legacy.login_server}/legacy/portal:v1",
            free_slot="password2",
        )
    if kind is PrincipalKind.QUAY_PAIR:
        pair = Principal(kind=kind, registry="quay.io", name="contoso+puller")
        return Subject(principal=pair, image="quay.io/contoso/exporter:v1", free_slot="contoso+puller_b")
    if kind is PrincipalKind.QUAY:
        return Subject(
            principal=Principal(kind=kind, registry="quay.io", name="contoso+mirror"), image="quay.io/contoso/mirror:v1"
        )
    if kind in {PrincipalKind.GITLAB, PrincipalKind.GITLAB_DEPLOY_TOKEN}:
        return gitlab_subject(cloud, kind)
    if kind is PrincipalKind.GHCR:
        return Subject(principal=Principal(kind=kind, registry="ghcr.io", name="contoso-bot"), image="ghcr.io/contoso/agent:v1")
    if kind is PrincipalKind.OTHER:
        host = "registry.contoso.dev"
        return Subject(principal=Principal(kind=kind, registry=host, name="ci"), image=f"{host}/ops/cron:v1")
    return Subject(principal=Principal(kind=kind, registry=ECR_SERVER, name="AWS"), image=f"{ECR_SERVER}/analytics/scorer:v1")


def gitlab_subject(cloud: Cloud, kind: PrincipalKind) -> Subject:
    gitlab = cloud.sandbox.world.gitlab
    wanted = "gitlab-deploy-token" if kind is PrincipalKind.GITLAB_DEPLOY_TOKEN else "gitlab-access-token"
    tokens = [one for one in gitlab.tokens.values() if one.kind == wanted and "read_registry" in one.scopes]
    token = tokens[0] if tokens else gitlab.add(wanted, "projects/1701", "puller", scopes=("read_registry",), username="puller")
    principal = Principal(kind=kind, registry="registry.gitlab.com", name=token.username)
    return Subject(principal=principal, image="registry.gitlab.com/contoso/tools/runner:v1")


def images(*texts: str) -> list[ImageReference]:
    return [ImageReference.parse(text) for text in texts]


def settle(cloud: Cloud, driver: RegistryDriver) -> None:
    cloud.clock.sleep(driver.traits.propagation + timedelta(seconds=5))


def works(driver: RegistryDriver, credential: Credential, secret: Secret, image: str) -> bool:
    """Whether the secret pulls at every replica: each probe may meet another one."""
    try:
        for _ in range(8):
            driver.verify(credential, secret, images(image))
    except VerificationFailed:
        return False
    return True


def made(cloud: Cloud, which: Subject, slot: str, marker: str = MARKER, ttl: timedelta = TTL) -> tuple[Credential, Secret]:
    """Make a secret: by the driver, or as a person does where nobody else can."""
    kind, world = which.principal.kind, cloud.sandbox.world
    driver = cloud.drivers[kind]
    if driver.traits.origin is Origin.SERVICE:
        return driver.issue(which.principal, marker, ttl, slot)
    with world.lock:
        if kind is PrincipalKind.GHCR:
            value = world.github.make(which.principal.name, expires_at=world.now() + ttl).value
        else:
            value = world.registries.add_password(which.principal.registry, which.principal.name).value
    if isinstance(driver, SecretExaminer):
        return driver.examine(which.principal, Secret(value)), Secret(value)
    return Credential(handle=Handle(principal=which.principal, id="brought@now"), username=which.principal.name), Secret(value)


kinds = pytest.mark.parametrize("kind", sorted(DRIVERS))


@kinds
def test_a_new_secret_works_beside_the_old_one_until_that_is_retired(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    assert driver.kind is kind
    first, old = made(cloud, which, which.free_slot, "rot-first")
    settle(cloud, driver)
    assert works(driver, first, old, which.image)

    other = next((one.handle.slot for one in driver.inspect(which.principal) if one.handle.slot != which.free_slot), "")
    second, new = made(cloud, which, other)
    settle(cloud, driver)
    assert new.reveal() != old.reveal()
    assert works(driver, second, new, which.image)
    assert works(driver, first, old, which.image) == (driver.traits.overlap is not Overlap.SINGLE)

    driver.retire(first.handle)
    driver.retire(first.handle)
    settle(cloud, driver)
    assert works(driver, second, new, which.image)
    assert works(driver, first, old, which.image) == (driver.traits.retire is not RetireMode.EXPLICIT)


@kinds
def test_a_slot_is_not_filled_after_the_instant_up_to_which_it_was_known_to_be_free(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    if driver.traits.overlap not in {Overlap.TWO_SLOTS, Overlap.SINGLE}:
        return  # making one more ends none
    listed = driver.inspect(which.principal)
    with pytest.raises(Held, match="too late"):
        driver.issue(which.principal, MARKER, TTL, which.free_slot, before=cloud.clock.now() - timedelta(seconds=1))
    assert driver.inspect(which.principal) == listed
    driver.issue(which.principal, MARKER, TTL, which.free_slot, before=cloud.clock.now() + timedelta(minutes=1))


@kinds
def test_the_configuration_knows_the_slots_of_every_kind_that_has_two(cloud: Cloud, kind: PrincipalKind) -> None:
    traits = cloud.drivers[kind].traits
    two = traits.overlap is Overlap.TWO_SLOTS
    assert NAMED_SLOTS.get(kind, ()) == (traits.slots if two else ())
    assert not two or traits.slots or kind is PrincipalKind.QUAY_PAIR, "rotator.settings asks for the slots of no other kind"


@kinds
def test_what_was_issued_is_what_inspect_lists(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    if driver.traits.origin is Origin.PERSON:
        with pytest.raises(Held, match="a person has to make its new secret"):
            driver.issue(which.principal, MARKER, TTL, which.free_slot)
        return
    before = {one.handle.id for one in driver.inspect(which.principal)}
    made, _ = driver.issue(which.principal, MARKER, TTL, which.free_slot)
    after = {one.handle.id: one for one in driver.inspect(which.principal)}

    if driver.traits.overlap is Overlap.LEASES:
        assert after == {}
        assert made.expires_at is not None
        assert driver.traits.lease_ttl is not None
        assert abs(made.expires_at - cloud.clock.now() - driver.traits.lease_ttl) < timedelta(minutes=5)
        return
    assert set(after) - before == {made.handle.id}
    assert not is_brought(made.handle.id), "the service would never be asked about it"
    listed = after[made.handle.id]
    assert (listed.username, listed.expires_at, listed.handle.slot) == (made.username, made.expires_at, which.free_slot)
    if driver.traits.ends:
        assert made.expires_at is not None
        # An access token of GitLab ends on a date.
        near = timedelta(days=1) if kind is PrincipalKind.GITLAB else timedelta(minutes=5)
        assert abs(made.expires_at - cloud.clock.now() - TTL) < near
    if driver.traits.overlap is Overlap.MANY:
        assert listed.handle.marker == MARKER
    driver.retire(made.handle)
    if kind in NEVER_EMPTY:
        # Where no place is ever empty, ending a secret puts another there, which nobody is told.
        assert made.handle.id not in {one.handle.id for one in driver.inspect(which.principal)}
    elif driver.traits.overlap is Overlap.SINGLE:
        with pytest.raises(NotFound):
            driver.inspect(which.principal)
    else:
        assert {one.handle.id for one in driver.inspect(which.principal)} == before


@kinds
def test_a_wrong_secret_is_refused_with_the_image_and_without_the_secret(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    wrong = Secret("wrong-horse-battery")
    made = Credential(handle=Handle(principal=which.principal, id="x"), username=which.principal.name)
    with pytest.raises(VerificationFailed) as caught:
        driver.verify(made, wrong, images(which.image))
    assert which.image in str(caught.value)
    assert "does not accept the credential" in str(caught.value)
    assert wrong.reveal() not in f"{caught.value} {caught.value.advice} {caught.value.__dict__}"


@kinds
def test_an_image_that_does_not_exist_is_not_found(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    credential, secret = made(cloud, which, which.free_slot)
    settle(cloud, driver)
    with pytest.raises(NotFound, match="v99"):
        driver.verify(credential, secret, images(which.image, which.image.replace(":v1", ":v99")))


def test_an_image_that_the_principal_may_not_read_is_named(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ACR_TOKEN], subject(cloud, PrincipalKind.ACR_TOKEN)
    made, secret = driver.issue(which.principal, MARKER, TTL, which.free_slot)
    settle(cloud, driver)
    with pytest.raises(VerificationFailed, match=r"does not let it pull .*/payments/ledger:v1"):
        driver.verify(made, secret, images(which.forbidden))


def test_filling_one_slot_leaves_the_other_alone(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ACR_TOKEN], subject(cloud, PrincipalKind.ACR_TOKEN)
    before = {one.handle.slot: one for one in driver.inspect(which.principal)}
    driver.issue(which.principal, MARKER, TTL, "password2")
    after = {one.handle.slot: one for one in driver.inspect(which.principal)}
    assert after["password1"] == before["password1"]
    assert set(after) == {"password1", "password2"}


def test_an_old_handle_does_not_end_what_came_into_its_slot_later(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ACR_TOKEN], subject(cloud, PrincipalKind.ACR_TOKEN)
    first, _ = driver.issue(which.principal, MARKER, TTL, "password2")
    settle(cloud, driver)
    second, secret = driver.issue(which.principal, MARKER, TTL, "password2")
    driver.retire(first.handle)
    settle(cloud, driver)
    assert works(driver, second, secret, which.image)


def test_a_slot_that_the_token_does_not_have_is_rejected_before_anything_is_sent(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ACR_TOKEN], subject(cloud, PrincipalKind.ACR_TOKEN)
    with pytest.raises(Rejected):
        driver.issue(which.principal, MARKER, TTL, "")
    assert cloud.requests("acr.generateCredentials") == 0


def test_a_token_that_has_just_been_created_is_waited_for(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ACR_TOKEN], subject(cloud, PrincipalKind.ACR_TOKEN)
    path = f"{which.principal.resource_id}/tokens/fresh"
    scope_map = f"{which.principal.resource_id}/scopeMaps/aci-web-pull-map"
    body = {"properties": {"scopeMapId": scope_map, "status": "enabled"}}
    cloud.sandbox.world.arm.assign(
        cloud.sandbox.estate.principal_id, "b24988ac-6180-42a0-ab88-20f7382dd24c", which.principal.resource_id
    )
    cloud.arm.send("PUT", path, "2025-11-01", body, service="container-registry", operation="create-token")
    fresh = Principal(
        kind=PrincipalKind.ACR_TOKEN, registry=which.principal.registry, name="fresh", resource_id=which.principal.resource_id
    )
    made, _ = driver.issue(fresh, MARKER, TTL, "password1")
    assert made.handle.slot == "password1"


LOST = {
    PrincipalKind.ACR_TOKEN: "acr.generateCredentials",
    PrincipalKind.ENTRA_APP: "graph.addPassword",
    PrincipalKind.GITLAB: "gitlab.tokens.rotate",
    PrincipalKind.GITLAB_DEPLOY_TOKEN: "gitlab.deploy-tokens.create",
}


@pytest.mark.parametrize("kind", sorted(LOST))
def test_a_lost_answer_to_issue_is_indeterminate_and_is_not_asked_again(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    cloud.break_(on=LOST[kind], drop_after=True)
    with pytest.raises(Indeterminate):
        driver.issue(which.principal, MARKER, TTL, which.free_slot)
    assert cloud.requests(LOST[kind]) == 1
    if driver.traits.overlap is Overlap.MANY:
        assert [one.handle.marker for one in driver.inspect(which.principal)].count(MARKER) == 1


ENDS = {
    PrincipalKind.ACR_TOKEN: "acr.tokens.patch",
    PrincipalKind.ENTRA_APP: "graph.removePassword",
    PrincipalKind.ACR_ADMIN: "acr.regenerateCredential",
    PrincipalKind.QUAY_PAIR: "quay.robots.regenerate",
    PrincipalKind.DOCKER_HUB: "hub.tokens.delete",
    PrincipalKind.DOCKER_HUB_ORG: "hub.tokens.delete",
    PrincipalKind.GITLAB_DEPLOY_TOKEN: "gitlab.deploy-tokens.delete",
}


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
@pytest.mark.parametrize("kind", sorted(ENDS))
def test_a_lost_answer_to_retire_is_looked_up(cloud: Cloud, kind: PrincipalKind, fault: str) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    made, _ = driver.issue(which.principal, MARKER, TTL, which.free_slot)
    cloud.break_(on=ENDS[kind], nth=1, **{fault: True})
    driver.retire(made.handle)
    assert made.handle.id not in {one.handle.id for one in driver.inspect(which.principal)}


def test_a_lost_answer_of_aws_is_asked_for_again(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.ECR], subject(cloud, PrincipalKind.ECR)
    cloud.break_(on="aws.call", every=2, drop_after=True)
    made, secret = driver.issue(which.principal, MARKER, None, "")
    assert works(driver, made, secret, which.image)


@kinds
def test_a_principal_that_is_gone(cloud: Cloud, kind: PrincipalKind) -> None:
    driver, which = cloud.drivers[kind], subject(cloud, kind)
    name = "00000000-0000-4000-8000-000000000001" if kind is PrincipalKind.ENTRA_APP else "nobody"
    gone = Principal(kind=kind, registry=which.principal.registry, name=name, resource_id=which.principal.resource_id)
    if not driver.traits.listed:
        assert driver.inspect(gone) == ()
        return
    if kind is PrincipalKind.ACR_ADMIN:
        return  # there is one as long as there is the registry
    if kind not in LISTED_ELSEWHERE and "gitlab" not in kind.value:
        with pytest.raises(ConfigError):
            driver.inspect(gone)  # whom nothing manages is unknown, and not gone
        return
    with pytest.raises(NotFound):
        driver.inspect(gone)
    slot = which.free_slot
    text = "projects/1701/1" if "gitlab" in kind.value else "application/k"
    driver.retire(Handle(principal=gone, id=f"{slot}@2026-01-01T00:00:00Z" if slot else text, slot=slot))


def test_a_service_principals_new_secret_goes_where_the_old_one_is(cloud: Cloud) -> None:
    driver = cloud.drivers[PrincipalKind.ENTRA_APP]
    for name, where in (("sp-aci-invoices", "servicePrincipal"), ("sp-aci-billing", "application")):
        app = next(one for one in cloud.sandbox.world.graph.applications() if one.display_name == name)
        principal = Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name=app.app_id)
        made, _ = driver.issue(principal, MARKER, TTL, "")
        assert made.handle.id.startswith(f"{where}/")


def test_a_rotation_whose_answer_was_lost_goes_on_from_the_successor_and_never_from_the_old_token(cloud: Cloud) -> None:
    driver, which = cloud.drivers[PrincipalKind.GITLAB], subject(cloud, PrincipalKind.GITLAB)
    [before] = driver.inspect(which.principal)
    cloud.break_(on="gitlab.tokens.rotate", nth=1, drop_after=True)
    with pytest.raises(Indeterminate):
        driver.issue(which.principal, MARKER, TTL, "")
    [lost] = driver.inspect(which.principal)
    assert lost.handle.id != before.handle.id
    made, secret = driver.issue(which.principal, MARKER, TTL, "")
    settle(cloud, driver)
    assert works(driver, made, secret, which.image)
    assert [one.handle.id for one in driver.inspect(which.principal)] == [made.handle.id]


def test_gitlab_ends_the_whole_family_of_a_token_that_is_rotated_twice(cloud: Cloud) -> None:
    which, gitlab = subject(cloud, PrincipalKind.GITLAB), cloud.sandbox.world.gitlab
    old = next(one for one in gitlab.tokens.values() if one.username == which.principal.name)
    ends = cloud.clock.now() + TTL
    new = gitlab.rotate(old, ends)
    assert new is not None
    assert gitlab.rotate(old, ends) is None
    assert new.revoked


def test_of_several_access_tokens_of_one_name_none_is_rotated(cloud: Cloud) -> None:
    which = subject(cloud, PrincipalKind.GITLAB)
    cloud.sandbox.world.gitlab.add(
        "gitlab-access-token", "projects/1701", "puller", scopes=("read_registry",), username=which.principal.name
    )
    with pytest.raises(Held, match="2 living access tokens"):
        cloud.drivers[PrincipalKind.GITLAB].issue(which.principal, MARKER, TTL, "")


@pytest.mark.parametrize("kind", [PrincipalKind.GITLAB, PrincipalKind.GITLAB_DEPLOY_TOKEN])
def test_a_gitlab_that_is_not_configured_says_what_to_write(cloud: Cloud, kind: PrincipalKind) -> None:
    from rotator.model.errors import ConfigError

    elsewhere = Principal(kind=kind, registry="git.example.com", name="puller")
    with pytest.raises(ConfigError, match=r"git\.example\.com") as caught:
        cloud.drivers[kind].inspect(elsewhere)
    assert "registries.gitlab" in caught.value.advice


@pytest.mark.parametrize("kind", [PrincipalKind.GITLAB, PrincipalKind.GITLAB_DEPLOY_TOKEN])
def test_without_its_managing_token_nothing_of_gitlab_looks_gone(cloud: Cloud, kind: PrincipalKind) -> None:
    which = subject(cloud, kind)
    made, _ = cloud.drivers[kind].issue(which.principal, MARKER, TTL, "")
    forgotten = tuple(replace(site, secret="forgotten") for site in cloud.needs.gitlab)
    driver = build_drivers(replace(cloud.needs, gitlab=forgotten))[kind]
    with pytest.raises(ConfigError, match=r"registries\.gitlab: secret names the vault's secret forgotten"):
        driver.inspect(which.principal)
    with pytest.raises(ConfigError):
        driver.retire(made.handle)


def test_without_aws_settings_ecr_says_what_to_configure(start: Callable[..., Cloud]) -> None:
    from rotator.drivers.ecr import EcrLease

    cloud = start()
    driver = EcrLease(None, cloud.pulls, cloud.clock)
    with pytest.raises(ConfigError, match="not configured"):
        driver.issue(subject(cloud, PrincipalKind.ECR).principal, MARKER, None, "")


PERSONS = Principal(kind=PrincipalKind.GHCR, registry="ghcr.io", name="contoso-bot")


def examiner(cloud: Cloud) -> SecretExaminer:
    driver = cloud.drivers[PrincipalKind.GHCR]
    assert isinstance(driver, SecretExaminer)
    return driver


def test_github_tells_the_end_and_a_fingerprint_names_the_token(cloud: Cloud) -> None:
    world = cloud.sandbox.world
    token = world.github.make("contoso-bot", expires_at=world.now() + timedelta(days=30))
    told = examiner(cloud).examine(PERSONS, Secret(token.value))
    assert token.expires_at is not None
    assert told.expires_at == token.expires_at.replace(microsecond=0)
    assert told.handle.id == Secret(token.value).fingerprint()
    assert token.value not in repr(told)


@pytest.mark.parametrize(
    ("scopes", "app", "said"),
    [
        (("repo", "gist"), False, "lacks the scope read:packages; it has gist, repo"),
        ((), False, "it has none at all"),
        (("read:packages",), True, "GitHub App's token"),
    ],
)
def test_a_github_token_that_could_not_pull_is_refused_with_the_reason(
    cloud: Cloud, scopes: tuple[str, ...], app: bool, said: str
) -> None:
    token = cloud.sandbox.world.github.make("contoso-bot", scopes=scopes, app=app)
    with pytest.raises(VerificationFailed, match=said) as caught:
        examiner(cloud).examine(PERSONS, Secret(token.value))
    assert token.value not in f"{caught.value} {caught.value.advice}"


def test_a_fine_grained_and_a_deleted_github_token_are_refused(cloud: Cloud) -> None:
    with pytest.raises(VerificationFailed, match="fine-grained"):
        examiner(cloud).examine(PERSONS, Secret("github_pat_11ABC"))
    token = cloud.sandbox.world.github.make("contoso-bot")
    cloud.sandbox.world.github.delete(token.value)
    with pytest.raises(VerificationFailed, match="mistyped, expired or deleted"):
        examiner(cloud).examine(PERSONS, Secret(token.value))


@pytest.mark.parametrize(
    ("text", "hour"), [("2027-10-12 09:00:00 UTC", 9), ("2027-10-12 09:00:00 +0200", 7), ("", None), ("soon", None)]
)
def test_both_ways_in_which_github_writes_an_end_are_read(text: str, hour: int | None) -> None:
    read = instant_of(text)
    assert (read.hour if read else None) == hour
