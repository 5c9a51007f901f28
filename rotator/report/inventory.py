"""The container groups by the way in which they authenticate to their registries, the best way first."""

from dataclasses import dataclass
from datetime import datetime

from rotator.model.credential import PrincipalKind
from rotator.model.estate import Estate
from rotator.model.group import Absent, Binding, ContainerGroup, Inline, ManagedIdentity, VaultReference
from rotator.model.lease import StoredLease, stored_lease
from rotator.report.words import KINDS, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One registry entry of one group. `until` is when the lease that it stores ends; `unknown_end` why that is not known."""

    group: str
    state: str
    location: str
    registry: str
    principal: str
    images: int
    until: datetime | None = None
    unknown_end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way of authenticating and who uses it. `secret` says whether a secret is stored in the group for it."""

    id: str
    title: str
    secret: bool
    rows: tuple[Row, ...]
    groups: int


def modes(estate: Estate) -> tuple[Mode, ...]:
    """Return every way that is in use, those without a stored secret first. A group with two registries may appear in two."""
    found: dict[tuple[int, str, str], list[tuple[ContainerGroup, Binding]]] = {}
    for group in sorted(estate.groups, key=lambda one: one.id):
        for binding in group.bindings:
            found.setdefault(_classify(binding), []).append((group, binding))
    return tuple(
        Mode(
            id=mode,
            title=title,
            secret=mode.startswith("password"),
            rows=tuple(_row(estate, group, binding) for group, binding in pairs),
            groups=len({group.id for group, _ in pairs}),
        )
        for (_, mode, title), pairs in sorted(found.items(), key=lambda item: item[0])
    )


def _classify(binding: Binding) -> tuple[int, str, str]:
    """Return the order, the id and the title of a binding's way."""
    match binding.source:
        case ManagedIdentity():
            return 0, "managed-identity", "Managed identity"
        case VaultReference():
            return 1, "vault-reference", "Password read from Key Vault"
        case Absent():
            return 2, "anonymous", "No credential (anonymous)"
        case Inline():
            kind = binding.principal.kind if binding.principal else PrincipalKind.OTHER
            return 3, f"password:{kind.value}", f"Stored password: {KINDS[kind]}"


def _row(estate: Estate, group: ContainerGroup, binding: Binding) -> Row:
    lease = stored_lease(estate, group, binding)
    return Row(
        group=place(group.id.text),
        state=group.state.value,
        location=group.location,
        registry=binding.registry,
        principal=_who(binding),
        images=len(binding.images),
        until=lease.ends_at if lease else None,
        unknown_end=_unknown_end(lease) if lease and lease.ends_at is None else "",
    )


def _unknown_end(lease: StoredLease) -> str:
    return f"{lease.why}; it ends by {lease.latest:%Y-%m-%d %H:%M} UTC at the latest" if lease.latest else lease.why


def _who(binding: Binding) -> str:
    match binding.source:
        case ManagedIdentity(identity=identity):
            return place(identity)
        case Inline(username=username) | VaultReference(username=username):
            return binding.principal.name if binding.principal else username
        case Absent():
            return ""
