"""Applications, service principals and their client secrets as Graph writes them (pure)."""

from typing import TYPE_CHECKING

from rotator.sandbox.clouds.graph.records import DirectoryObject, PasswordCredential, ServicePrincipal
from rotator.sandbox.wire import Document, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World


def password_document(password: PasswordCredential, *, reveal: bool = False) -> Document:
    """Return a client secret as Graph shows it: its text once, at its creation."""
    return {
        "customKeyIdentifier": None,
        "displayName": password.display_name,
        "endDateTime": rfc3339(password.end_at),
        "hint": password.hint,
        "keyId": password.key_id,
        "secretText": password.secret if reveal else None,
        "startDateTime": rfc3339(password.start_at),
    }


def directory_document(world: "World", thing: DirectoryObject) -> Document:
    """Return an application or a service principal as GET shows it."""
    shared: Document = {
        "id": thing.object_id,
        "deletedDateTime": None,
        "appId": thing.app_id,
        "displayName": thing.display_name,
        "keyCredentials": [],
        "passwordCredentials": [password_document(password) for password in thing.passwords],
        "tags": [],
        "notes": None,
    }
    if not isinstance(thing, ServicePrincipal):
        return shared | {
            "createdDateTime": rfc3339(thing.created_at),
            "identifierUris": [],
            "signInAudience": "AzureADMyOrg",
            "requiredResourceAccess": [],
        }
    managed = thing.kind == "ManagedIdentity"
    return shared | {
        "accountEnabled": thing.enabled,
        "alternativeNames": ["isExplicit=True", thing.resource_id] if managed else [],
        "appDisplayName": None if managed else thing.display_name,
        "appOwnerOrganizationId": None if managed else world.entra.tenant_id,
        "appRoleAssignmentRequired": False,
        "servicePrincipalNames": thing.names,
        "servicePrincipalType": thing.kind,
    }
