"""What the documentation lists must be what the program has."""

import re
from pathlib import Path

import pytest
import yaml

from rotator.audit.facttable import FACTS
from rotator.audit.policies import check_examples, default_policy_directory, load_policies, load_rules
from rotator.drivers import DRIVERS
from rotator.model.policy import Subject

ROOT = Path(__file__).resolve().parents[2]
POLICIES = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("subject", list(Subject))
def test_every_fact_is_documented(subject: Subject) -> None:
    section = POLICIES.split(f"## Facts about a {subject.value}\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
    assert documented == {fact.name for fact in FACTS[subject]}


def test_every_built_in_policy_is_documented() -> None:
    for policy in load_policies([default_policy_directory()]):
        assert f"| `{policy.id}` | {policy.severity.value} | {policy.title} |" in POLICIES


def test_the_documented_policy_loads_and_keeps_its_own_examples(tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(.*?)```", POLICIES, flags=re.DOTALL)[0]
    (tmp_path / f"{yaml.safe_load(text)['id']}.yaml").write_text(text, encoding="utf-8")
    assert check_examples(load_rules([tmp_path])) == ()


def test_every_kind_that_can_be_rotated_has_a_row() -> None:
    rows = (ROOT / "docs" / "registries" / "README.md").read_text(encoding="utf-8").splitlines()
    assert [kind for kind in DRIVERS if sum(f"(`{kind}`)" in row for row in rows) != 1] == []


@pytest.mark.parametrize("document", sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]), ids=lambda path: path.name)
def test_links_inside_of_the_project_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []
