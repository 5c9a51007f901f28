"""Amazon ECR: logins that live for twelve hours and end by themselves."""

from datetime import datetime, timedelta

from rotator.clients.aws import EcrLogins
from rotator.clients.instants import text_of
from rotator.clients.pulls import PullProbe
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import ConfigError
from rotator.model.lease import LEASE, LEASE_TTL
from rotator.model.secret import Secret
from rotator.ports import Clock


class EcrLease(Pulling):
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
        super().__init__(pulls, clock)
        self._logins = logins

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
        credential = Credential(
            handle=Handle(principal=principal, id=f"{LEASE}{text_of(login.expires_at)}", marker=marker),
            username=login.username,
            issued_at=self._clock.now(),
            expires_at=login.expires_at,
        )
        return credential, login.password

    def retire(self, handle: Handle) -> None:
        """Do nothing: the login ends by itself at its expiry."""
