"""Quay: one robot account, whose new token ends the old one at once; or two robots in turn, so that neither does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.clients.deadline import not_after
from rotator.clients.pulls import PullProbe
from rotator.clients.quay import API, Quay, Robot
from rotator.clients.rest import Reach
from rotator.drivers.handles import check_slot, end
from rotator.drivers.managing import managing_secret
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import ConfigError, NotFound
from rotator.model.secret import Secret
from rotator.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class QuayHost:
    """How the robots of one Quay are managed. `pairs` maps a robot to the one that it takes turns with."""

    secret_name: str
    pairs: Mapping[str, str] = field(default_factory=dict)


class QuayRobots(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for robots, alone (`quay`) or in pairs (`quay-pair`).

    A token is named by its robot, which is the slot of a pair, and its fingerprint, because Quay tells neither when it was made
    nor an id. A token never ends by itself. A robot always has one: what retiring puts in the old one's place is nobody's.
    """

    def __init__(
        self,
        kind: PrincipalKind,
        hosts: Mapping[str, QuayHost],
        secret_of: Callable[[str], Secret],
        reach: Reach,
        pulls: PullProbe,
        clock: Clock,
    ) -> None:
        super().__init__(pulls, clock)
        self.kind = kind
        self._paired = kind is PrincipalKind.QUAY_PAIR
        self.traits = Traits(
            overlap=Overlap.TWO_SLOTS if self._paired else Overlap.SINGLE,
            retire=RetireMode.EXPLICIT,
            # That a new token works at once is what was seen, no promise.
            propagation=timedelta(seconds=2),
            propagation_limit=timedelta(minutes=2),
            ends=False,
            slots=(),
            slot_is_user=self._paired,
        )
        self._hosts = hosts
        self._secret_of = secret_of
        self._reach = reach

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the token of the robot, or of both. NotFound when one of them does not exist."""
        quay = self._quay(principal)
        return tuple(self._credential(principal, quay.robot(name)) for name in self._robots(principal))

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,  # noqa: ARG002 - its tokens never end
        slot: str,
        *,
        before: datetime | None = None,
    ) -> tuple[Credential, Secret]:
        """Regenerate the robot's token, which ends its old one at once; `slot` says which robot of a pair."""
        robots = self._robots(principal)
        if self._paired:
            check_slot(principal, slot, robots, api=API, operation="regenerate-token")
        quay = self._quay(principal)
        with not_after(before):
            made = quay.regenerate(slot if self._paired else robots[0])
        return self._credential(principal, made, marker), made.token

    def retire(self, handle: Handle) -> None:
        """Regenerate the robot's token if it is still the one that the handle names; nobody is told the new one."""
        quay = self._quay(handle.principal)

        def once() -> None:
            name = next((one for one in self._robots(handle.principal) if self._names(handle, quay, one)), None)
            if name is not None:
                quay.regenerate(name)

        end(handle, once, api=API, operation="regenerate-token")

    def _names(self, handle: Handle, quay: Quay, robot: str) -> bool:
        try:
            return self._credential(handle.principal, quay.robot(robot)).handle.id == handle.id
        except NotFound:
            return False

    def _credential(self, principal: Principal, robot: Robot, marker: str = "") -> Credential:
        slot = robot.name if self._paired else ""
        # A bare fingerprint is what a secret is called that a person brought: nothing would be asked of Quay about it.
        name = f"{robot.name}@{robot.token.fingerprint()}"
        return Credential(handle=Handle(principal=principal, id=name, slot=slot, marker=marker), username=robot.name)

    def _robots(self, principal: Principal) -> tuple[str, ...]:
        if "+" not in principal.name:
            raise ConfigError(
                f"{principal.name} is no robot account of {principal.registry}, and nothing else there can be rotated",
                advice="Create a robot account (organisation+name) that may read the repositories, and give it to the groups.",
            )
        if not self._paired:
            return (principal.name,)
        other = self._host(principal).pairs.get(principal.name)
        if other is None:
            raise ConfigError(
                f"nothing tells which robot {principal.name} takes turns with",
                advice=f"Name it: registries.quay.'{principal.registry}'.pairs.",
            )
        return (principal.name, other)

    def _quay(self, principal: Principal) -> Quay:
        setting = f"registries.quay.'{principal.registry}'.secret"
        token = managing_secret(self._secret_of, self._host(principal).secret_name, setting)
        return Quay(self._reach(f"https://{principal.registry}", API), token)

    def _host(self, principal: Principal) -> QuayHost:
        found = self._hosts.get(principal.registry)
        if found is None:
            raise ConfigError(
                f"nothing tells how the robots of {principal.registry} are managed",
                advice=f"Add registries.quay.'{principal.registry}', as docs/registries/quay.md shows.",
            )
        return found
