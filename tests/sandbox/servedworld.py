"""One HTTPS port for all tests of the emulated identity, vault, graph, log and AWS services; a new world for each test.

The real SDKs use the real host names: a transport takes every connection to the port and leaves the Host header alone.
"""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
import trustme
import uvicorn
from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ClientSecretCredential
from requests.adapters import HTTPAdapter

from rotator.sandbox.app import SandboxApp
from rotator.sandbox.clock import SandboxClock
from rotator.sandbox.clouds import entra, keys
from rotator.sandbox.clouds.aws.routes import ROUTES as AWS
from rotator.sandbox.clouds.graph.routes import ROUTES as GRAPH
from rotator.sandbox.clouds.keyvault.routes import ROUTES as VAULT
from rotator.sandbox.clouds.loganalytics.routes import ROUTES as LOGS
from rotator.sandbox.world import World, WorldOptions

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VAULT_ID = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-test"
APP_ID = "22222222-2222-4222-8222-222222222222"
APP_SECRET = "sec8Q~the-secret-of-the-app-under-test-0001"


class Reroute(HTTPAdapter):
    """Takes every request to one loopback port, whatever host it names."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        assert request.url is not None
        parts = urlsplit(request.url)
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return super().send(request, *args, **kwargs)  # type: ignore[arg-type]


class Server:
    """A uvicorn in a thread. Its application answers for whichever world it is given."""

    def __init__(self) -> None:
        authority = trustme.CA()
        directory = Path(tempfile.mkdtemp(prefix="served-world-"))
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        leaf = authority.issue_cert("127.0.0.1", "localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(directory / "leaf.pem")
        self.app = SandboxApp(World(), (*entra.ROUTES, *GRAPH, *VAULT, *LOGS, *AWS, *keys.ROUTES))
        config = uvicorn.Config(
            self.app, port=0, log_level="warning", lifespan="off", ssl_certfile=str(directory / "leaf.pem"), access_log=False
        )
        self._server = uvicorn.Server(config)
        threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True).start()
        pause = threading.Event()
        while not self._server.started:
            pause.wait(0.005)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]


@cache
def server() -> Server:
    return Server()


class Cloud:
    """A served world with one subscription, one vault and one app that may sign in."""

    def __init__(self, world: World, served: Server) -> None:
        self.world = world
        self.port = served.port
        self.ca_file = str(served.ca_file)
        self.base = f"https://127.0.0.1:{served.port}"
        world.arm.add_subscription(SUBSCRIPTION, "test")
        world.vaults.add_vault("kv-test", VAULT_ID)
        self.principal_id = world.graph.add_application(APP_ID, "robot").object_id
        world.graph.add_secret(APP_ID, value=APP_SECRET, end_at=world.now() + timedelta(days=365))
        world.ledger.seeding = False

    def advance(self, **span: float) -> None:
        self.world.clock.advance(timedelta(**span).total_seconds())

    def allow(self, role_id: str, scope: str = GROUP) -> None:
        self.world.arm.assign(self.principal_id, role_id, scope)

    def grant(self, *permissions: str) -> None:
        self.world.graph.grant(self.principal_id, *permissions)

    def transport(self) -> RequestsTransport:
        session = requests.Session()
        session.mount("https://", Reroute(self.port))
        return RequestsTransport(session=session, session_owner=False, connection_verify=self.ca_file)

    @property
    def wiring(self) -> dict[str, object]:
        """What every Azure client needs to reach the sandbox and not to wait for it."""
        return {"transport": self.transport(), "connection_verify": self.ca_file, "retry_total": 0}

    def credential(self, secret: str = APP_SECRET, app_id: str = APP_ID, tenant: str | None = None) -> ClientSecretCredential:
        return ClientSecretCredential(tenant or self.world.entra.tenant_id, app_id, secret, **self.wiring)

    def client(self, base: str, credential: TokenCredential | None = None) -> "Client":
        scope = "https://management.azure.com/.default" if "management" in base else f"{base}/.default"
        policy = BearerTokenCredentialPolicy(credential or self.credential(), scope)
        return Client(PipelineClient(base, policies=[policy], transport=self.transport()), self.ca_file)


class Client:
    """Raw JSON over the pipeline of azure-core."""

    def __init__(self, pipeline: "PipelineClient[HttpRequest, HttpResponse]", ca_file: str) -> None:
        self._pipeline = pipeline
        self._ca_file = ca_file

    def send(self, method: str, path: str, body: object = None, **query: str) -> HttpResponse:
        request = HttpRequest(method, path, params={name.replace("_", "-"): value for name, value in query.items()}, json=body)
        request.url = self._pipeline.format_url(request.url)
        return self._pipeline.send_request(request, connection_verify=self._ca_file)


@contextmanager
def served_world(manners: str = "azure") -> Iterator[Cloud]:
    """Serve a new world: its clock stands still between requests, which add their own latency to it."""
    running = server()
    quiet = manners == "quiet"
    world = World(WorldOptions(manners="quiet" if quiet else "azure"), SandboxClock(frozen=True))
    running.app.world = world
    yield Cloud(world, running)
