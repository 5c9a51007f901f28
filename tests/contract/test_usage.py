"""What the registries' login events and Entra's sign-in log say, through the real SDK, and what they do not."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from rotator.azure.identity import ClockedCredential
from rotator.azure.usage import LoginEvents, NullUsageLog, SignIns, UsageLogs
from rotator.clients.clock import SandboxClock
from rotator.clients.logs import Logs
from rotator.clients.network import Network
from rotator.clients.pulls import PullProbe
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import Denied, Rejected, Throttled, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.rotation import Retirement
from rotator.model.secret import Secret
from rotator.model.usage import OWN_AGENT, Drain, Usage
from rotator.ports import UsageLog
from rotator.rotation.drain import usage_of
from rotator.rotation.rules import Rules
from rotator.sandbox import Sandbox
from tests.contract.conftest import LOGS, Sight

Faults = Callable[..., None]
SERVER = "contosomain.azurecr.io"
SILENT = "contososilent.azurecr.io"
APP = "0f8a0b4c-1111-4222-8333-444455556666"


@pytest.fixture(scope="module")
def estate() -> str:
    return "empty"


@pytest.fixture
def logs(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> Logs:
    return Logs(credential, LOGS, network, clock, sight.observe)


@pytest.fixture
def log(logs: Logs, sandbox: Sandbox, clock: SandboxClock) -> UsageLog:
    workspace = sandbox.estate.workspace_id
    return UsageLogs(LoginEvents(logs, workspace, clock), SignIns(logs, workspace, clock))


@pytest.fixture
def ask(log: UsageLog, clock: SandboxClock) -> Callable[..., Usage]:
    """Ask what the log says of a principal's old secret `application/old` since an instant."""

    def asked(principal: Principal, since: datetime, *registries: str) -> Usage:
        retirement = Retirement(
            rotation="r",
            principal=principal,
            secret_name="s",
            handle="application/new",
            old=("application/old",),
            cutover_at=since,
            soak_until=since,
            registries=registries or (SERVER,),
        )
        return usage_of(retirement, log.uses(principal, retirement.registries, since), Rules(), clock.now())

    return asked


@pytest.fixture
def since(clock: SandboxClock) -> datetime:
    """A fresh window: nothing of an earlier test is in it."""
    clock.sleep(timedelta(hours=2))
    return clock.now()


def token(name: str) -> Principal:
    return Principal(kind=PrincipalKind.ACR_TOKEN, registry=SERVER, name=name)


def application() -> Principal:
    return Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name=APP)


def login(sandbox: Sandbox, name: str, address: str = "20.50.4.7", *, ok: bool = True) -> None:
    with sandbox.world.lock:
        sandbox.world.logs.record_login(SERVER, name, address, ok=ok)


def sign_in(sandbox: Sandbox, key: str, address: str = "20.50.4.7") -> None:
    with sandbox.world.lock:
        sandbox.world.logs.record_sign_in(APP.upper(), key, address)


Ask = Callable[..., Usage]


def test_silence_beside_other_logins_is_proof(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    found = ask(token("pull"), since)
    assert (found.drain, found.last_seen_at, found.callers) == (Drain.PROVED, None, ())


def test_somebody_who_still_logs_in_is_seen_with_address_and_instant(
    ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    login(sandbox, "Pull", "20.50.4.7")
    clock.sleep(timedelta(seconds=30))
    login(sandbox, "pull", "20.50.4.9")
    clock.sleep(timedelta(minutes=30))
    found = ask(token("pull"), since, SERVER.upper())
    assert found.drain is Drain.IN_USE
    assert found.callers == ("20.50.4.9", "20.50.4.7")
    assert "perhaps used (the log does not say which secret) by 20.50.4.9, 20.50.4.7, last at" in found.detail
    assert found.last_seen_at is not None
    assert abs(found.last_seen_at - since) < timedelta(minutes=2)


def test_a_refused_login_is_no_use(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "pull", ok=False)
    clock.sleep(timedelta(minutes=30))
    assert ask(token("pull"), since).drain is Drain.PROVED


def test_what_was_before_the_window_does_not_count(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    login(sandbox, "pull")
    clock.sleep(timedelta(minutes=1))
    later = clock.now()
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    assert ask(token("pull"), later).drain is Drain.PROVED


@pytest.mark.parametrize(("principal", "minutes"), [(token("pull"), 12), (application(), 50)], ids=["token", "application"])
def test_entries_that_may_still_be_on_their_way_prove_nothing(
    ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime, principal: Principal, minutes: int
) -> None:
    login(sandbox, "somebody-else")
    sign_in(sandbox, "new")
    clock.sleep(timedelta(minutes=minutes))
    found = ask(principal, since)
    assert (found.drain, found.early) == (Drain.UNKNOWN, True)


def test_a_registry_that_logs_nothing_proves_nothing(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    clock.sleep(timedelta(hours=1))
    assert ask(token("pull"), since).drain is Drain.ASSUMED
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(hours=1))
    found = ask(token("pull"), since, SERVER, SILENT)
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
@pytest.mark.parametrize("principal", [token("pull"), application()], ids=["token", "application"])
def test_a_log_that_cannot_be_read_is_unknown_and_never_silence(
    ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime, faults: Faults, how: dict[str, object], principal: Principal
) -> None:
    login(sandbox, "somebody-else")
    sign_in(sandbox, "new")
    clock.sleep(timedelta(hours=2))
    faults({"on": "logs.query", **how})
    found = ask(principal, since)
    assert (found.drain, found.early) == (Drain.UNKNOWN, False)
    assert "could not be read" in found.detail


def test_no_registry_to_ask_about(log: UsageLog, since: datetime) -> None:
    assert log.uses(token("pull"), [], since).unreadable


@pytest.mark.parametrize("name", ['" or true or "', "a\\", 'a"\nb', "' | take 1 //"])
def test_a_name_is_never_a_query(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime, name: str) -> None:
    login(sandbox, "somebody-else")
    clock.sleep(timedelta(minutes=30))
    assert ask(token(name), since).drain is Drain.PROVED


def test_without_a_workspace_it_is_assumed_at_once(since: datetime) -> None:
    found = NullUsageLog().uses(token("pull"), [SERVER], since)
    assert found.unproven
    assert not found.unreadable
    assert found.complete_until > since


def test_a_sign_in_with_the_old_key_is_a_use_by_that_address(
    ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    sign_in(sandbox, "new")
    sign_in(sandbox, "OLD", "20.1.2.3")
    clock.sleep(timedelta(minutes=30))
    found = ask(application(), since)
    assert (found.drain, found.callers) == (Drain.IN_USE, ("20.1.2.3",))
    assert found.detail.startswith("used by 20.1.2.3, last at ")


def test_sign_ins_with_other_keys_alone_are_proof(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    sign_in(sandbox, "new")
    clock.sleep(timedelta(hours=2))
    assert ask(application(), since).drain is Drain.PROVED


def test_a_sign_in_without_a_key_leaves_only_an_assumption(
    ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime
) -> None:
    sign_in(sandbox, "new")
    sign_in(sandbox, "")
    clock.sleep(timedelta(hours=2))
    assert ask(application(), since).drain is Drain.ASSUMED


def test_no_sign_in_at_all_proves_nothing(ask: Ask, clock: SandboxClock, since: datetime) -> None:
    clock.sleep(timedelta(hours=2))
    assert ask(application(), since).drain is Drain.ASSUMED


def test_a_workspace_without_sign_ins_is_unknown(ask: Ask, sandbox: Sandbox, clock: SandboxClock, since: datetime) -> None:
    logs = sandbox.world.logs
    fed = logs.sign_ins_to
    try:
        logs.sign_ins_to = None
        clock.sleep(timedelta(hours=2))
        found = ask(application(), since)
    finally:
        logs.sign_ins_to = fed
    assert found.drain is Drain.UNKNOWN
    assert "the sign-in log could not be read" in found.detail


def test_the_last_use_of_every_principal_is_one_query(
    log: UsageLog, sandbox: Sandbox, clock: SandboxClock, since: datetime, sight: Sight
) -> None:
    with sandbox.world.lock:
        for name, agent, ok in (
            ("Pull", "docker", True),
            ("refused", "docker", False),
            ("ours", OWN_AGENT, True),
            (APP, "", True),
        ):
            sandbox.world.logs.record_login(SERVER, name, "20.50.4.7", ok=ok, user_agent=agent)
    clock.sleep(timedelta(minutes=30))
    asked = [token("pull"), token("refused"), token("ours"), token("unused"), application()]
    found = log.last_uses(asked, since)
    assert set(found) == {token("pull"), application()}
    assert abs(found[token("pull")] - since) < timedelta(minutes=1)
    assert sight.codes("logs", "query") == ["200"]


def test_a_last_use_that_cannot_be_read_is_not_known(log: UsageLog, since: datetime, faults: Faults) -> None:
    faults({"on": "logs.query", "status": 403, "code": "InsufficientAccessError"})
    assert log.last_uses([token("pull")], since) == {}


def test_verification_says_that_it_is_ours(
    log: UsageLog, sandbox: Sandbox, network: Network, clock: SandboxClock, since: datetime
) -> None:
    with sandbox.world.lock:
        server, registry = next(iter(sandbox.world.registries.servers.items()))
        name = next(iter(registry.tokens), "pull")
        before = len(sandbox.world.logs.tables([sandbox.estate.workspace_id], None, None)["ContainerRegistryLoginEvents"].rows)
    with pytest.raises(VerificationFailed):
        PullProbe(network).probe(ImageReference.parse(f"{server}/a/b:1"), name, Secret("wrong"))
    clock.sleep(timedelta(minutes=30))
    with sandbox.world.lock:
        rows = sandbox.world.logs.tables([sandbox.estate.workspace_id], None, None)["ContainerRegistryLoginEvents"].rows
    assert [row["UserAgent"] for row in rows[before:]] == [OWN_AGENT]


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
