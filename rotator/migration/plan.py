"""Who moves to what, who cannot and why, and in which order. Pure: the same estate gives the same migration."""

from collections.abc import Collection, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial

from rotator.migration.entries import Rules, candidates, change_of, grant_of
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Estate
from rotator.model.group import (
    GROUP_TAG_PREFIX,
    MOST_TAGS,
    ContainerGroup,
    GroupState,
    Inline,
    ManagedIdentity,
    VaultReference,
    registry_password,
)
from rotator.model.migration import MOVING, Change, Goal, Migration, Move, Step, Unused
from rotator.rotation.waves import waves_of

_OFF = (
    (GroupState.STOPPED, "is stopped; putting it again would start it"),
    (GroupState.FINISHED, "has run to its end; putting it again would run its job a second time"),
)


def make_migration(
    estate: Estate,
    rules: Rules,
    now: datetime,
    *,
    only: Sequence[str] = (),
    without_way_back: bool = False,
    canaries: int = 1,
    growth: int = 3,
) -> Migration:
    """Decide for each group that has something to move. Raises nothing: who cannot move is there with a sentence.

    `only` limits it to groups, principals and registries by name, id or glob.
    """
    moves = []
    for group in estate.groups:
        move = _move(group, estate, rules, without_way_back=without_way_back) if matches(group, only) else None
        if move is not None:
            moves.append(move)
    going = {one.group for one in moves if one.step is Step.MOVE}
    # Those that run well first: of a group that was broken before, nothing can be learnt.
    order = sorted((one for one in estate.groups if one.id in going), key=lambda one: (one.state is GroupState.FAILED, one.id))
    changes = [change for one in moves if one.step is Step.MOVE for change in one.changes]
    grants = dict.fromkeys(grant_of(one, estate, rules) for one in changes)
    return Migration(
        goal=rules.goal,
        made_at=now,
        moves=tuple(moves),
        waves=waves_of([one.id for one in order], canaries, growth),
        grants=tuple(grants),
        unused=_unused(estate, moves, rules.goal),
    )


def matches(group: ContainerGroup, only: Sequence[str]) -> bool:
    """Whether a group, a principal or a registry of it is among those that were named."""
    return not only or any(fnmatchcase(name, one.lower()) for name in _called(group) for one in only)


def _called(group: ContainerGroup) -> Collection[str]:
    found = {group.name.lower(), group.id.key, f"{group.id.resource_group}/{group.name}".lower()}
    for one in group.bindings:
        found |= {one.registry, *((one.principal.id.lower(), one.principal.name.lower()) if one.principal else ())}
    # What it left: to finish a move, it may be named as it was when the move began.
    found |= {value.removeprefix(MOVING).lower() for value in group.tags.values() if value.startswith(MOVING)}
    return found


def _move(group: ContainerGroup, estate: Estate, rules: Rules, *, without_way_back: bool) -> Move | None:
    decide = partial(Move, group=group.id, location=group.location.lower())
    begun = unconfirmed(group)
    if begun:
        return decide(step=Step.FINISH, changes=begun)
    bindings = candidates(group, rules)
    if not bindings:
        return None
    judged = [change_of(group, one, estate, rules) for one in bindings]
    changes = tuple(one for one in judged if isinstance(one, Change))
    refused = [one for one in judged if isinstance(one, str)]
    if not changes:
        return decide(step=Step.HOLD, why=refused[0])
    off = next((why for state, why in _OFF if group.state is state), "")
    if off:
        return decide(step=Step.LEAVE, changes=changes, why=off)
    why, missing = _obstacle(group, changes, estate, rules, without_way_back=without_way_back)
    return decide(step=Step.HOLD if why else Step.MOVE, changes=changes, why=why, missing=missing)


def _obstacle(
    group: ContainerGroup, changes: Sequence[Change], estate: Estate, rules: Rules, *, without_way_back: bool
) -> tuple[str, tuple[str, ...]]:
    if group.state is GroupState.UNKNOWN:
        return "its state could not be read", ()
    if rules.goal is Goal.VAULT_REFERENCE and not rules.choices.vault_id and not rules.any_identity:
        return "the vault's resource id is not known, so that the identity's role cannot be looked at; set migration.vault_id", ()
    tags = {GROUP_TAG_PREFIX + one.registry for one in changes}
    if len(group.tags.keys() | tags) > MOST_TAGS:
        return f"it has {len(group.tags)} tags, which leaves no room for the one that says where its migration stands", ()
    missing = _missing(group, changes, estate)
    if missing:
        return "a redeploy would lose write-only values that nothing holds", missing
    lost = [one for one in changes if isinstance(one.before, Inline) and not one.way_back]
    if lost and not without_way_back:
        return (
            f"the vault does not hold the password of {lost[0].principal.id}, so that there would be no way back; "
            "rotate it first, or give --without-way-back"
        ), ()
    return "", ()


def _missing(group: ContainerGroup, changes: Sequence[Change], estate: Estate) -> tuple[str, ...]:
    """List what a PUT needs and nothing holds; the passwords that go away are not needed."""
    gone = {registry_password(one.registry).path for one in changes}
    unsourced = [field.path for field in estate.unsourced.get(group.id, ()) if field.path not in gone]
    others = [
        path
        for one in group.bindings
        if isinstance(one.source, Inline) and one.principal is not None and one.principal.id not in estate.secrets_of
        for path in [registry_password(one.registry).path]
        if path not in gone
    ]
    return tuple(dict.fromkeys((*unsourced, *others)))


def unconfirmed(group: ContainerGroup) -> tuple[Change, ...]:
    """Return the entries that an earlier run replaced without having seen the group well, as the group's own tags tell."""
    found = []
    for binding in group.bindings:
        left = group.tags.get(GROUP_TAG_PREFIX + binding.registry, "")
        if left.startswith(MOVING) and isinstance(binding.source, ManagedIdentity | VaultReference):
            try:
                principal = Principal.parse(left.removeprefix(MOVING))
            except ValueError:
                continue
            found.append(
                Change(
                    registry=binding.registry,
                    principal=principal,
                    before=Inline(principal.name),
                    after=binding.source,
                    images=tuple(str(image) for image in binding.images),
                )
            )
    return tuple(found)


def _unused(estate: Estate, moves: Sequence[Move], goal: Goal) -> tuple[Unused, ...]:
    """List the principals that no group would use any more, where every group could be seen."""
    if goal is not Goal.MANAGED_IDENTITY or any(one.what in {"container-groups", "registries"} for one in estate.unread):
        return ()
    found: dict[Principal, set[str]] = {}
    for move in moves:
        if move.step in {Step.MOVE, Step.FINISH}:
            for change in move.changes:
                found.setdefault(change.principal, set()).add(move.group.key)
    staying: dict[Principal, set[str]] = {}
    for group in (*estate.groups, *estate.bystanders):
        for binding in group.bindings:
            if binding.principal is not None:
                staying.setdefault(binding.principal, set()).add(group.id.key)
    free = sorted((one for one, groups in found.items() if staying.get(one, set()) <= groups), key=lambda one: one.id)
    return tuple(Unused(principal=one, how=_how_to_end(one, estate)) for one in free)


def _how_to_end(principal: Principal, estate: Estate) -> str:
    registry = estate.registry_of.get(principal.registry)
    name = registry.name if registry else principal.registry
    match principal.kind:
        case PrincipalKind.ACR_TOKEN:
            return f"az acr token delete --registry {name} --name {principal.name}"
        case PrincipalKind.ACR_ADMIN:
            return f"rotator disable-admin-user {name}"
        case PrincipalKind.ENTRA_APP:
            return f"az ad app delete --id {principal.name}"
        case _:
            return "it ends by itself"
