"""The logs: one form for everybody's entries, times from the clock, and no secret in any of them."""

import io
import json
import logging
import logging.handlers
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from rotator.model.secret import Secret
from rotator.telemetry import logs
from rotator.telemetry.redaction import REDACTED, Redactor
from tests import reportsample as sample
from tests.fakes import FakeClock

# Made-up values in the shapes that services give their secrets.
ACR = "Ab3" * 14 + "+ACR" + "x9Yz1A"
ENTRA = "aB3" + "8Q~" + "x" * 34
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhY3IifQ.c2lnbmF0dXJl"
STORAGE = "k" * 86 + "=="
AWS = "AKIA" + "A" * 16


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(level="debug", clock=FakeClock(sample.NOW), stream=stream)
    yield stream
    logs.reset()


def entries(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_entry_is_json_with_the_clocks_time(stream: io.StringIO) -> None:
    structlog.get_logger("rotator.test").info("planned", due=3)
    (entry,) = entries(stream)
    assert entry == {
        "event": "planned",
        "due": 3,
        "level": "info",
        "logger": "rotator.test",
        "timestamp": "2026-11-02T08:30:00.000Z",
    }


def test_a_terminal_gets_a_readable_line() -> None:
    stream = io.StringIO()
    logs.configure(level="info", clock=FakeClock(sample.NOW), stream=stream, terminal=True)
    structlog.get_logger("rotator.test").warning("held", group="web-1")
    logs.reset()
    assert "2026-11-02T08:30:00.000Z" in stream.getvalue()
    assert "held" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(
    "text",
    {
        "an ACR password": ACR,
        "an Entra client secret": ENTRA,
        "a token": f"got {JWT}",
        "a storage key": STORAGE,
        "an AWS key id": AWS,
        "a GitLab token": "glpat-" + "a" * 20,
        "a GitHub token": "ghp_" + "a" * 36,
        "a Docker Hub token": "dckr_pat_" + "a" * 27,
        "a header": "Authorization: Basic dXNlcjpwYXNzd29yZDEyMzQ1Njc4",
        "a bearer": "Bearer abcdefghijklmnopqrstuvwxyz",
        "a password in JSON": '{"password": "zzTopSecret9"}',
        "a password in a URL": "https://user:zzTopSecret9@host/path",
        "a signature": "https://x/y?sig=zzTopSecret9%3D&se=2026",
        "a private key": "-----BEGIN RSA PRIVATE KEY-----\nzzTopSecret9\n-----END RSA PRIVATE KEY-----",
    }.items(),
    ids=lambda one: one[0],
)
def test_a_secret_of_a_known_shape_does_not_get_through(text: tuple[str, str]) -> None:
    cleaned = Redactor().text(text[1])
    assert REDACTED in cleaned
    for fragment in (ACR, ENTRA, JWT, STORAGE, AWS, "zzTopSecret9", "a" * 20, "dXNlcjpw", "abcdefgh"):
        assert fragment not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        sample.PULL.id,
        "rotating acr-token:demo.azurecr.io/pull and entra-app:entra/5be1a2c4-0000-4000-8000-00000000abcd",
        "made password2@2026-11-23T04:24:39Z",
        "verify: pulled 2 images 3 times",
        "/subscriptions/8a1f2c3d-0000-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.X/y/z",
        "containers/web/environmentVariables/DB_PASSWORD/secureValue",
        "https://kv-demo.vault.azure.net/secrets/pull-web/0123456789abcdef0123456789abcdef",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert Redactor().text(text) == text


@given(value=st.text(min_size=8, max_size=60), before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_value_that_was_remembered_never_gets_through(value: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.remember(Secret(value))
    if value not in REDACTED:
        assert value not in redactor.text(before + value + after).replace(REDACTED, "\0")


def test_a_secret_object_is_refused_wherever_it_hides(stream: io.StringIO) -> None:
    value = "zzTopSecret9-value"
    log = structlog.get_logger("rotator.test")
    log.info("issued", handle="k1", credential=Secret(value), nested={"list": [Secret(value)]})
    log.info("issued", password=value, headers={"Authorization": value})
    logging.getLogger("rotator.test").info("issued %r", Secret(value))
    assert value not in stream.getvalue()
    assert entries(stream)[0]["credential"] == REDACTED


def test_a_traceback_is_cleaned_too(stream: io.StringIO) -> None:
    try:
        int(f"cannot use {ACR}")
    except ValueError:
        structlog.get_logger("rotator.test").exception("failed", client=ENTRA)
    assert "Traceback" in stream.getvalue()
    assert ACR not in stream.getvalue()
    assert ENTRA not in stream.getvalue()


def test_libraries_speak_through_us_and_only_when_it_matters(stream: io.StringIO) -> None:
    for name in (
        "azure.core.pipeline.policies.http_logging_policy",
        "botocore.endpoint",
        "httpx",
        "dbos",
        "apscheduler.scheduler",
    ):
        logging.getLogger(name).setLevel(logging.DEBUG)  # as DBOS and uvicorn do after we have configured logging
        logging.getLogger(name).debug("Authorization: %s", JWT)
        logging.getLogger(name).warning("slow: %s", JWT)
    assert [entry["level"] for entry in entries(stream)] == ["warning"] * 5
    assert JWT not in stream.getvalue()


def test_a_clock_that_logs_or_fails_does_not_silence_the_log() -> None:
    class Talkative:
        def now(self) -> datetime:
            logging.getLogger("rotator.clock").warning("asking")
            raise OSError("the clock is away")

        def sleep(self, duration: timedelta) -> None:
            raise NotImplementedError

    stream = io.StringIO()
    logs.configure(level="info", clock=Talkative(), stream=stream)
    structlog.get_logger("rotator.test").warning("said")
    logs.reset()
    assert [entry["event"] for entry in entries(stream)] == ["asking", "said"]


def test_events_of_rotations_are_logged(stream: io.StringIO) -> None:
    for event in sample.events():
        logs.EventLog().notice(event)
    assert [entry["level"] for entry in entries(stream)] == ["info", "info", "info", "warning", "info"]
    assert entries(stream)[3]["code"] == "conflict"
