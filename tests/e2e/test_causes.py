"""Why an image cannot be pulled: each cause has a sentence of its own, whichever verb meets it, and never 'inaccessible image'.

One row is a kind of credential and a cause; every verb that would pull runs into it, and says the same of it.
"""

import html
import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.desk import Desk, Ended

ROTATED = ("acr-token", "ecr", "docker-hub-org", "gitlab-deploy-token", "quay-pair")
BROUGHT = ("ghcr", "other")
REPOSITORY = "team/app"
FILE = """\
name: app-new
location: westeurope
type: Microsoft.ContainerInstance/containerGroups
properties:
  osType: Linux
  containers:
    - name: web
      properties:
        image: {image}
        resources: {{requests: {{cpu: 1.0, memoryInGB: 1.0}}}}
  imageRegistryCredentials:
    - {{server: {server}, username: "{username}", password: "${{vault:{secret}}}"}}
"""


@dataclass
class Scene:
    """One estate with one credential, and what a cause and the verbs need to know of it."""

    desk: Desk
    kind: str
    host: str = field(init=False)
    image: str = field(init=False)
    username: str = field(init=False)

    def __post_init__(self) -> None:
        properties = self.desk.world.groups.by_id[self.desk.group("api")].properties
        [entry] = properties["imageRegistryCredentials"]
        self.host, self.username = entry["server"], entry["username"]
        self.image = properties["containers"][0]["properties"]["image"]

    @property
    def served_by(self) -> str:
        """The host that serves the registry's images."""
        return "registry-1.docker.io" if "docker.io" in self.host else self.host

    @property
    def principal(self) -> str:
        return f"{self.kind}:*"

    def resolve(self, address: str) -> None:
        self.desk.configure(network={"resolve": {"*": self.desk.sandbox.address, self.served_by: address}})

    def fault(self, operation: str, status: int, code: str = "") -> None:
        self.desk.fault({"on": f"registry.*.{operation}", "status": status, "code": code, "message": "no"})

    def secret(self) -> str:
        """Return the vault secret that holds the credential."""
        vault = self.desk.world.vaults.vault("kv-demo")
        return next(name for name in vault.secrets if name.startswith("pull-"))


Cause = Callable[[Scene], None]


def no_image(scene: Scene) -> None:
    registries = scene.desk.world.registries
    for azure in registries.acr.values():
        azure.repositories[REPOSITORY] = {"v2"}
    for plain in registries.plain.values():
        plain.repositories[REPOSITORY] = {"v2"}


def no_scope(scene: Scene) -> None:
    if scene.kind != "acr-token":
        return scene.fault("manifest", 403, "DENIED")
    for registry in scene.desk.world.registries.acr.values():
        for scope in registry.scope_maps.values():
            scope.actions[:] = ["repositories/another/content/read"]
    return None


def firewall(scene: Scene) -> None:
    if scene.kind != "acr-token":
        return scene.fault("ping", 403, "DENIED")
    for registry in scene.desk.world.registries.acr.values():
        registry.properties["networkRuleSet"] = {"defaultAction": "Deny", "ipRules": []}
    return None


@dataclass(frozen=True)
class Expected:
    """`refused`: the registry said no, which a rotation holds for; else nothing is known and the next run tries again."""

    cause: Cause
    sentence: str
    remedy: str
    refused: bool


CAUSES = {
    "the image does not exist": Expected(no_image, "{image} does not exist", "Push the image", refused=True),
    "the scope leaves the image out": Expected(
        no_scope,
        "but does not let it pull {image}: its scope or role leaves out the repository team/app",
        "Grant the",
        refused=True,
    ),
    "a firewall": Expected(firewall, "the firewall of {host} refuses the address that rotator calls from", "Allow", refused=True),
    "the registry answers 500": Expected(
        lambda scene: scene.fault("manifest", 500),
        "{host} answered 500 while {image} was tried, which says nothing about the credential",
        "Look at the health of",
        refused=False,
    ),
    "the registry slows us down": Expected(
        lambda scene: scene.fault("manifest", 429), "{host} did not answer for {image}: it", "", refused=False
    ),
    "a name that no name server knows": Expected(
        lambda scene: scene.resolve("nowhere.invalid"), "{host} has a name that no name server knows", "Correct", refused=False
    ),
    "nobody listens": Expected(lambda scene: scene.resolve("127.0.0.1:9"), "{host} refuses connections", "Check", refused=False),
}


# What Azure's management says is said without a try.
SEEN_BY_MANAGEMENT = {
    ("acr-token", "the scope leaves the image out"): "the scope of token pull does not include the repository team/app",
    (
        "acr-token",
        "a firewall",
    ): "contosoone.azurecr.io is closed to the public network, and Azure pulls past that with an identity",
}


@contextmanager
def stranger(host: str, folder: Path) -> Iterator[str]:
    """A server whose certificate comes from an authority that nobody has heard of."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert(host).configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(scope="module")
def estates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Sandbox]]:
    """One sandbox a kind, seeded anew for each row."""
    running: dict[str, Sandbox] = {}

    def of(kind: str) -> Sandbox:
        if kind not in running:
            folder = tmp_path_factory.mktemp(kind)
            running[kind] = Sandbox(SandboxOptions(directory=folder, estate=f"one-{kind}")).__enter__()
        running[kind].reset()
        return running[kind]

    yield of
    for one in running.values():
        one.__exit__(None, None, None)


@pytest.fixture
def scene_of(estates: Callable[[str], Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Scene]:
    def of(kind: str) -> Scene:
        sandbox = estates(kind)
        for name, value in {**sandbox.environment, "COLUMNS": "300", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)
        return Scene(Desk(sandbox, tmp_path), kind)

    return of


def said(ended: Ended, *sentences: str) -> int:
    for sentence in sentences:
        assert sentence in ended.words, ended.words
    assert "Traceback" not in ended.words
    assert "is not accessible" not in ended.words
    return ended.status


def deployed(scene: Scene, username: str = "") -> Ended:
    text = FILE.format(image=scene.image, server=scene.host, username=username or scene.username, secret=scene.secret())
    file = scene.desk.folder / "group.yaml"
    file.write_text(text)
    return scene.desk.run("deploy", "--file", str(file), "--resource-group", "rg-one", "--yes")


def migrated(scene: Scene) -> Ended:
    world = scene.desk.world
    identity = next(one.id for one in world.arm.identities.values() if one.name.startswith("id-"))
    scene.desk.configure(migration={"identity": identity, "vault_id": world.vaults.vault("kv-demo").resource_id})
    return scene.desk.run("migrate", "--to", "vault-reference", "--yes", "--only", "*/api")


def imported(scene: Scene, monkeypatch: pytest.MonkeyPatch, value: str = "") -> Ended:
    current = scene.desk.world.vaults.current("kv-demo", scene.secret())
    assert current is not None
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{value or current.value}\n"))
    return scene.desk.run("import", scene.principal, "--from", "-", "--yes")


# Quay's API lives on the registry's own host, so that nothing is known of the robot either.
APART = {("quay-pair", "a name that no name server knows"), ("quay-pair", "nobody listens")}
ROWS = [(kind, cause) for kind in (*ROTATED, *BROUGHT) for cause in CAUSES if (kind, cause) not in APART]


@pytest.mark.parametrize(("kind", "cause"), ROWS)
def test_every_verb_gives_the_cause_its_own_sentence(
    kind: str, cause: str, scene_of: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, expected = scene_of(kind), CAUSES[cause]
    expected.cause(scene)
    sentence = expected.sentence.format(image=scene.image, host=scene.host)
    unanswered = 4 if expected.refused else 3

    said(scene.desk.run("explain", "api"), SEEN_BY_MANAGEMENT.get((kind, cause), sentence))
    assert said(deployed(scene), sentence, expected.remedy) == unanswered
    if kind != "quay-pair":  # robots that take turns are left where they are
        said(migrated(scene), sentence)
    if kind in BROUGHT:
        assert said(imported(scene, monkeypatch), sentence, expected.remedy) == unanswered
    else:
        assert said(scene.desk.run("rotate", "--yes", "--force"), sentence) == 4
        if expected.refused and kind == "ecr":  # a lease waits for nobody: the next run tries again
            said(scene.desk.run("status"), sentence)
        elif expected.refused:
            assert said(scene.desk.run("status"), sentence) == 4
            report = scene.desk.folder / "report.html"
            scene.desk.run("audit", "--report", str(report))
            assert sentence in html.unescape(report.read_text())
    assert "group.put" not in scene.desk.effects()


@pytest.mark.parametrize("kind", ["acr-token", "ecr", "other"])
def test_a_certificate_that_nobody_vouches_for(kind: str, scene_of: Callable[[str], Scene], tmp_path: Path) -> None:
    scene = scene_of(kind)
    with stranger(scene.served_by, tmp_path) as address:
        scene.resolve(address)
        sentence = f"{scene.host} shows a certificate that rotator does not trust: "
        said(scene.desk.run("explain", "api"), sentence)
        assert said(deployed(scene), sentence, "network.ca_file") == 3
        said(migrated(scene), sentence)
        if kind != "other":
            assert said(scene.desk.run("rotate", "--yes", "--force"), sentence) == 4


def test_docker_hubs_pull_limit_is_told_from_a_wrong_credential(scene_of: Callable[[str], Scene]) -> None:
    scene = scene_of("docker-hub-org")
    scene.fault("manifest", 429, "TOOMANYREQUESTS")
    sentence = (
        f"{scene.host} did not answer for {scene.image}: its pull limit is used up, which says nothing about the credential"
    )
    said(scene.desk.run("explain", "api"), sentence)
    assert said(deployed(scene), sentence, "keep a copy of the image in a registry of your own") == 3
    assert said(scene.desk.run("rotate", "--yes", "--force"), sentence) == 4


@pytest.mark.parametrize("kind", ["acr-token", "docker-hub-org", "gitlab-deploy-token", "quay-pair", "ecr", *BROUGHT])
def test_a_wrong_user_name_is_named(kind: str, scene_of: Callable[[str], Scene]) -> None:
    scene = scene_of(kind)
    sentence = f"{scene.host} does not accept the credential of nobody (tried for {scene.image})"
    assert said(deployed(scene, username="nobody"), sentence, "the user name or the password is wrong") == 4
    assert "group.put" not in scene.desk.effects()


@pytest.mark.parametrize("kind", BROUGHT)
def test_a_wrong_password_is_not_kept(kind: str, scene_of: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(kind)
    ended = imported(scene, monkeypatch, "wrong-horse-battery")
    assert ended.status == 4, ended.words
    assert "GitHub refuses this token, which is mistyped, expired or deleted" in ended.words or (
        f"{scene.host} does not accept the credential of {scene.username} (tried for {scene.image})" in ended.words
    )
    assert scene.desk.effects() == []


@pytest.mark.parametrize(("kind", "hours"), [("ecr", 13), ("acr-token", 24 * 11), ("gitlab-deploy-token", 24 * 11)])
def test_what_has_expired_is_told_with_its_date(kind: str, hours: int, scene_of: Callable[[str], Scene]) -> None:
    scene = scene_of(kind)
    scene.desk.world.clock.advance(hours * 3600)
    assert said(deployed(scene), "expired on ", "vault secret") == 2
    said(migrated(scene), f"the credential of {scene.username} at {scene.host} expired on ")
    explained = scene.desk.run("explain", "api")
    assert said(explained, "a lease lives for twelve hours" if kind == "ecr" else "its credential expired on ") == 1


def test_an_identity_that_azure_does_not_let_pull_is_named(scene_of: Callable[[str], Scene]) -> None:
    scene = scene_of("acr-token")
    identity = next(one for one in scene.desk.world.arm.identities.values() if one.name.startswith("id-"))
    file = scene.desk.folder / "group.yaml"
    text = FILE.format(image=scene.image, server=scene.host, username="", secret="")
    head = text.partition("  imageRegistryCredentials")[0]
    file.write_text(
        f"{head}  imageRegistryCredentials:\n    - {{server: {scene.host}, identity: '{identity.id}'}}\n"
        f"identity: {{type: UserAssigned, userAssignedIdentities: {{'{identity.id}': {{}}}}}}\n"
    )
    ended = scene.desk.run("deploy", "--file", str(file), "--resource-group", "rg-one", "--yes")
    assert said(ended, f"identity {identity.name} may have no role at {scene.host} yet") == 4
