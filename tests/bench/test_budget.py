"""What the product may ask of the clouds, and load before it is asked for anything: counts, never times.

A number here changes only with a reason; `python -m tests.bench` shows how far it is from the smallest possible one.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from rotator import config, wiring
from rotator.application import Application
from rotator.sandbox import Sandbox, SandboxOptions
from tests.bench.__main__ import BEGIN, END, between_markers
from tests.bench.product import work_of
from tests.bench.running import bare_modules, modules_of, taken
from tests.bench.smallest import audit_rules, retirement_rules, rotation_rules
from tests.bench.table import HEAVY

GROUPS = 100

# 100 groups in one subscription with one registry: 10 principals, of which 2 are applications; 19 secrets.
AUDIT = {
    "aci.groups.list": 5,
    "aci.groups.get": 100,
    "acr.registries.list": 1,
    "acr.tokens.list": 1,
    "graph.applications.list": 2,
    "graph.servicePrincipals.list": 2,
    "entra.identityToken": 3,
    "vault.list": 3,
}

# 4 principals are due: 2 tokens, an application and Amazon's; 38 of their groups run and are redeployed.
EFFECTS = {
    "aci.groups.put": 38,
    "acr.generateCredentials": 2,
    "graph.addPassword": 1,
    "aws.AssumeRoleWithWebIdentity": 1,
    "aws.GetAuthorizationToken": 1,
    "vault.set": 11,
    "vault.update": 12,
}
READS = {
    "aci.groups.get": 3 * 38,
    "acr.tokens.get": 4,
    "graph.applications.list": 3,
    "graph.servicePrincipals.list": 3,
    "registry.acr.manifest": 18,
    "vault.get": 54,
    "vault.listVersions": 58,
}
"""At most: two secrets of one second, or a group in transition, decide whether a look is needed."""

ENDINGS = {"acr.tokens.patch": 1, "graph.removePassword": 1}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    options = SandboxOptions(directory=tmp_path, estate="scale", groups=GROUPS, seed=1)
    with Sandbox(options) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def application(sandbox: Sandbox) -> Iterator[Application]:
    settings = config.load(sandbox.options.directory / "rotator.yaml", given={})
    with closing(wiring.build(settings)) as built:
        yield built


def test_an_audit_asks_what_its_budget_allows(sandbox: Sandbox, application: Application) -> None:
    estate, _ = application.audit()

    assert len(estate.groups) == GROUPS
    assert estate.unread == ()
    asked = taken(sandbox)
    assert asked == AUDIT
    for rule in audit_rules(sandbox):
        assert asked.get(rule.operation, 0) >= rule.smallest, rule


def test_a_rotation_does_what_its_budget_allows(sandbox: Sandbox, application: Application) -> None:
    estate = application.estate()
    plan = application.plan(estate)
    work = work_of(plan, estate, application)
    taken(sandbox)

    application.rotate(plan)

    asked = taken(sandbox)
    assert {name: asked.get(name, 0) for name in EFFECTS} == EFFECTS
    assert {name: count for name, count in READS.items() if asked.get(name, 0) > count} == {}
    for rule in rotation_rules(work):
        assert asked.get(rule.operation, 0) >= rule.smallest, rule

    application.clock.sleep(timedelta(hours=2, minutes=1))
    estate = application.estate()
    plan = application.plan(estate)
    work = work_of(plan, estate, application)
    taken(sandbox)

    application.rotate(plan)

    asked = taken(sandbox)
    assert {name: asked.get(name, 0) for name in ENDINGS} == ENDINGS
    for rule in retirement_rules(work):
        assert asked.get(rule.operation, 0) >= rule.smallest, rule


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_of(["--help"])

    # rich writes the help text itself.
    assert loaded & set(HEAVY) <= {"rich"}
    assert len(loaded - bare_modules()) < 330


def test_the_tables_stand_between_their_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert between_markers(page, "\nnew\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks the markers"):
        between_markers("nothing", "new")
