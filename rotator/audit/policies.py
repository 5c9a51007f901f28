"""Policies from YAML files: loaded, compiled, and held to their own examples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rotator.audit.expressions import ExpressionMistake, compile_expression, nearest_fact, situation
from rotator.audit.facttable import FACTS, FactType, FactValue, names_of
from rotator.audit.policytext import PolicyText, policy_text
from rotator.audit.yamltext import YamlText, read_yaml
from rotator.model.errors import PolicyError
from rotator.model.policy import Control, Policy, Subject, Verdict

WAIVERS_FILE = "waivers.yaml"

_LITERALS: Mapping[FactType, type] = {
    FactType.BOOL: bool,
    FactType.COUNT: int,
    FactType.NUMBER: float,
    FactType.TEXT: str,
    FactType.TEXTS: list,
    FactType.TAGS: dict,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Facts for which a policy's author says what the verdict must be."""

    verdict: Verdict
    facts: Mapping[str, FactValue]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy with the examples that its file brings."""

    policy: Policy
    examples: tuple[Example, ...]


def default_policy_directory() -> Path:
    """Return the folder of the built-in policies: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "policies"
    return installed if installed.is_dir() else package.parent / "policies"


def load_policies(directories: Iterable[Path]) -> tuple[Policy, ...]:
    """Return the policies of all `*.yaml` files in the directories (waivers.yaml excepted), in the order of their ids.

    Raises PolicyError, naming file and line, for the first file that is wrong: an unknown key or fact, an expression that
    does not compile, missing examples, an id that is not the file's name or was given before.
    """
    return tuple(rule.policy for rule in load_rules(directories))


def load_rules(directories: Iterable[Path]) -> tuple[Rule, ...]:
    """Return the policies with their examples; errors as for `load_policies`."""
    rules: dict[str, Rule] = {}
    for directory in directories:
        if not directory.is_dir():
            raise PolicyError("there is no such folder of policies", file=str(directory))
        for path in sorted(one for one in directory.iterdir() if one.suffix in {".yaml", ".yml"} and one.name != WAIVERS_FILE):
            text = read_yaml(path)
            rule = _rule(text, path)
            before = rules.setdefault(rule.policy.id, rule)
            if before is not rule:
                raise text.error(f"the policy {rule.policy.id!r} is already defined in {before.policy.file}", ("id",))
    return tuple(rules[id_] for id_ in sorted(rules))


def check_examples(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Run every example and return one sentence for each that gives another verdict than its author says; none is good."""
    return tuple(
        f"{rule.policy.file}:{example.line}: {rule.policy.id} answers {verdict} where its example says {example.verdict}"
        for rule in rules
        for example in rule.examples
        if (verdict := judge(rule.policy, example.facts)) is not example.verdict
    )


def judge(policy: Policy, facts: Mapping[str, FactValue]) -> Verdict:
    """Return one policy's verdict on one set of facts."""
    if any(need not in facts for need in policy.needs):
        return Verdict.UNKNOWN
    return compile_expression(policy.subject, policy.expression).judge(situation(policy.subject, facts))


def _rule(text: YamlText, path: Path) -> Rule:
    said = policy_text(text)
    if said.id != path.stem:
        raise text.error(f"the policy {said.id!r} stands in a file of another name; call it {said.id}.yaml", ("id",))
    for position, need in enumerate(said.needs):
        if need not in names_of(said.subject):
            raise text.error(_no_such_fact(said.subject, need), ("needs", position))
    try:
        compile_expression(said.subject, said.expression)
    except ExpressionMistake as mistake:
        raise _misplaced(text, mistake) from None
    policy = Policy(
        id=said.id,
        title=said.title,
        severity=said.severity,
        subject=said.subject,
        expression=said.expression,
        needs=said.needs,
        rationale=said.rationale,
        remediation=said.remediation,
        controls=tuple(Control(framework=one.framework, id=one.id, source=one.source) for one in said.controls),
        file=str(path),
    )
    return Rule(policy=policy, examples=_examples(text, said))


def _misplaced(text: YamlText, mistake: ExpressionMistake) -> PolicyError:
    line = text.first_line_of_text(("expression",)) + mistake.line - 1
    return PolicyError(f"expression, column {mistake.column}: {mistake.message}", file=text.file, line=line)


def _examples(text: YamlText, said: PolicyText) -> tuple[Example, ...]:
    types = {fact.name: fact.type for fact in FACTS[said.subject]}
    found = []
    listed = {"pass": said.examples.passing, "fail": said.examples.failing, "unknown": said.examples.unknown}
    for word, cases in listed.items():
        for position, facts in enumerate(cases):
            place = ("examples", word, position)
            for name, value in facts.items():
                if name not in types:
                    raise text.error(_no_such_fact(said.subject, name), (*place, name))
                if not _fits(types[name], value):
                    raise text.error(f"{name} must be of CEL's type {types[name].value}", (*place, name))
            found.append(Example(verdict=Verdict(word), facts=facts, line=text.line_of(place)))
    return tuple(found)


def _fits(type_: FactType, value: FactValue) -> bool:
    if type_ is FactType.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if type_ is FactType.COUNT:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, _LITERALS[type_])


def _no_such_fact(subject: Subject, name: str) -> str:
    near = nearest_fact(subject, name)
    hint = f"did you mean {near!r}?" if near else f"known facts are {', '.join(sorted(names_of(subject)))}"
    return f"a {subject} has no fact {name!r}; {hint}"
