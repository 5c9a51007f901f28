"""The composition root: settings become an application by plain constructor calls, and nothing else happens here.

Nothing is contacted until the application is asked for something.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from platform import node

from sqlalchemy.engine import make_url

from rotator import __version__
from rotator.application import Application, Rulebook
from rotator.audit.limits import Limits
from rotator.audit.policies import load_policies
from rotator.audit.waivers import load_waivers
from rotator.azure.access import AzureAccess
from rotator.azure.containergroups import ContainerGroups
from rotator.azure.deploymenthistory import AzureDeploymentHistory
from rotator.azure.directory import EntraDirectory
from rotator.azure.groupclient import GroupClient
from rotator.azure.identity import token_credential
from rotator.azure.network import AzureNetworks
from rotator.azure.pacing import WritePacer
from rotator.azure.pullrights import AzurePullRights
from rotator.azure.registries import AzureRegistryCatalog
from rotator.azure.usage import LoginEvents, NullUsageLog, SignIns, UsageLogs
from rotator.azure.values import StoredValues
from rotator.azure.vault import KeyVault
from rotator.clients.arm import Arm
from rotator.clients.aws import EcrLogins, WebIdentityRole
from rotator.clients.clock import SandboxClock, SystemClock
from rotator.clients.graph import Graph
from rotator.clients.logs import Logs
from rotator.clients.network import Network, unfenced
from rotator.clients.observed import TRAIL
from rotator.clients.pulls import PullProbe
from rotator.clients.rest import Rest
from rotator.deployment.owners import OwnerRules
from rotator.drivers import Dependencies, build_drivers, readers_of
from rotator.drivers.docker_hub import HubAccount
from rotator.drivers.quay import QuayHost
from rotator.explaining import Explainer
from rotator.history.anchor import VaultAnchor
from rotator.history.evidence import EvidenceLog, EvidenceSettings
from rotator.history.record import History
from rotator.inventory.classify import KnownHosts
from rotator.inventory.gather import Readers
from rotator.inventory.scope import Scope
from rotator.migration.choices import Choices
from rotator.migrations import Migrations
from rotator.model.credential import PrincipalKind
from rotator.model.image import normal_server
from rotator.model.secret import Secret
from rotator.model.tool import Tool
from rotator.ports import Clock, Observer, UsageLog
from rotator.replicas.claims import LocalClaims, SharedClaims
from rotator.replicas.ledger import SharedLedger
from rotator.replicas.membership import Lifetimes, Replicas
from rotator.replicas.turns import SharedTurns
from rotator.rotation.context import Context
from rotator.rotation.durable import Journal
from rotator.rotation.rules import Rules
from rotator.settings import Settings
from rotator.settings.azure import UsageLogSettings
from rotator.settings.registries import Registries
from rotator.settings.rotation import MigrationSettings, RotationSettings
from rotator.telemetry.metrics import Metrics


def build(settings: Settings, observers: Sequence[Observer] = (), verb: str = "") -> Application:
    """Return the application that the settings describe. Raises ConfigError for what cannot be built.

    `verb` is what a person or a schedule asked for; the evidence names it.
    """
    replicas = _replicas(settings)
    network = Network(
        resolve=settings.network.resolve,
        ca_file=settings.network.ca_file,
        fence=replicas.fence.check if replicas else unfenced,
    )
    clock = _clock(settings, network)
    metrics = Metrics(max_age=_max_ages(settings.rotation))
    endpoints = settings.endpoints
    credential = token_credential(
        settings.identity.kind,
        tenant_id=settings.tenant_id,
        client_id=settings.identity.client_id,
        clock=clock,
        network=network,
        authority=endpoints.authority,
        observe=metrics.request,
    )
    arm = Arm(credential, endpoints.resource_manager, endpoints.resource_manager, network, clock, metrics.request)
    graph = Graph(credential, endpoints.graph, network, clock, metrics.request)
    vault = KeyVault(str(settings.vault.url).rstrip("/"), credential, network, clock, metrics.request)
    groups = GroupClient(
        credential,
        endpoints.resource_manager,
        endpoints.resource_manager,
        network,
        clock,
        metrics.request,
        api_version=settings.container_instances.api_version,
    )
    platform = ContainerGroups(groups, arm, clock, WritePacer(clock, _ledger(settings, network, replicas)))
    values = StoredValues(vault, arm, subscriptions=settings.scope.subscriptions)
    usage = _usage_log(settings.usage_log, Logs(credential, endpoints.logs, network, clock, metrics.request), clock)
    directory = EntraDirectory(graph)
    pulls = PullProbe(network, metrics.request)
    dependencies = Dependencies(
        arm=arm,
        graph=graph,
        clock=clock,
        pulls=pulls,
        directory=directory,
        logins=EcrLogins(
            clock,
            roles={one.registry: WebIdentityRole(role_arn=one.role_arn, audience=one.audience) for one in settings.aws.roles},
            web_identity=lambda audience: Secret(credential.get_token(f"{audience}/.default").token),
            profile=settings.aws.profile,
            endpoint_url=settings.aws.endpoint_url,
            ca_file=settings.network.ca_file,
        ),
        secret_of=vault.read,
        gitlab=tuple(one.site() for one in settings.registries.gitlab),
        held=values.held,
        reach=lambda root, api: Rest(root, api, network, clock, metrics.request),
        hub_accounts=hub_accounts(settings.registries),
        quays=quays(settings.registries),
    )
    drivers = build_drivers(dependencies)
    history = History(_history_url(settings), clock)
    evidence = EvidenceLog(
        history.engine,
        clock,
        VaultAnchor(vault, settings.vault.evidence_head, clock),
        TRAIL,
        metrics,
        EvidenceSettings(actor=_actor(settings, history.installation, verb), required=settings.state.evidence_required),
    )
    context = Context(
        clock=clock,
        drivers=drivers,
        vault=vault,
        platform=platform,
        values=values,
        usage=usage,
        claims=SharedClaims(replicas) if replicas else LocalClaims(),
        observer=history,
        rules=_rules(settings.rotation),
        writer=history.installation,
        trail=TRAIL,
    )
    return Application(
        clock=clock,
        scope=Scope(
            subscriptions=settings.scope.subscriptions,
            resource_groups=settings.scope.resource_groups,
            tags=settings.scope.tags,
        ),
        hosts=KnownHosts(
            acr_suffixes=endpoints.registry_suffixes,
            gitlab=(*settings.registries.gitlab_hosts, *(one.host for one in settings.registries.gitlab)),
            quay=(*settings.registries.quay_hosts, *settings.registries.quay),
            quay_pairs=_quay_pairs(settings.registries),
            docker_organizations=tuple(name for name, one in settings.registries.docker_hub.items() if one.organization),
        ),
        readers=Readers(
            clock=clock,
            groups=platform,
            registries=AzureRegistryCatalog(
                credential, endpoints.resource_manager, endpoints.resource_manager, network, clock, metrics.request
            ),
            directory=directory,
            vault=vault,
            values=values,
            principals=readers_of(drivers),
            networks=AzureNetworks(arm),
            admin_users=frozenset(settings.rotation.admin_users),
        ),
        rulebook=lambda: rulebook(settings),
        context=context,
        journal=_journal(settings, replicas),
        history=history,
        evidence=evidence,
        metrics=metrics,
        explainer=Explainer(clock=clock, vault=vault, access=AzurePullRights(arm), pulls=pulls),
        turns=SharedTurns(replicas) if replicas else None,
        observers=(history, evidence, metrics, *observers),
        api_version=settings.container_instances.api_version,
        owners=OwnerRules(tags={Tool.TERRAFORM: settings.ownership.terraform_tags, Tool.BICEP: settings.ownership.bicep_tags}),
        deployment_history=AzureDeploymentHistory(arm),
        migrations=lambda told, at_work: Migrations(
            context=told,
            access=AzureAccess(arm),
            choices=_choices(settings.migration),
            tenant=settings.tenant_id,
            at_work=at_work,
        ),
    )


def rulebook(settings: Settings) -> Rulebook:
    """Load the policies and waivers that the settings name. Raises PolicyError with file and line."""
    rotation = settings.rotation
    return Rulebook(
        policies=load_policies(settings.policies.folders),
        waivers=load_waivers(settings.policies.waivers_file),
        limits=Limits(
            expiring_within=rotation.default_renew_before,
            expiring_within_of=rotation.renew_before,
            default_max_age=rotation.default_max_age,
            max_age=rotation.max_age,
            slots=rotation.slots,
            registry_suffixes=settings.endpoints.registry_suffixes,
        ),
    )


def hub_accounts(chosen: Registries) -> Mapping[str, HubAccount]:
    """Return how each Docker ID's and organisation's tokens are managed."""
    return {
        name: HubAccount(identifier=one.identifier or name, secret_name=one.secret, repositories=one.repositories)
        for name, one in chosen.docker_hub.items()
    }


def quays(chosen: Registries) -> Mapping[str, QuayHost]:
    """Return how the robots of each Quay are managed."""
    return {normal_server(host): QuayHost(secret_name=one.secret, pairs=one.pairs) for host, one in chosen.quay.items()}


def _quay_pairs(chosen: Registries) -> Mapping[tuple[str, str], str]:
    return {
        (host, robot): first
        for host, one in quays(chosen).items()
        for first, second in one.pairs.items()
        for robot in (first, second)
    }


def _actor(settings: Settings, installation: str, verb: str) -> Mapping[str, str]:
    """Say who acts, as far as this program knows: with `azure-cli`, which person is logged in there is in Azure's own log."""
    return {
        "identity": settings.identity.kind,
        "client_id": settings.identity.client_id or "",
        "tenant": settings.tenant_id,
        "installation": installation,
        "host": node(),
        "program": f"rotator {__version__}",
        "verb": verb,
    }


def _clock(settings: Settings, network: Network) -> Clock:
    return SandboxClock(settings.clock.control_url, network) if settings.clock.control_url else SystemClock()


def _usage_log(chosen: UsageLogSettings | None, logs: Logs, clock: Clock) -> UsageLog:
    if chosen is None:
        return NullUsageLog()
    return UsageLogs(
        LoginEvents(logs, chosen.workspace_id, clock, chosen.ingestion),
        SignIns(logs, chosen.sign_ins_workspace_id or chosen.workspace_id, clock, chosen.sign_ins_ingestion),
    )


def _rules(chosen: RotationSettings) -> Rules:
    return Rules(**{name: getattr(chosen, name) for name in Rules.__dataclass_fields__})


def _choices(chosen: MigrationSettings) -> Choices:
    return Choices(**{name: getattr(chosen, name) for name in Choices.__dataclass_fields__})


def _max_ages(chosen: RotationSettings) -> Mapping[PrincipalKind, timedelta]:
    rules = _rules(chosen)
    return {kind: rules.max_age_of(kind) for kind in PrincipalKind}


def _replicas(settings: Settings) -> Replicas | None:
    url = settings.state.journal_url
    return Replicas(url, Lifetimes(dead_after=settings.state.dead_after)) if url else None


def _ledger(settings: Settings, network: Network, replicas: Replicas | None) -> SharedLedger | None:
    if replicas is None:
        return None
    # The sandbox's time is what its limits go by, read anew each time: another replica may have turned it just now.
    url = settings.clock.control_url
    ledger = SharedLedger(replicas, SandboxClock(url, network, stale_after=timedelta(0)) if url else None)
    replicas.on_burial(ledger.settle)
    return ledger


def _journal(settings: Settings, replicas: Replicas | None) -> Journal:
    if settings.state.journal_url and replicas:
        return Journal(settings.state.journal_url, replicas=replicas)
    file = _with_folder(settings.state.journal_file)
    return Journal(f"sqlite:///{file}", lock=file.with_suffix(".sqlite.lock"))


def _history_url(settings: Settings) -> str:
    state = settings.state
    if state.journal_url and not state.history_url:
        # A rotation is remembered by the replica that carried it out, and looked up on any.
        return make_url(state.journal_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return state.history_url or f"sqlite:///{_with_folder(state.history_file)}"


def _with_folder(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
