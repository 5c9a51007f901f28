"""Applications and service principals on Microsoft Graph."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from rotator.azure.directory import EntraDirectory
from rotator.azure.identity import ClockedCredential
from rotator.clients.clock import SandboxClock
from rotator.clients.graph import Graph
from rotator.clients.network import Network
from rotator.model.credential import PrincipalKind
from rotator.model.errors import Conflict, Denied, Indeterminate, NotFound, RemoteError, Throttled, Unavailable
from rotator.ports import Directory
from rotator.sandbox import Sandbox
from tests.contract.conftest import GRAPH, Sight

Faults = Callable[..., None]


@pytest.fixture
def directory(graph: Graph) -> Directory:
    return EntraDirectory(graph)


@pytest.fixture
def app(sandbox: Sandbox) -> str:
    """A fresh application that the rotator owns, with a password on each of its objects."""
    world = sandbox.world
    with world.lock:
        app_id = world.guid()
        world.graph.add_application(app_id, "sp-fresh", owners=[sandbox.estate.principal_id])
        for on in ("application", "servicePrincipal"):
            world.graph.add_secret(
                app_id,
                "application" if on == "application" else "servicePrincipal",
                display_name=on,
                start_at=world.now() - timedelta(days=10),
                end_at=world.now() + timedelta(days=80),
            )
    return app_id


def end_at(clock: SandboxClock) -> datetime:
    return (clock.now() + timedelta(days=90)).replace(microsecond=0)


def test_both_objects_passwords_are_read(directory: Directory, app: str) -> None:
    record = directory.application(app.upper())
    assert record is not None
    assert (record.principal.kind, record.principal.registry, record.principal.name) == (PrincipalKind.ENTRA_APP, "entra", app)
    assert record.enabled is True
    assert record.credentials is not None
    assert sorted(one.handle.id.split("/")[0] for one in record.credentials) == ["application", "servicePrincipal"]
    for one in record.credentials:
        assert one.username == app
        assert len(one.hint) == 3
        assert one.issued_at is not None
        assert one.expires_at is not None
        assert one.expires_at > one.issued_at
        assert one.handle.marker == ""


def test_nobody_by_that_name(directory: Directory) -> None:
    assert directory.application("00000000-0000-0000-0000-00000000dead") is None


def test_a_managed_identity_has_a_principal_alone(directory: Directory, sandbox: Sandbox) -> None:
    record = directory.application(sandbox.estate.client_id)
    assert record is not None
    assert record.credentials == ()


def test_a_quote_in_a_name_is_no_query(directory: Directory) -> None:
    assert directory.application("x' or appId ne 'y") is None


@pytest.mark.parametrize("kind", ["application", "servicePrincipal"])
def test_a_password_is_added_found_by_its_marker_and_removed(
    graph: Graph, directory: Directory, clock: SandboxClock, app: str, kind: str
) -> None:
    found = graph.application(app) if kind == "application" else graph.service_principal(app)
    assert found is not None
    ends_at = end_at(clock)
    made, secret = graph.add_password(found.kind, found.id, "rotator r-17", ends_at)
    assert secret.reveal().startswith(made.hint)
    assert made.end_at == ends_at
    record = directory.application(app)
    assert record is not None
    ours = [one for one in record.credentials or () if one.handle.marker == "r-17"]
    assert [one.handle.id for one in ours] == [f"{kind}/{made.key_id}"]
    graph.remove_password(found.kind, found.id, made.key_id)
    graph.remove_password(found.kind, found.id, made.key_id)  # already gone is success
    after = directory.application(app)
    assert after is not None
    assert len(after.credentials or ()) == 2


def test_removing_from_an_object_that_is_gone_is_success(graph: Graph) -> None:
    graph.remove_password("application", "00000000-0000-0000-0000-00000000dead", "00000000-0000-0000-0000-00000000beef")


def test_concurrent_writes_of_the_tenant_are_tried_again(
    graph: Graph, clock: SandboxClock, app: str, faults: Faults, sight: Sight
) -> None:
    found = graph.application(app)
    assert found is not None
    faults({"on": "graph.addPassword", "nth": 1, "status": 409, "code": "Directory_ConcurrencyViolation"})
    graph.add_password("application", found.id, "rotator r-1", end_at(clock))
    faults({"on": "graph.addPassword", "nth": 1, "status": 503, "code": "Directory_ConcurrencyViolation"})
    graph.add_password("application", found.id, "rotator r-2", end_at(clock))
    codes = sight.codes("graph", "add-password")
    # The sandbox's tenant is busy after a write by itself, so there may be more than the two that were asked for.
    assert (codes[0], codes[-1], codes.count("200")) == ("409", "200", 2)
    assert set(codes[1:]) <= {"200", "409", "503"}


@pytest.mark.parametrize("how", [{"drop_after": True}, {"truncate": True}, {"status": 504}])
def test_a_lost_answer_to_add_is_indeterminate_and_never_repeated(
    graph: Graph, clock: SandboxClock, app: str, faults: Faults, sight: Sight, how: dict[str, object]
) -> None:
    found = graph.application(app)
    assert found is not None
    faults({"on": "graph.addPassword", "nth": 1, **how})
    with pytest.raises(Indeterminate):
        graph.add_password("application", found.id, "rotator r-lost", end_at(clock))
    assert len(sight.codes("graph", "add-password")) == 1
    again = graph.application(app)
    assert again is not None
    lost = [one for one in again.passwords if one.display_name == "rotator r-lost"]
    assert len(lost) == (0 if "status" in how else 1)


def test_a_lost_answer_to_remove_is_repeated_and_finds_it_gone(
    graph: Graph, directory: Directory, app: str, faults: Faults
) -> None:
    found = graph.application(app)
    assert found is not None
    faults({"on": "graph.removePassword", "nth": 1, "drop_after": True})
    graph.remove_password("application", found.id, found.passwords[0].key_id)
    after = graph.application(app)
    assert after is not None
    assert after.passwords == ()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "TooManyRequests", Throttled),
        (503, "ServiceUnavailable", Unavailable),
        (403, "Authorization_RequestDenied", Denied),
        (409, "Directory_ConcurrencyViolation", Conflict),
    ],
)
def test_a_directory_that_cannot_be_read_is_no_empty_directory(
    directory: Directory, app: str, faults: Faults, status: int, code: str, expected: type[RemoteError]
) -> None:
    faults({"on": "graph.servicePrincipals.list", "status": status, "code": code})
    with pytest.raises(expected):
        directory.application(app)


def test_without_a_permission_it_is_named(
    nobody: ClockedCredential, network: Network, clock: SandboxClock, graph: Graph, app: str
) -> None:
    found = graph.application(app)
    assert found is not None
    graph = Graph(nobody, GRAPH, network, clock)
    with pytest.raises(Denied) as raised:
        graph.application(app)
    assert "Application.Read.All" in raised.value.needs
    with pytest.raises(Denied) as raised:
        graph.add_password("application", found.id, "x", end_at(clock))
    assert "Application.ReadWrite.OwnedBy" in raised.value.needs


def test_an_application_of_somebody_else_cannot_be_changed(graph: Graph, clock: SandboxClock, sandbox: Sandbox) -> None:
    with sandbox.world.lock:
        app_id = sandbox.world.guid()
        sandbox.world.graph.add_application(app_id, "sp-foreign")
    found = graph.application(app_id)
    assert found is not None
    with pytest.raises((Denied, NotFound)):
        graph.add_password("application", found.id, "rotator r-1", end_at(clock))
