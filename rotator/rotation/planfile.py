"""Plans as text: saved, read back, and refused when the estate has moved on."""

from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from rotator.model.errors import ConfigError, PlanChanged
from rotator.model.rotation import Plan
from rotator.rotation.plan import item_facts

_PLAN = TypeAdapter(Plan)


def dump_plan(plan: Plan) -> str:
    """Write a plan as JSON. It holds ids and instants, never a secret."""
    return _PLAN.dump_json(plan, indent=2).decode() + "\n"


def load_plan(text: str) -> Plan:
    """Read what `dump_plan` wrote; ConfigError names the first thing that is wrong."""
    try:
        return _PLAN.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the text"
        raise ConfigError(
            f"this is no saved plan: {place}: {first['msg']}", advice="Make one with rotator plan --save FILE."
        ) from None


def check_unchanged(saved: Plan, fresh: Plan) -> None:
    """Raise PlanChanged, naming what differs, unless a fresh plan decides exactly what the saved one did."""
    if saved.digest == fresh.digest:
        return
    differences = list(_differences(saved, fresh))
    shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
    raise PlanChanged(f"the estate has changed since the plan was made: {shown or 'the digest differs'}")


def _differences(saved: Plan, fresh: Plan) -> Iterator[str]:
    before = {item.principal: item for item in saved.items}
    after = {item.principal: item for item in fresh.items}
    for principal in sorted(before.keys() | after.keys(), key=lambda one: one.id):
        if principal not in after:
            yield f"{principal.id} needs nothing any more"
        elif principal not in before:
            yield f"{principal.id} is due now"
        elif item_facts(before[principal]) != item_facts(after[principal]):
            was = {one.group.key for one in before[principal].consumers}
            now = {one.group.key for one in after[principal].consumers}
            gone, new = sorted(was - now), sorted(now - was)
            if gone:
                yield f"{principal.id} is no longer used by {gone[0].rsplit('/', 1)[-1]}"
            elif new:
                yield f"{principal.id} is now also used by {new[0].rsplit('/', 1)[-1]}"
            else:
                yield f"{principal.id} would be rotated in another way"
    if {one.rotation for one in saved.retirements} != {one.rotation for one in fresh.retirements}:
        yield "other old secrets wait for their end"
