"""A small estate with one of everything that a report can show. Names are made up; nothing here is a real resource."""

from datetime import UTC, date, datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal, PrincipalKind
from rotator.model.estate import (
    TAG_HANDLE,
    TAG_PRINCIPAL,
    Estate,
    PrincipalRecord,
    StoredSecret,
    Unread,
)
from rotator.model.group import (
    Absent,
    Binding,
    ContainerGroup,
    GroupState,
    Inline,
    ManagedIdentity,
    Source,
    VaultReference,
    WriteOnlyField,
)
from rotator.model.image import ImageReference
from rotator.model.policy import Audit, Control, Finding, Policy, Severity, Subject, Verdict, Waiver
from rotator.model.rotation import (
    Action,
    Consumer,
    Plan,
    PlanItem,
    Reason,
    Result,
    Retirement,
    RotationEvent,
    RotationOutcome,
)
from tests.builders import registry

NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
SUBSCRIPTION = "8a1f2c3d-0000-4000-8000-000000000001"
OTHER_SUBSCRIPTION = "8a1f2c3d-0000-4000-8000-000000000002"
REGISTRY = "northwind.azurecr.io"

PULL = Principal(kind=PrincipalKind.ACR_TOKEN, registry=REGISTRY, name="pull-web", resource_id="")
ADMIN = Principal(kind=PrincipalKind.ACR_ADMIN, registry=REGISTRY, name="northwind")
APP = Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name="5be1a2c4-0000-4000-8000-00000000abcd")
ECR = Principal(kind=PrincipalKind.ECR, registry="123456789012.dkr.ecr.eu-west-1.amazonaws.com", name="AWS")
HUB = Principal(kind=PrincipalKind.DOCKER_HUB, registry="index.docker.io", name="northwindbuilds")


def group_id(name: str, resource_group: str = "rg-shop", subscription: str = SUBSCRIPTION) -> ArmId:
    return ArmId(
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )


def group(
    name: str, source: Source, principal: Principal | None, registry: str = REGISTRY, state: GroupState = GroupState.RUNNING
) -> ContainerGroup:
    identifier = group_id(name)
    image = ImageReference(server=registry, repository=f"team/{name}", reference="1.4.2")
    binding = Binding(group=identifier, registry=registry, source=source, images=(image,), principal=principal)
    field = WriteOnlyField(f"imageRegistryCredentials/{registry}/password")
    return ContainerGroup(
        id=identifier,
        location="westeurope",
        tags={},
        state=state,
        provisioning_state="Succeeded",
        restart_policy="Always",
        os_type="Linux",
        bindings=(binding,),
        write_only=(field,) if isinstance(source, Inline) else (),
        identities=(),
        system_assigned=False,
        suspects=(),
        private_network=False,
        observed_at=NOW,
        body={"properties": {"plain": "a-body-is-never-shown"}},
    )


def groups() -> tuple[ContainerGroup, ...]:
    identity = "/subscriptions/x/resourceGroups/rg-ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-pull"
    return (
        *(group(f"web-{number}", Inline("pull-web"), PULL) for number in range(1, 6)),
        group("billing", Inline("northwind"), ADMIN),
        group("search", Inline(APP.name), APP),
        group("ledger", VaultReference("pull-web", "https://kv-demo.vault.azure.net/secrets/pull-web", identity), PULL),
        group("gateway", ManagedIdentity(identity, attached=True), None),
        group("nightly-import", Inline("AWS"), ECR, registry=ECR.registry, state=GroupState.FINISHED),
        group("metrics", Inline("northwindbuilds"), HUB, registry="index.docker.io"),
        group("status-page", Absent(), None, registry="index.docker.io"),
    )


def credential(principal: Principal, handle: str, age: int, left: int | None) -> Credential:
    return Credential(
        handle=Handle(principal=principal, id=handle),
        username=principal.name,
        issued_at=NOW - timedelta(days=age),
        expires_at=None if left is None else NOW + timedelta(days=left),
    )


def estate(*, unread: bool = True) -> Estate:
    northwind = registry(
        "northwind",
        id=ArmId(
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.ContainerRegistry/registries/northwind"
        ),
        login_server=REGISTRY,
        sku="Premium",
        admin_enabled=True,
    )
    records = {
        PULL: PrincipalRecord(
            principal=PULL,
            credentials=(credential(PULL, "password1@then", 76, 14), credential(PULL, "password2@stray", 200, None)),
            enabled=True,
            scope="pull-web",
        ),
        ADMIN: PrincipalRecord(principal=ADMIN, credentials=(credential(ADMIN, "password@0", 700, None),), enabled=True),
        APP: PrincipalRecord(principal=APP, credentials=(credential(APP, "application/k1", 380, -3),), display_name="shop-pull"),
        HUB: PrincipalRecord(principal=HUB, credentials=None),
    }
    secret = StoredSecret(
        name="acr-token-northwind-pull-web",
        version="v7",
        enabled=True,
        tags={TAG_PRINCIPAL: PULL.id, TAG_HANDLE: "password1@then"},
        created_at=NOW - timedelta(days=76),
        expires_at=NOW + timedelta(days=14),
    )
    missing = Unread(
        scope=OTHER_SUBSCRIPTION,
        what="container-groups",
        code="denied",
        reason="reading container groups was refused",
        advice="Grant Microsoft.ContainerInstance/containerGroups/read to the identity that rotator runs as.",
    )
    return Estate(
        observed_at=NOW,
        subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION),
        groups=groups(),
        registries=(northwind,),
        records=records,
        secrets=(secret,),
        unsourced={group_id("billing"): (WriteOnlyField("containers/billing/environmentVariables/DB_PASSWORD/secureValue"),)},
        unread=(missing,) if unread else (),
    )


def policy(name: str, title: str, severity: Severity, rationale: str, remediation: str) -> Policy:
    return Policy(
        id=name,
        title=title,
        severity=severity,
        subject=Subject.BINDING,
        expression="true",
        needs=(),
        rationale=rationale,
        remediation=remediation,
        controls=(
            Control(framework="MCSB", id="IM-3", source="vendor"),
            Control(framework="NIST 800-53 r5", id="IA-5", source="ours"),
        ),
        file=f"{name}.yaml",
    )


POLICIES = (
    policy(
        "credential-expired",
        "A group stores a credential that has ended",
        Severity.CRITICAL,
        "The group runs only until its next start: the image can no longer be pulled.",
        "Rotate the credential with `rotator rotate --only`; the groups are redeployed with the new one.",
    ),
    policy(
        "acr-admin-user-in-use",
        "A group pulls as the registry's admin user",
        Severity.HIGH,
        "The admin user may push and delete, is shared by everybody, and names nobody in the log.",
        "Give the group a user-assigned identity with AcrPull, or a repository token, and disable the admin user.",
    ),
    policy(
        "credential-never-ends",
        "A credential has no end",
        Severity.MEDIUM,
        "A credential that leaks once works for ever.",
        "Let rotator replace it by one that ends.",
    ),
    policy("anonymous-pull", "An image is pulled anonymously", Severity.LOW, "Rate limits apply.", "Add a credential."),
)


def finding(
    policy: Policy, resource: str, part: str, message: str, verdict: Verdict = Verdict.FAIL, waiver: Waiver | None = None
) -> Finding:
    return Finding(
        id=f"{policy.id}|{resource}|{part}",
        policy=policy.id,
        title=policy.title,
        severity=policy.severity,
        verdict=verdict,
        resource=resource,
        part=part,
        subscription=SUBSCRIPTION,
        message=message,
        remediation=policy.remediation,
        evidence={"binding.source": "inline", "credential.expires_at": "2026-10-30T08:30:00Z"},
        observed_at=NOW,
        waiver=waiver,
    )


WAIVER = Waiver(
    id="W-12",
    policy="acr-admin-user-in-use",
    scope="*/containerGroups/legacy-*",
    reason="The vendor's image reads the admin user; replaced in Q1.",
    approver="j.doe@example.com",
    ticket="SEC-431",
    expires_on=date(2026, 11, 20),
)


def audit() -> Audit:
    expired, admin, endless, anonymous = POLICIES
    found = (
        finding(expired, group_id("search").text, REGISTRY, "The secret of shop-pull ended 3 days ago."),
        finding(admin, group_id("billing").text, REGISTRY, "The group authenticates as the admin user northwind."),
        finding(
            admin, group_id("legacy-1").text, REGISTRY, "The group authenticates as the admin user northwind.", waiver=WAIVER
        ),
        finding(endless, PULL.id, "password2@stray", "password2 was made 200 days ago and never ends."),
        finding(endless, ADMIN.id, "password@0", "The admin password never ends."),
        finding(endless, HUB.id, "", "Docker Hub does not say when a token ends.", Verdict.UNKNOWN),
    )
    tallies = {
        expired.id: {Verdict.PASS: 9, Verdict.FAIL: 1, Verdict.UNKNOWN: 0},
        admin.id: {Verdict.PASS: 8, Verdict.FAIL: 2, Verdict.UNKNOWN: 0},
        endless.id: {Verdict.PASS: 3, Verdict.FAIL: 2, Verdict.UNKNOWN: 1},
        anonymous.id: {Verdict.PASS: 12, Verdict.FAIL: 0, Verdict.UNKNOWN: 0},
    }
    return Audit(findings=found, tallies=tallies, policies=POLICIES, evaluated_at=NOW)


def plan() -> Plan:
    webs = tuple(group_id(f"web-{number}") for number in range(1, 6))
    consumers = tuple(Consumer(group=one, registries=(REGISTRY,), action=Action.REDEPLOY) for one in webs)
    missing = "containers/billing/environmentVariables/DB_PASSWORD/secureValue"
    stuck = Consumer(
        group=group_id("billing"),
        registries=(REGISTRY,),
        action=Action.HOLD,
        why="no place holds DB_PASSWORD",
        missing=(missing,),
    )
    return Plan(
        made_at=NOW,
        items=(
            PlanItem(
                rotation="r-1",
                principal=PULL,
                reasons=(Reason.EXPIRING,),
                secret_name="acr-token-northwind-pull-web",
                slot="password2",
                ttl=timedelta(days=90),
                old=("password1@then",),
                consumers=(*consumers, Consumer(group=group_id("ledger"), registries=(REGISTRY,), action=Action.RESTART)),
                waves=((webs[0],), (*webs[1:4],), (webs[4], group_id("ledger"))),
                due_at=NOW - timedelta(days=16),
                expires_at=NOW + timedelta(days=14),
            ),
            PlanItem(
                rotation="r-2",
                principal=ADMIN,
                reasons=(Reason.NO_EXPIRY, Reason.NOT_IN_VAULT),
                secret_name="acr-admin-northwind",
                slot="password2",
                ttl=None,
                old=("password@0",),
                consumers=(stuck,),
                waves=(),
                due_at=None,
                expires_at=None,
                held="billing has a write-only value that no place holds: DB_PASSWORD",
                advice="Put the value in the vault under the tag rotator-field, then plan again.",
            ),
        ),
        retirements=(retirement(),),
        healthy=3,
        digest="d1",
    )


def retirement() -> Retirement:
    return Retirement(
        rotation="r-0",
        principal=APP,
        secret_name="entra-app-shop-pull",
        handle="application/k1",
        old=("application/k0",),
        cutover_at=NOW - timedelta(hours=20),
        soak_until=NOW + timedelta(hours=4),
    )


def outcomes() -> tuple[RotationOutcome, ...]:
    return (
        RotationOutcome(
            rotation="r-1",
            principal=PULL,
            result=Result.SOAKING,
            started_at=NOW,
            ended_at=NOW + timedelta(minutes=7, seconds=12),
            redeployed=tuple(group_id(f"web-{number}") for number in range(1, 6)),
            detail="the old secret lives until 2026-11-02 10:37 UTC",
        ),
        RotationOutcome(
            rotation="r-2",
            principal=ADMIN,
            result=Result.HELD,
            started_at=NOW,
            ended_at=NOW + timedelta(seconds=2),
            left=(group_id("billing"),),
            detail="billing has a write-only value that no place holds",
            code="held",
        ),
    )


def events() -> tuple[RotationEvent, ...]:
    def at(
        step: str, seconds: int, *, ok: bool = True, group: ArmId | None = None, detail: str = "", code: str = ""
    ) -> RotationEvent:
        when = NOW + timedelta(seconds=seconds)
        return RotationEvent(rotation="r-1", principal=PULL, step=step, at=when, ok=ok, group=group, detail=detail, code=code)

    return (
        at("issue", 1, detail="made password2@now"),
        at("verify", 70, detail="pulled 5 images 3 times"),
        at("redeploy", 80, group=group_id("web-1")),
        at("redeploy", 90, ok=False, group=group_id("web-2"), detail="the group is in transition", code="conflict"),
        at("roll-back", 95, group=group_id("web-2"), detail="the old credential is back"),
    )


ORACLE: dict[str, object] = {
    "outage_seconds": 0,
    "outages": [],
    "broken_at_start": ["a"],
    "repaired": ["a", "b"],
    "lost_properties": [],
    "orphans": [],
    "leaks": [],
    "redeploys": {"a": 1, "b": 1},
    "issued": {"p": 1},
    "write_limit_violations": 0,
    "requests": {"arm.put": 2, "vault.set": 3},
}
