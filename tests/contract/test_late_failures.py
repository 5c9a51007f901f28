"""Groups that Azure accepts and that fail afterwards: the rotation notices, puts the old credential back, and stops."""

from pathlib import Path

import pytest
import yaml

from rotator import config, wiring
from rotator.model.rotation import Result
from rotator.sandbox import Fault, FaultPlan, Sandbox, SandboxOptions
from rotator.sandbox.faults import Outcome

GROUP = "payments-ledger"
TOKEN = "acr-token:*/aci-ledger-pull"


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        pytest.param("crash-loop", Result.ROLLED_BACK, id="a container that exits at once"),
        pytest.param("operation-failed", Result.ROLLED_BACK, id="a deployment that ends Failed"),
        pytest.param("pull-back-off", Result.ROLLED_BACK, id="an image that Azure cannot pull after all"),
    ],
)
def test_a_group_that_fails_after_the_update_gets_its_old_credential_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, result: Result
) -> None:
    fault = Fault(on="aci.groups.put", match=f"*{GROUP}*", outcome=outcome, nth=1)
    options = SandboxOptions(estate="demo", seed=1, directory=tmp_path, faults=FaultPlan([fault]))
    with Sandbox(options) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "rotator.yaml"
        path.write_text(yaml.safe_dump(sandbox.configuration), encoding="utf-8")
        application = wiring.build(config.load(path, {}))
        plan = application.plan(application.estate(), [TOKEN])
        [outcome_of] = application.rotate(plan)
        report = sandbox.oracle.report()

    assert outcome_of.result is result, outcome_of.detail
    assert report["outage_seconds"] == 0
    assert report["lost_properties"] == []
    assert report["orphans"] == []
