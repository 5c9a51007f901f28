"""The cheapest way of each group to store no secret at all. Pure; the report shows it."""

from rotator.migration.choices import Choices
from rotator.migration.entries import Rules
from rotator.migration.plan import make_migration
from rotator.model.estate import Estate
from rotator.model.group import ContainerGroup, Inline
from rotator.model.migration import Goal, Migration, Move, Path, Step, Way


def paths_of(estate: Estate, vault: str = "") -> tuple[Path, ...]:
    """Return one path a group, whichever identity it would take: nothing to do, one command, or a sentence that says why not."""

    def all_of(goal: Goal) -> Migration:
        rules = Rules(goal=goal, choices=Choices(), vault=vault, any_identity=True)
        return make_migration(estate, rules, estate.observed_at, without_way_back=True)

    identity = {one.group: one for one in all_of(Goal.MANAGED_IDENTITY).moves}
    reference = {one.group: one for one in all_of(Goal.VAULT_REFERENCE).moves}
    return tuple(_path(one, identity.get(one.id), reference.get(one.id)) for one in estate.groups)


def _path(group: ContainerGroup, identity: Move | None, reference: Move | None) -> Path:
    inline = [one for one in group.bindings if isinstance(one.source, Inline)]
    if not inline:
        return Path(group=group.id, way=Way.NOTHING)
    for move, way in ((identity, Way.MANAGED_IDENTITY), (reference, Way.VAULT_REFERENCE)):
        if move is not None and move.step in {Step.MOVE, Step.FINISH}:
            rest = len(inline) - len({one.registry for one in move.changes} & {one.registry for one in inline})
            why = f"{rest} other stored {'password stays' if rest == 1 else 'passwords stay'}" if rest else ""
            return Path(group=group.id, way=way, command=f"rotator migrate --to {way.value} --only {group.name}", why=why)
    # What keeps it from its better way is what a person should mend.
    for move in (identity, reference):
        if move is not None and move.changes:
            return Path(group=group.id, way=Way.IMPOSSIBLE, why=move.why)
    best = reference or identity
    return Path(group=group.id, way=Way.IMPOSSIBLE, why=best.why if best else "its user name tells nothing about whom it is")
