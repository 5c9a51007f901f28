"""Microsoft Graph v1.0: applications, service principals and their client secrets.

An app registration has two objects, and each may hold secrets that work: the application (`az ad app credential reset`) and
the service principal (`az ad sp credential reset`). Whoever reads only one misses live secrets.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import DecodeError
from azure.core.rest import HttpRequest, HttpResponse

from rotator.clients.failures import translated
from rotator.clients.instants import instant_of, text_of
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.pipeline import policies, scope_of
from rotator.clients.refusals import Answer, Asked, refusal
from rotator.clients.retry import retried
from rotator.model.errors import Conflict, Indeterminate, NotFound, Rejected, Throttled, Unavailable
from rotator.model.secret import Secret
from rotator.ports import Clock

ObjectKind = Literal["application", "servicePrincipal"]

READ = "Application.Read.All (Microsoft Graph application permission)"
WRITE = "Application.ReadWrite.OwnedBy with ownership of the application (or Application.ReadWrite.All)"

_OURS = "rotator "
_FIELDS = "id,appId,displayName,passwordCredentials"


def display_name_of(marker: str) -> str:
    """Return the display name of a client secret of ours, which carries the marker of the rotation that issued it."""
    return f"{_OURS}{marker}"


def marker_in(display_name: str) -> str:
    """Return the marker that `display_name_of` wrote, or an empty text for a client secret that is not ours."""
    return display_name.removeprefix(_OURS) if display_name.startswith(_OURS) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPassword:
    """A client secret as Graph lists it: `hint` is the first characters of the value, which itself is never listed."""

    key_id: str
    display_name: str
    start_at: datetime | None
    end_at: datetime | None
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphObject:
    """One of the two objects of an app registration. `enabled` is None for an application, which has no such switch."""

    kind: ObjectKind
    id: str
    app_id: str
    display_name: str
    enabled: bool | None
    passwords: tuple[GraphPassword, ...]


class Graph:
    """A thin Graph client; safe to share between threads.

    Retries throttles, outages and concurrent directory writes (`Directory_ConcurrencyViolation`) on our clock. Raises the
    errors of `rotator.clients.failures`.
    """

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
    ) -> None:
        self._root = f"{endpoint.rstrip('/')}/v1.0"
        self._clock = clock
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self._root,
            policies=policies(credential, scope_of(endpoint), decoded=False),
            transport=network.azure_transport(clock, observe),
        )

    def application(self, app_id: str) -> GraphObject | None:
        """Return the application with this appId, or None."""
        return self._find("application", app_id, _FIELDS)

    def service_principal(self, app_id: str) -> GraphObject | None:
        """Return the service principal with this appId, or None."""
        return self._find("servicePrincipal", app_id, f"{_FIELDS},accountEnabled")

    def add_password(self, kind: ObjectKind, object_id: str, display_name: str, end_at: datetime) -> tuple[GraphPassword, Secret]:
        """Add a client secret that ends at `end_at`; the only time that Graph tells the value.

        Raises Indeterminate when no answer came, or one without the value: a secret that nobody knows may then exist.
        """
        asked = Asked(api="graph", operation="add-password", effect=True, needs=WRITE, thing=f"{kind} {object_id}")
        wish = {"passwordCredential": {"displayName": display_name, "endDateTime": text_of(end_at)}}
        answer = self._ask("POST", f"/{kind}s/{quote(object_id)}/addPassword", wish, asked)
        value = answer.pop("secretText", None)
        if not isinstance(value, str) or not value:
            raise Indeterminate(
                f"Microsoft Graph added a password to {kind} {object_id} and did not tell it.",
                api="graph",
                operation="add-password",
            )
        return _password(answer), Secret(value)

    def remove_password(self, kind: ObjectKind, object_id: str, key_id: str) -> None:
        """End a client secret. Already gone is success."""
        asked = Asked(api="graph", operation="remove-password", needs=WRITE, thing=f"{kind} {object_id}, key {key_id}")
        try:
            self._ask("POST", f"/{kind}s/{quote(object_id)}/removePassword", {"keyId": key_id}, asked)
        except NotFound:
            return
        except Rejected:
            # Graph answers a plain 400 for a key it does not know. Only its text tells, so look instead of reading it.
            if key_id in {one.key_id for one in self._passwords(kind, object_id)}:
                raise

    def _passwords(self, kind: ObjectKind, object_id: str) -> tuple[GraphPassword, ...]:
        asked = Asked(api="graph", operation="get-object", needs=READ, thing=f"{kind} {object_id}")
        query = urlencode({"$select": _FIELDS})
        return _object(kind, self._ask("GET", f"/{kind}s/{quote(object_id)}?{query}", None, asked)).passwords

    def _find(self, kind: ObjectKind, app_id: str, fields: str) -> GraphObject | None:
        asked = Asked(api="graph", operation="find-object", needs=READ, thing=f"{kind} {app_id}")
        literal = app_id.replace("'", "''")
        query = urlencode({"$filter": f"appId eq '{literal}'", "$select": fields})
        found = self._ask("GET", f"/{kind}s?{query}", None, asked).get("value")
        if not isinstance(found, list):
            raise Unavailable("Microsoft Graph answered with something that is no list.", api="graph", operation="find-object")
        return _object(kind, found[0]) if found else None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, asked: Asked) -> dict[str, Any]:
        return retried(
            self._clock,
            lambda: self._once(method, path, body, asked),
            on=(Throttled, Unavailable, Conflict),
            key=path,
        )

    def _once(self, method: str, path: str, body: dict[str, Any] | None, asked: Asked) -> dict[str, Any]:
        with translated(api=asked.api, operation=asked.operation, effect=asked.effect, needs=asked.needs, thing=asked.thing):
            response = self._client.send_request(HttpRequest(method, f"{self._root}{path}", json=body))
            if response.status_code >= 400:
                raise refusal(Answer.read(response.status_code, dict(response.headers), response.text()), asked)
            if response.status_code == 204:
                return {}
            try:
                document = response.json()
            except ValueError:
                document = None
            if not isinstance(document, dict):
                raise DecodeError("no JSON object", response=response)
            return document


def _object(kind: ObjectKind, document: dict[str, Any]) -> GraphObject:
    return GraphObject(
        kind=kind,
        id=str(document["id"]),
        app_id=str(document["appId"]).lower(),
        display_name=str(document.get("displayName") or ""),
        enabled=document.get("accountEnabled"),
        passwords=tuple(_password(one) for one in document.get("passwordCredentials") or ()),
    )


def _password(document: dict[str, Any]) -> GraphPassword:
    return GraphPassword(
        key_id=str(document["keyId"]),
        display_name=str(document.get("displayName") or ""),
        start_at=instant_of(document.get("startDateTime")),
        end_at=instant_of(document.get("endDateTime")),
        hint=str(document.get("hint") or ""),
    )
