"""The emergency path: a leaked secret is ended now, and its successor made and moved to without canary and without soak.

The intent stands in the vault before the first effect, as the announcement of a rotation, or on the record of the one that is
under way. Whoever comes next ends what is named there once more (gone is done) and carries on.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rotator.model.credential import Overlap, Principal
from rotator.model.errors import Held, NotFound
from rotator.model.estate import STAGED_SUFFIX
from rotator.model.rotation import Phase, Retirement
from rotator.rotation.abandon import made_unseen
from rotator.rotation.context import Context, looking, switch_off
from rotator.rotation.issue import announce
from rotator.rotation.naming import handle_of, marker_of
from rotator.rotation.record import RotationRecord
from rotator.rotation.revocation import Revocation


def begin(context: Context, revocation: Revocation) -> RotationRecord | None:
    """Write down which secrets end, and end them. Returns the record that the next run carries on, None where none is needed.

    A successor is announced in the place of whatever was under way; what that had made is ended after the soak like any old
    secret. Harmless twice. Raises what ending a secret raises; the intent stands then, and the next run tries again.
    """
    record = context.record(revocation.secret_name + STAGED_SUFFIX)
    under_way = record is not None and record.phase is not Phase.DONE
    if record is not None and under_way and set(revocation.handles) <= set(record.revoke):
        noted: RotationRecord | None = record
    elif revocation.successor:
        noted = _announced(context, revocation, record if under_way else None)
    elif record is not None and under_way:
        revoke = tuple(dict.fromkeys((*record.revoke, *revocation.handles)))
        old = tuple(dict.fromkeys((*record.old, *revocation.handles)))
        noted = context.save(replace(record, revoke=revoke, old=old))
    else:
        noted = None
    name = noted.rotation if noted is not None else marker_of(revocation.principal, ("revoked", *revocation.handles))
    end(context, revocation.principal, name, revocation.handles)
    if noted is None:
        forget(context, revocation.secret_name, revocation.handles)
    return noted


def _announced(context: Context, revocation: Revocation, found: RotationRecord | None) -> RotationRecord:
    if found is not None and found.phase is Phase.INTENT:
        # Whatever it may have made carries its name or fills its slot: only a rotation of that name can tell.
        old = tuple(dict.fromkeys((*found.old, *revocation.handles)))
        return context.save(replace(found, revoke=revocation.handles, old=old))
    unseen = tuple(one.id for one in made_unseen(context, found, revocation.in_use)) if found is not None else ()
    before = (found.handle, *found.old, *unseen) if found is not None else ()
    fresh = RotationRecord(
        rotation=marker_of(revocation.principal, ("revoked", *revocation.handles)),
        principal=revocation.principal,
        phase=Phase.INTENT,
        secret_name=revocation.secret_name,
        slot=revocation.slot,
        old=tuple(dict.fromkeys(one for one in (*revocation.handles, *before) if one)),
        issued_at=context.clock.now(),
        revoke=revocation.handles,
    )
    looking(context, lambda: announce(context, fresh))
    return fresh


def end(context: Context, principal: Principal, rotation: str, handles: Sequence[str]) -> tuple[str, ...]:
    """End the secrets that can be ended before there is a successor; returns those.

    Of a token's passwords the last one waits until the other slot is filled: ending it means sending the list of those that
    stay, and nobody says what an empty list does.
    """
    # A lone secret is ended by the making of its successor, which is made from it.
    last_waits = context.driver(principal).traits.overlap in {Overlap.TWO_SLOTS, Overlap.SINGLE}
    ended = []
    for text in handles:
        if last_waits and not set(_listed(context, principal)) - {text}:
            continue
        _end_one(context, principal, rotation, text)
        ended.append(text)
    return tuple(ended)


def end_all(context: Context, principal: Principal, rotation: str, handles: Sequence[str]) -> tuple[str, ...]:
    """End what `end` had to leave, now that there is a successor. Already gone counts as done."""
    listed = _listed(context, principal)
    left = tuple(text for text in handles if text in listed)
    for text in left:
        _end_one(context, principal, rotation, text)
    return left


def _end_one(context: Context, principal: Principal, rotation: str, text: str) -> None:
    looking(context, partial(context.driver(principal).retire, handle_of(principal, text)))
    context.tell(rotation, principal, "revoke", f"ended {text}")


def end_old(context: Context, retirement: Retirement) -> None:
    """End the revoked ones of a rotation's old secrets, whoever still stores them; the rotation itself goes on."""
    if retirement.handle in retirement.revoked:
        raise Held(f"{retirement.handle} is in use by now; name it to rotator revoke, which makes a successor")
    end_all(context, retirement.principal, retirement.rotation, retirement.revoked)
    forget(context, retirement.secret_name, retirement.revoked)
    record = context.record(retirement.secret_name + STAGED_SUFFIX)
    if record is not None and record.rotation == retirement.rotation:
        kept = tuple(one for one in record.old if one not in retirement.revoked)
        context.save(replace(record, old=kept, revoke=()))


def forget(context: Context, secret_name: str, handles: Sequence[str]) -> tuple[str, ...]:
    """Switch off the vault's versions of ended secrets, so that nobody deploys one; returns those versions."""
    return tuple(one.version for one in switch_off(context, secret_name, handles))


def _listed(context: Context, principal: Principal) -> tuple[str, ...]:
    try:
        return tuple(one.handle.id for one in context.driver(principal).inspect(principal))
    except NotFound:
        # Whoever is gone has taken its secrets along.
        return ()
