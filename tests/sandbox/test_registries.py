"""Emulated registries: the management API through the real SDK, and the pull protocol as clients speak it."""

import base64
import json
from datetime import timedelta

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

from rotator.sandbox import FaultPlan, Sandbox
from rotator.sandbox.clouds.registries.images import parse_image
from rotator.sandbox.clouds.registries.passwords import draw
from rotator.sandbox.clouds.registries.pull import issue_refresh
from rotator.sandbox.clouds.registries.records import ZERO_GUID, PlainRegistry
from rotator.sandbox.estates.builder import ECR_SERVER, Builder
from rotator.sandbox.wire import Document
from tests.sandbox.conftest import Run
from tests.sandbox.owner import Owner, home, http_client, sdk_options

SERVER = "contosomain.azurecr.io"
Basic = tuple[str, str]


def pull(
    sandbox: Sandbox, auth: Basic | None, repository: str = "team/app", tag: str = "v1", host: str = SERVER
) -> httpx.Response:
    """Pull as the container platform does: challenge, token, manifest. The first refusal is returned."""
    client = http_client(sandbox)
    url = f"/v2/{repository}/manifests/{tag}"
    first = client.get(url, headers={"Host": host})
    challenge = first.headers["www-authenticate"]
    if challenge.startswith("Basic"):
        return client.get(url, headers={"Host": host}, auth=auth)
    parts = dict(part.split("=", 1) for part in challenge.removeprefix("Bearer ").replace('"', "").split(","))
    realm = httpx.URL(parts["realm"])
    query = {"service": parts["service"], "scope": parts.get("scope", "")}
    token = client.get(realm.path, params=query, headers={"Host": realm.host}, auth=auth)
    if token.status_code != 200:
        return token
    return client.get(url, headers={"Host": host, "Authorization": f"Bearer {token.json()['access_token']}"})


def admin(sandbox: Sandbox, slot: str = "password") -> Basic:
    current = sandbox.world.registries.servers[SERVER].admin[slot].current
    assert current is not None
    return "contosomain", current.value


def token(sandbox: Sandbox, name: str = "reader", **given: float | None) -> Basic:
    build = Builder(sandbox.world, "test")
    registry = sandbox.world.registries.servers[SERVER]
    made = build.token(registry, name, ("team/app",), age=given.get("age") or 1, expires=given.get("expires"), vault=False)
    return made.username, made.password


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errors"][0]["code"]


def test_the_real_sdk_makes_a_token_and_gives_it_passwords(run: Run) -> None:
    sandbox = run(manners="azure")
    client = ContainerRegistryManagementClient(**sdk_options(Owner(sandbox)))
    scope_map = client.scope_maps.begin_create(
        "rg-main", "contosomain", "app-map", {"properties": {"actions": ["repositories/team/app/content/read"]}}
    ).result(timeout=20)
    made = {"properties": {"scopeMapId": scope_map.id, "status": "enabled"}}
    poller = client.tokens.begin_create("rg-main", "contosomain", "app", made)
    asked = {"tokenId": f"{home(sandbox)}/providers/Microsoft.ContainerRegistry/registries/contosomain/tokens/app"}
    with pytest.raises(HttpResponseError, match="TokenNotActive"):
        client.registries.begin_generate_credentials("rg-main", "contosomain", asked)
    sandbox.world.clock.advance(10)
    assert poller.result(timeout=20).as_dict()["properties"]["provisioningState"] == "Succeeded"
    both = client.registries.begin_generate_credentials("rg-main", "contosomain", asked).result(timeout=20)
    first = {one.name or "": one.value for one in both.passwords or ()}
    assert sorted(first) == ["password1", "password2"]
    assert all(first.values())
    one = client.registries.begin_generate_credentials(
        "rg-main", "contosomain", {**asked, "name": "password2", "expiry": "2027-01-01T00:00:00Z"}
    ).result(timeout=20)
    second = {entry.name or "": entry.value for entry in one.passwords or ()}
    assert second["password1"] is None
    assert second["password2"] not in (None, first["password2"])
    shown = client.tokens.get("rg-main", "contosomain", "app").as_dict()["properties"]["credentials"]["passwords"]
    assert [sorted(entry) for entry in shown] == [["creationTime", "name"], ["creationTime", "expiry", "name"]]
    kept = {"properties": {"credentials": {"passwords": [{"name": "password2"}]}}}
    client.tokens.begin_update("rg-main", "contosomain", "app", kept).result(timeout=20)
    assert code(pull(sandbox, ("app", str(first["password1"])))) == (401, "UNAUTHORIZED")
    assert [registry.name for registry in client.registries.list()] == ["contosomain"]


def test_the_admin_user_has_two_passwords_that_are_replaced_one_at_a_time(quiet: Sandbox) -> None:
    client = ContainerRegistryManagementClient(**sdk_options(Owner(quiet)))
    before = client.registries.list_credentials("rg-main", "contosomain")
    after = client.registries.regenerate_credential("rg-main", "contosomain", {"name": "password2"})
    assert before.username == after.username == "contosomain"
    old, new = ({one.name: one.value for one in answer.passwords or ()} for answer in (before, after))
    assert old["password"] == new["password"]
    assert old["password2"] != new["password2"]
    client.registries.begin_update("rg-main", "contosomain", {"properties": {"adminUserEnabled": False}}).result()
    with pytest.raises(HttpResponseError, match="admin user is disabled"):
        client.registries.list_credentials("rg-main", "contosomain")
    assert code(pull(quiet, ("contosomain", str(new["password"])))) == (401, "UNAUTHORIZED")


def test_a_regenerated_password_reaches_the_replicas_one_after_the_other(run: Run) -> None:
    sandbox = run(manners="azure")
    old = admin(sandbox)
    sandbox.world.registries.issue_admin(sandbox.world.registries.servers[SERVER], "password")
    new, now = admin(sandbox), sandbox.world.now()
    accepts = sandbox.world.registries.accepts
    for seconds in range(0, 61, 5):
        at = now + timedelta(seconds=seconds)
        for replica, (was, will) in enumerate(
            zip(accepts(SERVER, *old, "", at).verdicts, accepts(SERVER, *new, "", at).verdicts, strict=True)
        ):
            assert {was, will} in ({"ok", "not-yet"}, {"invalid", "ok"}), f"replica {replica} after {seconds} s"
    assert not accepts(SERVER, *new, "", now).everywhere
    sandbox.world.clock.advance(61)
    assert pull(sandbox, new).status_code == 200
    assert code(pull(sandbox, old)) == (401, "UNAUTHORIZED")


def test_a_good_token_pulls_and_its_claims_say_so(quiet: Sandbox) -> None:
    user, password = token(quiet)
    answer = http_client(quiet).get(
        "/oauth2/token", params={"service": SERVER, "scope": "repository:team/app:pull"}, headers={"Host": SERVER},
        auth=(user, password),
    )  # fmt: skip
    claims = json.loads(base64.urlsafe_b64decode(answer.json()["access_token"].split(".")[1] + "=="))
    assert claims["access"] == [{"type": "repository", "name": "team/app", "actions": ["pull"]}]
    manifest = pull(quiet, (user, password))
    assert manifest.status_code == 200
    assert manifest.headers["docker-content-digest"].startswith("sha256:")
    head = http_client(quiet).request("HEAD", "/v2/team/app/manifests/v1", headers={"Host": SERVER}, auth=(user, password))
    assert (head.status_code, head.content) == (200, b"")


def test_refusals_of_the_pull_protocol(quiet: Sandbox) -> None:
    user, password = token(quiet)
    registry = quiet.world.registries.servers[SERVER]
    registry.repositories["secret/thing"] = {"v1"}
    assert code(pull(quiet, (user, "wrong"))) == (401, "UNAUTHORIZED")
    assert code(pull(quiet, None)) == (401, "UNAUTHORIZED")
    assert code(pull(quiet, (user, password), "secret/thing")) == (401, "DENIED")
    assert code(pull(quiet, (user, password), tag="v99")) == (404, "MANIFEST_UNKNOWN")
    registry.tokens["reader"].status = "disabled"
    assert code(pull(quiet, (user, password))) == (401, "UNAUTHORIZED")
    registry.properties["publicNetworkAccess"] = "Disabled"
    firewalled = http_client(quiet).get("/v2/", headers={"Host": SERVER})
    assert code(firewalled) == (403, "DENIED")
    assert "is not allowed access" in firewalled.text


def test_an_expired_password_and_an_expired_access_token_are_refused(quiet: Sandbox) -> None:
    user, password = token(quiet, expires=1)
    answer = http_client(quiet).get(
        "/oauth2/token", params={"service": SERVER, "scope": "repository:team/app:pull"}, headers={"Host": SERVER},
        auth=(user, password),
    )  # fmt: skip
    bearer = {"Host": SERVER, "Authorization": f"Bearer {answer.json()['access_token']}"}
    url = "/v2/team/app/manifests/v1"
    assert http_client(quiet).get(url, headers=bearer).status_code == 200
    quiet.world.clock.advance(76 * 60)
    assert code(http_client(quiet).get(url, headers=bearer)) == (401, "UNAUTHORIZED")
    assert pull(quiet, (user, password)).status_code == 200
    quiet.world.clock.advance(86400)
    assert code(pull(quiet, (user, password))) == (401, "UNAUTHORIZED")


def test_a_service_principal_pulls_by_its_role(quiet: Sandbox) -> None:
    registry = quiet.world.registries.servers[SERVER]
    secret = Builder(quiet.world, "test").app(registry, "sp", age=1, expires=30, vault=False)
    auth = (secret.username, secret.password)
    assert pull(quiet, auth).status_code == 200
    registry.properties["roleAssignmentMode"] = "AbacRepositoryPermissions"
    assert code(pull(quiet, auth)) == (401, "DENIED")


def test_a_refresh_token_works_for_three_hours(quiet: Sandbox) -> None:
    owner, registry = Owner(quiet), quiet.world.registries.servers[SERVER]
    exchanged = owner.http.post(
        "/oauth2/exchange", headers={"Host": SERVER},
        data={"grant_type": "access_token", "service": SERVER, "access_token": owner.token},
    )  # fmt: skip
    auth = (ZERO_GUID, exchanged.json()["refresh_token"])
    assert pull(quiet, auth).status_code == 200
    by_post = owner.http.post(
        "/oauth2/token", headers={"Host": SERVER},
        data={"grant_type": "refresh_token", "service": SERVER, "scope": "repository:team/app:pull", "refresh_token": auth[1]},
    )  # fmt: skip
    assert by_post.status_code == 200
    quiet.world.clock.advance(3 * 3600)
    assert code(pull(quiet, auth)) == (401, "UNAUTHORIZED")
    stale = issue_refresh(quiet.world, registry, owner.principal_id, "x", quiet.world.now() - timedelta(days=1))
    assert code(pull(quiet, (ZERO_GUID, stale))) == (401, "UNAUTHORIZED")


def test_ecr_speaks_basic_and_names_the_expired_token(quiet: Sandbox) -> None:
    build = Builder(quiet.world, "test")
    build.ecr(ECR_SERVER, ("analytics/scorer",))
    fresh, late = build.lease(ECR_SERVER, age_hours=1), build.lease(ECR_SERVER, age_hours=13)
    assert pull(quiet, ("AWS", fresh.password), "analytics/scorer", host=ECR_SERVER).status_code == 200
    refused = pull(quiet, ("AWS", late.password), "analytics/scorer", host=ECR_SERVER)
    assert code(refused) == (403, "DENIED")
    assert "authorization token has expired" in refused.text
    assert code(pull(quiet, ("AWS", "wrong"), "analytics/scorer", host=ECR_SERVER)) == (401, "UNAUTHORIZED")


PARTIES = {
    "docker.io": ("registry-1.docker.io", "https://auth.docker.io/token", "registry.docker.io", 401),
    "ghcr.io": ("ghcr.io", "https://ghcr.io/token", "ghcr.io", 403),
    "registry.gitlab.com": ("registry.gitlab.com", "https://gitlab.com/jwt/auth", "container_registry", 401),
    "quay.io": ("quay.io", "https://quay.io/v2/auth", "quay.io", 401),
}


@pytest.mark.parametrize("name", PARTIES)
def test_other_parties_have_a_token_server_of_their_own(quiet: Sandbox, name: str) -> None:
    host, realm, service, refused = PARTIES[name]
    build = Builder(quiet.world, "test")
    if name == "ghcr.io":
        made = build.github("bot", ("contoso/app",), age=1, expires=None, vault=False)
    else:
        made = build.plain(name, "bearer", {"bot": "the-password"}, ("contoso/app",), realm=realm, service=service)["bot"]
    auth = (made.username, made.password)
    assert pull(quiet, auth, "contoso/app", host=host).status_code == 200
    assert pull(quiet, ("bot", "wrong"), "contoso/app", host=host).status_code == refused


def test_a_plain_registry_speaks_basic(quiet: Sandbox) -> None:
    Builder(quiet.world, "test").plain("registry.contoso.dev", "basic", {"ci": "the-password"}, ("ops/cron",))
    assert pull(quiet, ("ci", "the-password"), "ops/cron", host="registry.contoso.dev").status_code == 200
    assert code(pull(quiet, ("ci", "wrong"), "ops/cron", host="registry.contoso.dev")) == (401, "UNAUTHORIZED")


IMAGES = {
    "nginx": ("docker.io", "library/nginx", "latest"),
    "nginx:1.27": ("docker.io", "library/nginx", "1.27"),
    "contoso/tool": ("docker.io", "contoso/tool", "latest"),
    "index.docker.io/contoso/tool:v1": ("docker.io", "contoso/tool", "v1"),
    "docker.io/nginx": ("docker.io", "library/nginx", "latest"),
    "Reg.azurecr.io/a/b/c:v1": ("reg.azurecr.io", "a/b/c", "v1"),
    "localhost:5000/a": ("localhost:5000", "a", "latest"),
    "reg.azurecr.io/a@sha256:00": ("reg.azurecr.io", "a", "sha256:00"),
    "reg.azurecr.io/a:v1@sha256:00": ("reg.azurecr.io", "a", "sha256:00"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_name_is_read_as_docker_reads_it(name: str) -> None:
    image = parse_image(name)
    assert (image.host, image.repository, image.reference) == IMAGES[name]


def test_passwords_have_the_lengths_of_real_ones(quiet: Sandbox) -> None:
    rng = quiet.world.rng
    assert [len(draw(rng, form)) for form in ("short", "middle", "long")] == [32, 52, 84]
    assert "+ACR" in draw(rng, "middle")
    assert "JQQJ99" in draw(rng, "long")
    assert "AZCR" in draw(rng, "long")


def test_a_login_server_is_not_derived_from_the_name(quiet: Sandbox) -> None:
    body: Document = {"location": "westeurope", "properties": {"autoGeneratedDomainNameLabelScope": "TenantReuse"}}
    path = f"{home(quiet)}/providers/Microsoft.ContainerRegistry/registries/contosolabel"
    made = Owner(quiet).call("PUT", path, body).json()
    assert made["properties"]["loginServer"].startswith("contosolabel-")


def test_hub_has_one_password_whatever_it_is_called(quiet: Sandbox) -> None:
    registry = PlainRegistry(host="index.docker.io", kind="bearer", service="registry.docker.io")
    quiet.world.registries.add_plain(registry)
    assert quiet.world.registries.plain["docker.io"] is registry


def test_an_injected_error_speaks_the_registrys_language(quiet: Sandbox) -> None:
    quiet.world.faults = FaultPlan.parse([{"on": "registry.*", "status": 429, "code": "TOOMANYREQUESTS", "retry_after": 7}])
    response = http_client(quiet).get("/v2/", headers={"Host": SERVER})
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
