"""Amazon ECR: logins that live for twelve hours and end by themselves."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rotator.clients.aws import LEASE_TTL, EcrLogins
from rotator.clients.pulls import PullProbe
from rotator.drivers.pulling import pull_all
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import ConfigError
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


class EcrLease:
    """Keeps `rotator.ports.RegistryDriver` for ECR. `logins` is None when AWS is not configured.

    AWS lists no logins, so there is nothing to inspect; it ends none before its time either, so there is nothing to retire.
    """

    kind = PrincipalKind.ECR
    traits = Traits(
        overlap=Overlap.LEASES,
        retire=RetireMode.BY_ITSELF,
        propagation=timedelta(0),
        propagation_limit=timedelta(seconds=30),
        lease_ttl=LEASE_TTL,
        listed=False,
    )

    def __init__(self, logins: EcrLogins | None, pulls: PullProbe, clock: Clock) -> None:
        self._logins = logins
        self._pulls = pulls
        self._clock = clock

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:  # noqa: ARG002 - the same for all
        """Return nothing: AWS does not list the logins that it gave out."""
        return ()

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,  # noqa: ARG002 - AWS alone decides how long
        slot: str,  # noqa: ARG002 - no slots here
        *,
        before: datetime | None = None,  # noqa: ARG002 - nothing is ended by it
    ) -> tuple[Credential, Secret]:
        """Ask for a login. The marker is the session's name in AWS's audit log."""
        if self._logins is None:
            raise ConfigError(
                f"AWS is not configured, so nothing can ask {principal.registry} for a login",
                advice="Add the registry to aws.roles, or name a profile in aws.profile.",
            )
        login = self._logins.login(principal.registry, marker)
        expiry = login.expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        credential = Credential(
            handle=Handle(principal=principal, id=f"lease@{expiry}", marker=marker),
            username=login.username,
            issued_at=self._clock.now(),
            expires_at=login.expires_at,
        )
        return credential, login.password

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real, once for each image."""
        pull_all(self._pulls, self._clock, credential, secret, images)

    def retire(self, handle: Handle) -> None:
        """Do nothing: the login ends by itself at its expiry."""
