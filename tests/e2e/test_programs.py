"""Real programs judge what rotator gives them: Prometheus its metrics, Chromium its report, bash its completion."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Programs
from tests.e2e.conftest import Demonstration, Served
from tests.e2e.desk import Desk

_CALM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


# --- Prometheus ---


def judged(programs: Programs, metrics: str) -> str:
    """Return what promtool has to say about metrics; nothing, for good ones."""
    promtool = programs.find("promtool", "prometheus")
    ended = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=30, check=False)
    return (ended.stdout + ended.stderr).strip() if ended.returncode else ""


def test_prometheus_has_nothing_to_say_against_the_metrics_of_a_rotation(desk: Desk, programs: Programs) -> None:
    file = desk.folder / "metrics.prom"
    desk.run("rotate", "--yes", "--only", "*/aci-gateway-pull", "--metrics-file", str(file))
    assert "rotator_azure_requests_total{" in file.read_text()
    assert judged(programs, file.read_text()) == ""


def test_prometheus_has_nothing_to_say_against_the_metrics_of_the_service(service: Served, programs: Programs) -> None:
    assert judged(programs, service.pages["/metrics"]) == ""


def test_promtool_would_have_said_something(programs: Programs) -> None:
    assert "no help text" in judged(programs, "# TYPE a_total counter\na_total 1\n")


# --- Chromium ---


class Seen:
    """A page as Chromium shows it: what its console said, whom it asked, and the colour of its top left corner."""

    def __init__(self, chromium: str, page: Path, folder: Path, *, dark: bool) -> None:
        folder.mkdir()
        shot, net = folder / "shot.png", folder / "net.json"
        ended = subprocess.run(
            [
                *(chromium, *_CALM, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net}", f"--screenshot={shot}"),
                *("--window-size=1280,1600", f"--blink-settings=preferredColorScheme={0 if dark else 1}", page.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert shot.exists(), ended.stderr
        self.console = [line for line in ended.stderr.splitlines() if ":CONSOLE" in line]
        self.asked = sorted({one["url"] for one in _requests(net) if "file://" in str(one.get("site_for_cookies"))})
        self.corner = _corner(shot.read_bytes())


def _requests(net_log: Path) -> list[dict[str, Any]]:
    """Return the requests of a net log; those that the browser makes for itself have another `site_for_cookies`."""
    events = json.loads(net_log.read_text())["events"]
    return [one["params"] for one in events if "url" in one.get("params", {})]


def _corner(png: bytes) -> tuple[int, ...]:
    """Return the first pixel. Whatever filter its row has, there is nothing before it to differ from."""
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    return tuple(zlib.decompress(data)[1:4])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_chromium_shows_the_report_without_a_complaint_and_without_asking_anybody(
    demonstration: Demonstration, programs: Programs, tmp_path: Path, *, dark: bool
) -> None:
    seen = Seen(programs.find("chromium", "chromium"), demonstration.page, tmp_path / "seen", dark=dark)
    assert seen.console == []
    assert seen.asked == []
    assert all(part < 64 for part in seen.corner) if dark else all(part > 192 for part in seen.corner)


def test_chromium_would_have_noticed(programs: Programs, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<img src="https://pixel.example/x.png"><script>console.error("no")</script>')
    seen = Seen(programs.find("chromium", "chromium"), page, tmp_path / "seen", dark=False)
    assert len(seen.console) == 1
    assert seen.asked == ["https://pixel.example/x.png"]


# --- bash ---

_COMPLETING = """
source <(rotator completion bash)
try() {
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
    $(complete -p rotator | sed 's/.*-F \\([^ ]*\\).*/\\1/') rotator "${!#}"
    echo "${COMPREPLY[*]}"
}
"""


def test_bash_completes_verbs_options_and_values(programs: Programs, tmp_path: Path) -> None:
    bash = programs.find("bash", "bash")
    installed = tmp_path / "rotator"
    installed.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from rotator.cli.app import main; main()' \"$@\"\n")
    installed.chmod(0o755)
    asked = ("rotator au", "rotator config ''", "rotator audit --fail-on c", "rotator rotate --me")
    script = f"PATH={tmp_path}:$PATH\n{_COMPLETING}" + "".join(f"try {one}\n" for one in asked)
    ended = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.splitlines() == ["audit", "check schema", "critical", "--metrics-file"], ended.stderr
