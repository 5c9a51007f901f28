"""What `rotator deploy` refuses: a wrong file, what would be lost, and what Azure says no to. Nothing is half done."""

from datetime import datetime

import pytest
import yaml

from rotator.sandbox.estates.ground import VAULT
from tests.e2e.desk import Desk
from tests.e2e.said import Said, new_group


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("password: ${vault:", "password: hunter2-${vault:", "in plain text"),
        ("secureValue: ${vault:", "value: ${vault:", "no secret belongs there"),
        ("imageRegistryCredentials", "imageRegistryCredential", "did you mean imageRegistryCredentials?"),
        ("apiVersion: 2021-10-01", "apiVersion: 2099-01-01", "newer than"),
        ("      username:", "      identity: /x\n      username:", "has both a username and an identity"),
        ("  imageRegistryCredentials:", "  imageRegistryCredentials:\n    - {server: quay.io, username: x}",
         "no image comes from quay.io"),
        ("password: ${vault:", "password: ${vault:no-such-", "does not exist"),
        ("password: ${vault:", "password: *hunter2 ${vault:", "no YAML"),
        ("name: app-new", "name: App New", "the name is none"),
        ("  osType", "\tosType", "indented with a tab"),
        ("  osType: Linux", "  osType: Linux\n  osType: Linux", "a key stands twice"),
        ("apiVersion: ", "name: x\n---\napiVersion: ", "a second document begins"),
        ("password: ${vault:", "password: ${valt:", "a reference that cannot be read"),
        ("osType: Linux", "osType: Linus", "this osType is unknown"),
        ("cpu: 1.0", "cpu: lots", "cpu is no number above zero"),
        ("cpu: 1.0, ", "", "asks for no cpu"),
        ("  containers:", "  containers: none\n  x:", "containers is no list of mappings"),
        ("  osType: Linux", "  ipAddress: {type: Public, ports: [{port: http}]}", "this is no port"),
        ("        resources", "        volumeMounts: [{name: a, mountPath: /x}]\n        resources", "is mounted and not there"),
        ("  containers:", "  initContainers: [{name: web, properties: {image: x}}]\n  containers:", "two containers are called"),
        ("apiVersion", "tags: &a {x: *a}\napiVersion", "too large or too deep"),
        ("apiVersion", "? [a, b]\n: c\napiVersion", "no YAML"),
        ("apiVersion", "zones: 1\napiVersion", "zones are no list"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line_before_anything_is_done(
    desk: Desk, said: Said, before: str, after: str, sentence: str
) -> None:
    text = new_group(desk)
    assert before in text
    ended = said(text.replace(before, after, 1), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2, ended.words
    assert "error: stdin:" in ended.words
    assert sentence in ended.words
    assert "hunter2" not in ended.words
    assert desk.effects() == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("properties", "osType"), "Windows"),
        (("properties", "restartPolicy"), "Never"),
        (("properties", "containers", 0, "properties", "resources", "requests", "cpu"), 3.5),
        (("zones",), ["2"]),
    ],
)
def test_what_azure_would_only_recreate_is_said_and_never_sent(desk: Desk, said: Said, path: tuple, value: object) -> None:  # type: ignore[type-arg]
    whole = yaml.safe_load(desk.run("export", "web-api").out)
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    ended = said(yaml.safe_dump(whole), "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "only by delete and create" in ended.words
    assert "az container delete" in ended.words
    assert desk.effects() == []


def test_sixty_one_containers_are_one_too_many(desk: Desk, said: Said) -> None:
    whole = yaml.safe_load(new_group(desk))
    [one] = whole["properties"]["containers"]
    whole["properties"]["containers"] = [{**one, "name": f"c{number}"} for number in range(61)]
    ended = said(yaml.safe_dump(whole), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2
    assert "61 containers; Azure takes 60" in ended.words


@pytest.mark.parametrize(
    ("enabled", "ends", "sentence"), [(False, None, "is disabled in"), (True, "2020-01-01T00:00:00Z", "expired on 2020-01-01")]
)
def test_a_reference_to_a_secret_that_may_not_be_used_is_refused(
    desk: Desk, said: Said, enabled: bool, ends: str | None, sentence: str
) -> None:
    text = new_group(desk)
    name = text.partition("secureValue: ${vault:")[2].partition("}")[0]
    with desk.world.lock:
        expires_at = datetime.fromisoformat(ends) if ends else None
        desk.world.vaults.set_secret(VAULT, name, "x", enabled=enabled, expires_at=expires_at)
    ended = said(text, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2, ended.words
    assert sentence in ended.words


def test_a_password_that_cannot_pull_is_found_before_the_group_is_touched(desk: Desk, said: Said) -> None:
    text = new_group(desk)
    with desk.world.lock:
        desk.world.vaults.set_secret(VAULT, "wrong", "not-the-password")
    head, _, tail = text.rpartition("password: ${vault:")
    broken = f"{head}password: ${{vault:wrong}}\n"
    assert tail
    ended = said(broken, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 4
    assert "does not accept the credential" in ended.words
    assert "group.put" not in desk.effects()


@pytest.mark.parametrize(
    ("rule", "status", "sentence"),
    [
        ({"status": 400, "code": "InaccessibleImage"}, 4, "Azure could not pull an image of web-api, although rotator pulls"),
        ({"status": 400, "code": "ContainerGroupQuotaReached"}, 4, "Ask Azure for a higher quota"),
        ({"status": 403, "code": "AuthorizationFailed"}, 3, "Microsoft.ContainerInstance/containerGroups/write is missing"),
    ],
)
def test_what_azure_refuses_is_one_sentence_and_changes_nothing(
    desk: Desk,
    said: Said,
    rule: dict[str, object],
    status: int,
    sentence: str,
) -> None:
    text = desk.run("export", "web-api").out
    desk.fault({"on": "aci.groups.put", **rule})
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == status, ended.words
    assert sentence in ended.words
    assert "group.put" not in desk.effects()


def test_a_group_of_which_the_job_has_ended_is_deployed_as_a_new_one(desk: Desk, said: Said) -> None:
    text = desk.run("export", "worker-backfill").out
    bigger = said(text.replace("cpu: 0.5", "cpu: 1.5"), "deploy", "-f", "-", "--what-if")
    assert "cpu: 0.5 -> 1.5" in bigger.words
    assert bigger.status == 0, bigger.words
    assert "would be started" in bigger.words
    assert "delete and create" not in bigger.words


def test_a_region_that_changes_and_a_place_that_does_not_exist_are_found_before_anything_is_sent(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    moved = said(text.replace("location: westeurope", "location: northeurope"), "deploy", "-f", "-", "--what-if")
    assert moved.status == 4
    assert "region (westeurope to northeurope)" in moved.words
    subscription = desk.group("web-api").split("/")[2]
    where = ("-g", "rg-nowhere", "--subscription", subscription)
    nowhere = said(new_group(desk), "deploy", "-f", "-", "--what-if", *where)
    assert nowhere.status == 2
    assert "there is no resource group rg-nowhere" in nowhere.words
    assert "az group create" in nowhere.words
