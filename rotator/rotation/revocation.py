"""What a revocation would do, before anything is done: which secrets end, who is without one, and for how long. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Held
from rotator.model.estate import TAG_HANDLE, TAG_ROTATION, Estate
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup
from rotator.model.rotation import Action, Consumer, Phase
from rotator.rotation.consumers import Target, consumer_of
from rotator.rotation.due import current_credential
from rotator.rotation.naming import name_of
from rotator.rotation.obstacles import obstacle
from rotator.rotation.record import RotationRecord
from rotator.rotation.rules import Rules
from rotator.rotation.sight import sees_secrets_of, sees_vault
from rotator.rotation.slots import slots_of

# Azure promises no figure. The demonstration's clouds take 15 to 45 seconds, so this is the low side of what was seen.
REDEPLOY_TAKES = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Which secrets end now, and what that means.

    `successor` says whether a new secret is made: not when the vault gives out another that stays. `out` are the groups without
    a working pull until they have been moved, `stuck` those of them that only a person can bring back, with the reason; `safe`
    are groups of this credential that are shown to store another secret. `others` counts the groups that do not use it at all.
    `least` is how long `out` waits at the least. `obstacle` says why no successor can be made before a person has acted, and
    `advice` how: until then all of `out` stay without.
    """

    principal: Principal
    handles: tuple[str, ...]
    in_use: str
    secret_name: str
    slot: str
    successor: bool
    out: tuple[ArmId, ...]
    stuck: tuple[tuple[ArmId, str], ...]
    safe: tuple[ArmId, ...]
    others: int
    least: timedelta
    propagation: timedelta
    images: tuple[str, ...]
    kept: tuple[str, ...] = ()
    obstacle: str = ""
    advice: str = ""


def revocation_of(
    estate: Estate,
    principal: Principal,
    record: RotationRecord | None,
    traits: Traits,
    rules: Rules,
    now: datetime,
    *,
    handles: Sequence[str] = (),
    everything: bool = False,
    vault: str = "",
) -> Revocation | None:
    """Say what revoking would do, or None when there is nothing to end. Raises Held when it is impossible, saying what helps.

    Without `handles` and `everything`: the revocation that is under way, or the secret in use.
    """
    _refuse(estate, principal, traits, rules)
    known, stored = estate.records.get(principal), estate.secrets_of.get(principal.id)
    listed = tuple(one for one in (known.credentials or () if known else ()) if not one.expired(now))
    current = current_credential(known.principal if known else principal, known, stored, traits, rules, now).credential
    in_use = stored.tags.get(TAG_HANDLE, "") if stored else current.handle.id if current else ""
    chosen = _chosen(principal, record, listed, in_use, handles, everything=everything)
    if not chosen:
        return None
    name = record.secret_name if record else stored.name if stored else name_of(principal, rules)
    if record is not None and record.phase is not Phase.DONE and record.handle in chosen and not _used(estate, record, in_use):
        raise Held(
            f"{record.handle} is the new secret of a rotation, and nothing uses it yet",
            advice=f"rotator abandon '{principal.id}' ends it.",
        )
    successor = not in_use or in_use in chosen
    target = Target(principal=principal, mark="", secret_name=name, vault=vault)
    consumers = [consumer_of(group, target, estate, traits, rules) for group in estate.consumers.get(principal, ())]
    shown = _shown(record, {} if stored is None else stored.tags)
    groups = {group.id: group for group in estate.groups}
    safe = tuple(one.group for one in consumers if _safe(groups[one.group], one, shown, chosen, in_use))
    out = [one for one in consumers if one.group not in safe]
    moving = [one for one in out if one.action in {Action.REDEPLOY, Action.RESTART}]
    rounds = -(-len(moving) // rules.max_parallel)
    names = {one.name.lower(): one for one in estate.secrets}
    why, advice, _ = obstacle(estate, names, principal, name, traits, rules) if successor else ("", "", None)
    return Revocation(
        principal=known.principal if known else principal,
        handles=tuple(sorted(chosen, key=lambda one: (one != in_use, one))),
        in_use=in_use,
        secret_name=name,
        slot=_slot(slots_of(traits, listed), listed, chosen, in_use) if traits.overlap is Overlap.TWO_SLOTS else "",
        successor=successor,
        out=tuple(one.group for one in out),
        stuck=tuple((one.group, _stuck(one)) for one in out if one not in moving and (one.inline or one.action is Action.HOLD)),
        safe=safe,
        others=len(estate.groups) - len(consumers),
        least=(traits.propagation if successor else timedelta(0)) + rounds * REDEPLOY_TAKES,
        propagation=traits.propagation,
        images=tuple(sorted({image for one in consumers for image in one.images})),
        kept=tuple(one.handle.id for one in listed if one.handle.id not in chosen),
        obstacle=why,
        advice=advice,
    )


def _stuck(consumer: Consumer) -> str:
    if consumer.action is Action.HOLD:
        return consumer.why
    return "it does not run, and cannot start with what it stores; deploy it anew (rotator deploy)"


def _refuse(estate: Estate, principal: Principal, traits: Traits, rules: Rules) -> None:
    if principal.kind is PrincipalKind.ACR_ADMIN and principal.registry not in rules.admin_users:
        registry = principal.name
        raise Held(
            f"{principal.id}: an admin user's passwords are read and made anew only where rotation.admin_users names it",
            advice=(
                f"Name {principal.registry} there and revoke again. Or end both by hand (az acr credential renew -n {registry} "
                "--password-name password, then password2), which leaves its groups without until they are given another; "
                f"rotator migrate --to managed-identity --only '{principal.id}' moves them."
            ),
        )
    if traits.retire is RetireMode.BY_PERSON:
        raise Held(
            f"{principal.id}: nobody but a person can end its secrets",
            advice=f"{traits.ended_by_hand} {traits.made_by_hand} Then: rotator import '{principal.id}'.",
        )
    if traits.overlap is Overlap.LEASES:
        raise Held(
            f"{principal.id}: nobody can end a lease before its time; it ends by itself {_hours(traits)} after it was given out",
            advice=(
                "What helps at AWS: deny the role every session from before now (a policy with Deny on * and the condition "
                "aws:TokenIssueTime earlier than now: Revoke active sessions in the IAM console), or take the role's ECR "
                "permissions away. Then: rotator rotate --force --only gives the groups a new lease."
            ),
        )
    if not (sees_vault(estate) and sees_secrets_of(estate, principal)):
        raise Held(
            f"{principal.id}: the vault or its secrets could not be read, so nothing tells which secret to end",
            advice="Mend what could not be read; or end the secret at its registry by hand, and rotate afterwards.",
        )


def _hours(traits: Traits) -> str:
    return f"{traits.lease_ttl.total_seconds() / 3600:.0f} hours" if traits.lease_ttl else "some time"


def _chosen(
    principal: Principal,
    record: RotationRecord | None,
    listed: Sequence[Credential],
    in_use: str,
    handles: Sequence[str],
    *,
    everything: bool,
) -> tuple[str, ...]:
    """Return the handles to end. Held for one that the registry does not list: a mistyped one must not pass for ended."""
    live = tuple(one.handle.id for one in listed)
    under_way = record.revoke if record is not None else ()
    if everything:
        return tuple(dict.fromkeys((*under_way, *live)))
    for one in handles:
        if one not in live and one not in under_way:
            raise Held(
                f"{principal.id} has no live secret {one}",
                advice=f"It has: {', '.join(live)}." if live else "It has none at all; nothing is to be revoked.",
            )
    if handles:
        return tuple(handles)
    if under_way:
        return under_way
    if in_use and in_use not in live:
        return ()
    if not in_use and live:
        raise Held(
            f"{principal.id} has {len(live)} live secrets, and nothing tells which of them its groups use",
            advice=f"Name one with --handle, or give --all. They are: {', '.join(live)}.",
        )
    return (in_use,) if in_use else ()


def _used(estate: Estate, record: RotationRecord, in_use: str) -> bool:
    stored = any(record.mark in group.tags.values() for group in (*estate.groups, *estate.bystanders))
    return not record.handle or in_use == record.handle or stored or bool(record.known_as)


def _shown(record: RotationRecord | None, tags: Mapping[str, str]) -> dict[str, str]:
    """Return which secret the tags of groups stand for, as far as it is known."""
    shown = {tags.get(TAG_ROTATION, ""): tags.get(TAG_HANDLE, "")}
    if record is not None and record.handle:
        shown[record.mark] = record.handle
        if record.known_as:
            shown[record.known_as] = record.handle
    return shown


def _safe(group: ContainerGroup, consumer: Consumer, shown: Mapping[str, str], chosen: Sequence[str], in_use: str) -> bool:
    """Whether the group is shown to use a secret that stays: by its tags, or because it reads what the vault gives out."""
    if not consumer.inline:
        return bool(in_use) and in_use not in chosen
    stores = {shown.get(group.tags.get(GROUP_TAG_PREFIX + registry, "none"), "") for registry in consumer.registries}
    return "" not in stores and stores.isdisjoint(chosen)


def _slot(slots: Sequence[str], listed: Sequence[Credential], chosen: Sequence[str], in_use: str) -> str:
    """Return the slot for the successor: an empty one, otherwise one that a revoked secret leaves; never anybody else's."""
    live = {one.handle.slot: one.handle.id for one in listed}
    empty = [slot for slot in slots if slot not in live]
    left = sorted((slot for slot in slots if live.get(slot) in chosen), key=lambda slot: live[slot] != in_use)
    return next(iter((*empty, *left)), "")
