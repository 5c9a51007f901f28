"""Repository tokens of Azure container registries: two password slots, filled in turn."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict
from urllib.parse import quote

from rotator.clients.arm import Arm
from rotator.clients.deadline import not_after
from rotator.clients.pulls import PullProbe
from rotator.clients.retry import retried
from rotator.clients.tokenslots import slot_credential, slot_handle
from rotator.drivers.pulling import pull_all
from rotator.model.arm import ArmId
from rotator.model.credential import NAMED_SLOTS, Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Conflict, Indeterminate, NotFound, Rejected
from rotator.model.image import ImageReference
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
_LOOKS = 3


class AcrToken:
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
        self._arm = arm
        self._pulls = pulls
        self._clock = clock
        self._registry_id = registry_id
        self._api_version = api_version

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return what the token's slots hold. NotFound when there is no such token."""
        return tuple(
            slot_credential(principal, str(one.get("name", "")), _instant(one.get("creationTime")), _instant(one.get("expiry")))
            for one in _passwords(self._token(principal))
        )

    def issue(
        self, principal: Principal, marker: str, ttl: timedelta | None, slot: str, *, before: datetime | None = None
    ) -> tuple[Credential, Secret]:
        """Fill one slot with a new password. Raises Indeterminate when no answer came: the slot may hold a new one."""
        if slot not in SLOTS:
            raise Rejected(
                f"{principal.id} has the slots {' and '.join(SLOTS)}, not {slot!r}",
                api=_SERVICE,
                operation="generate-credentials",
                reason="no-such-slot",
            )
        registry = self._registry(principal)
        wish = {
            "tokenId": _token_path(registry, principal),
            # Without a name the service regenerates BOTH passwords, and every group of the token is locked out.
            "name": slot,
            "expiry": _text(self._clock.now() + (ttl or DEFAULT_TTL)),
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

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real, once for each image."""
        pull_all(self._pulls, self._clock, credential, secret, images)

    def retire(self, handle: Handle) -> None:
        """Empty the slot, if it still holds the very password that the handle names."""
        for _ in range(_LOOKS):
            try:
                token = self._token(handle.principal)
            except NotFound:
                return
            passwords = _passwords(token)
            if not any(_handle_of(handle.principal, one).id == handle.id for one in passwords):
                return
            try:
                self._keep_others(handle, token, passwords)
            except Indeterminate:
                continue  # Looking again tells whether it took effect.
            else:
                return
        raise Indeterminate(
            f"{handle.principal.id}: {handle.id} is still there after {_LOOKS} tries to end it without an answer",
            api=_SERVICE,
            operation="retire-password",
        )

    def _keep_others(self, handle: Handle, token: dict[str, Any], passwords: Sequence[dict[str, Any]]) -> None:
        """Send the list of what stays; what is not in it ends. Only names are sent, so a slot that was just refilled stays."""
        others = [{"name": one["name"]} for one in passwords if _handle_of(handle.principal, one).id != handle.id]
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
        found = ArmId(principal.resource_id.rstrip("/")) if principal.resource_id else self._registry_id(principal.registry)
        if found is None:
            raise NotFound(
                f"no registry with the login server {principal.registry} is known", api=_SERVICE, operation="read-token"
            )
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


def _handle_of(principal: Principal, password: dict[str, Any]) -> Handle:
    return slot_handle(principal, str(password["name"]), _instant(password.get("creationTime")))


def _made(answer: dict[str, Any], principal: Principal, slot: str, marker: str) -> tuple[Credential, Secret]:
    """Take the new password out of the answer, which lists both slots; only the one just filled is ours to read."""
    for one in answer.get("passwords") or ():
        if isinstance(one, dict) and one.get("name") == slot and isinstance(one.get("value"), str) and one["value"]:
            found = slot_credential(principal, slot, _instant(one.get("creationTime")), _instant(one.get("expiry")))
            handle = Handle(principal=principal, id=found.handle.id, slot=slot, marker=marker)
            credential = Credential(
                handle=handle, username=principal.name, issued_at=found.issued_at, expires_at=found.expires_at
            )
            return credential, Secret(one["value"])
    raise Indeterminate(
        f"{principal.id}: {slot} was filled, but its value was not told", api=_SERVICE, operation="generate-credentials"
    )


def _instant(text: object) -> datetime | None:
    # Python reads up to six digits of a fraction and ignores the seventh that Azure writes.
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
