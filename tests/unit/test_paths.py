"""Each group's cheapest way to zero secrets, from an estate alone."""

from dataclasses import replace

from rotator.migration.paths import paths_of
from rotator.model.estate import TAG_PRINCIPAL, StoredSecret
from rotator.model.group import GroupState, Inline, ManagedIdentity
from rotator.model.migration import Way
from tests.builders import binding, estate, group


def kept(principal_id: str) -> StoredSecret:
    return StoredSecret(
        name="kept", version="1", enabled=True, tags={TAG_PRINCIPAL: principal_id}, created_at=None, expires_at=None
    )


def test_a_group_without_a_stored_password_needs_nothing() -> None:
    [path] = paths_of(estate(group("web", binding(ManagedIdentity("/subscriptions/s/x", attached=True)))))
    assert path.way is Way.NOTHING
    assert path.command == ""


def test_a_password_that_the_vault_does_not_hold_at_a_registry_nobody_sees_is_named() -> None:
    reading = estate(group("web", binding(Inline("pull"))))
    one = reading.groups[0].bindings[0]
    assert one.principal is None
    [path] = paths_of(reading)
    assert path.way is Way.IMPOSSIBLE
    assert path.why
    assert replace(reading.groups[0], state=GroupState.STOPPED).name == "web"
