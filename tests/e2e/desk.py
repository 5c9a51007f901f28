"""The command line in this process, against a sandbox in this process: fast, and everything can be looked at."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rotator.cli.app import main
from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.serve import Sandbox
from rotator.sandbox.world import World

EFFECTS = (
    "group.put",
    "group.patch",
    "group.restart",
    "group.delete",
    "registry.password.",
    "graph.password.",
    "vault.secret.",
    "ecr.lease.",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything that was said, with the lines joined."""
        return " ".join((self.out + " " + self.err).split())


@dataclass
class Desk:
    """A person with a configuration file in a folder, in front of a sandbox."""

    sandbox: Sandbox
    folder: Path

    def __post_init__(self) -> None:
        self.settings: dict[str, Any] = yaml.safe_load(yaml.safe_dump(self.sandbox.configuration))
        self.settings["state"] = {"directory": str(self.folder / "state")}
        # Reading all policies takes longer than reading the emulated clouds; who wants to see findings turns them on.
        self.settings["policies"] = {"built_in": False}
        self.begin = len(self.world.events.since())

    @property
    def world(self) -> World:
        """The emulated clouds."""
        return self.sandbox.world

    def configure(self, **sections: Mapping[str, Any] | str) -> None:
        """Change settings: a mapping is merged into its section, anything else replaces it."""
        for name, given in sections.items():
            before = self.settings.get(name)
            self.settings[name] = {**before, **given} if isinstance(before, dict) and isinstance(given, Mapping) else given

    def run(self, verb: str, *arguments: str) -> Ended:
        """Run a verb with this desk's configuration."""
        file = self.folder / "rotator.yaml"
        file.write_text(yaml.safe_dump(self.settings, sort_keys=False), encoding="utf-8")
        return run(verb, *arguments, "--config", str(file))

    def sandbox_verb(self, verb: str, *arguments: str) -> Ended:
        """Run a verb of `rotator sandbox`, in a folder of this desk."""
        return run("sandbox", verb, "--directory", str(self.folder / "sandbox"), *arguments)

    def effects(self) -> list[str]:
        """Return what was changed in the clouds since the desk was set up, by kind of event."""
        with self.world.lock:
            happened = self.world.events.since(self.begin)
        return [one.kind for one in happened if one.kind.startswith(EFFECTS)]

    def unharmed(self) -> bool:
        """Ask the oracle whether every promise has held, here and in every file and text that was written."""
        for file in self.folder.rglob("*"):
            if file.is_file():
                self.sandbox.oracle.scan(file.read_bytes(), str(file))
        report = self.sandbox.oracle.report()
        return not (report["outage_seconds"] or report["lost_properties"] or report["leaks"] or report["orphans"])

    def forbid(self, *actions: str) -> None:
        """Take single actions away from the rotator's own role."""
        roles = self.world.arm.roles
        with self.world.lock:
            for role in [one for one in roles.values() if one.name == "Rotator"]:
                kept = tuple(action for action in role.actions if not action.endswith(actions))
                assert len(kept) < len(role.actions), f"the role has no {actions}"
                roles[role.id] = replace(role, actions=kept)

    def unassign(self, role_id: str) -> None:
        """Take a whole role away from the rotator."""
        arm, principal = self.world.arm, self.sandbox.estate.principal_id
        with self.world.lock:
            held = [one for one in arm.assignments.values() if one.role_id == role_id and one.principal_id == principal]
            assert held
            for one in held:
                arm.unassign(one)

    def fault(self, *rules: Mapping[str, Any]) -> None:
        """Make calls go wrong."""
        with self.world.lock:
            self.world.faults = FaultPlan.parse(rules)

    def delete(self, name: str) -> None:
        """Delete a group, as somebody else would."""
        key = self.group(name)
        with self.world.lock:
            self.world.groups.deleted[key] = self.world.groups.by_id.pop(key).document
            self.world.touch(f"group:{key}")

    def once(self, kind: str, act: Callable[[], object]) -> None:
        """Do something as soon as an event of a kind has happened: at the next request, under the world's lock."""

        def look(_at: object) -> None:
            if any(one.kind == kind for one in self.world.events.since(self.begin)):
                self.world.clock.unsubscribe(look)
                act()

        self.world.clock.subscribe(look)

    def group(self, name: str) -> str:
        """Return the resource id of a group."""
        return next(one for one in self.world.groups.by_id if one.endswith(f"/{name}"))


def run(*arguments: str) -> Ended:
    """Run the command line as a process would, without starting one."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["rotator", *arguments]
    status: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.argv = argv
        logging.getLogger("rotator").setLevel(logging.NOTSET)
    assert isinstance(status, int)
    return Ended(status, out.getvalue(), err.getvalue())
