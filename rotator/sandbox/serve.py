"""A running sandbox: two HTTPS ports on loopback, a certificate authority of its own, and a seeded world."""

import ssl
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from socket import AF_INET, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Literal

import trustme
import uvicorn
import yaml

from rotator.sandbox import estates
from rotator.sandbox.app import App, SandboxApp
from rotator.sandbox.clock import SandboxClock
from rotator.sandbox.clouds import dockerhub, keys, quay
from rotator.sandbox.clouds.arm import roleroutes
from rotator.sandbox.clouds.arm import routes as arm
from rotator.sandbox.clouds.aws import routes as aws
from rotator.sandbox.clouds.containergroups import routes as containergroups
from rotator.sandbox.clouds.entra import routes as entra
from rotator.sandbox.clouds.github import routes as github
from rotator.sandbox.clouds.gitlab import routes as gitlab
from rotator.sandbox.clouds.graph import routes as graph
from rotator.sandbox.clouds.keyvault import routes as keyvault
from rotator.sandbox.clouds.loganalytics import routes as loganalytics
from rotator.sandbox.clouds.network import routes as network
from rotator.sandbox.clouds.registries import plainpull, pull, tokens
from rotator.sandbox.clouds.registries import routes as registries
from rotator.sandbox.control import ControlApp
from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.oracle import Oracle
from rotator.sandbox.tunnel import Tunnel
from rotator.sandbox.wire import Document, Route, rfc3339
from rotator.sandbox.world import World, WorldOptions

ROUTES: tuple[Route, ...] = (
    *arm.ROUTES,
    *roleroutes.ROUTES, *containergroups.ROUTES, *registries.ROUTES,
    *tokens.ROUTES, *keys.ROUTES, *pull.ROUTES, *plainpull.ROUTES, *network.ROUTES, *keyvault.ROUTES,
    *graph.ROUTES, *loganalytics.ROUTES, *aws.ROUTES, *dockerhub.ROUTES, *github.ROUTES, *gitlab.ROUTES, *quay.ROUTES,
    *entra.ROUTES,
)  # fmt: skip

_REGIONS = ("eu-west-1", "us-east-1")
HOSTS: tuple[str, ...] = (
    "127.0.0.1", "localhost",
    "management.azure.com", "management.chinacloudapi.cn", "management.usgovcloudapi.net",
    "login.microsoftonline.com", "login.chinacloudapi.cn", "login.microsoftonline.us",
    "graph.microsoft.com", "microsoftgraph.chinacloudapi.cn", "graph.microsoft.us",
    "api.loganalytics.io", "api.loganalytics.azure.com", "api.loganalytics.azure.cn", "api.loganalytics.us",
    "*.vault.azure.net", "*.vault.azure.cn", "*.vault.usgovcloudapi.net",
    "*.azurecr.io", "*.azurecr.cn", "*.azurecr.us", "*.blob.core.windows.net", "mcr.microsoft.com",
    "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "docker.io", "auth.docker.io", "hub.docker.com",
    "ghcr.io", "api.github.com", "quay.io", "registry.gitlab.com", "gitlab.com", "registry.contoso.dev",
    *(f"*.dkr.ecr.{region}.amazonaws.com" for region in _REGIONS),
    *(f"api.ecr.{region}.amazonaws.com" for region in _REGIONS),
    *(f"ecr.{region}.amazonaws.com" for region in _REGIONS),
    *(f"sts.{region}.amazonaws.com" for region in _REGIONS), "sts.amazonaws.com",
)  # fmt: skip
"""Every host name that the certificate is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How to run a sandbox. With `started_at` the clock stands still until it is moved; port 0 means any free port."""

    directory: Path
    estate: str = "demo"
    groups: int | None = None
    seed: int = 1
    port: int = 0
    control_port: int = 0
    faults: FaultPlan | Path | None = None
    manners: Literal["azure", "quiet"] = "azure"
    vault_references: Literal["at-start", "as-resolved"] = "at-start"
    started_at: datetime | None = None


class Sandbox:
    """A sandbox from `start` to `stop`; also a context manager. Nothing is written outside of its directory."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        clock = SandboxClock(options.started_at, frozen=options.started_at is not None)
        chosen = WorldOptions(seed=options.seed, manners=options.manners, vault_references=options.vault_references)
        self.world = World(chosen, clock)
        self.estate = estates.seed(self.world, options.estate, options.groups)
        self.oracle = Oracle(self.world)
        # How far the machine on which the product runs is ahead of the clouds; the control port tells it that time.
        self.skew = timedelta(0)
        self._load_faults()
        self._servers: list[_Server] = []
        self._tunnel: Tunnel | None = None
        self._address = self._control = ""

    def _load_faults(self) -> None:
        plan = self.options.faults
        self.world.faults = FaultPlan.load(plan, self.options.seed) if isinstance(plan, Path) else plan or FaultPlan()

    def start(self) -> "Sandbox":
        """Listen on both ports and write ca.pem and rotator.yaml into the directory."""
        self.options.directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="rotator sandbox")
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(context)
        self._servers = [
            _Server(SandboxApp(self.world, ROUTES), self.options.port, context),
            _Server(ControlApp(self), self.options.control_port, context),
        ]
        for server in self._servers:
            server.start()
        self._address, self._control = (server.address for server in self._servers)
        self.world.address = self._address
        self._tunnel = Tunnel(self._address, HOSTS)
        self._tunnel.start()
        (self.options.directory / "rotator.yaml").write_text(yaml.safe_dump(self.configuration, sort_keys=False), "utf-8")
        return self

    def stop(self) -> None:
        """Close the ports; stopping twice is no error."""
        if self._tunnel is not None:
            self._tunnel.stop()
            self._tunnel = None
        for server in self._servers:
            server.stop()
        self._servers = []

    def serve_forever(self) -> None:
        """Serve until interrupted."""
        self.start()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Seed the world again, with the same ids; the clock goes on, faults are those of the options."""
        with self.world.lock:
            self.estate = estates.seed(self.world, self.options.estate, self.options.groups)
            self.world.requests = {}
            self._load_faults()
            self.oracle.start()

    # --- what a client must know ---

    @property
    def address(self) -> str:
        """Where every emulated host is reached: "127.0.0.1:PORT"."""
        return self._address

    @property
    def control_url(self) -> str:
        """The root of the control port."""
        return f"https://{self._control}"

    @property
    def proxy_url(self) -> str:
        """Where programs that know HTTPS_PROXY reach the emulated hosts by their real names; empty before `start`."""
        return self._tunnel.url if self._tunnel is not None else ""

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients must trust."""
        return self.options.directory / "ca.pem"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which Azure's SDKs find the managed identity."""
        return {
            "IDENTITY_ENDPOINT": f"https://{self.address}/msi/token",
            "IDENTITY_HEADER": self.world.entra.identity_header,
        }

    @property
    def configuration(self) -> Document:
        """The settings file of the product for this sandbox."""
        estate = self.estate
        settings: Document = {
            "cloud": "public",
            "tenant_id": estate.tenant_id,
            "identity": {"kind": "managed-identity", "client_id": estate.client_id},
            "scope": {"subscriptions": estate.subscriptions},
            "vault": {"url": estate.vault_url},
            "usage_log": {"workspace_id": estate.workspace_id},
            "network": {"resolve": {"*": self.address}, "ca_file": str(self.ca_file)},
            "clock": {"control_url": self.control_url},
            "rotation": {"soak": "2h", **estate.rotation},
            "state": {"directory": str(self.options.directory / "state")},
        }
        if estate.aws_roles:
            settings["aws"] = {"endpoint_url": f"https://{self.address}", "roles": estate.aws_roles}
        if estate.gitlab_owners:
            site = {"host": "registry.gitlab.com", "api": "https://gitlab.com", "secret": "gitlab-api", **estate.gitlab_owners}
            estate.registries["gitlab"] = [site]
        if estate.registries:
            settings["registries"] = estate.registries
        settings["rotation"] |= {"outage_windows": estate.outage_windows} if estate.outage_windows else {}
        return settings

    def summary(self) -> Document:
        """Return what there is, in numbers."""
        world = self.world
        return {
            "estate": self.options.estate,
            "seed": self.options.seed,
            "manners": self.options.manners,
            "vault_references": self.options.vault_references,
            "now": rfc3339(world.now()),
            "address": self.address,
            "subscriptions": self.estate.subscriptions,
            "groups": len(world.groups.by_id),
            "registries": len(world.registries.acr),
            "tokens": sum(len(one.tokens) for one in world.registries.acr.values()),
            "events": len(world.events.since()),
        }


class _Server:
    """One port, served by uvicorn in a thread of its own."""

    def __init__(self, app: App, port: int, context: ssl.SSLContext) -> None:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", interface="asgi3", server_header=False,
            date_header=False, proxy_headers=False, timeout_keep_alive=60, timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        # The context is built here, so that the private key is never written to a file.
        config.ssl = context
        self._server = uvicorn.Server(config)
        # With the protocol named, asyncio switches Nagle's algorithm off; each answer would wait 40 ms otherwise.
        self._socket = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)
        self._socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=f"sandbox {self.address}", daemon=True
        )

    def start(self) -> None:
        """Start the thread and wait until the port answers; RuntimeError when it does not."""
        self._thread.start()
        for _ in range(1000):
            if self._server.started:
                return
            threading.Event().wait(0.005)
        raise RuntimeError(f"the sandbox did not start on {self.address}")

    def stop(self) -> None:
        """End the thread."""
        # Open keep-alive connections are closed, not waited for.
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=5)
        self._socket.close()
