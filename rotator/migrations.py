"""The use cases of leaving stored secrets: migrate groups, and switch an admin user off that nobody needs."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from rotator.migration.adminuser import admin_use
from rotator.migration.choices import Choices
from rotator.migration.entries import Rules
from rotator.migration.move import Mover, with_way_back
from rotator.migration.paths import paths_of
from rotator.migration.plan import make_migration
from rotator.migration.run import Preparation, carry_out
from rotator.model.errors import Held
from rotator.model.estate import TAG_ROTATION, Estate
from rotator.model.migration import AdminUse, Goal, Migration, Move, Moved, Path, Step
from rotator.ports import AccessControl, Observer
from rotator.rotation.context import Context

AtWork = Callable[[str, Observer | None], AbstractContextManager[Context]]
"""Owns the installation while something is changed: evidence is kept, and every observer is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """Plans and carries out. `at_work` yields the context that everything is done with."""

    context: Context
    access: AccessControl
    choices: Choices
    tenant: str
    at_work: AtWork

    def plan(
        self, estate: Estate, goal: Goal, only: Sequence[str] = (), *, identity: str = "", without_way_back: bool = False
    ) -> Migration:
        """Decide who moves. Nothing is touched."""
        rules = self._rules(goal, identity)
        numbers = self.context.rules
        made = make_migration(
            estate,
            rules,
            self.context.clock.now(),
            only=only,
            without_way_back=without_way_back,
            canaries=numbers.canaries,
            growth=numbers.wave_growth,
        )
        return replace(made, moves=tuple(_with_ways_back(one, estate) for one in made.moves))

    def carry_out(
        self, migration: Migration, progress: Observer | None = None, *, create: bool = False, without_way_back: bool = False
    ) -> tuple[Moved, ...]:
        """Move the groups; raises Held before the first when an identity or a role is missing and may not be made."""
        work = f"a migration to {migration.goal.value} begins: {migration.restarts} groups"
        with self.at_work(work, progress) as context:
            mover = Mover(context=context, choices=self.choices, name=_name(migration), without_way_back=without_way_back)
            preparation = Preparation(access=self.access, mover=mover, tenant=self.tenant, create=create)
            return carry_out(migration, mover, preparation)

    def paths(self, estate: Estate) -> tuple[Path, ...]:
        """Return each group's cheapest way to zero secrets."""
        return paths_of(estate, self.context.vault.address)

    def admin_users(self, estate: Estate, only: str = "") -> tuple[AdminUse, ...]:
        """Say of each registry whose admin user is switched on, or of one, who uses it. Raises Held for a registry not seen."""
        found = [one for one in estate.registries if not only or only.lower() in {one.name.lower(), one.login_server.lower()}]
        if only and not found:
            raise Held(f"no registry {only} was found in the subscriptions in scope", advice="rotator audit lists what was read.")
        now, window = self.context.clock.now(), self.choices.admin_window
        return tuple(admin_use(estate, one, self.context.usage, now, window) for one in found if one.admin_enabled is not False)

    def switch_off(self, use: AdminUse, *, assume_unused: bool = False) -> None:
        """Switch an admin user off. Raises Held, and changes nothing, while somebody uses it or that cannot be told."""
        if use.used:
            raise Held(f"the admin user of {use.registry} is in use", advice="Move its users first: rotator migrate.")
        if use.unknown and not assume_unused:
            raise Held(
                f"whether anybody uses the admin user of {use.registry} is not known: {use.unknown}",
                advice="Send the registry's login events to a workspace (usage_log), or give --assume-unused.",
            )
        with self.at_work(f"the admin user of {use.registry} is switched off", None) as context:
            self.access.switch_admin_user_off(use.registry_id)
            why = "assumed to be unused" if use.unknown else f"unused for {use.window_days:g} days"
            context.tell(f"admin-{use.registry}", use.principal, "disable-admin-user", f"switched off: {why}")

    def _rules(self, goal: Goal, identity: str) -> Rules:
        # What a person names for this run goes before what is configured.
        choices = replace(self.choices, identity=identity, identities={}) if identity else self.choices
        return Rules(goal=goal, choices=choices, vault=self.context.vault.address)


def _with_ways_back(move: Move, estate: Estate) -> Move:
    """A group that an earlier run put knows whom it left; where that password is, the vault knows."""
    if move.step is not Step.FINISH:
        return move
    changes = []
    for one in move.changes:
        stored = estate.secrets_of.get(one.principal.id)
        named = stored.name if stored and stored.enabled else ""
        changes.append(with_way_back(one, named, stored.tags.get(TAG_ROTATION, "") if stored else ""))
    return replace(move, changes=tuple(changes))


def _name(migration: Migration) -> str:
    groups = "\n".join(sorted(one.group.key for one in migration.moves if one.step in {Step.MOVE, Step.FINISH}))
    return "mig-" + hashlib.sha256(f"{migration.goal.value}\n{groups}".encode()).hexdigest()[:16]
