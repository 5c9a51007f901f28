"""Leases: logins that end by themselves within hours, and which of them a group is shown to store. Pure.

No service lists leases. What tells a group's own one is the tag that a cutover leaves on it: the tag ends with the lease's name,
and the name says when it ends. That instant is no secret, and it stays true when the vault has long gone on to another lease.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import TAG_ROTATION, Estate, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, Binding, ContainerGroup, GroupState, Inline, VaultReference

LEASE_TTL = timedelta(hours=12)
"""How long an ECR password lives (docs.aws.amazon.com/AmazonECR: GetAuthorizationToken)."""

LEASE = "lease@"
"""How the handle of a lease begins; its end follows. Amazon gives it no name of its own."""

_APART = timedelta(seconds=10)  # the group's pulls are timed by Azure's clock, the lease by Amazon's


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLease:
    """What is known of the lease with which a group pulls at its next start: when it ends, else (None) why nobody can tell.

    `latest` is the instant after which it has ended for certain, where only that is known.
    """

    ends_at: datetime | None
    why: str
    latest: datetime | None = None

    def run_out(self, now: datetime) -> bool | None:
        """Whether it has ended; None when that cannot be told."""
        if self.ends_at is not None:
            return self.ends_at <= now
        return True if self.latest is not None and self.latest <= now else None


def is_lease(handle: str) -> bool:
    """Whether a handle is that of a lease."""
    return handle.startswith(LEASE)


def end_of(text: str) -> datetime | None:
    """Return when the lease ends that a handle, or a group's tag, names at its end; None when it names none."""
    _, named, end = text.rpartition(LEASE)
    try:
        at = datetime.fromisoformat(end) if named else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def stored_lease(estate: Estate, group: ContainerGroup, binding: Binding) -> StoredLease | None:
    """Say which lease a group pulls with at its next start; None for a registry entry that uses none.

    A tag is not believed when the group has pulled after the lease that it names had ended: somebody has put the group since.
    Where nothing tells, the last pull bounds the end: what was accepted then had twelve hours left at most.
    """
    principal = binding.principal
    if principal is None or principal.kind is not PrincipalKind.ECR:
        return None
    vault = estate.secrets_of.get(principal.id)
    if isinstance(binding.source, VaultReference):
        return _referenced(estate, principal, binding.source, vault)
    if not isinstance(binding.source, Inline):
        return None
    tag = group.tags.get(GROUP_TAG_PREFIX + binding.registry, "")
    same = bool(vault and tag) and vault is not None and vault.tags.get(TAG_ROTATION) == tag
    ends_at = end_of(tag) or (vault.expires_at if vault and same else None)
    pulled_at = last_pull(group, binding.registry)
    if ends_at is not None and (pulled_at is None or pulled_at <= ends_at + _APART):
        which = "the vault's lease" if same else "an older lease than the vault's"
        return StoredLease(ends_at=ends_at, why=f"the group's tag says that it stores {which}")
    latest = pulled_at + LEASE_TTL if pulled_at else None
    if ends_at is not None:
        return StoredLease(ends_at=None, why="it pulled after the end of the lease that its tag names", latest=latest)
    return StoredLease(ends_at=None, why="neither a tag of the group nor the vault tells which lease it stores", latest=latest)


def last_pull(group: ContainerGroup, registry: str) -> datetime | None:
    """Return when the group last pulled from a registry with success, as far as Azure still shows it."""
    if group.state not in (GroupState.RUNNING, GroupState.STOPPED, GroupState.FINISHED):
        return None
    return max((one.last_at for one in group.pulls if one.registry == registry), default=None)


def reads(source: VaultReference, stored: StoredSecret) -> bool:
    """Whether a vault reference follows this secret to its newest version."""
    return urlsplit(source.secret_url).path.strip("/").lower() == f"secrets/{stored.name}".lower()


def _referenced(estate: Estate, principal: Principal, source: VaultReference, vault: StoredSecret | None) -> StoredLease:
    if vault is None:
        unread = next((one.reason for one in estate.unread if one.what == "vault"), "")
        return StoredLease(ends_at=None, why=unread or f"the vault holds no lease of {principal.id}")
    if not reads(source, vault):
        return StoredLease(ends_at=None, why=f"it reads another vault secret, or another version, than {vault.name}")
    return StoredLease(ends_at=vault.expires_at, why=f"it reads {vault.name} from the vault at its next start")
