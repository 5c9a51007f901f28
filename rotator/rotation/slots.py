"""Which of a principal's two slots may be filled. Pure.

A token has two passwords. Filling the one that groups use would lock them out at their next pull, so a slot is filled only
when it is empty, has expired, or is known to be out of use; anything else is for a person to decide.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rotator.model.credential import Credential, Traits
from rotator.model.errors import Held
from rotator.rotation.due import Current


def slots_of(traits: Traits, listed: Iterable[Credential]) -> Sequence[str]:
    """Return the names of a principal's two slots."""
    return traits.slots or tuple(dict.fromkeys(one.handle.slot for one in listed))


def free_slot(principal_id: str, traits: Traits, listed: Sequence[Credential], current: Current, told: str, now: datetime) -> str:
    """Return the slot to fill. Raises Held when no slot is known to be free.

    `told` is the operator's word on the slot in use (`rotation.slots`), or empty.
    """
    slots = slots_of(traits, listed)
    live = {one.handle.slot: one for one in listed if not one.expired(now)}
    in_use = current.credential.handle.slot if current.credential is not None else ""
    if not in_use:
        empty = [slot for slot in slots if slot not in live]
        if empty:
            return empty[0]
        raise Held(
            "both passwords are live and nothing tells which of them the groups use",
            advice=f"Delete the one that nobody uses, or name the one in use: rotation.slots: {{'{principal_id}': {slots[0]}}}",
        )
    other = slots[1] if in_use == slots[0] else slots[0]
    # The operator's word counts only while it agrees with what the vault says is in use: after a rotation it is out of date.
    if other not in live or told == in_use or traits.slot_is_user:
        return other
    made = live[other].issued_at
    raise Held(
        f"{other}, made {made:%Y-%m-%d}, is live and nothing tells who uses it"
        if made
        else f"{other} is live, and nothing tells who uses it",
        advice=f"Delete {other} if nobody uses it, or allow it to be replaced: rotation.slots: {{'{principal_id}': {in_use}}}",
    )
