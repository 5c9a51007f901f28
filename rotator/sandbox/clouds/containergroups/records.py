"""The emulated container groups: what was deployed, how it runs, and whether it could pull."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.registries.images import canonical_host, parse_image
from rotator.sandbox.wire import Document, Refused

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_JOB_RUNS = timedelta(minutes=4)


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of the group's containers: from the pull to the end, if it ends."""

    pulled_at: datetime
    ready_at: datetime
    ends_at: datetime | None = None
    container_ids: tuple[str, ...] = ()
    outcome: str = ""

    def finished(self, now: datetime) -> bool:
        """Say whether the containers have run to completion."""
        return self.ends_at is not None and now >= self.ends_at


@dataclass(slots=True, kw_only=True)
class Group:
    """A container group. `document` is all that was deployed, the write-only fields among it."""

    id: str
    name: str
    subscription: str
    resource_group: str
    location: str
    document: Document
    api_version: str
    run: Run
    ip: str = ""
    system_principal: str = ""
    busy_until: datetime | None = None
    stopped_at: datetime | None = None
    values: dict[str, str] = field(default_factory=dict)
    deploys: int = 0
    shown: dict[str, Document] = field(default_factory=dict)

    @property
    def properties(self) -> Document:
        """The document's properties."""
        found: Document = self.document["properties"]
        return found

    @property
    def tags(self) -> dict[str, str]:
        """The document's tags."""
        return dict(self.document.get("tags") or {})

    @property
    def restart_policy(self) -> str:
        """The restart policy, `Always` when unset."""
        return str(self.properties.get("restartPolicy") or "Always")

    @property
    def identities(self) -> set[str]:
        """The attached user-assigned identities, lower-case."""
        named = (self.document.get("identity") or {}).get("userAssignedIdentities") or {}
        return {str(name).lower() for name in named}

    @property
    def cores(self) -> float:
        """The CPU cores that count against the quota."""
        return requested_cores(self.document)

    def idle(self, now: datetime) -> bool:
        """Say whether nothing runs: stopped, or run to completion."""
        return self.stopped_at is not None or self.run.finished(now)

    def transitioning(self, now: datetime) -> bool:
        """Say whether the last change is still going on."""
        return self.busy_until is not None and now < self.busy_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a group would authenticate with at one registry, with vault references resolved."""

    host: str
    username: str = ""
    password: str = ""
    identity: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullJudgement:
    """Whether a group could pull an image: "ok", or the first registry and reason that say no."""

    ok: bool
    host: str = ""
    reason: str = "ok"
    image: str = ""


class Groups:
    """All container groups by lower-case resource id."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.by_id: dict[str, Group] = {}
        self.violations = 0
        self.losses: list[Document] = []
        self.woken: list[Document] = []
        self.deleted: dict[str, Document] = {}

    def add(self, group: Group) -> Group:
        """Add or replace a group."""
        self.by_id[group.id.lower()] = group
        return group

    def in_region(self, subscription: str, location: str) -> list[Group]:
        """Return the groups that share a quota."""
        wanted = (subscription.lower(), location.lower())
        return [one for one in self.by_id.values() if (one.subscription.lower(), one.location.lower()) == wanted]

    def new_run(self, document: Document, at: datetime, delay: timedelta) -> Run:
        """Start a run: pulled at once, ready after `delay`; a job (restart policy Never) ends by itself."""
        policy = (document["properties"].get("restartPolicy") or "Always").lower()
        ready_at = at + delay
        names = document["properties"].get("containers") or []
        return Run(
            # The platform needs a moment: a pull's event is never older than the request that caused it.
            pulled_at=at + min(timedelta(seconds=2), delay / 4),
            ready_at=ready_at,
            ends_at=None if policy == "always" else ready_at + _JOB_RUNS if policy == "never" else None,
            container_ids=tuple(self.world.text(64, "0123456789abcdef") for _ in names),
        )

    # --- pulling ---

    def credentials(self, document: Document, values: dict[str, str]) -> dict[str, Credential]:
        """Return the stored credential for each registry host; `values` are the resolved vault references."""
        found = {}
        for entry in document["properties"].get("imageRegistryCredentials") or []:
            host = canonical_host(str(entry.get("server", "")))
            reference = entry.get("passwordReference")
            found[host] = Credential(
                host=host,
                username=str(entry.get("username") or ""),
                password=values.get(str(reference), "") if reference else str(entry.get("password") or ""),
                identity=str(entry.get("identity") or "").lower(),
                reference=str(reference or ""),
            )
        return found

    def images(self, document: Document) -> list[str]:
        """Return the images of all containers, those that run first included."""
        properties = document["properties"]
        containers = [*(properties.get("initContainers") or []), *(properties.get("containers") or [])]
        return list(dict.fromkeys(str(one["properties"]["image"]) for one in containers))

    def could_pull(self, group: Group, now: datetime) -> PullJudgement:
        """Say whether a group could pull at `now`; which value of a vault reference counts is the world's option."""
        return self.judge(group.document, self._values(group), now)

    def presented(self, group: Group) -> frozenset[str]:
        """Return the passwords that a group would log in with now."""
        return frozenset(
            held.password for held in self.credentials(group.document, self._values(group)).values() if held.password
        )

    def _values(self, group: Group) -> dict[str, str]:
        at_start = self.world.options.vault_references == "at-start"
        return self._readable(group) if at_start and group.properties.get("secretReferences") else group.values

    def _readable(self, group: Group) -> dict[str, str]:
        """Return the values of the references that the group's identities can read now."""
        values = {}
        for entry in group.properties.get("secretReferences") or []:
            identity = self.world.arm.identity(str(entry.get("identity", "")))
            if identity is not None:
                with suppress(Refused):
                    uri = str(entry.get("secretReferenceUri", ""))
                    values[str(entry.get("name"))] = self.world.vaults.read_as(identity.principal_id, uri)
        return values

    def judge(
        self,
        document: Document,
        values: dict[str, str],
        now: datetime,
        *,
        replica: int | None = None,
        manifests: bool = False,
    ) -> PullJudgement:
        """Say whether the group could pull every image: on one replica, or on every one when none is named.

        Without `manifests` only the credentials are judged; an image that was deleted is no fault of theirs.
        """
        held = self.credentials(document, values)
        subnets = [str(one.get("id", "")) for one in document["properties"].get("subnetIds") or []]
        for name in self.images(document):
            image = parse_image(name)
            # The network comes first: nobody is asked for a password by a registry that he does not reach.
            identity = bool((own := held.get(image.host)) and own.identity)
            reachable = self.world.registries.reachable_by_platform(image.host, identity=identity, subnets=subnets)
            reason = self._reason(own, image.host, image.repository, now, replica) if reachable else "firewall"
            if reason == "ok" and manifests:
                found = self.world.registries.image_exists(image.host, image.repository, image.reference)
                reason = "ok" if found else "manifest-unknown"
            if reason != "ok":
                return PullJudgement(ok=False, host=image.host, reason=reason, image=name)
        return PullJudgement(ok=True)

    def _reason(self, held: Credential | None, host: str, repository: str, now: datetime, replica: int | None) -> str:
        registries = self.world.registries
        if held is None:
            return "ok" if registries.anonymous_pull(host, repository) else "no-credential"
        if held.identity:
            identity = self.world.arm.identity(held.identity)
            if identity is None:
                return "identity-unknown"
            return registries.identity_pulls(host, identity.principal_id, repository, now)
        if held.reference and not held.password:
            return "reference-unreadable"
        accepted = registries.accepts(host, held.username, held.password, repository, now)
        return accepted.reason if replica is None else accepted.on(replica)

    def principals(self, group: Group) -> set[str]:
        """Return the lower-case ids of all principals, and registries, that decide whether the group can pull."""
        found = {f"registry:{parse_image(image).host}" for image in self.images(group.document)}
        for held in self.credentials(group.document, group.values).values():
            if held.identity:
                identity = self.world.arm.identity(held.identity)
                found.add(f"identity:{identity.principal_id}" if identity else "identity:")
                continue
            principal = self.world.registries.principal_of(held.host, held.username)
            found.add(principal)
            if principal.startswith("entra-app:"):
                principal_id = self.world.graph.principal_id_of(held.username)
                found.add(f"identity:{principal_id}")
        for entry in group.properties.get("secretReferences") or []:
            identity = self.world.arm.identity(str(entry.get("identity", "")))
            found.add(f"identity:{identity.principal_id}" if identity else "identity:")
            found.add(f"secret:{_without_version(str(entry.get('secretReferenceUri', '')))}")
        return {principal.lower() for principal in found}


def _without_version(uri: str) -> str:
    """Return a vault secret's address without its version, under which the vault tells of changes."""
    root, found, rest = uri.partition("/secrets/")
    return f"{root}{found}{rest.partition('/')[0]}"


def requested_cores(document: Document) -> float:
    """Return the sum of the cores that the containers ask for."""
    return sum(
        float(((one.get("properties") or {}).get("resources") or {}).get("requests", {}).get("cpu") or 0)
        for one in document["properties"].get("containers") or []
    )
