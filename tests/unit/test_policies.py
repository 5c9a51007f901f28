from pathlib import Path

import pytest

from rotator.audit.policies import Rule, check_examples, default_policy_directory, load_policies, load_rules
from rotator.model.errors import PolicyError
from rotator.model.policy import Verdict

BUILT_IN = load_rules([default_policy_directory()])

GOOD = """\
id: too-many-tags
title: A group has no tags
severity: low
subject: group
needs: [tags]
expression: |
  size(tags) == 0
rationale: Nobody knows whose it is.
remediation: Tag it.
controls:
  - {framework: House rules, id: 7, source: "our judgement"}
examples:
  pass:
    - {tags: {owner: us}}
  fail:
    - {tags: {}}
  unknown:
    - {}
"""


@pytest.mark.parametrize("rule", BUILT_IN, ids=lambda rule: rule.policy.id)
def test_a_built_in_policy_keeps_its_own_examples(rule: Rule) -> None:
    assert check_examples([rule]) == ()
    assert {example.verdict for example in rule.examples} == set(Verdict)


@pytest.mark.parametrize("rule", BUILT_IN, ids=lambda rule: rule.policy.id)
def test_a_built_in_policy_maps_to_controls_and_says_who_made_the_mapping(rule: Rule) -> None:
    assert rule.policy.controls
    assert all(control.source for control in rule.policy.controls)


def test_the_built_in_policies_are_complete() -> None:
    assert [rule.policy.id for rule in BUILT_IN] == [
        "acr-admin-user-enabled",
        "acr-admin-user-in-use",
        "anonymous-pull-of-private-registry",
        "closed-registry-used-with-password",
        "closed-registry-used-without-network",
        "closed-registry-without-trusted-services",
        "credential-expired",
        "credential-expiring",
        "credential-not-in-vault",
        "credential-too-old",
        "credential-without-expiry",
        "ecr-lease-run-out",
        "ecr-lease-stored-inline",
        "identity-attached-not-named",
        "identity-named-not-attached",
        "network-rules-without-premium",
        "plaintext-secret-in-command",
        "plaintext-secret-in-environment",
        "plaintext-secret-in-git-url",
        "principal-not-found",
        "principal-without-credential",
        "private-endpoint-in-delegated-subnet",
        "private-endpoint-without-dns-link",
        "private-registry-of-another-party",
        "refresh-token-stored-as-password",
        "subnet-not-delegated",
        "system-assigned-identity-used-for-pull",
        "token-disabled-in-use",
        "two-slots-both-unknown",
        "write-only-value-without-source",
    ]


def write(folder: Path, text: str, name: str = "too-many-tags.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_policy_needs_no_python(tmp_path: Path) -> None:
    (rule,) = load_rules([write(tmp_path, GOOD)])
    assert rule.policy.controls[0].id == "7"
    assert check_examples([rule]) == ()


def test_waivers_in_the_same_folder_are_no_policy(tmp_path: Path) -> None:
    write(tmp_path, "waivers: []\n", "waivers.yaml")
    assert load_policies([write(tmp_path, GOOD)]) != ()


BAD: dict[str, tuple[str, str, int, str]] = {
    "an unknown key": ("severity: low", "severty: low", 3, "unknown key 'severty'; did you mean 'severity'?"),
    "an unknown key inside": (
        "framework: House rules",
        "framwork: House rules",
        11,
        "unknown key 'framwork'; did you mean 'framework'?",
    ),
    "an unknown severity": ("severity: low", "severity: awful", 3, "severity: input should be 'critical', 'high'"),
    "an unknown subject": ("subject: group", "subject: pod", 4, "subject: input should be 'binding', 'group'"),
    "an id that is not kebab-case": ("id: too-many-tags", "id: TooManyTags", 1, "id: string should match pattern"),
    "an id that is not the file's name": ("id: too-many-tags", "id: no-tags", 1, "call it no-tags.yaml"),
    "a missing title": ("title: A group has no tags\n", "", 1, "the key 'title' is missing"),
    "an unknown need": ("needs: [tags]", "needs: [tagz]", 5, "a group has no fact 'tagz'; did you mean 'tags'?"),
    "an unknown fact": (
        "size(tags) == 0",
        "restart_polcy == 'Never'",
        7,
        "a group has no fact 'restart_polcy'; did you mean 'restart_policy'?",
    ),
    "a fact of another subject": ("size(tags) == 0", "expired", 7, "a group has no fact 'expired'"),
    "a comparison of unlike things": ("size(tags) == 0", "restart_policy == 3", 7, "no matching overload"),
    "a syntax error": ("size(tags) == 0", "size(tags == 0", 7, "column 15"),
    "an expression that is no truth value": ("size(tags) == 0", "size(tags)", 7, "must be true or false"),
    "a mistake on a later line": ("size(tags) == 0", "size(tags) == 0\n  || nope", 8, "a group has no fact 'nope'"),
    "no example for unknown": ("  unknown:\n    - {}\n", "", 12, "'unknown' is missing"),
    "an empty list of examples": ("  fail:\n    - {tags: {}}\n", "  fail: []\n", 15, "at least 1"),
    "an example with an unknown fact": ("- {tags: {}}", "- {tgs: {}}", 16, "a group has no fact 'tgs'"),
    "an example with a value of another type": (
        "- {tags: {}}",
        "- {tags: many}",
        16,
        "tags must be of CEL's type map(string, string)",
    ),
    "a key that stands twice": ("severity: low", "severity: low\nseverity: high", 4, "the key 'severity' stands twice"),
    "no YAML": ("severity: low", "severity: [low", 4, "this is no YAML"),
    "a list": (GOOD, "- id: x\n", 1, "a policy file holds one mapping"),
    "an empty file": (GOOD, "", 1, "a policy file holds one mapping"),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD
    with pytest.raises(PolicyError) as caught:
        load_policies([write(tmp_path, GOOD.replace(old, new))])
    assert message in str(caught.value)
    assert caught.value.line == line
    assert caught.value.file == str(tmp_path / "too-many-tags.yaml")


def test_numbers_are_compared_with_numbers(tmp_path: Path) -> None:
    text = GOOD.replace("subject: group", "subject: credential").replace("size(tags) == 0", "age_days > 14")
    with pytest.raises(PolicyError, match=r"write 14\.0, not 14"):
        load_policies([write(tmp_path, text.replace("needs: [tags]", "needs: []"))])


def test_one_id_cannot_be_given_twice(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, GOOD)
    with pytest.raises(PolicyError, match="already defined in"):
        load_policies([tmp_path / "a", tmp_path / "b"])


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such folder"):
        load_policies([tmp_path / "nowhere"])


def test_an_example_that_does_not_hold_is_named(tmp_path: Path) -> None:
    (rule,) = load_rules([write(tmp_path, GOOD.replace("== 0", "== 1"))])
    assert check_examples([rule]) == (
        f"{tmp_path}/too-many-tags.yaml:14: too-many-tags answers fail where its example says pass",
        f"{tmp_path}/too-many-tags.yaml:16: too-many-tags answers pass where its example says fail",
    )
