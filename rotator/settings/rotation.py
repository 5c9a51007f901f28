"""When credentials are due, how carefully groups move to new ones, and how they leave stored passwords."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, field_validator

from rotator.configtext import Duration, parse_duration
from rotator.model.credential import PrincipalKind
from rotator.model.tool import OwnedGroups
from rotator.model.usage import DrainRule
from rotator.settings.section import Section


def _kinds(**given: str) -> dict[PrincipalKind, timedelta]:
    return {PrincipalKind(kind.replace("_", "-")): parse_duration(text) for kind, text in given.items()}


class RotationSettings(Section):
    """When credentials are due and how carefully they are replaced. Unnamed kinds take `default_*`."""

    default_ttl: Annotated[Duration, Field(description="how long a new secret lives")] = timedelta(days=90)
    ttl: dict[PrincipalKind, Duration] = {}
    default_renew_before: Annotated[Duration, Field(description="how long before its end a credential is due")] = timedelta(
        days=30
    )
    renew_before: dict[PrincipalKind, Duration] = _kinds(ecr="6h")
    default_max_age: Annotated[Duration, Field(description="a credential older than this is due")] = timedelta(days=90)
    max_age: dict[PrincipalKind, Duration] = {}
    soak: Annotated[Duration, Field(description="how long the old secret lives on after the last cutover")] = timedelta(hours=24)
    drain: Annotated[DrainRule, Field(description="what the logs must say before an old secret is ended")] = (
        DrainRule.WHEN_NOT_IN_USE
    )
    drain_limit: Annotated[
        Duration, Field(description="how long after its soak an old secret that is still used is kept, before a person decides")
    ] = timedelta(days=7)
    drain_quiet: Annotated[
        Duration,
        Field(description="an old secret counts as used until this long after its last use"),
    ] = timedelta(days=7)
    drain_window: Annotated[
        Duration, Field(description="how near to a container group's pull a login must be to be taken for that pull's")
    ] = timedelta(minutes=5)
    canaries: Annotated[int, Field(ge=1, description="groups in the first wave")] = 1
    wave_growth: Annotated[int, Field(ge=1, le=10, description="each wave is this many times the one before")] = 3
    max_groups_per_run: Annotated[int, Field(ge=1, description="restarts that one run may cause")] = 200
    max_parallel: Annotated[int, Field(ge=1, le=32, description="rotations, and groups of one wave, at a time")] = 4
    verify_pulls: Annotated[int, Field(ge=1, le=20, description="pulls in a row that must succeed")] = 3
    health_timeout: Annotated[Duration, Field(description="how long a group may take to become healthy")] = timedelta(minutes=10)
    writer_timeout: Annotated[
        Duration,
        Field(description="how long another installation's unfinished rotation is left alone after its last sign of life"),
    ] = timedelta(minutes=10)
    secret_name: Annotated[
        str, Field(description="vault secret of a principal that has none yet; {kind}, {registry} and {name} are filled in")
    ] = "{kind}-{registry}-{name}"
    secret_names: Annotated[
        dict[str, str], Field(description="principal id to vault secret, where the template does not fit")
    ] = {}
    slots: Annotated[
        dict[str, str],
        Field(description="principal id to the slot that its groups use now, where both are filled and nothing tells"),
    ] = {}
    admin_users: Annotated[
        tuple[str, ...],
        Field(description="login servers whose groups are being moved off the admin user: only there are its passwords rotated"),
    ] = ()
    outage_windows: Annotated[
        dict[str, str],
        Field(
            description="principal id or glob to when its groups may be out, where a new secret ends the old at once: "
            "a cron expression in UTC and a duration, `0 2 * * 6 for 2h`"
        ),
    ] = {}
    restart_for_leases: Annotated[
        bool,
        Field(
            description="restart groups that read a lease through a vault reference. Azure does not document when a reference is "
            "read again; a pull happens at a start, which reads it"
        ),
    ] = False
    owned_groups: Annotated[
        OwnedGroups, Field(description="whether groups whose tags say that another tool deploys them are moved, or held for it")
    ] = OwnedGroups.ROTATE
    rotate_without_expiry: Annotated[bool, Field(description="treat a credential that never ends as due")] = True

    @field_validator("outage_windows")
    @classmethod
    def _are_windows(cls, windows: dict[str, str]) -> dict[str, str]:
        from rotator.rotation.outages import is_open

        for text in windows.values():
            is_open(text, datetime(2026, 1, 1, tzinfo=UTC))
        return windows


# Azure writes these segments in either case. No flag for that: other readers of the published schema do not know it.
_HOME = r"/subscriptions/[^/]+/[Rr]esource[Gg]roups/[^/]+/providers"
_IDENTITY_ID = rf"^{_HOME}/[Mm]icrosoft\.[Mm]anaged[Ii]dentity/[Uu]ser[Aa]ssigned[Ii]dentities/[^/]+$"
_VAULT_ID = rf"^({_HOME}/[Mm]icrosoft\.[Kk]ey[Vv]ault/[Vv]aults/[^/]+)?$"
IdentityId = Annotated[str, Field(pattern=_IDENTITY_ID)]


class MigrationSettings(Section):
    """With which identities groups leave their stored passwords (`rotator migrate`), and how patiently."""

    identity: Annotated[
        str, Field(pattern=f"{_IDENTITY_ID}|^$", description="resource id of the user-assigned identity that groups pull with")
    ] = ""
    identities: Annotated[
        dict[str, IdentityId], Field(description="login server or resource group to identity, where it is another one")
    ] = {}
    vault_id: Annotated[
        str, Field(pattern=_VAULT_ID, description="resource id of the vault; needed to move groups to vault references")
    ] = ""
    # Azure honours a new role after minutes, and promises no number.
    role_wait: Annotated[Duration, Field(description="how old a role must be before the first group relies on it")] = timedelta(
        minutes=5
    )
    role_limit: Annotated[
        Duration, Field(description="how long a group that Azure refuses for its image is tried again, since roles take minutes")
    ] = timedelta(minutes=15)
    admin_window: Annotated[
        Duration, Field(description="how long an admin user must not have been used before it may be switched off")
    ] = timedelta(days=30)

    @field_validator("identities")
    @classmethod
    def _without_case(cls, given: dict[str, str]) -> dict[str, str]:
        return {name.lower(): identity for name, identity in given.items()}
