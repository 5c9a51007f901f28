"""From a failure on the wire to one word of the error tree: over real connections, with the libraries that the product uses."""

import json
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import botocore.exceptions
import httpx
import pytest
from azure.core import PipelineClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest, HttpResponse
from azure.keyvault.secrets import SecretClient

from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.pipeline import policies
from rotator.clients.refusals import Answer, Asked, refusal, retry_after
from rotator.model.errors import (
    Conflict,
    Denied,
    Held,
    Indeterminate,
    NotFound,
    Rejected,
    RemoteError,
    Throttled,
    Unavailable,
)
from tests.unit.wireserver import ShownClock, Wire, serving

PASSWORD = "hunter2-" + "x" * 24


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with serving(tmp_path) as running:
        yield running


class FixedCredential:
    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token", 0)


def by_azure_core(wire: Wire) -> None:
    network = Network(resolve={"*": wire.address}, ca_file=wire.ca_file)
    client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
        "https://management.azure.com",
        policies=policies(FixedCredential(), "scope"),
        transport=network.azure_transport(ShownClock(), connect=timedelta(seconds=2), read=timedelta(seconds=2)),
    )
    client.send_request(HttpRequest("POST", "https://management.azure.com/x", json={"password": PASSWORD})).raise_for_status()


def by_sdk(wire: Wire) -> None:
    network = Network(resolve={"*": wire.address}, ca_file=wire.ca_file)
    transport = network.azure_transport(ShownClock(), connect=timedelta(seconds=2), read=timedelta(seconds=2))
    client = SecretClient("https://demo.vault.azure.net", FixedCredential(), transport=transport, retry_total=0)
    client.set_secret("name", PASSWORD)


def by_httpx(wire: Wire) -> None:
    network = Network(resolve={"*": wire.address}, ca_file=wire.ca_file)
    with network.http_client(timedelta(seconds=2)) as client:
        client.post("https://demo.azurecr.io/oauth2/token", data={"password": PASSWORD}).raise_for_status()


CLIENTS = [pytest.param(by_azure_core, id="azure-core"), pytest.param(by_sdk, id="SDK"), pytest.param(by_httpx, id="httpx")]
Call = Callable[[Wire], None]


def error_of(call: Call, wire: Wire, *, effect: bool = True) -> RemoteError:
    with (
        pytest.raises(RemoteError) as raised,
        translated(api="arm", operation="put-thing", effect=effect, needs="Some/action", thing="thing web"),
    ):
        call(wire)
    error = raised.value
    # Whatever happens, nothing that was sent may be printed with the error.
    printed = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert PASSWORD not in printed
    return error


STATUSES: list[tuple[int, type[RemoteError], type[RemoteError]]] = [
    (400, Rejected, Rejected),
    (401, Denied, Denied),
    (403, Denied, Denied),
    (404, NotFound, NotFound),
    (408, Unavailable, Unavailable),
    (409, Conflict, Conflict),
    (412, Conflict, Conflict),
    (422, Rejected, Rejected),
    (429, Throttled, Throttled),
    (500, Unavailable, Indeterminate),
    (501, Rejected, Rejected),
    (502, Unavailable, Indeterminate),
    (503, Unavailable, Unavailable),
    (504, Unavailable, Indeterminate),
]


@pytest.mark.parametrize("call", CLIENTS)
@pytest.mark.parametrize(("status", "reading", "changing"), STATUSES)
def test_a_status_becomes_a_word(
    wire: Wire, call: Call, status: int, reading: type[RemoteError], changing: type[RemoteError]
) -> None:
    body = json.dumps({"error": {"code": "SomeCode", "message": f"could not convert {PASSWORD}"}}).encode()
    for effect, expected in ((False, reading), (True, changing)):
        wire.answer(status, body, x_ms_request_id="11-22")
        error = error_of(call, wire, effect=effect)
        assert type(error) is expected
        assert error.request_id == "11-22"
        assert (error.api, error.operation) == ("arm", "put-thing")
        assert "SomeCode" in str(error)
        assert "thing web" in str(error)


@pytest.mark.parametrize("call", CLIENTS)
@pytest.mark.parametrize("how", ["lose", "truncate"])
def test_a_lost_answer_is_indeterminate_only_where_it_matters(wire: Wire, call: Call, how: str) -> None:
    setattr(wire, how, True)
    assert type(error_of(call, wire, effect=True)) is Indeterminate
    assert type(error_of(call, wire, effect=False)) is Unavailable


@pytest.mark.parametrize("call", CLIENTS)
def test_a_service_that_cannot_be_reached_was_not_touched(wire: Wire, call: Call) -> None:
    wire.port = 1
    error = error_of(call, wire)
    assert type(error) is Unavailable
    assert "nothing was sent" in str(error)


@pytest.mark.parametrize("call", CLIENTS)
def test_an_untrusted_certificate_is_named(wire: Wire, call: Call, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with serving(tmp_path / "second", hosts=("elsewhere.example",)) as stranger:
        stranger.ca_file = wire.ca_file
        error = error_of(call, stranger)
    assert type(error) is Unavailable


def test_an_answer_that_is_no_json_is_no_answer(wire: Wire) -> None:
    wire.answer(200, b"<html>sign in</html>")
    assert type(error_of(by_azure_core, wire, effect=True)) is Indeterminate


def test_errors_of_ours_pass_unchanged() -> None:
    held = Held("decide", missing=("a",))
    with pytest.raises(Held) as raised, translated(api="arm", operation="x"):
        raise held
    assert raised.value is held


def test_a_mistake_in_the_program_is_not_taken_for_a_failure_of_the_network() -> None:
    with pytest.raises(KeyError), translated(api="arm", operation="x"):
        raise KeyError("typo")


def client_error(status: int, code: str) -> botocore.exceptions.ClientError:
    answer = {
        "Error": {"Code": code, "Message": f"no {PASSWORD}"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "aws-1", "HTTPHeaders": {"Retry-After": "3"}},
    }
    return botocore.exceptions.ClientError(answer, "GetAuthorizationToken")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(client_error(400, "AccessDeniedException"), Denied, id="AWS denies with a 400"),
        pytest.param(client_error(400, "ThrottlingException"), Throttled, id="and throttles with one"),
        pytest.param(client_error(400, "RepositoryNotFoundException"), NotFound, id="and misses with one"),
        pytest.param(client_error(400, "ExpiredTokenException"), Denied, id="a session that has ended"),
        pytest.param(client_error(400, "InvalidParameterException"), Rejected, id="anything else is rejected"),
        pytest.param(client_error(500, "ServerException"), Unavailable, id="a broken service"),
        pytest.param(botocore.exceptions.EndpointConnectionError(endpoint_url="x"), Unavailable, id="nobody there"),
        pytest.param(botocore.exceptions.ReadTimeoutError(endpoint_url="x"), Unavailable, id="no answer to a read"),
        pytest.param(botocore.exceptions.NoCredentialsError(), Denied, id="no credentials at all"),
        pytest.param(botocore.exceptions.ProfileNotFound(profile="x"), Rejected, id="a profile that is not there"),
    ],
)
def test_aws_failures(error: Exception, expected: type[RemoteError]) -> None:
    with pytest.raises(RemoteError) as raised, translated(api="ecr", operation="token"):
        raise error
    assert type(raised.value) is expected
    assert PASSWORD not in str(raised.value)


def azure_body(code: str, message: str = "m", **inner: object) -> str:
    return json.dumps({"error": {"code": code, "message": message, **inner}})


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        pytest.param(409, azure_body("ContainerGroupTransitioning"), Conflict, "", id="a group in transition"),
        pytest.param(409, azure_body("RegistryErrorResponse"), Rejected, "RegistryErrorResponse", id="the registry said no"),
        pytest.param(409, azure_body("ServiceUnavailable"), Unavailable, "", id="the region is full"),
        pytest.param(503, azure_body("Directory_ConcurrencyViolation"), Conflict, "", id="a concurrent directory write"),
        pytest.param(
            403,
            azure_body("Forbidden", innererror={"code": "SecretDisabled"}),
            Rejected,
            "SecretDisabled",
            id="a disabled secret is no missing permission",
        ),
        pytest.param(403, azure_body("Forbidden", innererror={"code": "ForbiddenByRbac"}), Denied, "", id="RBAC"),
        pytest.param(400, azure_body("InaccessibleImage"), Rejected, "InaccessibleImage", id="an image out of reach"),
        pytest.param(401, '{"errors":[{"code":"UNAUTHORIZED","message":"x"}]}', Denied, "", id="a registry's envelope"),
        pytest.param(400, '{"error":"invalid_client","error_description":"x"}', Rejected, "invalid_client", id="OAuth"),
        pytest.param(400, "", Rejected, "http-400", id="nothing at all"),
        pytest.param(400, azure_body("not a code; " + PASSWORD), Rejected, "http-400", id="a code that is no code"),
    ],
)
def test_codes_that_say_more_than_the_status(status: int, body: str, expected: type[RemoteError], reason: str) -> None:
    error = refusal(Answer.read(status, {}, body), Asked(api="container-instances", operation="redeploy", effect=True))
    assert type(error) is expected
    assert PASSWORD not in str(error)
    if isinstance(error, Rejected):
        assert error.reason == reason


def test_only_messages_known_to_be_harmless_are_quoted() -> None:
    asked = Asked(api="container-instances", operation="redeploy")
    image = "The image 'a.azurecr.io/web:1' in container group 'web' is not accessible. Please check the credential."
    quoted = refusal(Answer.read(400, {}, azure_body("InaccessibleImage", image)), asked)
    hidden = refusal(Answer.read(400, {}, azure_body("InvalidRequestContent", f"'{PASSWORD}' is no JSON")), asked)
    assert "The image 'a.azurecr.io/web:1' in container group 'web' is not accessible." in str(quoted)
    assert "Please check" not in str(quoted)
    assert str(hidden) == "Azure Container Instances answered 400 InvalidRequestContent to redeploy."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "17"}, 17, id="seconds"),
        pytest.param({"retry-after": "0"}, 0, id="at once"),
        pytest.param({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, id="milliseconds first"),
        pytest.param(
            {"retry-after": "Sun, 01 Nov 2026 00:01:00 GMT", "date": "Sun, 01 Nov 2026 00:00:30 GMT"},
            30,
            id="a date, by the service's own clock",
        ),
        pytest.param(
            {"retry-after": "Sun, 01 Nov 2026 00:00:00 GMT", "date": "Sun, 01 Nov 2026 00:00:30 GMT"}, 0, id="a date gone by"
        ),
        pytest.param({"retry-after": "Sun, 01 Nov 2026 00:01:00 GMT"}, None, id="a date without a Date"),
        pytest.param({"retry-after": "soon"}, None, id="no time at all"),
        pytest.param({}, None, id="no wish"),
    ],
)
def test_how_long_the_service_wants_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == (None if seconds is None else timedelta(seconds=seconds))


def test_the_failure_underneath_is_not_shown(wire: Wire) -> None:
    wire.answer(400)
    error = error_of(by_azure_core, wire)
    assert error.__suppress_context__
    assert not isinstance(error.__cause__, HttpResponseError | httpx.HTTPError)
