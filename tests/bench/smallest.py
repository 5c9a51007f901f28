"""The smallest number of calls with which the work could be done: one written rule for each operation of the sandbox.

What an audit needs is counted in the emulated world itself; what is due is the product's own decision, so the rotation's rules
count in its plan. A rule keeps the promises (a look before an effect, a real pull, a note in the vault before a secret is
made), but grants nothing to convenience: what is asked twice counts as waste. An operation without a rule is all waste.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from rotator.sandbox import Sandbox, World
from rotator.sandbox.wire import Document

PAGE = 20
"""Resources on a page of Azure Resource Manager's lists."""
VAULT_PAGE = 25
APPS_IN_A_FILTER = 15
"""Graph's `in` operator takes 15 values: learn.microsoft.com/graph/filter-query-parameter."""
COUNTED_TWICE = "aws.call"
"""The sandbox counts a call to AWS under its door and under its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One operation, the sentence that derives its smallest number, and the number."""

    operation: str
    sentence: str
    smallest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One principal's rotation in a plan: its kind, its images, and the groups that it redeploys and restarts."""

    kind: str
    images: tuple[str, ...]
    redeployed: tuple[str, ...]
    restarted: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run has to do.

    `sources` are the places of write-only values (`vault:<name>`); `ended` says of each old secret what holds it: `acr-token`,
    `application` or `servicePrincipal`; `outdated` counts the vault's versions that hold an ended secret.
    """

    jobs: tuple[Job, ...]
    sources: tuple[str, ...]
    ended: tuple[str, ...]
    retirements: int
    outdated: int
    pulls: int


def audit_rules(sandbox: Sandbox) -> list[Rule]:
    """Derive an audit's smallest numbers from the emulated world."""
    world, subscriptions = sandbox.world, sandbox.estate.subscriptions
    groups = Counter(group.subscription.lower() for group in world.groups.by_id.values())
    registries = Counter(one.split("/")[2] for one in world.registries.acr)
    tokens = [len(registry.tokens) for registry in world.registries.acr.values()]
    secrets = sum(1 for vault in world.vaults.all() for one in vault.secrets.values() if one.deleted_at is None)
    apps = len(_apps(world))
    filters = ceil(apps / APPS_IN_A_FILTER)
    found = [
        Rule(
            operation="aci.groups.list",
            sentence="a page for 20 groups of each subscription",
            smallest=sum(_pages(groups[one.lower()]) for one in subscriptions),
        ),
        Rule(operation="aci.groups.get", sentence="one a group: the list has no instance view", smallest=len(world.groups.by_id)),
        Rule(
            operation="acr.registries.list",
            sentence="a page for 20 registries of each subscription",
            smallest=sum(_pages(registries[one.lower()]) for one in subscriptions),
        ),
        Rule(
            operation="acr.tokens.list",
            sentence="a page for 20 tokens of each registry",
            smallest=sum(_pages(count) for count in tokens),
        ),
        *(
            Rule(operation=f"graph.{kind}.list", sentence="one for 15 applications in use (the `in` filter)", smallest=filters)
            for kind in ("applications", "servicePrincipals")
        ),
        Rule(operation="vault.list", sentence="a page for 25 secrets", smallest=_pages(secrets, VAULT_PAGE)),
        Rule(
            operation="entra.identityToken",
            sentence="one an audience: Resource Manager, Key Vault, and Graph where applications are in use",
            smallest=3 if apps else 2,
        ),
    ]
    return found + [_holders_rule(world, operation, holds) for operation, holds in _KEY_FIELDS.items()]


def rotation_rules(work: Work) -> list[Rule]:
    """Derive the smallest numbers of a rotation, up to the beginning of the soak."""
    slots = _of_kind(work.jobs, "acr-token")
    apps = _of_kind(work.jobs, "entra-app")
    leases = _of_kind(work.jobs, "ecr")
    puts = len({group for job in work.jobs for group in job.redeployed})
    restarts = len({group for job in work.jobs for group in job.restarted})
    jobs = len(work.jobs)
    held = [one for one in work.sources if one.startswith("vault:")]
    numbers = [
        ("aci.groups.put", "one a group to redeploy", puts),
        ("aci.groups.restart", "one a group to restart", restarts),
        ("aci.groups.patch", "one a restarted group: a restart cannot carry the tag", restarts),
        ("aci.groups.get", "two a moved group: the document before, the health after", 2 * (puts + restarts)),
        ("aci.operations.get", "one a PUT: only the operation says why a deployment failed", puts),
        ("aci.operations.result", "one a restart", restarts),
        ("acr.tokens.get", "one a token: look before a slot is filled", slots),
        ("acr.generateCredentials", "one a token", slots),
        ("graph.applications.list", "one an application: look before a secret is added", apps),
        ("graph.servicePrincipals.list", "one an application: both of its objects have secrets", apps),
        ("graph.addPassword", "one an application", apps),
        ("aws.AssumeRoleWithWebIdentity", "one an ECR registry", leases),
        ("aws.GetAuthorizationToken", "one an ECR registry", leases),
        ("entra.identityToken", "one for AWS, if it is asked", min(1, leases)),
        (
            "vault.set",
            "two a principal, staged and current; one more to announce all but leases; the head of the evidence",
            3 * jobs - leases + 1,
        ),
        (
            "vault.listVersions",
            "two a principal: look at both secrets before they are written; one: the head of the evidence",
            2 * jobs + 1,
        ),
        ("vault.get", "one a principal, and one a stored value that a redeploy needs", jobs + len(held)),
        ("vault.update", "two a principal: staged copy off, soak begun", 2 * jobs),
        ("arm.storageAccounts.listKeys", "one an account whose share a redeployed group mounts", _keys(work, "storage-keys:")),
        ("arm.workspaces.sharedKeys", "one a workspace that a redeployed group logs to", _keys(work, "workspace-keys:")),
    ]
    return [*_rules(numbers), *_pull_rules(work)]


def retirement_rules(work: Work) -> list[Rule]:
    """Derive the smallest numbers of the run after the soak, which ends the old secrets."""
    kinds = Counter(work.ended)
    slots, applications, principals = kinds["acr-token"], kinds["application"], kinds["servicePrincipal"]
    numbers = [
        ("acr.tokens.get", "one an old password: what is to stay must be told", slots),
        ("acr.tokens.patch", "one an old password", slots),
        ("acr.operations.get", "one a PATCH", slots),
        ("graph.applications.list", "one an old secret of an application: its object id", applications),
        ("graph.servicePrincipals.list", "one an old secret of a service principal: its object id", principals),
        ("graph.removePassword", "one an old client secret", applications + principals),
        ("logs.query", "one a retirement: who has logged in since", work.retirements),
        ("entra.identityToken", "one for the log", min(1, work.retirements)),
        ("vault.listVersions", "two a retirement: both secrets; one: the head of the evidence", 2 * work.retirements + 1),
        (
            "vault.update",
            "one a retirement to close its record, one an old version to switch off, the head of the evidence",
            work.retirements + work.outdated + 1,
        ),
    ]
    return _rules(numbers)


def _rules(numbers: Iterable[tuple[str, str, int]]) -> list[Rule]:
    return [Rule(operation=operation, sentence=sentence, smallest=smallest) for operation, sentence, smallest in numbers]


def _pull_rules(work: Work) -> list[Rule]:
    """Every image is asked for over fresh connections; how a host authenticates, and its token, serve all of its images."""
    manifests: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    for job in work.jobs:
        manifests.update(_door(image.partition("/")[0]) for image in job.images)
        hosts.update(_door(host) for host in {image.partition("/")[0] for image in job.images})
    found = []
    for door in sorted(hosts):
        found += [
            (f"registry.{door}.manifest", f"{work.pulls} (settings) an image of each principal", work.pulls * manifests[door]),
            (f"registry.{door}.ping", f"{work.pulls} a registry of each principal", work.pulls * hosts[door]),
        ]
    found.append(("registry.acr.token", f"{work.pulls} a registry of each principal", work.pulls * hosts["acr"]))
    return _rules(found)


def _door(host: str) -> str:
    return "acr" if host.endswith(".azurecr.io") else "plain"


def _of_kind(jobs: Iterable[Job], kind: str) -> int:
    return sum(1 for job in jobs if job.kind == kind)


def _keys(work: Work, prefix: str) -> int:
    return sum(1 for one in work.sources if one.startswith(prefix))


def _pages(things: int, page: int = PAGE) -> int:
    """An empty list is a page too."""
    return max(1, ceil(things / page))


def _apps(world: World) -> set[str]:
    """Return the applications that groups authenticate as."""
    known = {one.app_id.lower() for one in (*world.graph.applications(), *world.graph.service_principals())}
    users = (
        str(entry.get("username", "")).lower()
        for group in world.groups.by_id.values()
        for entry in group.properties.get("imageRegistryCredentials") or ()
    )
    return {user for user in users if user in known}


def _share_fields(properties: Document) -> list[str]:
    """A share that is mounted by an identity has no key."""
    return [
        f"volumes/{one['name']}/azureFile/storageAccountKey"
        for one in properties.get("volumes") or ()
        if "storageAccountKey" in one.get("azureFile", {})
    ]


def _log_fields(properties: Document) -> list[str]:
    return ["diagnostics/logAnalytics/workspaceKey"] if (properties.get("diagnostics") or {}).get("logAnalytics") else []


_KEY_FIELDS: Mapping[str, Callable[[Document], list[str]]] = {
    "arm.storageAccounts.list": _share_fields,
    "arm.workspaces.list": _log_fields,
}


def _holders_rule(world: World, operation: str, fields: Callable[[Document], list[str]]) -> Rule:
    """A key that the vault does not hold is looked for in the group's own subscription."""
    stored = {
        (one.current.tags.get("rotator-group", "").lower(), one.current.tags.get("rotator-field", ""))
        for vault in world.vaults.all()
        for one in vault.secrets.values()
    }
    asked = {
        group.subscription.lower()
        for group in world.groups.by_id.values()
        if any((group.id.lower(), field) not in stored for field in fields(group.properties))
    }
    return Rule(operation=operation, sentence="one a subscription with a key that the vault does not hold", smallest=len(asked))
