"""The numbers that an operator chose, as the planner and the phases use them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rotator.model.credential import PrincipalKind
from rotator.model.tool import OwnedGroups
from rotator.model.usage import DrainRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When credentials are due and how carefully they are replaced; `rotator.settings.rotation` says what each means."""

    default_ttl: timedelta = timedelta(days=90)
    ttl: Mapping[PrincipalKind, timedelta] = field(default_factory=dict)
    default_renew_before: timedelta = timedelta(days=30)
    renew_before: Mapping[PrincipalKind, timedelta] = field(default_factory=lambda: {PrincipalKind.ECR: timedelta(hours=6)})
    default_max_age: timedelta = timedelta(days=90)
    max_age: Mapping[PrincipalKind, timedelta] = field(default_factory=dict)
    soak: timedelta = timedelta(hours=24)
    drain: DrainRule = DrainRule.WHEN_NOT_IN_USE
    drain_limit: timedelta = timedelta(days=7)
    drain_quiet: timedelta = timedelta(days=7)
    drain_window: timedelta = timedelta(minutes=5)
    canaries: int = 1
    wave_growth: int = 3
    max_groups_per_run: int = 200
    max_parallel: int = 4
    verify_pulls: int = 3
    health_timeout: timedelta = timedelta(minutes=10)
    writer_timeout: timedelta = timedelta(minutes=10)
    restart_for_leases: bool = False
    owned_groups: OwnedGroups = OwnedGroups.ROTATE
    rotate_without_expiry: bool = True
    secret_name: str = "{kind}-{registry}-{name}"  # noqa: S105 - a template for names
    secret_names: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    admin_users: tuple[str, ...] = ()
    outage_windows: Mapping[str, str] = field(default_factory=dict)

    def ttl_of(self, kind: PrincipalKind) -> timedelta:
        """How long a new secret of this kind is asked to live."""
        return self.ttl.get(kind, self.default_ttl)

    def renew_before_of(self, kind: PrincipalKind) -> timedelta:
        """How long before its end a credential of this kind is due."""
        return self.renew_before.get(kind, self.default_renew_before)

    def max_age_of(self, kind: PrincipalKind) -> timedelta:
        """The age at which a credential of this kind is due, whatever its expiry."""
        return self.max_age.get(kind, self.default_max_age)
