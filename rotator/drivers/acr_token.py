"""Repository tokens of Azure container registries: two password slots, filled in turn."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict
from urllib.parse import quote

from rotator.clients.arm import Arm
from rotator.clients.deadline import not_after
from rotator.clients.instants import instant_of, text_of
from rotator.clients.pulls import PullProbe
from rotator.clients.retry import retried
from rotator.clients.tokenslots import slot_credential
from rotator.drivers.handles import check_slot, end
from rotator.drivers.pulling import Pulling
from rotator.model.arm import ArmId
from rotator.model.credential import NAMED_SLOTS, Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Conflict, Indeterminate, NotFound
from rotator.model.secret import Secret
from rotator.ports import Clock

API_VERSION = "2025-11-01"
SLOTS = NAMED_SLOTS[PrincipalKind.ACR_TOKEN]
# A caller that asks for no lifetime gets this one: a password without an end is what this program exists to remove.
DEFAULT_TTL = timedelta(days=90)

_SERVICE = "container-registry"
_READ = "Microsoft.ContainerRegistry/registries/tokens/read"
_WRITE = "Microsoft.ContainerRegistry/registries/tokens/write"
_GENERATE = "Microsoft.ContainerRegistry/registries/generateCredentials/action"


class AcrToken(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for repository tokens.

    The service has no field for a marker, so handles carry none; the slot and its creation time name a password instead.
    `registry_id` finds a registry's resource by its login server for principals that come without a resource id.
    """

    kind = PrincipalKind.ACR_TOKEN
    # learn.microsoft.com/azure/container-registry/container-registry-authentication: a regenerated password takes 60 seconds
    # to replicate.
    traits = Traits(
        overlap=Overlap.TWO_SLOTS,
        retire=RetireMode.EXPLICIT,
        propagation=timedelta(seconds=60),
        propagation_limit=timedelta(minutes=5),
    )

    def __init__(
        self,
        arm: Arm,
        pulls: PullProbe,
        clock: Clock,
        registry_id: Callable[[str], ArmId | None],
        *,
        api_version: str = API_VERSION,
    ) -> None:
        super().__init__(pulls, clock)
        self._arm = arm
        self._registry_id = registry_id
        self._api_version = api_version

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return what the token's slots hold. NotFound when there is no such token."""
        return tuple(_credential(principal, one) for one in _passwords(self._token(principal)))

    def issue(
        self, principal: Principal, marker: str, ttl: timedelta | None, slot: str, *, before: datetime | None = None
    ) -> tuple[Credential, Secret]:
        """Fill one slot with a new password. Raises Indeterminate when no answer came: the slot may hold a new one."""
        check_slot(principal, slot, SLOTS, api=_SERVICE, operation="generate-credentials")
        registry = self._registry(principal)
        wish = {
            "tokenId": _token_path(registry, principal),
            # Without a name the service regenerates BOTH passwords, and every group of the token is locked out.
            "name": slot,
            "expiry": text_of(self._clock.now() + (ttl or DEFAULT_TTL)),
        }
        call = _call("generate-credentials", _GENERATE, principal)
        # A token that has just been created refuses for some seconds (TokenNotActive); a refusal changed nothing.
        with not_after(before):
            answer = retried(
                self._clock,
                lambda: self._arm.run("POST", f"{registry.text}/generateCredentials", self._api_version, dict(wish), **call),
                on=(Conflict,),
                key=principal.id,
            )
        return _made(answer, principal, slot, marker)

    def retire(self, handle: Handle) -> None:
        """Empty the slot, if it still holds the very password that the handle names."""

        def once() -> None:
            token = self._token(handle.principal)
            if any(_credential(handle.principal, one).handle.id == handle.id for one in _passwords(token)):
                self._keep_others(handle, token)

        end(handle, once, api=_SERVICE, operation="retire-password")

    def _keep_others(self, handle: Handle, token: dict[str, Any]) -> None:
        """Send the list of what stays; what is not in it ends. Only names are sent, so a slot that was just refilled stays."""
        others = [{"name": one["name"]} for one in _passwords(token) if _credential(handle.principal, one).handle.id != handle.id]
        if not others:
            # A secret is retired when another has taken its place. A list without that one is from before it was made, and an
            # empty list of what stays would end both.
            raise Conflict(
                f"{handle.principal.id}: the registry lists no other password than {handle.id}; nothing was ended",
                api=_SERVICE,
                operation="retire-password",
            )
        kept: dict[str, Any] = {"passwords": others}
        certificates = _credentials(token).get("certificates")
        if certificates:
            kept["certificates"] = certificates
        path = _token_path(self._registry(handle.principal), handle.principal)
        call = _call("retire-password", _WRITE, handle.principal)
        self._arm.run("PATCH", path, self._api_version, {"properties": {"credentials": kept}}, **call, effect=True, final=False)

    def _token(self, principal: Principal) -> dict[str, Any]:
        path = _token_path(self._registry(principal), principal)
        return self._arm.get(path, self._api_version, **_call("read-token", _READ, principal))

    def _registry(self, principal: Principal) -> ArmId:
        return registry_of(principal, self._registry_id, operation="read-token")


def registry_of(principal: Principal, registry_id: Callable[[str], ArmId | None], *, operation: str) -> ArmId:
    """Return the registry's resource: the principal's own, or the one with its login server. NotFound when nobody knows it."""
    found = ArmId(principal.resource_id.rstrip("/")) if principal.resource_id else registry_id(principal.registry)
    if found is None:
        raise NotFound(f"no registry with the login server {principal.registry} is known", api=_SERVICE, operation=operation)
    return found


class _Call(TypedDict):
    service: str
    operation: str
    needs: str
    thing: str


def _call(operation: str, needs: str, principal: Principal) -> _Call:
    return _Call(service=_SERVICE, operation=operation, needs=needs, thing=f"token {principal.name} of {principal.registry}")


def _token_path(registry: ArmId, principal: Principal) -> str:
    return f"{registry.text}/tokens/{quote(principal.name, safe='')}"


def _credentials(token: dict[str, Any]) -> dict[str, Any]:
    properties = token.get("properties")
    found = properties.get("credentials") if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else {}


def _passwords(token: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in _credentials(token).get("passwords") or () if isinstance(one, dict) and one.get("name")]


def _credential(principal: Principal, password: dict[str, Any]) -> Credential:
    made_at, ends_at = instant_of(password.get("creationTime")), instant_of(password.get("expiry"))
    return slot_credential(principal, str(password["name"]), made_at, ends_at)


def _made(answer: dict[str, Any], principal: Principal, slot: str, marker: str) -> tuple[Credential, Secret]:
    """Take the new password out of the answer, which lists both slots; only the one just filled is ours to read."""
    for one in answer.get("passwords") or ():
        if isinstance(one, dict) and one.get("name") == slot and isinstance(one.get("value"), str) and one["value"]:
            made = _credential(principal, one)
            return replace(made, handle=replace(made.handle, marker=marker)), Secret(one["value"])
    raise Indeterminate(
        f"{principal.id}: {slot} was filled, but its value was not told", api=_SERVICE, operation="generate-credentials"
    )
