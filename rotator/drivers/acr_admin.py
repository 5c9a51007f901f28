"""The admin user of an Azure container registry: two passwords, made anew in turn while its groups are moved away."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rotator.clients.arm import Arm
from rotator.clients.deadline import not_after
from rotator.clients.pulls import PullProbe
from rotator.drivers.acr_token import API_VERSION, registry_of
from rotator.drivers.handles import check_slot, end
from rotator.drivers.pulling import Pulling
from rotator.model.arm import ArmId
from rotator.model.credential import NAMED_SLOTS, Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Indeterminate
from rotator.model.secret import Secret
from rotator.ports import Clock

SLOTS = NAMED_SLOTS[PrincipalKind.ACR_ADMIN]

_SERVICE = "container-registry"
_MAY_LIST = "Microsoft.ContainerRegistry/registries/listCredentials/action"
_MAY_REGENERATE = "Microsoft.ContainerRegistry/registries/regenerateCredential/action"
_REGENERATE = "regenerate-credential"


class AcrAdmin(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for admin users.

    Azure tells the passwords only with their values, and neither an id nor an age: they are named by slot and fingerprint.
    Looking therefore reads the values, which an audit must not do: only registries that are being moved away from are looked at.
    Both slots are always full; what retiring puts into the old one is nobody's.
    """

    kind = PrincipalKind.ACR_ADMIN
    # learn.microsoft.com/azure/container-registry/container-registry-authentication: a regenerated password takes 60 seconds
    # to replicate.
    traits = Traits(
        overlap=Overlap.TWO_SLOTS,
        retire=RetireMode.EXPLICIT,
        propagation=timedelta(seconds=60),
        propagation_limit=timedelta(minutes=5),
        ends=False,
        slots=SLOTS,
    )

    def __init__(self, arm: Arm, pulls: PullProbe, clock: Clock, registry_id: Callable[[str], ArmId | None]) -> None:
        super().__init__(pulls, clock)
        self._arm = arm
        self._registry_id = registry_id

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return both passwords. NotFound when the registry is not known; Rejected when its admin user is switched off."""
        answer = self._ask(principal, "listCredentials", "list-credentials", _MAY_LIST)
        return tuple(_credential(principal, slot, value) for slot, value in _passwords(answer))

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,  # noqa: ARG002 - its passwords never end
        slot: str,
        *,
        before: datetime | None = None,
    ) -> tuple[Credential, Secret]:
        """Make the password of one slot anew. Raises Indeterminate when no answer came: the slot may hold a new one."""
        check_slot(principal, slot, SLOTS, api=_SERVICE, operation=_REGENERATE)
        with not_after(before):
            answer = self._regenerate(principal, slot)
        made = next((value for name, value in _passwords(answer) if name == slot), None)
        if made is None:
            raise Indeterminate(
                f"{principal.id}: {slot} was made anew, but its value was not told",
                api=_SERVICE,
                operation=_REGENERATE,
            )
        return _credential(principal, slot, made, marker), made

    def retire(self, handle: Handle) -> None:
        """Make the slot's password anew if it is still the one that the handle names; nobody is told the new one."""

        def once() -> None:
            if any(one.handle.id == handle.id for one in self.inspect(handle.principal)):
                self._regenerate(handle.principal, handle.id.partition("@")[0])

        end(handle, once, api=_SERVICE, operation=_REGENERATE)

    def _regenerate(self, principal: Principal, slot: str) -> dict[str, Any]:
        return self._ask(principal, "regenerateCredential", _REGENERATE, _MAY_REGENERATE, {"name": slot}, effect=True)

    def _ask(
        self,
        principal: Principal,
        action: str,
        operation: str,
        needs: str,
        body: dict[str, Any] | None = None,
        *,
        effect: bool = False,
    ) -> dict[str, Any]:
        registry = registry_of(principal, self._registry_id, operation=operation)
        return self._arm.run(
            "POST",
            f"{registry.text}/{action}",
            API_VERSION,
            body,
            service=_SERVICE,
            operation=operation,
            needs=needs,
            thing=f"the admin user of {principal.registry}",
            effect=effect,
        )


def _passwords(answer: dict[str, Any]) -> list[tuple[str, Secret]]:
    listed = (one for one in answer.get("passwords") or () if isinstance(one, dict) and one.get("value"))
    return [(str(one.get("name", "")), Secret(str(one["value"]))) for one in listed]


def _credential(principal: Principal, slot: str, value: Secret, marker: str = "") -> Credential:
    handle = Handle(principal=principal, id=f"{slot}@{value.fingerprint()}", slot=slot, marker=marker)
    return Credential(handle=handle, username=principal.name)
