"""Reads the clouds through the ports into one estate, and writes down what could not be read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from rotator.inventory.classify import DEFAULT_HOSTS, KnownHosts, classify
from rotator.inventory.networks import read_networks
from rotator.inventory.scope import Scope
from rotator.inventory.suspects import find_suspects
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import NotFound, RotatorError
from rotator.model.estate import Estate, PrincipalRecord, Registry, Unread
from rotator.model.group import ContainerGroup, Inline, WriteOnlyField
from rotator.model.image import normal_server
from rotator.ports import (
    Clock,
    Directory,
    GroupPlatform,
    NetworkCatalog,
    PrincipalReader,
    RegistryCatalog,
    SecretStore,
    ValueSource,
)

ROTATABLE = frozenset({PrincipalKind.ACR_TOKEN, PrincipalKind.ENTRA_APP, PrincipalKind.ECR})
"""Kinds whose groups need no source for their registry password, because a rotation brings a new one.

A caller with drivers names the kinds of these."""

_PASSWORD_PREFIX, _PASSWORD_SUFFIX = "imageRegistryCredentials/", "/password"

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """The ports that an inventory reads through. `principals` has those kinds whose service is asked for each principal;
    of admin users only those of the login servers `admin_users`."""

    clock: Clock
    groups: GroupPlatform
    registries: RegistryCatalog
    directory: Directory
    vault: SecretStore
    values: ValueSource
    principals: Mapping[PrincipalKind, PrincipalReader] = field(default_factory=dict)
    networks: NetworkCatalog | None = None
    admin_users: Collection[str] = ()

    def ask(self, principal: Principal) -> bool:
        """Whether the principal's service is asked about it. Looking at an admin user reads its passwords' values."""
        looked_at = principal.kind is not PrincipalKind.ACR_ADMIN or principal.registry in self.admin_users
        return looked_at and principal.kind in self.principals


def gather(
    readers: Readers,
    scope: Scope,
    *,
    hosts: KnownHosts = DEFAULT_HOSTS,
    rotatable: Collection[PrincipalKind] = ROTATABLE,
    workers: int = 8,
) -> Estate:
    """Return everything within `scope`, in an order that depends on nothing but what the clouds hold.

    Never raises an error of ours: what could not be read becomes an `Unread` entry beside everything that could. Registries
    outside the scope's filters are kept when a group within it uses them; of the directory only those applications are read
    that groups authenticate as. `workers` bounds the requests under way at a time.
    """
    observed_at = readers.clock.now()
    notes = _Notes()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="gather") as pool:
        stored = pool.submit(notes.read, readers.vault.address, "vault", readers.vault.inventory)
        listed = _flat(
            pool.map(lambda one: notes.read(one, "container-groups", lambda: readers.groups.groups(one)), scope.subscriptions)
        )
        known = _flat(
            pool.map(lambda one: notes.read(one, "registries", lambda: readers.registries.registries(one)), scope.subscriptions)
        )

        by_server = {one.login_server.lower(): one for one in known}
        classified = [_classified(one, by_server, hosts) for one in listed]
        groups = [one for one in classified if scope.admits(one.id, one.tags)]
        registries = _kept(by_server, groups, scope)
        principals = sorted({one for group in groups for one in _principals(group)}, key=lambda one: one.id)
        applications = [one for one in principals if one.kind is PrincipalKind.ENTRA_APP]

        secrets = stored.result()
        # Half a listing must not pass for the whole vault.
        readers.values.refresh(None if notes.failed("vault") else secrets)
        located = pool.map(lambda one: _unsourced(readers.values, one, frozenset(rotatable), notes), groups)
        tokens = _flat(
            pool.map(lambda one: notes.read(one.id.text, "tokens", lambda: readers.registries.tokens(one)), registries)
        )
        # A few requests at most, so one after the other, beside everything else.
        networks = pool.submit(read_networks, readers.networks, groups, registries, notes.read)
        found = _flat(
            pool.map(lambda one: notes.read(one.name, "applications", lambda: _looked_up(readers.directory, one)), applications)
        )
        others = [one for one in principals if readers.ask(one)]
        asked = _flat(pool.map(lambda one: notes.read(one.id, "principals", lambda: _asked(readers.principals, one)), others))
        unsourced = {group.id: fields for group, fields in zip(groups, located, strict=True) if fields}

    records = sorted(
        [*tokens, *found, *asked, *_admins([one for one in principals if not readers.ask(one)], by_server)],
        key=lambda one: one.principal.id,
    )
    everybody = sorted(_respelled(classified, records), key=lambda one: one.id)
    within = {one.id for one in groups}
    return Estate(
        observed_at=observed_at,
        subscriptions=scope.subscriptions,
        groups=tuple(replace(one, suspects=find_suspects(one.body)) for one in everybody if one.id in within),
        bystanders=_bystanders(everybody, within),
        registries=registries,
        records={one.principal: one for one in records},
        secrets=tuple(sorted(secrets, key=lambda one: one.name)),
        unsourced=dict(sorted(unsourced.items())),
        networks=networks.result(),
        unread=notes.written(),
    )


class _Notes:
    """What could not be read, written down from several threads."""

    def __init__(self) -> None:
        self._unread: set[Unread] = set()

    def read(self, scope: str, what: str, source: Callable[[], Iterable[Found]]) -> tuple[Found, ...]:
        """Return what `source` yields; when it fails, what it yielded until then, and the failure is noted."""
        found: list[Found] = []
        try:
            # One by one: a page that fails must not take the pages before it away.
            for one in source():
                found.append(one)  # noqa: PERF402 - see above
        except RotatorError as error:
            self.note(scope, what, error)
        return tuple(found)

    def note(self, scope: str, what: str, error: RotatorError) -> None:
        """Remember a failure."""
        self._unread.add(Unread(scope=scope, what=what, code=error.code, reason=error.message, advice=error.advice))

    def failed(self, what: str) -> bool:
        """Say whether something of this name could not be read."""
        return any(one.what == what for one in self._unread)

    def written(self) -> tuple[Unread, ...]:
        """Return the notes in a stable order."""
        return tuple(sorted(self._unread, key=lambda one: (one.what, one.scope, one.code, one.reason)))


def _flat(parts: Iterable[Sequence[Found]]) -> list[Found]:
    return [one for part in parts for one in part]


def _looked_up(directory: Directory, principal: Principal) -> tuple[PrincipalRecord, ...]:
    record = directory.application(principal.name)
    return () if record is None else (record,)


def _asked(readers: Mapping[PrincipalKind, PrincipalReader], principal: Principal) -> tuple[PrincipalRecord, ...]:
    try:
        listed = readers[principal.kind].inspect(principal)
    except NotFound:
        return ()
    # A service that lists no secrets has not said that there are none.
    unlisted = not listed and not readers[principal.kind].traits.listed
    return (PrincipalRecord(principal=principal, credentials=None if unlisted else listed),)


def _classified(group: ContainerGroup, registries: Mapping[str, Registry], hosts: KnownHosts) -> ContainerGroup:
    """Return the group with its bindings' principals, which the platform leaves open."""
    return replace(group, bindings=tuple(replace(one, principal=classify(one, registries, hosts)) for one in group.bindings))


def _kept(by_server: Mapping[str, Registry], groups: Iterable[ContainerGroup], scope: Scope) -> tuple[Registry, ...]:
    used = {normal_server(binding.registry) for group in groups for binding in group.bindings}
    kept = (one for server, one in by_server.items() if server in used or scope.admits(one.id, one.tags))
    return tuple(sorted(kept, key=lambda one: one.id))


def _bystanders(everybody: Sequence[ContainerGroup], within: Collection[ArmId]) -> tuple[ContainerGroup, ...]:
    """Return the groups outside the scope that authenticate as somebody whom a group within it authenticates as."""
    shared = {principal for group in everybody if group.id in within for principal in _principals(group)}
    return tuple(one for one in everybody if one.id not in within and shared & set(_principals(one)))


def _principals(group: ContainerGroup) -> list[Principal]:
    return [binding.principal for binding in group.bindings if binding.principal is not None]


def _admins(principals: Iterable[Principal], registries: Mapping[str, Registry]) -> list[PrincipalRecord]:
    # Azure lists an admin user's passwords only together with their values (listCredentials), which an inventory must not
    # see; that the user is switched on or off is a property of the registry.
    admins = [one for one in principals if one.kind is PrincipalKind.ACR_ADMIN and one.registry in registries]
    return [PrincipalRecord(principal=one, credentials=None, enabled=registries[one.registry].admin_enabled) for one in admins]


def _respelled(groups: Iterable[ContainerGroup], records: Iterable[PrincipalRecord]) -> list[ContainerGroup]:
    """Return the groups with principals spelled as their service spells them.

    Resource names ignore case, so a group that presents `Pull` uses the token `pull`; as two principals, the token would look
    unused and the group's principal lost.
    """
    spelled = {one.principal.id.lower(): one.principal for one in records if one.principal.kind is PrincipalKind.ACR_TOKEN}
    return [
        replace(
            group,
            bindings=tuple(
                replace(one, principal=spelled.get(one.principal.id.lower(), one.principal)) if one.principal else one
                for one in group.bindings
            ),
        )
        for group in groups
    ]


def _unsourced(
    values: ValueSource, group: ContainerGroup, rotatable: frozenset[PrincipalKind], notes: _Notes
) -> tuple[WriteOnlyField, ...]:
    brought = {
        normal_server(one.registry)
        for one in group.bindings
        if isinstance(one.source, Inline) and one.principal is not None and one.principal.kind in rotatable
    }
    return tuple(one for one in group.write_only if _registry_of(one) not in brought and not _located(values, group, one, notes))


def _registry_of(field: WriteOnlyField) -> str | None:
    """Return the host whose password the field is, or None for any other field."""
    if not (field.path.startswith(_PASSWORD_PREFIX) and field.path.endswith(_PASSWORD_SUFFIX)):
        return None
    return normal_server(field.path.removeprefix(_PASSWORD_PREFIX).removesuffix(_PASSWORD_SUFFIX))


def _located(values: ValueSource, group: ContainerGroup, field: WriteOnlyField, notes: _Notes) -> bool:
    try:
        return values.locate(group, field) is not None
    except RotatorError as error:
        # Counted as not found, so that no plan redeploys the group; the note keeps the audit from calling it a violation.
        notes.note(group.id.text, "value-sources", error)
        return False
