"""The operator's limits that policies judge by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rotator.model.credential import PrincipalKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a credential is too near its end or too old; the defaults are those of the rotation, so that what a rotation would
    replace is also what the audit reports.

    `expiring_within_of` and `max_age` override by kind; `default_max_age` None means no limit. `slots` is the operator's word
    on the slot in use, by principal id. `registry_suffixes` recognise an Azure registry that was not read.
    """

    expiring_within: timedelta = timedelta(days=30)
    expiring_within_of: Mapping[PrincipalKind, timedelta] = field(default_factory=dict)
    default_max_age: timedelta | None = timedelta(days=90)
    max_age: Mapping[PrincipalKind, timedelta] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    registry_suffixes: tuple[str, ...] = (".azurecr.io", ".azurecr.cn", ".azurecr.us")

    def expiring_within_for(self, kind: PrincipalKind) -> timedelta:
        """How long before its end a credential of this kind counts as expiring."""
        return self.expiring_within_of.get(kind, self.expiring_within)

    def max_age_for(self, kind: PrincipalKind) -> timedelta | None:
        """The age that a credential of this kind may reach, or None for any."""
        return self.max_age.get(kind, self.default_max_age)
