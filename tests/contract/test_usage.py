"""What the registries' login events prove, and what they do not."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from rotator.azure.identity import ClockedCredential
from rotator.azure.usage import LoginEvents, NullUsageLog
from rotator.clients.clock import SandboxClock
from rotator.clients.logs import Logs
from rotator.clients.network import Network
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import Denied, Rejected, Throttled
from rotator.ports import Drain, UsageLog
from rotator.sandbox import Sandbox
from tests.contract.conftest import LOGS, Sight

Faults = Callable[..., None]
SERVER = "contosomain.azurecr.io"
SILENT = "contososilent.azurecr.io"


@pytest.fixture(scope="module")
def estate() -> str:
    return "empty"


@pytest.fixture
def logs(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> Logs:
    return Logs(credential, LOGS, network, clock, sight.observe)


@pytest.fixture
def log(logs: Logs, sandbox: Sandbox, clock: SandboxClock) -> UsageLog:
    return LoginEvents(logs, sandbox.estate.workspace_id, clock)


@pytest.fixture
def since(clock: SandboxClock) -> datetime:
    """A fresh window: nothing of an earlier test is in it."""
    clock.sleep(timedelta(hours=2))
    return clock.now()


def token(name: str) -> Principal:
    return Principal(kind=PrincipalKind.ACR_TOKEN, registry=SERVER, name=name)


def login(sandbox: Sandbox, name: str, address: str = "20.50.4.7") -> None:
    with sandbox.world.lock:
        sandbox.world.logs.record_login(SERVER, name, address, ok=True)


def test_silence_beside_other_logins_is_proof(log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    found = log.usage(token("pull"), [SERVER], since)
    assert (found.drain, found.last_seen_at, found.callers) == (Drain.PROVED, None, ())


def test_somebody_who_still_logs_in_is_seen_with_address_and_instant(
    log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    login(sandbox, "Pull", "20.50.4.7")
    login(sandbox, "pull", "20.50.4.9")
    clock.sleep(timedelta(minutes=30))
    found = log.usage(token("pull"), [SERVER.upper()], since)
    assert found.drain is Drain.IN_USE
    assert found.callers == ("20.50.4.7", "20.50.4.9")
    assert found.last_seen_at is not None
    assert abs(found.last_seen_at - since) < timedelta(minutes=1)


def test_what_was_before_the_window_does_not_count(log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "pull")
    clock.sleep(timedelta(minutes=1))
    later = clock.now()
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    assert log.usage(token("pull"), [SERVER], later).drain is Drain.PROVED


def test_entries_that_may_still_be_on_their_way_prove_nothing(
    log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=12))
    assert log.usage(token("pull"), [SERVER], since).drain is Drain.UNKNOWN


def test_a_registry_that_logs_nothing_proves_nothing(
    log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    clock.sleep(timedelta(hours=1))
    assert log.usage(token("pull"), [SERVER], since).drain is Drain.ASSUMED
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(hours=1))
    found = log.usage(token("pull"), [SERVER, SILENT], since)
    assert found.drain is Drain.ASSUMED
    assert SILENT in found.detail
    assert SERVER not in found.detail


@pytest.mark.parametrize(
    "how",
    [
        {"status": 403, "code": "InsufficientAccessError"},
        {"status": 503},
        {"status": 429, "code": "ThrottledError", "retry_after": 1},
    ],
)
def test_a_log_that_cannot_be_read_is_unknown_and_never_silence(
    log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime, faults: Faults, how: dict[str, object]
) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    faults({"on": "logs.query", **how})
    assert log.usage(token("pull"), [SERVER], since).drain is Drain.UNKNOWN


def test_no_registry_to_ask_about(log: UsageLog, since: datetime) -> None:
    assert log.usage(token("pull"), [], since).drain is Drain.UNKNOWN


@pytest.mark.parametrize("name", ['" or true or "', "a\\", 'a"\nb', "' | take 1 //"])
def test_a_name_is_never_a_query(log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime, name: str) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    assert log.usage(token(name), [SERVER], since).drain is Drain.PROVED


def test_without_a_workspace_it_is_assumed(since: datetime) -> None:
    log: UsageLog = NullUsageLog()
    assert log.usage(token("pull"), [SERVER], since).drain is Drain.ASSUMED


def test_rows_come_by_the_names_of_their_columns(logs: Logs, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "pull")
    clock.sleep(timedelta(minutes=30))
    rows = logs.query(
        sandbox.estate.workspace_id,
        "ContainerRegistryLoginEvents | project Identity, TimeGenerated",
        (since - timedelta(minutes=1), clock.now()),
    )
    assert [one["Identity"] for one in rows] == ["pull"]
    assert isinstance(rows[0]["TimeGenerated"], datetime)
    assert rows[0]["TimeGenerated"].utcoffset() == timedelta(0)


def test_failures_of_a_query(
    logs: Logs, nobody: ClockedCredential, network: Network, clock: SandboxClock, sandbox: Sandbox, faults: Faults
) -> None:
    window = (clock.now() - timedelta(hours=1), clock.now())
    with pytest.raises(Rejected):
        logs.query(sandbox.estate.workspace_id, "NoSuchTable | take 1", window)
    with pytest.raises(Denied):
        Logs(nobody, LOGS, network, clock).query(sandbox.estate.workspace_id, "ContainerRegistryLoginEvents", window)
    faults({"on": "logs.query", "status": 429, "code": "ThrottledError", "retry_after": 1})
    with pytest.raises(Throttled):
        logs.query(sandbox.estate.workspace_id, "ContainerRegistryLoginEvents", window)
