"""Clients that may do everything in a sandbox, and the smallest bodies to send."""

import ssl
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from azure.core.credentials import AccessToken

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.arm.roles import OWNER
from rotator.sandbox.wire import Document


class Owner:
    """An HTTP client that owns every subscription of a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        world = sandbox.world
        self.app_id = world.guid()
        self.principal_id = world.graph.add_application(self.app_id, "owner").object_id
        for subscription_id in sandbox.estate.subscriptions:
            world.arm.assign(self.principal_id, OWNER, f"/subscriptions/{subscription_id}")
        self.http = http_client(sandbox)
        self.token = world.entra.issue_token(self.principal_id, "https://management.azure.com")

    def call(self, method: str, path: str, body: object = None, *, version: str = "2025-09-01") -> httpx.Response:
        """Send a request to the management API; the path may carry its own query."""
        url = path if "api-version" in path else f"{path}?api-version={version}"
        headers = {"Authorization": f"Bearer {self.token}", "Host": "management.azure.com"}
        return self.http.request(method, url, json=body, headers=headers)

    def get(self, path: str, *, version: str = "2025-09-01") -> Document:
        """Return the JSON of a GET that must succeed."""
        response = self.call("GET", path, version=version)
        assert response.status_code == 200, response.text
        document: Document = response.json()
        return document


@cache
def trust(ca_file: Path) -> ssl.SSLContext:
    """Return a context that trusts one authority and nothing else."""
    return ssl.create_default_context(cafile=str(ca_file))


@cache
def _client(address: str, ca_file: Path) -> httpx.Client:
    return httpx.Client(base_url=f"https://{address}", verify=trust(ca_file))


def http_client(sandbox: Sandbox) -> httpx.Client:
    """Return a client of the sandbox's main port."""
    return _client(sandbox.address, sandbox.ca_file)


def home(sandbox: Sandbox) -> str:
    """Return the id of the first resource group."""
    return next(iter(sandbox.world.arm.resource_groups.values())).id


def group_body(image: str = "nginx:1.27", **properties: object) -> Document:
    """Return the smallest body of a container group."""
    container = {
        "name": "main", "properties": {"image": image, "resources": {"requests": {"cpu": 0.5, "memoryInGB": 1.0}}}
    }  # fmt: skip
    return {"location": "westeurope", "properties": {"containers": [container], "osType": "Linux", **properties}}


class StaticCredential:
    """The owner's token for the real SDKs."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return a token for the management API."""
        return AccessToken(self._owner.token, 4_000_000_000)


def sdk_options(owner: Owner) -> dict[str, Any]:
    """Return what a management client needs to speak to the sandbox: its address, its authority, no waiting."""
    sandbox = owner.sandbox
    base = f"https://{sandbox.address}"
    return {
        "credential": StaticCredential(owner),
        "subscription_id": sandbox.estate.subscriptions[0],
        "base_url": base,
        "credential_scopes": [f"{base}/.default"],
        "connection_verify": str(sandbox.ca_file),
        "polling_interval": 0,
        "retry_total": 0,
    }
