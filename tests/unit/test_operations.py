"""Long-running operations: each style that ARM has, to a good end, a bad one, and none."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rotator.clients.operations import Patience, Poll, finished
from rotator.clients.refusals import Asked
from rotator.model.errors import Indeterminate, Rejected, RemoteError, Throttled, Unavailable
from tests.unit.wireserver import ShownClock

ASKED = Asked(api="container-instances", operation="redeploy", effect=True, thing="group web")
RESOURCE = "https://management.azure.com/web"
STATUS = "https://management.azure.com/operations/1"


def poll(http: int = 200, headers: dict[str, str] | None = None, **body: object) -> Poll:
    return Poll(status=http, headers=headers or {}, body=body)


def state(name: str) -> dict[str, Any]:
    return {"properties": {"provisioningState": name}}


class Script:
    """Answers looks in order and keeps what was looked at."""

    def __init__(self, *answers: Poll | RemoteError) -> None:
        self.answers, self.looked = list(answers), list[str]()

    def __call__(self, link: str) -> Poll:
        self.looked.append(link)
        answer = self.answers.pop(0)
        if isinstance(answer, RemoteError):
            raise answer
        return answer


def run(method: str, first: Poll, look: Callable[[str], Poll], limit: timedelta = timedelta(hours=1)) -> tuple[Any, ShownClock]:
    clock = ShownClock()
    return finished(method, RESOURCE, first, look, Patience(clock, limit), ASKED), clock


def test_a_put_with_a_status_url_ends_with_the_resource() -> None:
    look = Script(
        poll(headers={"retry-after": "20"}, status="Pending"),
        poll(status="Succeeded"),
        poll(**state("Succeeded")),
    )
    first = poll(201, {"azure-asyncoperation": STATUS}, **state("Pending"))
    body, clock = run("PUT", first, look)
    assert body == state("Succeeded")
    assert look.looked == [STATUS, STATUS, RESOURCE]
    assert clock.slept == [timedelta(seconds=5), timedelta(seconds=20)]


def test_a_post_with_a_result_url_ends_with_the_result() -> None:
    first = poll(202, {"location": STATUS, "retry-after": "3"})
    body, clock = run("POST", first, Script(poll(202), poll(200, username="pull")))
    assert body == {"username": "pull"}
    assert clock.slept == [timedelta(seconds=3), timedelta(seconds=5)]


def test_a_put_without_links_is_watched_itself() -> None:
    look = Script(poll(**state("Creating")), poll(**state("Succeeded")))
    body, _ = run("PUT", poll(201, **state("Pending")), look)
    assert body == state("Succeeded")
    assert look.looked == [RESOURCE, RESOURCE]


@pytest.mark.parametrize(
    ("method", "first"),
    [
        pytest.param("PATCH", poll(200, tags={"a": "b"}), id="a resource without a state"),
        pytest.param("POST", poll(204), id="an action that was done at once"),
        pytest.param("POST", poll(200, passwords=[]), id="a result that came at once"),
        pytest.param("PUT", poll(200, **state("Succeeded")), id="a resource that is ready"),
    ],
)
def test_what_is_done_at_once_is_not_watched(method: str, first: Poll) -> None:
    body, clock = run(method, first, Script())
    assert body == first.body
    assert clock.slept == []


@pytest.mark.parametrize(
    ("first", "looks"),
    [
        pytest.param(
            poll(201, {"azure-asyncoperation": STATUS}),
            [poll(status="Failed", error={"code": "InaccessibleImage", "message": "The image 'x' is not accessible."})],
            id="by its status",
        ),
        pytest.param(
            poll(201, **state("Creating")),
            [poll(**{**state("Failed"), "error": {"code": "InaccessibleImage", "message": "The image 'x' is not accessible."}})],
            id="by the resource",
        ),
    ],
)
def test_a_failed_operation_is_rejected_with_its_code(first: Poll, looks: list[Poll]) -> None:
    with pytest.raises(Rejected) as raised:
        run("PUT", first, Script(*looks))
    assert raised.value.reason == "InaccessibleImage"
    assert "The image 'x' is not accessible." in str(raised.value)


def test_a_cancelled_operation_without_a_code_is_rejected_too() -> None:
    with pytest.raises(Rejected) as raised:
        run("PUT", poll(201, {"azure-asyncoperation": STATUS}), Script(poll(status="Canceled")))
    assert raised.value.reason == "OperationFailed"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("x", api="arm", operation="poll"),
        Throttled("x", api="arm", operation="poll"),
    ],
)
def test_not_being_able_to_watch_does_not_undo_the_request(error: RemoteError) -> None:
    with pytest.raises(Indeterminate):
        run("PUT", poll(201, {"azure-asyncoperation": STATUS}), Script(error))


def test_an_operation_that_never_ends_is_indeterminate() -> None:
    first = poll(201, {"azure-asyncoperation": STATUS})
    with pytest.raises(Indeterminate):
        run("PUT", first, lambda _: poll(status="Pending"), limit=timedelta(minutes=2))


def test_a_service_that_says_retry_after_zero_is_not_hammered() -> None:
    first = poll(201, {"azure-asyncoperation": STATUS, "retry-after": "0"})
    _, clock = run("DELETE", first, Script(poll(status="Succeeded")))
    assert clock.slept == [timedelta(seconds=1)]
