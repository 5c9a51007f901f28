"""Service principals: client secrets in Microsoft Entra, as many at once as one likes."""

from datetime import UTC, datetime, timedelta

from rotator.clients.graph import Graph, GraphObject, ObjectKind, display_name_of
from rotator.clients.pulls import PullProbe
from rotator.drivers.handles import end, unknown
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import NotFound
from rotator.model.secret import Secret
from rotator.ports import Clock, Directory

# Shorter than many tenants' policies allow, so that a policy does not have to refuse it.
DEFAULT_TTL = timedelta(days=90)
_OLDEST = datetime.min.replace(tzinfo=UTC)


class EntraApp(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for service principals.

    An app registration has two objects whose secrets both work. A new secret goes to the object that holds the newest one
    now, since that is where its owners look, and to the application when there is none.
    """

    kind = PrincipalKind.ENTRA_APP
    # microsoft-graph-docs#17966: a new secret was refused for 4 to 18 seconds, by some replicas; there is no promise.
    traits = Traits(
        overlap=Overlap.MANY,
        retire=RetireMode.EXPLICIT,
        propagation=timedelta(seconds=20),
        propagation_limit=timedelta(minutes=3),
    )

    def __init__(self, graph: Graph, directory: Directory, pulls: PullProbe, clock: Clock) -> None:
        super().__init__(pulls, clock)
        self._graph = graph
        self._directory = directory

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the client secrets of both objects. NotFound when the tenant has neither."""
        record = self._directory.application(principal.name)
        if record is None or record.credentials is None:
            raise _unknown(principal)
        return record.credentials

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,
        slot: str,  # noqa: ARG002 - no slots here
        *,
        before: datetime | None = None,  # noqa: ARG002 - nothing is ended by it
    ) -> tuple[Credential, Secret]:
        """Add a client secret that shows the marker in its display name. Raises Indeterminate when no answer came."""
        holder = self._holder(principal)
        end_at = self._clock.now() + (ttl or DEFAULT_TTL)
        made, secret = self._graph.add_password(holder.kind, holder.id, display_name_of(marker), end_at)
        credential = Credential(
            handle=Handle(principal=principal, id=f"{holder.kind}/{made.key_id}", marker=marker),
            username=principal.name,
            issued_at=made.start_at or self._clock.now(),
            expires_at=made.end_at or end_at,
            hint=made.hint,
        )
        return credential, secret

    def retire(self, handle: Handle) -> None:
        """Remove the client secret that the handle names, from the object that the handle names."""
        kind, key_id = _parsed(handle)

        def once() -> None:
            holder = self._object(kind, handle.principal)
            if holder is not None and any(one.key_id.lower() == key_id.lower() for one in holder.passwords):
                self._graph.remove_password(kind, holder.id, key_id)

        end(handle, once, api="graph", operation="remove-password")

    def _holder(self, principal: Principal) -> GraphObject:
        objects = (self._graph.application(principal.name), self._graph.service_principal(principal.name))
        found = [one for one in objects if one is not None]
        if not found:
            raise _unknown(principal)
        # max keeps the first of equals, so an application without any secret wins over a service principal without any.
        return max(found, key=_newest)

    def _object(self, kind: ObjectKind, principal: Principal) -> GraphObject | None:
        if kind == "application":
            return self._graph.application(principal.name)
        return self._graph.service_principal(principal.name)


def _newest(holder: GraphObject) -> datetime:
    return max((one.start_at or _OLDEST for one in holder.passwords), default=_OLDEST)


def _parsed(handle: Handle) -> tuple[ObjectKind, str]:
    kind, _, key_id = handle.id.partition("/")
    if key_id and kind == "application":
        return "application", key_id
    if key_id and kind == "servicePrincipal":
        return "servicePrincipal", key_id
    raise unknown(handle, "client secret", api="graph", operation="remove-password")


def _unknown(principal: Principal) -> NotFound:
    return NotFound(f"the tenant has no application {principal.name}", api="graph", operation="find-object")
