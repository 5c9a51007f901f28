"""A careful client, with the rotator's own identity and rights, can redeploy the demo without losing anything."""

import json

from rotator.sandbox import Sandbox
from rotator.sandbox.wire import Document
from tests.sandbox.conftest import Run
from tests.sandbox.owner import http_client

NEWEST = "2026-07-01"
# Its API_KEY is held by nobody; the others could not pull to begin with.
HELD = {
    "payments-sealed", "payments-gateway", "payments-reports", "web-identity-unused", "web-identity-system", "ml-train",
    "reports-compose", "scorer-late",
}  # fmt: skip


class Rotator:
    """Speaks to every service as the product does: real host names, one loopback port, a managed identity."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = http_client(sandbox)
        self._tokens: dict[str, str] = {}

    def call(self, method: str, host: str, path: str, body: object = None, version: str = NEWEST) -> Document:
        audience = "https://vault.azure.net" if "vault" in host else "https://management.azure.com"
        headers = {"Authorization": f"Bearer {self._token(audience)}", "Host": host}
        response = self.http.request(method, f"{path}?api-version={version}", json=body, headers=headers)
        assert response.status_code in (200, 201), f"{method} {path}: {response.status_code} {response.text}"
        document: Document = response.json()
        return document

    def _token(self, audience: str) -> str:
        if audience not in self._tokens:
            environment = self.sandbox.environment
            answer = self.http.get(
                environment["IDENTITY_ENDPOINT"],
                params={"api-version": "2019-08-01", "resource": audience, "client_id": self.sandbox.estate.client_id},
                headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
            )
            self._tokens[audience] = answer.json()["access_token"]
        return self._tokens[audience]

    def arm(self, method: str, path: str, body: object = None) -> Document:
        return self.call(method, "management.azure.com", path, body)

    def vault_values(self) -> dict[tuple[str, str], str]:
        """Return the values of write-only fields by group and path."""
        host, values = "kv-demo.vault.azure.net", dict[tuple[str, str], str]()
        for secret in self.sandbox.world.vaults.vault("kv-demo").secrets.values():
            read = self.call("GET", host, f"/secrets/{secret.name}", version="7.4")
            tags = read["tags"]
            if "rotator-group" in tags:
                values[tags["rotator-group"], tags["rotator-field"]] = str(read["value"])
        return values


def fill(rotator: Rotator, document: Document, values: dict[tuple[str, str], str], stored: Document) -> None:
    """Give every write-only field its value again: from the vault, or from the service that owns the key."""
    group, properties = str(document["id"]).lower(), document["properties"]
    for kind in ("containers", "initContainers"):
        for container in properties.get(kind) or []:
            for variable in container["properties"].get("environmentVariables") or []:
                if "value" not in variable:
                    path = f"{kind}/{container['name']}/environmentVariables/{variable['name']}/secureValue"
                    variable["secureValue"] = values[group, path]
    for volume in properties.get("volumes") or []:
        if volume.get("secret") == {}:
            volume["secret"] = json.loads(values[group, f"volumes/{volume['name']}/secret"])
        share = volume.get("azureFile")
        if share and "userAssignedIdentityClientId" not in share:
            root = group.split("/providers/")[0]
            account = f"{root}/providers/Microsoft.Storage/storageAccounts/{share['storageAccountName']}"
            share["storageAccountKey"] = rotator.arm("POST", f"{account}/listKeys")["keys"][0]["value"]
    logs = (properties.get("diagnostics") or {}).get("logAnalytics")
    if logs:
        kind = "providers/Microsoft.OperationalInsights/workspaces"
        workspace = next(
            row for subscription in rotator.sandbox.estate.subscriptions
            for row in rotator.arm("GET", f"/subscriptions/{subscription}/{kind}")["value"]
            if row["properties"]["customerId"] == logs["workspaceId"]
        )  # fmt: skip
        logs["workspaceKey"] = rotator.arm("POST", f"{workspace['id']}/sharedKeys")["primarySharedKey"]
    for entry, held in zip(
        properties.get("imageRegistryCredentials") or [], stored.get("imageRegistryCredentials") or [], strict=True
    ):
        if "password" in held:
            entry["password"] = held["password"]


def test_every_group_survives_a_redeploy_by_the_rotator(run: Run) -> None:
    sandbox = run(estate="demo")
    rotator = Rotator(sandbox)
    values = rotator.vault_values()
    done = 0
    for group in list(sandbox.world.groups.by_id.values()):
        if group.name in HELD or group.idle(sandbox.world.now()):
            continue
        stored = json.loads(json.dumps(group.properties))
        document = rotator.arm("GET", group.id)
        fill(rotator, document, values, stored)
        rotator.arm("PUT", group.id, document)
        done += 1
    report = sandbox.oracle.report()
    assert done > 25
    assert report["lost_properties"] == []
    assert report["outages"] == []
    assert report["woken"] == []


def test_a_client_with_an_older_api_version_loses_what_it_cannot_see(run: Run) -> None:
    sandbox = run(estate="demo")
    rotator = Rotator(sandbox)
    group = next(one for one in sandbox.world.groups.by_id.values() if one.name == "etl-share")
    stored = json.loads(json.dumps(group.properties))
    document = rotator.call("GET", "management.azure.com", group.id, version="2025-09-01")
    document["properties"]["imageRegistryCredentials"] = stored["imageRegistryCredentials"]
    rotator.call("PUT", "management.azure.com", group.id, document, version="2025-09-01")
    paths = [one["path"] for one in sandbox.oracle.report()["lost_properties"]]
    assert paths == ["volumes/share/azureFile/userAssignedIdentityClientId"]
