"""What the product may ask of the clouds, and load before it is asked for anything: counts, never times.

A number here changes only with a reason; `python -m tests.bench` shows how far it is from the smallest possible one.
"""

from collections.abc import Iterable, Iterator, Mapping

import pytest

from tests.bench.__main__ import BEGIN, END, between_markers
from tests.bench.running import Pair, bare_modules, modules_of, running
from tests.bench.smallest import Rule, audit_rules, retirement_rules, rotation_rules
from tests.bench.table import HEAVY, carried_out

GROUPS = 100

# 100 groups in one subscription with one registry: 10 principals, of which 2 are applications; 19 secrets.
AUDIT = {
    "aci.groups.list": 5,
    "aci.groups.get": 100,
    "acr.registries.list": 1,
    "acr.tokens.list": 1,
    "graph.applications.list": 2,
    "graph.servicePrincipals.list": 2,
    "entra.identityToken": 4,
    "vault.list": 2,
    "logs.query": 1,
}

# 4 principals are due: 2 tokens, an application and Amazon's; 38 of their groups run and are redeployed.
EFFECTS = {
    "aci.groups.put": 38,
    "acr.generateCredentials": 2,
    "graph.addPassword": 1,
    "aws.AssumeRoleWithWebIdentity": 1,
    "aws.GetAuthorizationToken": 1,
    "vault.set": 12,  # the head of the evidence among them
}
READS = {
    "aci.groups.get": 3 * 38,
    "acr.tokens.get": 4,
    "graph.applications.list": 3,
    "graph.servicePrincipals.list": 3,
    "registry.acr.manifest": 18,
    "vault.get": 54,
    # Three looks a rotation of these ask whether another installation has signed it since. Two are for the evidence: its log
    # begins, and its head is put into the vault.
    "vault.listVersions": 82,
    # Twelve, and a sign of life for other installations every three minutes that a rotation lasts.
    "vault.update": 20,
}
"""At most: two secrets of one second, or a group in transition, decide whether a look is needed."""

ENDINGS = {"acr.tokens.patch": 1, "graph.removePassword": 1}


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A process of its own for the product: what an SDK remembers of another test's vault would spare it a request."""
    with running("scale", GROUPS) as found:
        yield found


def test_an_audit_asks_what_its_budget_allows(pair: Pair) -> None:
    smallest = audit_rules(pair.sandbox)
    said = pair.say("audit")

    asked = pair.calls()
    assert said["groups"] == GROUPS
    assert said["unread"] == 0
    assert asked == AUDIT
    assert wanting(asked, smallest) == []


def test_a_rotation_does_what_its_budget_allows(pair: Pair) -> None:
    work, asked = carried_out(pair)

    assert {name: asked.get(name, 0) for name in EFFECTS} == EFFECTS
    assert {name: asked[name] for name, count in READS.items() if asked.get(name, 0) > count} == {}
    assert wanting(asked, rotation_rules(work)) == []

    pair.say("soak")
    work, asked = carried_out(pair)

    assert {name: asked.get(name, 0) for name in ENDINGS} == ENDINGS
    assert wanting(asked, retirement_rules(work)) == []


def wanting(asked: Mapping[str, int], rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that call for more than was asked: a smallest number that is not the smallest is a wrong rule."""
    return [rule for rule in rules if asked.get(rule.operation, 0) < rule.smallest]


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_of(["--help"])

    # rich writes the help text itself.
    assert loaded & set(HEAVY) <= {"rich"}
    # Each verb is a module of its own here, which grows with the verbs; the last one was explain.
    assert len(loaded - bare_modules()) < 350


def test_the_tables_stand_between_their_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert between_markers(page, "\nnew\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks the markers"):
        between_markers("nothing", "new")
