"""GitHub's container registry: classic personal access tokens, which only a person can make and end.

GitHub has no API for either; what it tells about a token, it tells whoever presents it, in the headers of any answer of its API:
the scopes in `x-oauth-scopes`, the end in `github-authentication-token-expiration` (docs.github.com: managing personal access
tokens). Nothing else can log in for long: fine-grained tokens are not accepted by the registry
(docs.github.com: working with the container registry), and an app's token logs in, but private images are denied to it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rotator.clients.pulls import PullProbe
from rotator.clients.rest import Reach, bearer
from rotator.drivers.brought import Brought
from rotator.model.credential import Credential, Handle, Origin, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Denied, VerificationFailed
from rotator.model.secret import Secret
from rotator.ports import Clock

_API = "https://api.github.com"
_ENDS, _SCOPES = "github-authentication-token-expiration", "x-oauth-scopes"
# Whoever may write or delete packages was given the right to read them with it.
_ENOUGH = {"read:packages", "write:packages"}
_USELESS = {
    "github_pat_": "a fine-grained token, and GitHub's container registry takes none",
    "ghs_": "a GitHub App's token: it lives for an hour, and private images are denied to it",
}
_MAKE = "Make a classic token with the scope read:packages: https://github.com/settings/tokens/new?scopes=read:packages"


class Ghcr(Brought):
    """Keeps `rotator.ports.RegistryDriver` and `SecretExaminer`. `held` gives the token that the vault holds, or None."""

    kind = PrincipalKind.GHCR
    traits = Traits(
        overlap=Overlap.MANY,
        retire=RetireMode.BY_PERSON,
        propagation=timedelta(0),
        propagation_limit=timedelta(seconds=30),
        origin=Origin.PERSON,
        listed=False,
        made_by_hand=f"{_MAKE} (as the user that the groups log in as).",
        ended_by_hand="Delete the old token at https://github.com/settings/tokens.",
    )

    def __init__(self, reach: Reach, held: Callable[[Principal], Secret | None], pulls: PullProbe, clock: Clock) -> None:
        super().__init__(pulls, clock)
        self._reach = reach
        self._held = held

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return what GitHub says of the token that the vault holds; one that it refuses has ended. Nothing without one."""
        secret = self._held(principal)
        if secret is None:
            return ()
        try:
            expires_at, _ = self._told(secret)
        except Denied:
            expires_at = self._clock.now()
        handle = Handle(principal=principal, id=secret.fingerprint())
        return (Credential(handle=handle, username=principal.name, expires_at=expires_at),)

    def examine(self, principal: Principal, secret: Secret) -> Credential:
        """Return what GitHub says of a token in hand. VerificationFailed for one that could not pull, with the reason."""
        for prefix, what in _USELESS.items():
            if secret.reveal().startswith(prefix):
                raise VerificationFailed(f"{principal.id}: this is {what}", advice=_MAKE)
        try:
            expires_at, scopes = self._told(secret)
        except Denied:
            raise VerificationFailed(
                f"{principal.id}: GitHub refuses this token, which is mistyped, expired or deleted", advice=_MAKE
            ) from None
        if not scopes & _ENOUGH:
            has = ", ".join(sorted(scopes)) or "none at all"
            raise VerificationFailed(f"{principal.id}: this token lacks the scope read:packages; it has {has}", advice=_MAKE)
        handle = Handle(principal=principal, id=secret.fingerprint())
        return Credential(handle=handle, username=principal.name, expires_at=expires_at)

    def _told(self, secret: Secret) -> tuple[datetime | None, set[str]]:
        answer = self._reach(_API, "github").send(
            "GET", "/user", operation="read-token", auth={"Authorization": bearer(secret)}, needs="a token that lives"
        )
        scopes = {one.strip() for one in answer.headers.get(_SCOPES, "").split(",")} - {""}
        return instant_of(answer.headers.get(_ENDS, "")), scopes


def instant_of(text: str) -> datetime | None:
    """Read `2027-10-12 09:00:00 UTC`, or with an offset such as `+0200`, both of which GitHub writes; None for none."""
    when, _, zone = text.strip().rpartition(" ")
    try:
        if zone == "UTC":
            return datetime.fromisoformat(when).replace(tzinfo=UTC)
        return datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
