"""The emulated world: one clock, one lock, one event log, and the tables of every cloud.

What the tables promise each other:

* entra: `tenant_id`; `challenge(auth, request)` -> the WWW-Authenticate value; `caller_of(bearer, auth)` -> Caller or
  Refused 401, where auth is the route's "arm" | "graph" | "vault" | "logs";
  `register_identity(client_id=, principal_id=, resource_id=, name=)` makes a managed identity known to /msi/token.
* graph: `secret_valid(app_id, secret, now, replica=None)` -> "valid" | "invalid" | "expired" | "not-yet"; without a
  replica every replica must agree; `principal_id_of(app_id)` -> object id of the service principal or None;
  `add_application(app_id, name, principal_id=, owners=[...])`;
  `add_secret(app_id, on="application" | "servicePrincipal", value=, display_name=, start_at=, end_at=)` -> keyId.
* vaults: `add_vault(name, resource_id)`; `set_secret(vault, name, value, tags=, expires_at=, content_type=,
  created_at=)` -> versioned uri; `read_as(principal_id, uri)` -> value or Refused; `holds(value)` -> bool: some enabled
  version of some secret has exactly this value.
* aws: `add_registry(server, repositories=[...])`, `add_role(arn, audience=, subject=)`;
  `issue_lease(server, issued_at=None)` -> (password, expires_at); `lease_valid(server, password, now)` ->
  "valid" | "expired" | "unknown".
* keys: `add_storage_account(resource_id, keys=(key1, key2))`, `add_workspace(resource_id, workspace_id, keys=(..))`.
* logs: `workspace_id`; `record_login(login_server, identity, client_ip, ok=, user_agent=, at=None)`;
  `record_pull(login_server, identity, client_ip, repository=, tag=, ok=, user_agent=, at=None)`.
* arm: `demand(caller, action, scope)` or Refused 403; `allowed(caller, action, scope)`;
  `allowed_data_action(principal_id, action, scope)`; `subscription(id)` or Refused 404; `throttle(request, kind)`.
* everybody: after a change that decides whether a credential works, `world.touch(key)`; where it begins or ends to work
  later, `world.watch(key, at)`. Keys: the principal ids (`entra-app:entra/<appId>`, `acr-token:<login server>/<token>`,
  `acr-admin:<login server>/<user>`, `ecr:<login server>/AWS`), `identity:<principal id>` for a change of its role
  assignments, `registry:<login server>` for its firewall and its ways to authorize, `group:<resource id>` for a group, and
  `secret:<secret uri without version, lower-case>` for a vault secret.
"""

import copy
import heapq
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Literal

from rotator.sandbox.clock import SandboxClock
from rotator.sandbox.clouds.arm.records import Arm
from rotator.sandbox.clouds.aws.records import Aws
from rotator.sandbox.clouds.containergroups.records import Groups
from rotator.sandbox.clouds.dockerhub import DockerHub
from rotator.sandbox.clouds.entra import Entra
from rotator.sandbox.clouds.github.records import GitHub
from rotator.sandbox.clouds.gitlab.records import GitLab
from rotator.sandbox.clouds.graph.records import Directory
from rotator.sandbox.clouds.keys import Keys
from rotator.sandbox.clouds.keyvault.records import Vaults
from rotator.sandbox.clouds.loganalytics.records import Logs
from rotator.sandbox.clouds.network.records import Networks
from rotator.sandbox.clouds.quay import Quay
from rotator.sandbox.clouds.registries.table import Registries
from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.ledger import Ledger
from rotator.sandbox.wire import Limits, Operations, rfc3339

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TABLES = (
    "operations", "limits", "arm", "entra", "graph", "vaults", "registries", "hub", "quay", "github", "aws", "gitlab", "keys",
    "logs", "networks", "groups",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that really happened in the emulated world. `facts` never holds a secret value."""

    seq: int
    at: datetime
    kind: str
    facts: dict[str, object]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "at": rfc3339(self.at)}


@dataclass(slots=True)
class EventLog:
    """Every remote effect in the order of its happening; the tests read it to see what was really done."""

    clock: SandboxClock
    _events: list[Event] = field(default_factory=list)

    def append(self, kind: str, /, **facts: object) -> Event:
        """Record an effect ("group.put", "registry.password.issued", ...) with plain JSON facts."""
        event = Event(seq=len(self._events) + 1, at=self.clock.now(), kind=kind, facts=facts)
        self._events.append(event)
        return event

    def since(self, seq: int = 0) -> list[Event]:
        """Return the events after number `seq`."""
        return self._events[seq:]

    def of(self, kind: str) -> list[Event]:
        """Return the events of one kind."""
        return [event for event in self._events if event.kind == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """How the world behaves. `quiet` manners: no throttling, no delays, no latency.

    `vault_references` says what the oracle takes a group with a vault reference to pull with. Azure does not document when
    a reference is read again. "at-start": with the value that is current in the vault, if the group's identity may read it,
    because every pull happens at a start and a start reads it. "as-resolved": with the value read at the group's last PUT,
    start or restart, as if a crashed container came back without a new read; a test that asks for it is the stricter one.
    """

    seed: int = 1
    manners: Literal["azure", "quiet"] = "azure"
    vault_references: Literal["at-start", "as-resolved"] = "at-start"

    @property
    def quiet(self) -> bool:
        """Say whether bad manners are off."""
        return self.manners == "quiet"


class World:
    """The tables of all emulated clouds. Whoever reads or changes them holds `lock`; app.py does so for handlers.

    Tables are constructed as Table(world), in the order below, and may use those built before them at construction.
    A table is an ordinary class without locks, threads or slots, so that `snapshot` can copy it.
    """

    def __init__(self, options: WorldOptions | None = None, clock: SandboxClock | None = None) -> None:
        self.options = options or WorldOptions()
        self.clock = clock or SandboxClock()
        self.lock = self.clock.lock
        self.faults = FaultPlan()
        self.address = "127.0.0.1:0"
        self.clear()

    def clear(self) -> None:
        """Empty every table, as before an estate is seeded. Faults and clock stay."""
        self.rng = Random(self.options.seed)
        self.events = EventLog(self.clock)
        self.ledger = Ledger(self.clock.now)
        self.operations = Operations()
        self.limits = Limits()
        self.requests: dict[str, int] = {}
        self.touched: set[str] = set()
        self.watched: list[tuple[datetime, str]] = []
        self.arm = Arm(self)
        self.entra = Entra(self)
        self.graph = Directory(self)
        self.vaults = Vaults(self)
        self.registries = Registries(self)
        self.hub = DockerHub(self)
        self.quay = Quay(self)
        self.github = GitHub(self)
        self.aws = Aws(self)
        self.gitlab = GitLab(self)
        self.keys = Keys(self)
        self.logs = Logs(self)
        self.networks = Networks(self)
        self.groups = Groups(self)

    def touch(self, principal: str) -> None:
        """Say that something about `principal` has just changed, so that the oracle judges its groups again."""
        self.touched.add(principal.lower())

    def watch(self, principal: str, at: datetime) -> None:
        """Say that something about `principal` changes by itself at `at` (an expiry, a replica catching up)."""
        if at > self.clock.now():
            heapq.heappush(self.watched, (at, principal.lower()))
            self.clock.schedule(at)

    def issued(
        self, value: str, kind: str, principal: str, handle: str, event: str, *changes_at: datetime | None, **facts: object
    ) -> None:
        """Write down that a secret has been made. `changes_at`: when something about it changes by itself."""
        self.ledger.record(value, kind, principal, handle)
        self.touch(principal)
        for at in changes_at:
            if at is not None:
                self.watch(principal, at)
        if not self.ledger.seeding:
            self.events.append(event, principal=principal, handle=handle, **facts)

    def due(self, now: datetime) -> set[str]:
        """Take the principals that changed up to `now`: the touched ones and those whose watched instant has come."""
        changed, self.touched = self.touched, set()
        while self.watched and self.watched[0][0] <= now:
            changed.add(heapq.heappop(self.watched)[1])
        return changed

    def now(self) -> datetime:
        """Return the sandbox's present instant."""
        return self.clock.now()

    def guid(self) -> str:
        """Draw a new GUID from the seed."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def text(self, length: int, alphabet: str = _ALPHABET) -> str:
        """Draw a random text from the seed: the raw material of passwords and ids."""
        return "".join(self.rng.choices(alphabet, k=length))

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of all tables that `restore` takes back. The event log and the ledger are history and stay."""
        return copy.deepcopy({name: getattr(self, name) for name in _TABLES}, self._memo())

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put the tables back as they were; time goes on."""
        for name, table in copy.deepcopy(snapshot, self._memo()).items():
            # In place, because the ledger's judges are methods of these very tables.
            vars(getattr(self, name)).clear()
            vars(getattr(self, name)).update(vars(table))

    def _memo(self) -> dict[int, Any]:
        # Tables point at their world: the copy must point at this one, not at a second world.
        kept = (self, self.clock, self.lock, self.rng, self.events, self.ledger)
        return {id(thing): thing for thing in kept}
