"""A real registry, Debian's docker-registry, with TLS and Basic authentication: the probe, and a secret that a person brings."""

import hashlib
import io
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import trustme

from rotator.clients.network import Network
from rotator.clients.pulls import PullProbe
from rotator.model.errors import NotFound, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.sandbox import Sandbox
from tests.conftest import Programs
from tests.e2e.conftest import free_port
from tests.e2e.desk import Desk

HOST, USER, PASSWORD = "registry.contoso.dev", "ci", "U*U*"
# The registry takes bcrypt alone, which Python does not bring: a published test vector of crypt_blowfish for the password.
_HTPASSWD = f"{USER}:$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK\n"
_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {folder}/server.pem, key: {folder}/server.key}}}}
auth: {{htpasswd: {{realm: contoso, path: {folder}/htpasswd}}}}
"""


@pytest.fixture(scope="module")
def estate() -> str:
    return "one-other"


@dataclass(frozen=True)
class Registry:
    """Where the registry listens, and what a client must trust to speak to it and to the sandbox."""

    port: int
    authorities: Path


@pytest.fixture(scope="module")
def registry(programs: Programs, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    program, folder, port = programs.find("docker-registry", "docker-registry"), tmp_path_factory.mktemp("registry"), free_port()
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "server.key")
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(folder / "server.pem", append=number > 0)
    authorities = folder / "authorities.pem"
    authorities.write_bytes(sandbox.ca_file.read_bytes() + authority.cert_pem.bytes())
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            found = Registry(port, authorities)
            _plant(found, folder)
            yield found
        finally:
            process.terminate()
            process.wait(timeout=20)


def _plant(registry: Registry, folder: Path) -> None:
    """Push the smallest image as team/app:v1, as soon as the registry answers."""
    root, pause = f"https://127.0.0.1:{registry.port}/v2/team/app", threading.Event()
    network = Network(ca_file=registry.authorities)
    with network.http_client(timedelta(seconds=20)) as client:
        client.auth = httpx.BasicAuth(USER, PASSWORD)
        assert any(_answers(client, registry.port) or pause.wait(0.1) for _ in range(200)), (folder / "log").read_text()
        config = b"{}"
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        begun = client.post(f"{root}/blobs/uploads/")
        client.put(httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest}), content=config).raise_for_status()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        blob = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": blob, "layers": []}
        pushed = client.put(f"{root}/manifests/v1", content=json.dumps(manifest), headers={"Content-Type": kind})
        assert pushed.status_code == 201, pushed.text


def _answers(client: httpx.Client, port: int) -> bool:
    try:
        return client.get(f"https://127.0.0.1:{port}/v2/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_host_with_a_port_is_pulled_from(registry: Registry) -> None:
    probe, host = PullProbe(Network(ca_file=registry.authorities)), f"127.0.0.1:{registry.port}"
    probe.probe(ImageReference.parse(f"{host}/team/app:v1"), USER, Secret(PASSWORD))
    with pytest.raises(NotFound):
        probe.probe(ImageReference.parse(f"{host}/team/app:v99"), USER, Secret(PASSWORD))
    with pytest.raises(VerificationFailed, match="does not accept the credential"):
        probe.probe(ImageReference.parse(f"{host}/team/app:v1"), USER, Secret("wrong"))


def test_a_person_brings_a_password_that_the_real_registry_takes(
    registry: Registry, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(sandbox, tmp_path)
    resolve = {"*": sandbox.address, HOST: f"127.0.0.1:{registry.port}"}
    desk.configure(network={"resolve": resolve, "ca_file": str(registry.authorities)})

    def bring(value: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{value}\n"))
        ended = desk.run("import", "other:*", "--from", "-", "--yes")
        return ended.status, ended.words

    status, said = bring("wrong-horse-battery")
    assert (status, desk.effects()) == (4, [])
    assert "does not accept the credential of ci" in said
    assert "wrong-horse" not in said

    with sandbox.world.lock:  # the emulated container platform pulls from the emulated registry of this name
        sandbox.world.registries.plain[HOST].users[USER].add(PASSWORD, sandbox.world.now(), None)
    status, said = bring(PASSWORD)
    assert status == 0, said
    assert "3 groups moved" in said
    assert bring(PASSWORD)[1].count("holds already") == 1
    assert desk.unharmed()
