"""The metrics: complete, truthful, and gone when the thing they describe is gone."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from rotator.model.credential import PrincipalKind
from rotator.model.rotation import Plan, Reason, Result
from rotator.model.usage import Drain, Usage
from rotator.telemetry.metrics import Metrics
from rotator.telemetry.waiting import Waiting
from tests import reportsample as sample

PULL_LABELS = {"credential_id": sample.PULL.id, "kind": "acr-token", "registry": sample.REGISTRY}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"rotator_{name}", labels)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(max_age={PrincipalKind.ACR_TOKEN: timedelta(days=90)})


@pytest.fixture
def filled(metrics: Metrics) -> Metrics:
    metrics.set_estate(sample.estate(), sample.plan(), sample.audit())
    return metrics


def test_counters_exist_at_zero_before_anything_happened(metrics: Metrics) -> None:
    assert value(metrics, "rotations_total", kind="ecr", trigger="due", result="failed") == 0
    assert value(metrics, "redeploys_total", result="rolled_back") == 0


def test_the_text_is_what_prometheus_reads(filled: Metrics) -> None:
    families = {family.name for family in text_string_to_metric_families(filled.text())}
    assert {"rotator_credential_info", "rotator_findings", "rotator_build_info"} <= families


def test_a_credential_is_described_by_instants_not_by_ages(filled: Metrics) -> None:
    end, made = sample.NOW + timedelta(days=14), sample.NOW - timedelta(days=76)
    assert value(filled, "credential_expiration_timestamp_seconds", **PULL_LABELS) == end.timestamp()
    assert value(filled, "credential_last_rotation_timestamp_seconds", **PULL_LABELS) == made.timestamp()
    assert value(filled, "credential_max_age_seconds", **PULL_LABELS) == timedelta(days=90).total_seconds()
    assert value(filled, "credential_consumers", **PULL_LABELS) == 6


def test_what_is_not_known_has_no_series(filled: Metrics) -> None:
    hub = {"credential_id": sample.HUB.id, "kind": "docker-hub", "registry": "index.docker.io"}
    assert value(filled, "credential_has_expiry", **hub) is None
    assert value(filled, "credential_expiration_timestamp_seconds", **hub) is None
    assert value(filled, "credential_condition", credential_id=sample.HUB.id, type="Ready", status="Unknown") == 1


def test_a_credential_without_end_says_so_and_has_no_end(filled: Metrics) -> None:
    admin = {"credential_id": sample.ADMIN.id, "kind": "acr-admin", "registry": sample.REGISTRY}
    assert value(filled, "credential_has_expiry", **admin) == 0
    assert value(filled, "credential_expiration_timestamp_seconds", **admin) is None
    assert value(filled, "credential_condition", credential_id=sample.ADMIN.id, type="Held", status="True") == 1


def test_an_ended_credential_is_not_ready(filled: Metrics) -> None:
    assert value(filled, "credential_condition", credential_id=sample.APP.id, type="Ready", status="False") == 1


def test_a_stray_secret_of_a_principal_in_the_vault_is_an_orphan(filled: Metrics) -> None:
    assert value(filled, "orphaned_credentials", kind="acr-token") == 1
    assert value(filled, "orphaned_credentials", kind="acr-admin") is None  # not in the vault: somebody else's business


def test_the_last_use_is_shown_where_a_log_knows_it(metrics: Metrics) -> None:
    used = sample.NOW - timedelta(days=3)
    metrics.set_estate(sample.estate(), sample.plan(), sample.audit(), {sample.PULL: used})
    assert value(metrics, "credential_last_used_timestamp_seconds", **PULL_LABELS) == used.timestamp()
    assert metrics.text().count("\nrotator_credential_last_used_timestamp_seconds{") == 1


def test_whether_an_old_secret_is_still_used_is_one_state_of_a_closed_set(metrics: Metrics) -> None:
    last = sample.NOW - timedelta(hours=1)
    soaking = replace(sample.retirement(), usage=Usage(drain=Drain.IN_USE, last_seen_at=last, callers=("20.1.2.3",)))
    metrics.set_estate(sample.estate(), replace(sample.plan(), retirements=(soaking,)), sample.audit())

    name = soaking.principal.id
    shown = {state: value(metrics, "revocation_drain", credential_id=name, state=state.value) for state in Drain}
    assert shown == {Drain.PROVED: 0, Drain.ASSUMED: 0, Drain.UNKNOWN: 0, Drain.IN_USE: 1}
    assert value(metrics, "revocation_last_used_timestamp_seconds", credential_id=name) == last.timestamp()
    assert "20.1.2.3" not in metrics.text()


def test_an_old_secret_that_soaks_is_no_orphan(metrics: Metrics) -> None:
    soaking = replace(sample.retirement(), principal=sample.PULL, old=("password2@stray",))
    metrics.set_estate(sample.estate(), replace(sample.plan(), retirements=(soaking,)), sample.audit())
    assert value(metrics, "orphaned_credentials", kind="acr-token") == 0
    assert value(metrics, "revocation_due_timestamp_seconds", credential_id=sample.PULL.id) == soaking.soak_until.timestamp()


def test_findings_are_counted_by_policy_with_zeros(filled: Metrics) -> None:
    assert value(filled, "findings", check_id="acr-admin-user-in-use", severity="high", status="open") == 1
    assert value(filled, "findings", check_id="acr-admin-user-in-use", severity="high", status="waived") == 1
    assert value(filled, "findings", check_id="credential-never-ends", severity="medium", status="unknown") == 1
    assert value(filled, "findings", check_id="anonymous-pull", severity="low", status="open") == 0
    ends = value(filled, "waiver_expiration_timestamp_seconds", waiver_id="W-12", check_id="acr-admin-user-in-use")
    assert ends is not None
    assert ends > sample.NOW.timestamp()


def test_a_subscription_that_was_read_in_part_is_not_a_success(filled: Metrics) -> None:
    assert value(filled, "scan_last_success_timestamp_seconds", subscription_id=sample.SUBSCRIPTION) == sample.NOW.timestamp()
    assert value(filled, "scan_last_success_timestamp_seconds", subscription_id=sample.OTHER_SUBSCRIPTION) is None
    assert value(filled, "scan_unreadable_scopes", subscription_id=sample.OTHER_SUBSCRIPTION, reason="denied") == 1


def test_groups_are_counted_by_their_way_of_authentication(filled: Metrics) -> None:
    ways = {
        way: value(filled, "container_groups", subscription_id=sample.SUBSCRIPTION, auth_mode=way)
        for way in ("inline-password", "managed-identity", "vault-reference", "anonymous")
    }
    assert ways == {"inline-password": 9, "managed-identity": 1, "vault-reference": 1, "anonymous": 1}


def test_series_end_with_the_thing_they_describe(filled: Metrics) -> None:
    empty = replace(sample.estate(unread=False), groups=(), records={}, secrets=(), registries=())
    nothing = Plan(made_at=sample.NOW, items=(), retirements=(), healthy=0, digest="")
    filled.set_estate(empty, nothing, replace(sample.audit(), findings=()))
    assert "pull-web" not in filled.text()
    assert "W-12" not in filled.text()


def test_a_rotation_shows_as_running_until_its_outcome_is_known(metrics: Metrics) -> None:
    first, *_ = events = sample.events()
    for event in events:
        metrics.notice(event)
    name = "rotation_started_timestamp_seconds"
    assert value(metrics, name, credential_id=sample.PULL.id) == first.at.timestamp()
    metrics.record_outcomes(sample.outcomes(), sample.plan())
    assert value(metrics, name, credential_id=sample.PULL.id) is None
    assert value(metrics, "rotations_total", kind="acr-token", trigger="due", result="soaking") == 1
    assert value(metrics, "redeploys_total", result="success") == 5
    assert value(metrics, "redeploys_total", result="failed") == 1
    assert value(metrics, "redeploys_total", result="rolled_back") == 1
    assert value(metrics, "rotation_step_failures_total", kind="acr-token", step="redeploy", reason="conflict") == 1
    assert value(metrics, "rotation_duration_seconds_count", kind="acr-token") == 1


def test_what_set_a_rotation_off_is_told_apart(metrics: Metrics) -> None:
    plan, outcome = sample.plan(), sample.outcomes()[0]
    asked = replace(plan, items=(replace(plan.items[0], reasons=(Reason.REQUESTED,)),))
    ended = replace(outcome, rotation="r-0", result=Result.SUCCESS)
    metrics.record_outcomes([outcome], asked)
    metrics.record_outcomes([ended], plan)
    metrics.record_outcomes([outcome], replace(plan, items=(), retirements=()))
    for trigger, result in (("requested", "soaking"), ("retirement", "success"), ("unfinished", "soaking")):
        assert value(metrics, "rotations_total", kind="acr-token", trigger=trigger, result=result) == 1


def test_requests_are_counted_and_throttling_begins_at_zero(metrics: Metrics) -> None:
    metrics.request("arm", "list", "200", 0.2)
    assert value(metrics, "azure_throttled_total", service="arm") == 0
    metrics.request("arm", "list", "429", 0.1)
    assert value(metrics, "azure_throttled_total", service="arm") == 1
    assert value(metrics, "azure_requests_total", service="arm", operation="list", code="200") == 1


def test_a_run_that_failed_completes_but_does_not_succeed(metrics: Metrics) -> None:
    metrics.record_run("audit", {"audit": timedelta(seconds=3)}, sample.NOW, succeeded=False)
    assert value(metrics, "run_last_completion_timestamp_seconds", mode="audit") == sample.NOW.timestamp()
    assert value(metrics, "run_last_success_timestamp_seconds", mode="audit") is None
    assert value(metrics, "run_duration_seconds", mode="audit", stage="audit") == 3


def test_the_textfile_holds_the_same_text(filled: Metrics, tmp_path: Path) -> None:
    file = tmp_path / "metrics" / "rotator.prom"
    filled.write_textfile(file)
    assert file.read_text() == filled.text()


def test_what_a_run_waits_for_is_said_once_patience_is_over_and_not_again_at_once() -> None:
    waiting = Waiting(patience=0.0)
    with structlog.testing.capture_logs() as entries:
        waiting.request("key-vault", "list-secrets", "unsent", 0.1)
        waiting.request("key-vault", "list-secrets", "503", 0.1)
        waiting.request("arm", "list", "200", 0.1)
        waiting.look()
        waiting.look()
    (entry,) = entries
    assert entry["event"] == "waiting for Key Vault"
    assert (entry["operation"], entry["cause"], entry["tries"]) == ("list-secrets", "answers 503", 2)


def test_what_works_again_is_waited_for_no_longer() -> None:
    waiting = Waiting(patience=0.0)
    with structlog.testing.capture_logs() as entries:
        waiting.request("arm", "list", "429", 0.1)
        waiting.request("arm", "list", "200", 0.1)
        waiting.look()
    assert entries == []


def test_a_short_trouble_is_not_worth_a_word() -> None:
    waiting = Waiting()
    with structlog.testing.capture_logs() as entries:
        waiting.request("arm", "list", "unanswered", 0.1)
        waiting.look()
    assert entries == []


def test_somebody_looks_while_a_block_runs() -> None:
    waiting, pause = Waiting(patience=0.01), threading.Event()
    with structlog.testing.capture_logs() as entries, waiting.watched():
        waiting.request("arm", "list", "unsent", 0.1)
        assert any(entries or pause.wait(0.01) for _ in range(1000))
