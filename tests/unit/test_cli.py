"""The command line's parts: exit statuses, tables at 80 columns, progress, and errors as sentences."""

import io
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from rotator.cli import failure, tables
from rotator.cli.exits import Exit, Threshold, of_audit, of_error
from rotator.cli.listing import Heading, Listing, Row
from rotator.cli.progress import RotationProgress
from rotator.cli.selection import check_only
from rotator.history import Entry
from rotator.model.errors import (
    AlreadyRunning,
    ConfigError,
    CutoverFailed,
    Denied,
    Held,
    PlanChanged,
    PolicyError,
    RotatorError,
    Unavailable,
    VerificationFailed,
)
from rotator.model.policy import Audit, Verdict
from rotator.report.document import proof
from tests import reportsample as sample

HEAVY = ("azure", "msal", "dbos", "fastapi", "cel_expr_python", "boto3", "botocore", "sqlalchemy", "pydantic", "httpx", "jinja2")
NAMES = {sample.APP.id: "shop-pull"}


def audit_with(*kept: str, verdict: Verdict = Verdict.FAIL) -> Audit:
    found = tuple(one for one in sample.audit().findings if one.policy in kept and one.verdict is verdict)
    return replace(sample.audit(), findings=found)


@pytest.mark.parametrize(
    ("audit", "threshold", "expected"),
    [
        pytest.param(audit_with(), Threshold.INFO, Exit.CLEAN, id="nothing was found"),
        pytest.param(audit_with("credential-expired"), Threshold.HIGH, Exit.FINDINGS, id="worse than the threshold"),
        pytest.param(audit_with("acr-admin-user-in-use"), Threshold.HIGH, Exit.FINDINGS, id="at the threshold"),
        pytest.param(audit_with("credential-never-ends"), Threshold.HIGH, Exit.CLEAN, id="below the threshold"),
        pytest.param(audit_with("credential-expired"), Threshold.NEVER, Exit.CLEAN, id="never"),
        pytest.param(
            audit_with("credential-never-ends", verdict=Verdict.UNKNOWN), Threshold.MEDIUM, Exit.INCOMPLETE, id="not judged"
        ),
    ],
)
def test_the_exit_status_of_an_audit(audit: Audit, threshold: Threshold, expected: Exit) -> None:
    assert of_audit(sample.estate(unread=False), audit, threshold) is expected


def test_what_was_not_read_outweighs_what_was_found() -> None:
    assert of_audit(sample.estate(), audit_with("credential-expired"), Threshold.HIGH) is Exit.INCOMPLETE
    assert of_audit(sample.estate(), audit_with(), Threshold.NEVER) is Exit.INCOMPLETE


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigError("x"), Exit.USAGE),
        (PolicyError("x", file="a.yaml"), Exit.USAGE),
        (PlanChanged("x"), Exit.USAGE),
        (Denied("x", api="arm", operation="list", needs="y"), Exit.INCOMPLETE),
        (Unavailable("x", api="arm", operation="list"), Exit.INCOMPLETE),
        (Held("x"), Exit.UNDONE),
        (VerificationFailed("x"), Exit.UNDONE),
        (CutoverFailed("x"), Exit.UNDONE),
        (AlreadyRunning("x"), Exit.UNDONE),
        (RotatorError("x"), Exit.BUG),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_exit_status_of_an_error(error: RotatorError, expected: Exit) -> None:
    assert of_error(error) is expected


def test_an_error_is_a_sentence_and_an_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure.tell(ConfigError("rotator.yaml:3: vualt is no setting", advice="Write vault.")) is Exit.USAGE
    assert capsys.readouterr().err == "error: rotator.yaml:3: vualt is no setting\nWrite vault.\n"


def test_an_errors_text_is_cleaned_before_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    failure.tell(ConfigError("the URL https://user:zzTopSecret9@host cannot be used"))
    assert "zzTopSecret9" not in capsys.readouterr().err


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("rotator")
    logger.setLevel(logging.DEBUG)
    try:
        failure.tell(ConfigError("x"))
    finally:
        logger.setLevel(logging.NOTSET)
    assert "ConfigError" in capsys.readouterr().err


def test_a_bug_shows_its_traceback_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure.tell_bug(ValueError("password=zzTopSecret9")) is Exit.BUG
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "zzTopSecret9" not in shown


def shown(thing: RenderableType, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]  # it is the StringIO above


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(
            lambda: tables.findings(sample.audit(), NAMES, None),
            ["critical", "rg-shop/search", "credential-expired"],
            id="findings",
        ),
        pytest.param(lambda: tables.findings(sample.audit(), NAMES, 1), ["and 4 more"], id="some findings"),
        pytest.param(
            lambda: tables.plan(sample.plan(), NAMES, sample.NOW),
            [
                "1 rotation, 6 group restarts, 1 held",
                "pull-web",
                "ends in 14 d",
                "waves of 1, 3, 2",
                "DB_PASSWORD",
                "shop-pull",
            ],
            id="plan",
        ),
        pytest.param(lambda: tables.outcomes(sample.outcomes(), NAMES), ["soaking", "5 groups moved", "7 min"], id="outcomes"),
        pytest.param(lambda: tables.unread(sample.estate().unread), ["container-groups", "Grant"], id="unread"),
        pytest.param(lambda: tables.audit_line(sample.estate(), sample.audit()), ["4 open violations", "1 not read"], id="sum"),
        pytest.param(
            lambda: tables.history([Entry(at=sample.NOW, what="audit", subject="", result="complete", detail="12 groups")], {}),
            ["2026-11-02 08:30", "12 groups"],
            id="history",
        ),
        pytest.param(
            lambda: tables.changes(sample.audit(), audit_with("credential-never-ends")),
            ["A group stores a credential"],
            id="changes",
        ),
        pytest.param(lambda: tables.verdict(proof(sample.ORACLE, 5)), ["every promise kept"], id="verdict"),
        pytest.param(
            lambda: tables.verdict(proof(sample.ORACLE | {"leaks": [{}]}, 5)), ["A PROMISE WAS BROKEN"], id="a broken promise"
        ),
    ],
)
def test_a_table_fits_80_columns_and_says_what_matters(table: Callable[[], RenderableType], expected: list[str]) -> None:
    text = shown(table())
    assert max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    for one in expected:
        assert one in words or one in text.replace("\n", "").replace(" ", "")


def test_nothing_found_is_not_nothing_to_find_where_something_was_not_read() -> None:
    nothing = replace(sample.audit(), findings=())
    assert "No open violation." in shown(tables.findings(nothing, {}, None))
    assert "in what could be read" in shown(tables.findings(nothing, {}, None, complete=False))


def test_what_could_not_be_read_for_one_reason_is_said_once() -> None:
    (missing,) = sample.estate().unread
    text = shown(tables.unread([missing, replace(missing, what="registries"), replace(missing, scope="another")]), width=200)
    assert text.count("reading container groups was refused") == 1
    assert "container-groups of 8a1f2c3d-0000-4000-8000-000000000002, another, registries of 8a1f2c3d" in text


def test_a_list_gives_its_widest_columns_less_room_before_it_folds_anything_else() -> None:
    rows = [Row(cells=(Text("short"), Text("x" * 30), Text("y" * 30)), below=(Text("below"),))]
    lines = shown(Listing(rows, ("one", "two", "three")), width=60).splitlines()
    assert lines[2].split() == ["short", "x" * 24, "y" * 24]
    assert [line.strip() for line in lines[3:]] == [f"{'x' * 6}{' ' * 20}{'y' * 6}", "below"]


def test_in_a_section_that_is_too_wide_the_last_cells_go_below() -> None:
    heading = Heading(mark=Text("high"), text=Text("a title"))
    rows: list[Row | Heading] = [heading, Row(cells=(Text("name"), Text("a place that is far away")))]
    assert shown(Listing(rows), width=60).split() == ["high", "a", "title", "name", "a", "place", "that", "is", "far", "away"]
    assert len(shown(Listing(rows), width=60).splitlines()) == 2
    assert [line.strip() for line in shown(Listing(rows), width=30).splitlines()] == [
        "high  a title",
        "name",
        "a place that is far away",
    ]


def test_a_mistyped_credential_is_answered_with_the_nearest() -> None:
    estate = sample.estate(unread=False)
    check_only(["acr-token:*", sample.ADMIN.id], estate)
    with pytest.raises(ConfigError, match=r"did you mean acr-token:northwind\.azurecr\.io/pull-web"):
        check_only(["pull-wbe"], estate)
    check_only(["pull-wbe"], sample.estate())  # it may be where nothing could be read


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    with RotationProgress(console, sample.plan(), NAMES) as progress:
        for event in sample.events():
            progress.notice(event)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is the StringIO above
    assert lines[0] == "08:30:01 pull-web issue: made password2@now"
    assert lines[3] == "08:31:30 pull-web redeploy rg-shop/web-2: the group is in transition"


def test_progress_is_live_on_a_terminal_and_shows_failures_as_lines() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False, force_terminal=True)
    with RotationProgress(console, sample.plan(), NAMES) as progress:
        for event in sample.events():
            progress.notice(event)
        progress.notice(replace(sample.events()[0], rotation="r-0", principal=sample.APP))  # not in the plan's due items
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "1/6" in text
    assert "shop-pull" in text
    assert "the group is in transition" in text


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['rotator', '--help']\n"
        "from rotator.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout.splitlines()[-1] == "heavy:"
