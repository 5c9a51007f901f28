"""The whole product against a sandbox that misbehaves: the oracle, not the product, says whether all went well."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox import Sandbox, SandboxOptions
from tests.crash.chaos import Nights

Rules = Sequence[Mapping[str, Any]]

LOST: Rules = [{"on": "*", "probability": 0.1, "drop_after": True}]
REFUSED: Rules = [
    {"on": "*", "probability": 0.03, "status": 503},
    {"on": "*", "probability": 0.02, "status": 429, "code": "TooManyRequests", "retry_after": 5},
    {"on": "*", "probability": 0.02, "status": 500, "code": "InternalServerError"},
    {"on": "*", "probability": 0.02, "truncate": True},
    {"on": "aci.groups.put", "probability": 0.2, "status": 409, "code": "ContainerGroupTransitioning"},
    {"on": "aci.groups.put", "nth": 4, "status": 403, "code": "AuthorizationFailed"},
    {"on": "vault.set", "nth": 7, "status": 403, "code": "Forbidden"},
]
EFFECTS_LOST: Rules = [
    {"on": one, "every": 2, "drop_after": True}
    for one in ("vault.set", "acr.generateCredentials", "graph.addPassword", "graph.removePassword", "aci.groups.put")
]


@pytest.fixture(scope="module")
def estate() -> str:
    return "empty"


@pytest.mark.parametrize(
    ("seeded", "groups", "rules", "seed"),
    [
        pytest.param("scale", 60, LOST, 1, id="one answer in ten is lost"),
        pytest.param("scale", 60, REFUSED, 2, id="throttled, unavailable, broken, denied and cut off"),
        pytest.param("demo", None, EFFECTS_LOST, 3, id="every second answer to an effect is lost"),
    ],
)
def test_nobody_is_out_nothing_is_lost_and_nothing_leaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeded: str, groups: int | None, rules: Rules, seed: int
) -> None:
    with Sandbox(SandboxOptions(directory=tmp_path, estate=seeded, groups=groups)) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        work = Nights(sandbox, tmp_path)
        work.nights(rules, seed=seed, disturbed=2, quiet=2)
        report, left = sandbox.oracle.report(), work.left()

        for name in ("outages", "lost_properties", "orphans", "woken", "deleted", "leaks"):
            assert report[name] == [], name
        assert report["write_limit_violations"] == 0
        assert max(report["issued"].values()) <= 4, "a lost answer costs another try, not a flood of secrets"
        assert work.leaks() == []
        assert work.raised == [], "no run was ended by what happened to one rotation"
        assert [item.principal.id for item in left.items if not item.held] == [], "nothing is left over"
