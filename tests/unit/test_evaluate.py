import hashlib
from collections.abc import Mapping
from datetime import timedelta

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from rotator.audit.cases import Case
from rotator.audit.evaluate import evaluate, finding_id
from rotator.audit.facts import cases
from rotator.audit.facttable import FACTS, FactType
from rotator.audit.limits import Limits
from rotator.audit.policies import default_policy_directory, judge, load_policies
from rotator.audit.waivers import NO_WAIVERS
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Estate
from rotator.model.group import Absent, Inline, ManagedIdentity, SuspectValue, VaultReference, WriteOnlyField
from rotator.model.policy import Audit, Finding, Subject, Verdict
from tests.builders import (
    APP_ID,
    ECR_SERVER,
    NOW,
    SERVER,
    SUBSCRIPTION,
    admin,
    application,
    binding,
    bound,
    container_body,
    credential,
    docker_hub,
    ecr,
    estate,
    group,
    group_id,
    record,
    registry,
    registry_id,
    secret,
    token,
    unread,
)

POLICIES = load_policies([default_policy_directory()])
DAY = timedelta(days=1)


def audit(reading: Estate, limits: Limits | None = None) -> Audit:
    return evaluate(reading, POLICIES, NO_WAIVERS, NOW, limits or Limits())


def said(outcome: Audit) -> dict[str, Verdict]:
    """The verdicts that are no pass, by policy; a violation outweighs what is not known."""
    found: dict[str, Verdict] = {}
    for one in outcome.findings:
        if found.get(one.policy) is not Verdict.FAIL:
            found[one.policy] = one.verdict
    return found


def rotated() -> Estate:
    """One group on a token whose current password the vault holds; nothing is wrong with it."""
    held = credential()
    return estate(group("web", bound(token())), records=[record(token(), held)], secrets=[secret(held=held)])


def test_a_well_kept_estate_has_no_findings() -> None:
    outcome = audit(rotated())
    assert outcome.findings == ()
    assert outcome.tallies["acr-admin-user-in-use"] == {Verdict.PASS: 1, Verdict.FAIL: 0, Verdict.UNKNOWN: 0}


def with_credentials(*listed: tuple[str, int | None, int | None], held: int | None = None) -> Estate:
    """A group on a token with these slots (name, age in days, days to its end); the vault holds the one at index `held`."""
    made = [
        credential(slot=slot, age=None if age is None else age * DAY, ends_in=None if end is None else end * DAY)
        for slot, age, end in listed
    ]
    stored = [] if held is None else [secret(held=made[held], expires_at=None)]
    return estate(group("web", bound(token())), records=[record(token(), *made)], secrets=stored)


FAIL, UNKNOWN = Verdict.FAIL, Verdict.UNKNOWN
ABOUT_REGISTRIES = {
    "acr-admin-user-enabled",
    "closed-registry-without-trusted-services",
    "network-rules-without-premium",
    "private-endpoint-in-delegated-subnet",
}
CREDENTIALS: dict[str, tuple[Estate, dict[str, Verdict]]] = {
    "the only password has expired": (with_credentials(("password1", 60, -1), held=0), {"credential-expired": FAIL}),
    "the slot left behind by a rotation has expired": (
        with_credentials(("password1", 60, -1), ("password2", 5, 85), held=1),
        {},
    ),
    "the slot in use has expired beside a live one": (
        with_credentials(("password1", 60, -1), ("password2", 5, 85), held=0),
        {"credential-expired": FAIL},
    ),
    "one of two slots has expired and nobody knows which is used": (
        with_credentials(("password1", 60, -1), ("password2", 5, 85)),
        {"credential-expired": UNKNOWN, "credential-not-in-vault": FAIL},
    ),
    "both slots have expired": (
        with_credentials(("password1", 60, -1), ("password2", 60, -2)),
        {"credential-expired": FAIL, "credential-not-in-vault": FAIL},
    ),
    "it ends within the limit": (with_credentials(("password1", 60, 30), held=0), {"credential-expiring": FAIL}),
    "it ends after the limit": (with_credentials(("password1", 58, 31), held=0), {}),
    "a replaced password that soaks is not judged": (
        with_credentials(("password1", 400, 3), ("password2", 1, 89), held=1),
        {},
    ),
    "it never ends": (with_credentials(("password1", 10, None), held=0), {"credential-without-expiry": FAIL}),
    "it is as old as the limit": (with_credentials(("password1", 90, 60), held=0), {"credential-too-old": FAIL}),
    "its age is not known": (
        # The vault's tag tells the age of what it holds, and here it cannot.
        with_credentials(("password1", None, 60), held=0),
        {"credential-too-old": UNKNOWN},
    ),
    "two live slots and no word on which is used": (
        with_credentials(("password1", 10, 60), ("password2", 10, 60)),
        {"two-slots-both-unknown": FAIL, "credential-not-in-vault": FAIL},
    ),
    "a principal without any password": (
        with_credentials(),
        {"principal-without-credential": FAIL, "credential-not-in-vault": FAIL},
    ),
    "an unused token may be as it likes": (estate(records=[record(token(), credential(age=900 * DAY, ends_in=None))]), {}),
}


@pytest.mark.parametrize(("reading", "expected"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_credentials_are_judged(reading: Estate, expected: dict[str, Verdict]) -> None:
    assert said(audit(reading)) == expected


def test_the_operators_word_on_the_slot_is_believed() -> None:
    reading = with_credentials(("password1", 60, -1), ("password2", 5, 85))
    outcome = audit(reading, Limits(slots={token().id: "password2"}))
    assert "credential-expired" not in said(outcome)


def test_limits_may_differ_by_kind() -> None:
    reading = with_credentials(("password1", 40, 20), held=0)
    assert set(said(audit(reading))) == {"credential-expiring"}
    strict = Limits(
        expiring_within_of={PrincipalKind.ACR_TOKEN: 7 * DAY}, max_age={PrincipalKind.ACR_TOKEN: 30 * DAY}, default_max_age=None
    )
    assert set(said(audit(reading, strict))) == {"credential-too-old"}
    assert said(audit(reading, Limits(expiring_within=7 * DAY, default_max_age=None))) == {}


IDENTITY = "/subscriptions/s/resourceGroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pull"
PUBLIC = registry(anonymous_pull=True)
FOREIGN = "images.azurecr.io"
REFRESH_TOKEN = Principal(kind=PrincipalKind.ACR_REFRESH_TOKEN, registry=SERVER, name="00000000-0000-0000-0000-000000000000")

BINDINGS: dict[str, tuple[Estate, dict[str, Verdict]]] = {
    "an identity that is named and attached": (
        estate(group("web", binding(ManagedIdentity(IDENTITY, attached=True)), identities=(IDENTITY,))),
        {},
    ),
    "an identity that is named only": (
        estate(group("web", binding(ManagedIdentity(IDENTITY, attached=False)))),
        {"identity-named-not-attached": FAIL},
    ),
    "an identity that is attached only": (
        estate(group("web", binding(Absent()), identities=(IDENTITY,))),
        {"identity-attached-not-named": FAIL},
    ),
    "an identity that is attached for something else, at a public registry": (
        estate(group("web", binding(Absent()), identities=(IDENTITY,)), registries=[PUBLIC]),
        {},
    ),
    "the system's own identity": (
        estate(group("web", binding(Absent()), system_assigned=True)),
        {"system-assigned-identity-used-for-pull": FAIL},
    ),
    "no entry and no identity": (estate(group("web", binding(Absent()))), {"anonymous-pull-of-private-registry": FAIL}),
    "no entry at a registry that nobody read": (
        estate(group("web", binding(Absent(), registry=FOREIGN))),
        {"anonymous-pull-of-private-registry": UNKNOWN, "closed-registry-used-without-network": UNKNOWN},
    ),
    "no entry at Docker Hub": (estate(group("web", binding(Absent(), registry="index.docker.io"))), {}),
    "a token that is disabled": (
        estate(group("web", bound(token())), records=[record(token(), credential(), enabled=False)], secrets=[secret()]),
        {"token-disabled-in-use": FAIL},
    ),
    "a token that is gone": (estate(group("web", bound(token())), secrets=[secret()]), {"principal-not-found": FAIL}),
    "an application that is gone": (
        estate(group("web", bound(application())), secrets=[secret(application())]),
        {"principal-not-found": FAIL},
    ),
    "a token of a registry out of sight": (
        estate(group("web", bound(token("ci", FOREIGN))), secrets=[secret(token("ci", FOREIGN))]),
        dict.fromkeys(
            [
                "principal-not-found",
                "token-disabled-in-use",
                "principal-without-credential",
                "credential-expired",
                "credential-expiring",
                "credential-without-expiry",
                "credential-too-old",
                "two-slots-both-unknown",
                "closed-registry-used-with-password",
                "closed-registry-used-without-network",
            ],
            UNKNOWN,
        ),
    ),
    "a refresh token": (
        estate(group("web", bound(REFRESH_TOKEN))),
        {"refresh-token-stored-as-password": FAIL},
    ),
    "a user name that tells nothing": (
        estate(group("web", binding(Inline(" ")))),
        dict.fromkeys(
            [
                "acr-admin-user-in-use",
                "credential-not-in-vault",
                "ecr-lease-run-out",
                "ecr-lease-stored-inline",
                "principal-not-found",
                "principal-without-credential",
                "refresh-token-stored-as-password",
                "token-disabled-in-use",
            ],
            UNKNOWN,
        ),
    ),
}


@pytest.mark.parametrize(("reading", "expected"), BINDINGS.values(), ids=BINDINGS.keys())
def test_bindings_are_judged(reading: Estate, expected: dict[str, Verdict]) -> None:
    assert said(audit(reading)) == expected


def test_the_admin_user_is_known_to_have_two_passwords_without_an_end() -> None:
    outcome = audit(estate(group("web", bound(admin())), registries=[registry(admin_enabled=True)]))
    assert {policy for policy, verdict in said(outcome).items() if verdict is FAIL} == {
        "acr-admin-user-enabled",
        "acr-admin-user-in-use",
        "credential-not-in-vault",
        "credential-without-expiry",
    }


def hub(**changes: object) -> Estate:
    return estate(group("web", bound(docker_hub())), secrets=[secret(docker_hub(), **changes)])  # type: ignore[arg-type]


def test_what_the_vault_recorded_stands_in_for_a_service_that_lists_nothing() -> None:
    assert said(audit(hub(expires_at=NOW + 60 * DAY))) == {"credential-too-old": UNKNOWN}
    assert said(audit(hub(expires_at=NOW + 60 * DAY, created_at=NOW - 91 * DAY))) == {"credential-too-old": FAIL}
    assert said(audit(hub(expires_at=NOW - DAY)))["credential-expired"] is FAIL
    assert said(audit(hub()))["credential-without-expiry"] is UNKNOWN
    assert said(audit(hub(enabled=False)))["credential-not-in-vault"] is FAIL


HOUR = timedelta(hours=1)
LEASE = secret(ecr(), expires_at=NOW + HOUR)
LEASES: dict[str, tuple[Estate, Verdict | None]] = {
    "started before a lease could still hold": (
        estate(group("job", bound(ecr()), body=container_body(started_at="2026-11-22T13:59:59Z"))),
        FAIL,
    ),
    "started since, which may have been a mere restart": (
        estate(group("job", bound(ecr()), body=container_body(started_at="2026-11-22T20:00:00Z"))),
        UNKNOWN,
    ),
    "without an instance view": (estate(group("job", bound(ecr()))), UNKNOWN),
    "put by a rotation whose lease holds": (
        estate(
            group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1"}),
            secrets=[secret(ecr(), rotation="rot-1", expires_at=NOW + HOUR)],
        ),
        None,
    ),
    "put by a rotation whose lease has ended": (
        estate(
            group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1"}),
            secrets=[secret(ecr(), rotation="rot-1", expires_at=NOW)],
        ),
        FAIL,
    ),
    "left behind by a later rotation": (
        estate(
            group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1"}),
            secrets=[secret(ecr(), rotation="rot-2", expires_at=NOW + HOUR)],
        ),
        UNKNOWN,
    ),
    "read from the vault at each start": (
        estate(
            group(
                "job",
                binding(VaultReference("AWS", f"https://v/secrets/{LEASE.name}", IDENTITY), registry=ECR_SERVER, principal=ecr()),
                body=container_body(started_at="2026-01-01T00:00:00Z"),
            ),
            secrets=[LEASE],
        ),
        None,
    ),
    "read from another vault secret": (
        estate(
            group(
                "job",
                binding(VaultReference("AWS", "https://v/secrets/mine", IDENTITY), registry=ECR_SERVER, principal=ecr()),
            ),
            secrets=[LEASE],
        ),
        UNKNOWN,
    ),
    "an older lease that its tag names, and that still lives": (
        estate(group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1.2.lease@2026-11-23T03:00:00Z"}), secrets=[LEASE]),
        None,
    ),
    "an older lease that its tag names, and that has ended": (
        estate(group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1.2.lease@2026-11-23T02:00:00Z"})),
        FAIL,
    ),
    "a tag that somebody has edited": (
        estate(group("job", bound(ecr()), tags={f"rotator:{ECR_SERVER}": "rot-1.2.lease@soon"})),
        UNKNOWN,
    ),
}


@pytest.mark.parametrize(("reading", "expected"), LEASES.values(), ids=LEASES.keys())
def test_a_lease_is_judged_by_what_is_certain(reading: Estate, expected: Verdict | None) -> None:
    assert said(audit(reading)).get("ecr-lease-run-out") is expected


def test_groups_are_judged_place_by_place() -> None:
    suspects = tuple(
        SuspectValue(path=path, why="secret-name")
        for path in (
            "containers/web/environmentVariables/DB_PASSWORD/value",
            "containers/web/livenessProbe/exec/command/1",
            "volumes/code/gitRepo/repository",
        )
    )
    reading = estate(group("web", suspects=suspects), unsourced={group_id("web"): (WriteOnlyField("volumes/certs/secret"),)})
    found = {one.policy: one.evidence for one in audit(reading).findings}
    assert found == {
        "plaintext-secret-in-environment": {"suspects_in_environment": suspects[0].path},
        "plaintext-secret-in-command": {"suspects_in_commands": suspects[1].path},
        "plaintext-secret-in-git-url": {"suspects_in_git_urls": suspects[2].path},
        "write-only-value-without-source": {"unsourced_fields": "volumes/certs/secret"},
    }


def test_values_that_nobody_could_look_for_are_not_called_lost() -> None:
    reading = estate(
        group("web"),
        unsourced={group_id("web"): (WriteOnlyField("volumes/certs/secret"),)},
        unread=[unread("value-sources", group_id("web").text.upper())],
    )
    (finding,) = audit(reading).findings
    assert finding.verdict is UNKNOWN
    assert "Unsourced_fields is not known (access was denied)" in finding.message


BLIND: dict[str, tuple[Estate, set[str]]] = {
    "the groups of a subscription": (
        estate(unread=[unread("container-groups")]),
        {one.id for one in POLICIES if one.subject in {Subject.GROUP, Subject.BINDING}},
    ),
    "the registries of a subscription": (estate(registries=[], unread=[unread("registries")]), ABOUT_REGISTRIES),
    "the vault": (
        estate(
            group("web", bound(token())),
            records=[record(token(), credential(), credential(slot="password2"))],
            unread=[unread("vault", "https://v.vault.azure.net")],
        ),
        {"credential-not-in-vault", "two-slots-both-unknown"},
    ),
    "the tokens of a registry": (
        estate(group("web", bound(token())), secrets=[secret()], unread=[unread("tokens", registry_id().text)]),
        {
            "principal-not-found",
            "principal-without-credential",
            "token-disabled-in-use",
            "credential-expired",
            "credential-expiring",
            "credential-without-expiry",
            "credential-too-old",
            "two-slots-both-unknown",
        },
    ),
    "an application": (
        estate(group("web", bound(application())), secrets=[secret(application())], unread=[unread("applications", APP_ID)]),
        {
            "principal-not-found",
            "principal-without-credential",
            "credential-expired",
            "credential-expiring",
            "credential-without-expiry",
            "credential-too-old",
        },
    ),
}


@pytest.mark.parametrize(("reading", "expected"), BLIND.values(), ids=BLIND.keys())
def test_what_could_not_be_read_is_unknown_and_says_why(reading: Estate, expected: set[str]) -> None:
    findings = [one for one in audit(reading).findings if one.verdict is UNKNOWN]
    assert {one.policy for one in findings} == expected
    assert all("access was denied" in one.message for one in findings)


def test_groups_that_nobody_saw_may_use_a_token() -> None:
    lone = record(token(), credential(ends_in=None))
    assert said(audit(estate(records=[lone]))) == {}
    reading = estate(records=[lone], unread=[unread("container-groups")])
    assert said(audit(reading))["credential-without-expiry"] is UNKNOWN


@given(known=st.sets(st.sampled_from([fact.name for facts in FACTS.values() for fact in facts])))
def test_hiding_facts_never_turns_a_violation_into_a_pass(known: set[str]) -> None:
    for policy, case, verdict in SEEN:
        hidden = judge(policy, {name: value for name, value in case.facts.items() if name in known})
        assert hidden in {verdict, UNKNOWN}


EVERYTHING = [*CREDENTIALS.values(), *BINDINGS.values(), *BLIND.values(), *LEASES.values()]
SEEN = [
    (policy, case, judge(policy, case.facts))
    for reading, _ in EVERYTHING
    for case in cases(reading, NOW, Limits())
    for policy in POLICIES
    if policy.subject is case.subject
]
_PYTHON: Mapping[FactType, type] = {
    FactType.BOOL: bool,
    FactType.COUNT: int,
    FactType.NUMBER: float,
    FactType.TEXT: str,
    FactType.TEXTS: list,
    FactType.TAGS: dict,
}


def test_every_fact_is_in_the_table_and_of_its_type() -> None:
    seen: set[tuple[Subject, str]] = set()
    for reading, _ in EVERYTHING:
        for case in cases(reading, NOW, Limits()):
            types = {fact.name: fact.type for fact in FACTS[case.subject]}
            for name, value in case.facts.items():
                assert type(value) is _PYTHON[types[name]], name
                seen.add((case.subject, name))
    assert seen == {(subject, fact.name) for subject, facts in FACTS.items() for fact in facts}


def the_finding() -> Finding:
    (finding,) = audit(estate(registries=[registry(admin_enabled=True)])).findings
    return finding


def test_a_finding_tells_what_where_and_from_what() -> None:
    finding = the_finding()
    assert finding.resource == registry_id().text
    assert finding.subscription == SUBSCRIPTION
    assert finding.message == "demo: A registry's admin user is enabled"
    assert finding.evidence == {"admin_enabled": "true"}
    assert finding.observed_at == NOW


def test_the_id_of_a_finding_is_a_promise() -> None:
    # Histories and tickets hold these ids: changing how they are made makes every old finding look mended.
    assert finding_id("a-policy", "/Subscriptions/S", "demo.azurecr.io") == "d6f1b3f4bf5dcb8a"
    assert finding_id("p", "R", "x") == hashlib.sha256(b"p\nr\nx").hexdigest()[:16]
    other = registry(id=ArmId(registry_id().text.upper()), admin_enabled=True)
    (again,) = audit(estate(registries=[other])).findings
    assert again.id == the_finding().id


def test_the_worst_comes_first_and_violations_before_doubts() -> None:
    outcome = audit(
        estate(
            group("web", bound(token("gone")), bound(admin())),
            registries=[registry(admin_enabled=True)],
            unread=[unread("vault", "v")],
        )
    )
    ranks = [(one.severity.rank, one.verdict is not FAIL) for one in outcome.findings]
    assert ranks == sorted(ranks)


def test_the_audit_looks_at_no_clock() -> None:
    with freeze_time("2031-01-01"):
        later = audit(rotated())
    assert later == audit(rotated())


def test_tags_are_evidence_by_name_only() -> None:
    from rotator.audit.evaluate import _text

    assert _text({"owner": "hunter2"}) == "owner"


def test_a_case_is_named_by_what_people_call_it() -> None:
    case = Case(subject=Subject.BINDING, resource=group_id("web").text, part=SERVER, subscription="", facts={})
    assert case.name == f"web ({SERVER})"
