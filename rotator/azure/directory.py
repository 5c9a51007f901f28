"""The directory port: an application's secrets, those of both of its objects."""

from rotator.clients.graph import Graph, GraphObject, marker_in
from rotator.model.credential import Credential, Handle, Principal, PrincipalKind
from rotator.model.estate import PrincipalRecord


class EntraDirectory:
    """Reads applications and service principals from Microsoft Graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def application(self, app_id: str) -> PrincipalRecord | None:
        """Return the principal with the passwords of BOTH its objects, application and service principal; None when unknown.

        A service principal of another tenant's application has no application object here; it counts alone.
        """
        found = [one for one in (self._graph.application(app_id), self._graph.service_principal(app_id)) if one]
        if not found:
            return None
        principal = Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name=app_id.lower())
        enabled = [one.enabled for one in found if one.enabled is not None]
        return PrincipalRecord(
            principal=principal,
            credentials=tuple(one for each in found for one in credentials_of(principal, each)),
            enabled=enabled[0] if enabled else None,
            display_name=found[0].display_name,
        )


def credentials_of(principal: Principal, found: GraphObject) -> tuple[Credential, ...]:
    """Return what is known about the passwords of one object, with handles that say which object holds them."""
    return tuple(
        Credential(
            handle=Handle(
                principal=principal,
                id=f"{found.kind}/{password.key_id}",
                marker=marker_in(password.display_name),
            ),
            username=principal.name,
            issued_at=password.start_at,
            expires_at=password.end_at,
            hint=password.hint,
        )
        for password in found.passwords
    )
