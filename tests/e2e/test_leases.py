"""Amazon lists no leases: what a group stores is told by its tag, also when the vault has long gone on to the next one."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.e2e.desk import Desk

BUSY = {
    "on": "aci.groups.put",
    "match": "containerGroups/web",
    "status": 409,
    "code": "ContainerGroupTransitioning",
    "message": "The container group 'web' is still transitioning, please retry later.",
}


@pytest.fixture
def desk(desk_at: Callable[[str], Desk]) -> Desk:
    desk = desk_at("one-ecr")
    desk.configure(policies={"built_in": True})
    return desk


def explained(desk: Desk, group: str) -> tuple[str, datetime | None]:
    [image] = json.loads(desk.run("explain", group, "--json").out)["images"]
    return image["answer"], datetime.fromisoformat(image["until"]) if image["until"] else None


def audited(desk: Desk) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the inventory's row of each group, and what ecr-lease-run-out says of it."""
    document = json.loads(desk.run("audit", "--json", "--fail-on", "never").out)
    rows = {row["group"].rpartition("/")[2]: row for mode in document["inventory"] for row in mode["rows"]}
    [judged] = [one for one in document["policies"] if one["policy"]["id"] == "ecr-lease-run-out"]
    verdicts = {one["resource"].rpartition("/")[2]: one["verdict"] for one in (*judged["open"], *judged["unknown"])}
    return rows, verdicts


def gauges(desk: Desk) -> dict[str, float]:
    """Return the end of each group's lease as the metrics tell it."""
    file = desk.folder / "metrics.prom"
    desk.run("audit", "--metrics-file", str(file), "--fail-on", "never")
    name = "rotator_group_lease_expiration_timestamp_seconds{"
    lines = [line for line in file.read_text().splitlines() if line.startswith(name)]
    return {
        line.replace('{group="', ',group="').split(',group="')[-1].split('"')[0]: float(line.rpartition(" ")[2]) for line in lines
    }


def test_an_older_lease_that_still_lives_is_told_from_one_that_has_run_out_and_from_an_unknown_one(desk: Desk) -> None:
    assert desk.run("rotate", "--yes", "--force").status == 0
    older = explained(desk, "web")
    assert older[0] == "yes"
    assert older[1] is not None
    assert explained(desk, "api") == older

    desk.world.clock.advance(timedelta(hours=7).total_seconds())
    desk.fault(BUSY)
    assert desk.run("rotate", "--yes", "--force", "--only", "ecr:*").status == 4
    desk.fault()

    # The vault has gone on, and web has not: its own lease lives for five hours more, and everybody says so.
    newer = explained(desk, "api")
    assert newer[1] is not None
    assert newer[1] - older[1] > timedelta(hours=6)
    assert explained(desk, "web") == older
    rows, verdicts = audited(desk)
    assert datetime.fromisoformat(rows["web"]["until"]) == older[1]
    assert datetime.fromisoformat(rows["api"]["until"]) == newer[1]
    assert gauges(desk) == {"web": older[1].timestamp(), "api": newer[1].timestamp(), "reader": newer[1].timestamp()}
    assert "web" not in verdicts
    assert f"rg-one/web {older[1]:%Y-%m-%d %H:%M} UTC, in " in desk.run("audit", "--fail-on", "never").words

    # After its end it is found, and its neighbours are not.
    desk.world.clock.advance((older[1] - desk.world.now()).total_seconds() + 60)
    assert explained(desk, "web") == ("no", older[1])
    assert explained(desk, "api") == newer
    _, verdicts = audited(desk)
    assert verdicts["web"] == "fail"
    assert "api" not in verdicts
    assert "reader" not in verdicts


def test_a_group_that_nobody_of_ours_has_moved_stays_unknown(desk: Desk) -> None:
    rows, verdicts = audited(desk)
    assert verdicts["api"] == "unknown"
    assert rows["api"]["until"] is None
    assert "neither a tag of the group nor the vault tells which lease it stores" in rows["api"]["unknown_end"]
    assert explained(desk, "api")[0] == "cannot tell"
    assert set(gauges(desk)) == {"reader"}


def test_a_tag_that_the_group_has_outlived_is_not_believed(desk: Desk) -> None:
    """Somebody deployed the group from an export, tag and all, with a lease of his own."""
    key, [server] = desk.group("api"), desk.world.registries.plain
    ended = desk.world.now() - timedelta(days=3)
    with desk.world.lock:
        desk.world.groups.by_id[key].document.setdefault("tags", {})[f"rotator:{server}"] = f"rot-1.2.lease@{ended:%FT%TZ}"
        desk.world.groups.by_id[key].shown.clear()
    assert explained(desk, "api") == ("cannot tell", None)
    assert "it pulled after the end of the lease that its tag names" in desk.run("explain", "api").words
