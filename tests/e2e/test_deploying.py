"""`rotator deploy` at a terminal: what gets in its way, twice in a row, and what the next rotation makes of it."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import pytest
import yaml

from rotator.cli.options import Level
from rotator.cli.session import opened, settings_of
from rotator.model.arm import ArmId
from rotator.model.errors import ConfigError, VerificationFailed
from rotator.model.secret import Secret
from rotator.ports import GroupPlatform, Json
from rotator.sandbox.estates.ground import VAULT
from tests.e2e.desk import Desk
from tests.e2e.said import Said, new_group


def test_an_exported_group_deployed_again_changes_nothing_but_restarts(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    looked = said(text, "deploy", "-f", "-", "--what-if")
    assert looked.status == 0
    assert "no property changes" in looked.words
    assert "every container restarts" in looked.words
    assert desk.effects() == []
    assert said(text, "deploy", "-f", "-").status == 2, "nobody is there to confirm"
    assert desk.effects() == []
    assert said(text, "deploy", "-f", "-", "--yes").status == 0
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]
    assert desk.unharmed()


def test_a_new_group_is_made_and_the_next_rotation_moves_it(desk: Desk, said: Said) -> None:
    text = new_group(desk)
    assert said(text, "deploy", "-f", "-", "--yes").status == 2, "nobody said where"
    made = said(text, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert made.status == 0, made.words
    assert "a new group" in made.words
    desk.run("rotate", "--yes", "--force", "--only", "*/aci-web-pull")
    told = json.loads(desk.run("plan", "--json", "--force", "--only", "*/aci-web-pull").out)
    assert "app-new" in json.dumps(told)
    assert desk.unharmed()


def test_a_deployed_group_carries_the_mark_of_the_rotation_whose_secret_it_stores(desk: Desk, said: Said) -> None:
    assert desk.run("rotate", "--yes", "--force", "--only", "*/aci-web-pull").status == 0
    assert said(new_group(desk), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod").status == 0
    groups = desk.world.groups.by_id
    marks = {
        group.document["tags"].get(f"rotator:{group.document['properties']['imageRegistryCredentials'][0]['server']}")
        for key, group in groups.items()
        if key.endswith(("/web-api", "/app-new"))
    }
    assert len(marks) == 1
    assert None not in marks


def test_a_second_run_of_the_same_file_changes_nothing(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    assert said(text, "deploy", "-f", "-", "--yes").status == 0
    desk.begin = len(desk.world.events.since())
    for arguments in (["--what-if"], [], ["--yes"]):
        again = said(text, "deploy", "-f", "-", *arguments)
        assert again.status == 0, again.words
        assert "no change: this was put already" in again.words
    assert desk.effects() == []
    assert "rotator:deployed" not in desk.run("export", "web-api").out
    assert desk.unharmed()
    name = text.partition("secureValue: ${vault:")[2].partition("}")[0]
    with desk.world.lock:
        desk.world.vaults.set_secret(VAULT, name, "another-value")
    newer = said(text, "deploy", "-f", "-", "--yes")
    assert "its hidden values may be other ones" in newer.words
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "aci.groups.put", "nth": 1, "drop_after": True},
        {"on": "aci.groups.put", "nth": 1, "drop_before": True},
        {"on": "aci.groups.put", "nth": 1, "status": 409, "code": "ContainerGroupTransitioning"},
        {"on": "aci.groups.put", "nth": 1, "status": 429, "retry_after": 60},
        {"on": "aci.operations.get", "nth": 1, "status": 503},
    ],
    ids=["a lost answer", "a lost request", "another's deployment", "a throttle", "an unwatched operation"],
)
def test_what_gets_in_the_way_of_a_deployment_is_settled_in_the_same_run(desk: Desk, said: Said, rule: dict) -> None:  # type: ignore[type-arg]
    text = desk.run("export", "web-api").out
    desk.fault(rule)
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 0, ended.words
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]
    assert "no change" in said(text, "deploy", "-f", "-", "--what-if").words
    assert desk.unharmed()


def test_an_operation_that_fails_is_said_and_the_next_run_puts_again(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    desk.fault({"on": "aci.groups.put", "nth": 1, "outcome": "operation-failed"})
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "was deployed, and failed" in ended.words
    assert "Nothing is put back" in ended.words
    desk.fault()
    again = said(text, "deploy", "-f", "-", "--yes")
    assert again.status == 0, again.words
    assert desk.effects().count("group.put") == 2


def test_a_group_that_somebody_changes_after_the_preview_is_not_put(desk: Desk, said: Said) -> None:
    text = desk.run("export", "payments-ledger").out
    group = desk.world.groups.by_id[desk.group("payments-ledger")]

    def meanwhile() -> None:
        group.document.setdefault("tags", {})["owner"] = "somebody"
        group.shown.clear()

    # The storage account's key is read after the yes, and before anything is sent.
    desk.once("keys.listed", meanwhile)
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "was changed since it was looked at; nothing was put" in ended.words
    assert "group.put" not in desk.effects()


def test_every_group_is_exported_and_deployed_without_a_change_and_a_second_time_without_a_put(desk: Desk) -> None:
    file = desk.folder / "rotator.yaml"
    file.write_text(yaml.safe_dump(desk.settings))
    with opened(settings_of(file), Level.WARNING) as application:
        estate = application.estate()
        deployments = replace(application.deployments, read=lambda: estate)
        texts = {one.name: deployments.export(deployments.group(one.id.text, estate)) for one in estate.groups}
        whole = {name: text for name, text in texts.items() if "${vault:?}" not in text}
        looked = 0
        for name, text in whole.items():
            with contextlib.suppress(ConfigError):  # the vault's secret has ended
                made = deployments.prepare(text, name)
                assert (made.difference.changes, made.difference.lost, made.difference.recreate) == ((), (), ()), name
                looked += 1
        assert looked > 15
        running = [name for name, text in whole.items() if desk.world.groups.by_id[desk.group(name)].stopped_at is None]
        for name in running[:8]:
            with contextlib.suppress(ConfigError, VerificationFailed):
                deployments.deploy(deployments.prepare(whole[name], name))
                assert deployments.prepare(whole[name], name).since or "-keys:" in whole[name], name
    assert desk.sandbox.oracle.report()["lost_properties"] == []


class Late:
    """A platform whose first answer to a PUT denies an effect that it had, so that it is asked to send the document again."""

    def __init__(self, inner: GroupPlatform) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def deploy(
        self,
        group: ArmId,
        document: Mapping[str, Json],
        *,
        values: Mapping[tuple[str | int, ...], Secret],
        check: Callable[[], None],
    ) -> None:
        self._inner.deploy(group, document, values=values, check=check)
        check()
        raise AssertionError("the document would be sent a second time")


def test_a_put_that_took_effect_although_its_answer_denied_it_is_not_taken_for_somebody_elses_change(desk: Desk) -> None:
    text = desk.run("export", "web-api").out
    file = desk.folder / "rotator.yaml"
    with opened(settings_of(file), Level.WARNING) as application:
        real = application.deployments
        late = replace(real, context=replace(real.context, platform=cast("GroupPlatform", Late(real.context.platform))))
        made = late.prepare(text.replace("mountPath: /tls", "mountPath: /moved"), "file")
        assert made.difference.changes
        late.deploy(made)
    assert desk.effects().count("group.put") == 1
