"""The configuration file: what is accepted, and the sentence for what is not."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rotator import config
from rotator.audit.limits import Limits
from rotator.configtext import parse_duration, write_duration
from rotator.model.credential import PrincipalKind
from rotator.model.errors import ConfigError
from rotator.rotation.rules import Rules
from rotator.settings import Settings
from rotator.settings.azure import CLOUDS
from rotator.settings.rotation import RotationSettings
from rotator.settings.section import Section

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
GUID = "11111111-1111-1111-1111-111111111111"
LEAST = f"""\
tenant_id: {GUID}
scope:
  subscriptions: [{GUID}]
vault:
  url: https://example.vault.azure.net
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rotator.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("block", blocks(), ids=["the least", "everything"])
def test_the_documented_examples_load_and_keep_the_published_schema(tmp_path: Path, block: str) -> None:
    loaded = config.load(written(tmp_path, block), {})
    assert str(loaded.vault.url) == "https://example.vault.azure.net/"
    jsonschema.validate(json.loads(json.dumps(yaml.safe_load(block), default=str)), config.schema())


def test_the_documentation_names_every_setting_with_its_default() -> None:
    documented = yaml.safe_load(blocks()[1])
    for name, field in Settings.model_fields.items():
        assert name in documented
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section) and name != "endpoints_override":
            assert set(documented[name]) >= set(inner.model_fields) - {"endpoint_url"}, name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            LEAST + "rotation:\n  sock: 2h\n", "rotator.yaml:7: rotation.sock is no setting; did you mean soak?", id="typo"
        ),
        pytest.param(LEAST + "volt: {}\n", "rotator.yaml:6: volt is no setting; did you mean vault?", id="a section's typo"),
        pytest.param(LEAST.replace("vault:", "voult:"), "vault is missing", id="missing section"),
        pytest.param(LEAST + "rotation: {soak: 2 hours}\n", "a duration is written like 90d", id="duration"),
        pytest.param(LEAST.replace(f"[{GUID}]", "[abc]"), "scope.subscriptions.0", id="no GUID"),
        pytest.param("tenant_id: [\n", "this is no YAML", id="broken YAML"),
        pytest.param("- a\n", "must be a mapping", id="a list"),
        pytest.param(LEAST + "rotation: {default_ttl: 10d}\n", "at once", id="due from the first day"),
        pytest.param(LEAST + "schedule: {rotate: '61 2 * * *'}\n", "schedule.rotate", id="no such minute"),
        pytest.param(LEAST + "schedule: {audit: daily}\n", "schedule.audit", id="no cron expression"),
        pytest.param(LEAST + "schedule: {audit: '0 3 * * 8'}\n", "schedule.audit", id="no such weekday"),
        pytest.param(LEAST + "schedule: {audit: '0 3 * * 6-2'}\n", "schedule.audit", id="days that run backwards"),
    ],
)
def test_a_wrong_file_gets_a_sentence_with_the_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config.load(written(tmp_path, text), {})
    assert sentence in raised.value.message


@pytest.mark.parametrize(
    ("slots", "sentence"),
    [
        (
            "acr-token:demo.azurecr.io/pull: pasword2",
            "acr-token:demo.azurecr.io/pull has no slot 'pasword2'; it has password1 and",
        ),
        (
            "acr-admin:demo.azurecr.io/demo: password1",
            "acr-admin:demo.azurecr.io/demo has no slot 'password1'; it has password and",
        ),
        ("quay-pair:quay.io/acme+a: acme+c", "has no slot 'acme+c'; it has acme+a and acme+b"),
        ("quay-pair:quay.io/acme+b: acme+b", "no pair that is called after this robot"),
        ("quay-pair:quay.example/acme+a: acme+a", "no pair that is called after this robot"),
        ("ecr:1.dkr.ecr.eu-west-1.amazonaws.com/AWS: password1", "has no slots; remove the line"),
        ("acr-tokn:demo.azurecr.io/pull: password1", "is no credential's id"),
        ("acr-token:demo.azurecr.io/pull: ''", "has no slot ''"),
    ],
)
def test_a_misspelt_slot_names_the_credential_and_the_slots_that_it_has(tmp_path: Path, slots: str, sentence: str) -> None:
    quay = "registries: {quay: {quay.io: {secret: q, pairs: {acme+a: acme+b}}}}\n"
    name, _, slot = slots.partition(": ")
    with pytest.raises(ConfigError) as raised:
        config.load(written(tmp_path, LEAST + quay + f"rotation: {{slots: {{'{name}': {slot}}}}}\n"), {})
    assert sentence in raised.value.message


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("acr-token:demo.azurecr.io/pull", "password2"),
        ("acr-admin:demo.azurecr.io/demo", "password"),
        ("quay-pair:quay.io/acme+a", "acme+b"),
    ],
)
def test_a_slot_that_exists_is_accepted(tmp_path: Path, name: str, slot: str) -> None:
    quay = "registries: {quay: {quay.io: {secret: q, pairs: {acme+a: acme+b}}}}\n"
    loaded = config.load(written(tmp_path, LEAST + quay + f"rotation: {{slots: {{'{name}': {slot}}}}}\n"), {})
    assert loaded.rotation.slots == {name: slot}


def test_the_defaults_are_those_of_the_rotation_and_of_the_audit() -> None:
    chosen, rules, limits = RotationSettings(), Rules(), Limits()
    assert {name: getattr(chosen, name) for name in RotationSettings.model_fields} == asdict(rules)
    assert (limits.expiring_within, limits.default_max_age) == (rules.default_renew_before, rules.default_max_age)
    assert (limits.max_age, limits.slots) == (rules.max_age, rules.slots)
    assert set(limits.registry_suffixes) == {suffix for cloud in CLOUDS.values() for suffix in cloud.registry_suffixes}


@pytest.mark.parametrize("expression", ["0 3 * * 7", "0 3 * * 0", "0 3 * * 5-7", "0 3 * * sun"])
def test_every_way_that_cron_writes_sunday_is_accepted(tmp_path: Path, expression: str) -> None:
    loaded = config.load(written(tmp_path, LEAST + f"schedule: {{rotate: '{expression}'}}\n"), {})
    assert loaded.schedule.rotate == expression


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    loaded = config.load(
        written(tmp_path, LEAST), {"ROTATOR_ROTATION__SOAK": "48h", "ROTATOR_VAULT__URL": "https://b.vault.azure.net"}
    )
    assert loaded.rotation.soak == timedelta(days=2)
    assert loaded.vault.url.host == "b.vault.azure.net"
    assert loaded.rotation.renew_before[PrincipalKind.ECR] == timedelta(hours=6)


def test_an_unknown_variable_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean ROTATOR_VAULT"):
        config.load(written(tmp_path, LEAST), {"ROTATOR_VOLT__URL": "https://b.vault.azure.net"})


def test_a_missing_file_says_so() -> None:
    with pytest.raises(ConfigError, match="there is no configuration file"):
        config.load(Path("nowhere.yaml"), {})


@given(st.integers(min_value=0, max_value=10**8))
def test_a_duration_survives_being_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(write_duration(duration)) == duration
