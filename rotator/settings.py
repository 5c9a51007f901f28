"""What may stand in the configuration, section by section, with every default.

Reading it is `rotator.config`'s business. A field's description is what the published JSON Schema says of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rotator.azure.groupversion import API_VERSION
from rotator.configtext import Duration, parse_duration
from rotator.model.credential import NAMED_SLOTS, Principal, PrincipalKind
from rotator.model.tool import OwnedGroups
from rotator.model.usage import DrainRule

if TYPE_CHECKING:
    from rotator.clients.gitlab import GitLabSite

ENVIRONMENT_PREFIX = "ROTATOR_"
GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Section(BaseModel):
    """A part of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The addresses of one Azure cloud. Sources: the cloud definitions that azure-core and the Azure CLI ship."""

    resource_manager: str
    authority: str
    graph: str
    logs: str
    registry_suffixes: tuple[str, ...]


CLOUDS: Mapping[str, Endpoints] = {
    "public": Endpoints(
        resource_manager="https://management.azure.com",
        authority="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        logs="https://api.loganalytics.io",
        registry_suffixes=(".azurecr.io",),
    ),
    "us-government": Endpoints(
        resource_manager="https://management.usgovcloudapi.net",
        authority="https://login.microsoftonline.us",
        graph="https://graph.microsoft.us",
        logs="https://api.loganalytics.us",
        registry_suffixes=(".azurecr.us",),
    ),
    "china": Endpoints(
        resource_manager="https://management.chinacloudapi.cn",
        authority="https://login.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        logs="https://api.loganalytics.azure.cn",
        registry_suffixes=(".azurecr.cn",),
    ),
}


class EndpointOverrides(Section):
    """Addresses that replace those of `cloud`, one by one (Azure Stack, a proxy)."""

    resource_manager: str | None = None
    authority: str | None = None
    graph: str | None = None
    logs: str | None = None


class Identity(Section):
    """Who rotator is in Azure. A managed identity needs no secret at all and is the default."""

    kind: Literal["managed-identity", "workload-identity", "azure-cli", "default"] = "managed-identity"
    client_id: Annotated[str | None, Field(pattern=GUID, description="of a user-assigned identity")] = None


class ScopeSettings(Section):
    """Which container groups are looked at. All conditions must hold; an empty one holds for every group."""

    subscriptions: Annotated[tuple[Annotated[str, Field(pattern=GUID)], ...], Field(min_length=1)]
    resource_groups: Annotated[tuple[str, ...], Field(description="names or globs, for example team-*")] = ()
    tags: Annotated[dict[str, str], Field(description="tags that a group must carry, value and all")] = {}


class Vault(Section):
    """The Key Vault that holds the credentials."""

    url: HttpUrl
    evidence_head: Annotated[
        str, Field(pattern=r"^[0-9a-zA-Z-]{1,127}$", description="vault secret that names the last record of the evidence log")
    ] = "rotator-evidence-head"


class UsageLogSettings(Section):
    """The Log Analytics workspace that the registries' diagnostic settings send to; proves that an old credential is idle."""

    workspace_id: Annotated[str, Field(pattern=GUID)]
    ingestion: Annotated[Duration, Field(description="how late entries may arrive; Azure needs 3 to 10 minutes")] = timedelta(
        minutes=15
    )
    sign_ins_workspace_id: Annotated[
        str | None, Field(pattern=GUID, description="the workspace that Entra's service principal sign-ins go to, if another")
    ] = None
    # From memory: Microsoft promises nothing; most entries come within minutes.
    sign_ins_ingestion: Annotated[Duration, Field(description="how late sign-ins may arrive")] = timedelta(hours=1)


class AwsRole(Section):
    """An AWS role that the managed identity may assume to read one ECR registry, without any stored AWS key."""

    registry: Annotated[str, Field(pattern=r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$")]
    role_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
    audience: str = "api://AzureADTokenExchange"


class Aws(Section):
    """How ECR passwords are obtained."""

    roles: tuple[AwsRole, ...] = ()
    profile: Annotated[str | None, Field(description="a static AWS profile, for registries without a role")] = None
    endpoint_url: Annotated[str | None, Field(description="replaces every AWS address; for emulators")] = None


class GitLabSettings(Section):
    """How one GitLab's tokens are managed."""

    host: Annotated[str, Field(description="of its container registry, as container groups name it")] = "registry.gitlab.com"
    api: Annotated[str, Field(pattern=r"^https://[^/]+", description="GitLab's own address")] = "https://gitlab.com"
    secret: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{1,127}$", description="vault secret of a token with the scope api")]
    projects: Annotated[tuple[str, ...], Field(description="ids or paths of projects that own tokens")] = ()
    groups: Annotated[tuple[str, ...], Field(description="ids or paths of groups that own tokens")] = ()
    tokens: Annotated[dict[str, str], Field(description="user name to the name of its access token, where they differ")] = {}

    def site(self) -> "GitLabSite":
        """Return it as the client wants it."""
        from rotator.clients.gitlab import GitLabSite

        owners = (*(f"projects/{one}" for one in self.projects), *(f"groups/{one}" for one in self.groups))
        return GitLabSite(host=self.host, api=self.api, secret=self.secret, owners=owners, tokens=self.tokens)


class DockerHubAccount(Section):
    """How the tokens of one Docker ID or organisation are managed."""

    secret: Annotated[str, Field(description="vault secret with the password or token that manages the tokens")]
    identifier: Annotated[
        str, Field(description="who logs in with it: the Docker ID itself unless given; for an organisation, one of its owners")
    ] = ""
    organization: bool = False
    repositories: Annotated[
        tuple[str, ...],
        Field(description="what an organisation's token may pull, such as contoso/*; else what the last could"),
    ] = ()

    @model_validator(mode="after")
    def _somebody_logs_in(self) -> Self:
        if self.organization and not self.identifier:
            raise ValueError("an organisation cannot log in: name one of its owners as identifier")
        return self


class QuayInstallation(Section):
    """How the robot accounts of one Quay are managed."""

    secret: Annotated[str, Field(description="vault secret with an OAuth token of scope org:admin")]
    pairs: Annotated[
        dict[str, str], Field(description="robot to the one that it takes turns with; both may pull the same, for rotator alone")
    ] = {}

    @field_validator("pairs")
    @classmethod
    def _each_robot_once(cls, pairs: dict[str, str]) -> dict[str, str]:
        robots = [*pairs, *pairs.values()]
        if len(set(robots)) != len(robots):
            raise ValueError("a robot can be in one pair only")
        return pairs


class Registries(Section):
    """Registries of other parties: hosts whose kind cannot be seen from their name, and what manages their tokens."""

    docker_hub: Annotated[
        dict[str, DockerHubAccount], Field(description="by the user name that groups present, in lower case")
    ] = {}
    quay: Annotated[dict[str, QuayInstallation], Field(description="by host, such as quay.io")] = {}
    gitlab_hosts: tuple[str, ...] = ()
    quay_hosts: tuple[str, ...] = ()
    gitlab: tuple[GitLabSettings, ...] = ()


class NetworkSettings(Section):
    """Where connections really go."""

    resolve: Annotated[dict[str, str], Field(description="host or glob to address:port, as curl --resolve does")] = {}
    ca_file: Annotated[Path | None, Field(description="certificates to trust instead of the system's")] = None


class ClockSettings(Section):
    """Set only for the sandbox, whose time runs faster."""

    control_url: str | None = None


class Policies(Section):
    """Which rules the audit applies."""

    directories: Annotated[tuple[Path, ...], Field(description="folders of policy files, beside the built-in ones")] = ()
    built_in: bool = True
    waivers: Annotated[Path | None, Field(description="replaces the built-in waivers.yaml")] = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that policies are read from, the built-in one first."""
        from rotator.audit.policies import default_policy_directory

        return (*((default_policy_directory(),) if self.built_in else ()), *self.directories)

    @property
    def waivers_file(self) -> Path:
        """The file that waivers are read from."""
        from rotator.audit.policies import WAIVERS_FILE, default_policy_directory

        return self.waivers or default_policy_directory() / WAIVERS_FILE


def _kinds(**given: str) -> dict[PrincipalKind, timedelta]:
    return {PrincipalKind(kind.replace("_", "-")): parse_duration(text) for kind, text in given.items()}


class RotationSettings(Section):
    """When credentials are due and how carefully they are replaced. Unnamed kinds take `default_*`."""

    default_ttl: Annotated[Duration, Field(description="how long a new secret lives")] = timedelta(days=90)
    ttl: dict[PrincipalKind, Duration] = {}
    default_renew_before: Annotated[Duration, Field(description="how long before its end a credential is due")] = timedelta(
        days=30
    )
    renew_before: dict[PrincipalKind, Duration] = _kinds(ecr="6h")
    default_max_age: Annotated[Duration, Field(description="a credential older than this is due")] = timedelta(days=90)
    max_age: dict[PrincipalKind, Duration] = {}
    soak: Annotated[Duration, Field(description="how long the old secret lives on after the last cutover")] = timedelta(hours=24)
    drain: Annotated[DrainRule, Field(description="what the logs must say before an old secret is ended")] = (
        DrainRule.WHEN_NOT_IN_USE
    )
    drain_limit: Annotated[
        Duration, Field(description="how long after its soak an old secret that is still used is kept, before a person decides")
    ] = timedelta(days=7)
    drain_quiet: Annotated[
        Duration,
        Field(description="an old secret counts as used until this long after its last use"),
    ] = timedelta(days=7)
    drain_window: Annotated[
        Duration, Field(description="how near to a container group's pull a login must be to be taken for that pull's")
    ] = timedelta(minutes=5)
    canaries: Annotated[int, Field(ge=1, description="groups in the first wave")] = 1
    wave_growth: Annotated[int, Field(ge=1, le=10, description="each wave is this many times the one before")] = 3
    max_groups_per_run: Annotated[int, Field(ge=1, description="restarts that one run may cause")] = 200
    max_parallel: Annotated[int, Field(ge=1, le=32, description="rotations, and groups of one wave, at a time")] = 4
    verify_pulls: Annotated[int, Field(ge=1, le=20, description="pulls in a row that must succeed")] = 3
    health_timeout: Annotated[Duration, Field(description="how long a group may take to become healthy")] = timedelta(minutes=10)
    writer_timeout: Annotated[
        Duration,
        Field(description="how long another installation's unfinished rotation is left alone after its last sign of life"),
    ] = timedelta(minutes=10)
    secret_name: Annotated[
        str, Field(description="vault secret of a principal that has none yet; {kind}, {registry} and {name} are filled in")
    ] = "{kind}-{registry}-{name}"
    secret_names: Annotated[
        dict[str, str], Field(description="principal id to vault secret, where the template does not fit")
    ] = {}
    slots: Annotated[
        dict[str, str],
        Field(description="principal id to the slot that its groups use now, where both are filled and nothing tells"),
    ] = {}
    admin_users: Annotated[
        tuple[str, ...],
        Field(description="login servers whose groups are being moved off the admin user: only there are its passwords rotated"),
    ] = ()
    outage_windows: Annotated[
        dict[str, str],
        Field(
            description="principal id or glob to when its groups may be out, where a new secret ends the old at once: "
            "a cron expression in UTC and a duration, `0 2 * * 6 for 2h`"
        ),
    ] = {}
    restart_for_leases: Annotated[
        bool,
        Field(
            description="restart groups that read a lease through a vault reference. Azure does not document when a reference is "
            "read again; a pull happens at a start, which reads it"
        ),
    ] = False
    owned_groups: Annotated[
        OwnedGroups, Field(description="whether groups whose tags say that another tool deploys them are moved, or held for it")
    ] = OwnedGroups.ROTATE
    rotate_without_expiry: Annotated[bool, Field(description="treat a credential that never ends as due")] = True

    @field_validator("outage_windows")
    @classmethod
    def _are_windows(cls, windows: dict[str, str]) -> dict[str, str]:
        from rotator.rotation.outages import is_open

        for text in windows.values():
            is_open(text, datetime(2026, 1, 1, tzinfo=UTC))
        return windows


# Azure writes these segments in either case. No flag for that: other readers of the published schema do not know it.
_HOME = r"/subscriptions/[^/]+/[Rr]esource[Gg]roups/[^/]+/providers"
_IDENTITY_ID = rf"^{_HOME}/[Mm]icrosoft\.[Mm]anaged[Ii]dentity/[Uu]ser[Aa]ssigned[Ii]dentities/[^/]+$"
_VAULT_ID = rf"^({_HOME}/[Mm]icrosoft\.[Kk]ey[Vv]ault/[Vv]aults/[^/]+)?$"
IdentityId = Annotated[str, Field(pattern=_IDENTITY_ID)]


class MigrationSettings(Section):
    """With which identities groups leave their stored passwords (`rotator migrate`), and how patiently."""

    identity: Annotated[
        str, Field(pattern=f"{_IDENTITY_ID}|^$", description="resource id of the user-assigned identity that groups pull with")
    ] = ""
    identities: Annotated[
        dict[str, IdentityId], Field(description="login server or resource group to identity, where it is another one")
    ] = {}
    vault_id: Annotated[
        str, Field(pattern=_VAULT_ID, description="resource id of the vault; needed to move groups to vault references")
    ] = ""
    # Azure honours a new role after minutes, and promises no number.
    role_wait: Annotated[Duration, Field(description="how old a role must be before the first group relies on it")] = timedelta(
        minutes=5
    )
    role_limit: Annotated[
        Duration, Field(description="how long a group that Azure refuses for its image is tried again, since roles take minutes")
    ] = timedelta(minutes=15)
    admin_window: Annotated[
        Duration, Field(description="how long an admin user must not have been used before it may be switched off")
    ] = timedelta(days=30)

    @field_validator("identities")
    @classmethod
    def _without_case(cls, given: dict[str, str]) -> dict[str, str]:
        return {name.lower(): identity for name, identity in given.items()}


class Schedule(Section):
    """When `rotator serve` works: cron expressions in UTC, with a random delay so that fleets do not move in step."""

    audit: str = "7 * * * *"
    rotate: str = "23 2 * * *"
    # Amazon's passwords live for 12 hours and are due 6 before their end: one nightly run would let them run out every day.
    leases: Annotated[str, Field(description="renews ECR passwords, and nothing else")] = "41 */3 * * *"
    jitter: Duration = timedelta(minutes=5)

    @field_validator("audit", "rotate", "leases")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        from rotator.cron import cron_trigger

        try:
            cron_trigger(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no cron expression of five fields: {error}") from None
        return text


class State(Section):
    """What is remembered between runs. No rotation needs it: the vault is the truth. The evidence log is what auditors need."""

    directory: Path = Path(".rotator")
    journal_url: Annotated[str | None, Field(description="PostgreSQL, when several replicas share the work")] = None
    history_url: Annotated[
        str | None, Field(description="any SQLAlchemy URL; the journal's PostgreSQL where there is one, else a SQLite file")
    ] = None
    dead_after: Annotated[
        Duration,
        Field(ge=timedelta(seconds=3), description="how old a replica's heartbeat is when the others take its work over"),
    ] = timedelta(seconds=15)
    evidence_required: Annotated[bool, Field(description="begin no rotation while the evidence log cannot be written")] = False

    @property
    def folder(self) -> Path:
        """The directory as an absolute path. It may not exist yet."""
        return self.directory.expanduser().resolve()

    @property
    def journal_file(self) -> Path:
        """The journal, unless `journal_url` names another place."""
        return self.folder / "journal.sqlite"

    @property
    def history_file(self) -> Path:
        """The history, unless `history_url` names another place."""
        return self.folder / "history.sqlite"


class Service(Section):
    """Where `rotator serve` listens. There is no log-in of its own: keep it inside the network."""

    host: str = "0.0.0.0"  # noqa: S104 - a container's port is published on purpose
    port: Annotated[int, Field(ge=1, le=65535)] = 8080


class ContainerInstances(Section):
    """How container groups are read and put."""

    api_version: Annotated[
        str,
        # YAML reads an unquoted 2026-07-01 as a date.
        BeforeValidator(lambda given: given.isoformat() if isinstance(given, date) else given),
        Field(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$", description="an older one would drop newer properties on a redeploy"),
    ] = API_VERSION


class Ownership(Section):
    """By which tags a group is taken for one that another tool deploys: tag name to a glob of its value."""

    terraform_tags: dict[str, str] = {"managed-by": "terraform*", "managedby": "terraform*", "terraform": "*"}
    bicep_tags: Annotated[dict[str, str], Field(description="azd marks what it deploys with azd-env-name")] = {
        "managed-by": "bicep*",
        "azd-env-name": "*",
    }


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, title="rotator configuration"
    )

    cloud: Literal["public", "us-government", "china"] = "public"
    endpoints_override: EndpointOverrides = EndpointOverrides()
    tenant_id: Annotated[str, Field(pattern=GUID)]
    identity: Identity = Identity()
    scope: ScopeSettings
    vault: Vault
    usage_log: UsageLogSettings | None = None
    aws: Aws = Aws()
    registries: Registries = Registries()
    network: NetworkSettings = NetworkSettings()
    clock: ClockSettings = ClockSettings()
    policies: Policies = Policies()
    rotation: RotationSettings = RotationSettings()
    migration: MigrationSettings = MigrationSettings()
    schedule: Schedule = Schedule()
    state: State = State()
    service: Service = Service()
    container_instances: ContainerInstances = ContainerInstances()
    ownership: Ownership = Ownership()

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the chosen cloud, with the overrides applied."""
        chosen, override = CLOUDS[self.cloud], self.endpoints_override
        return Endpoints(
            resource_manager=override.resource_manager or chosen.resource_manager,
            authority=override.authority or chosen.authority,
            graph=override.graph or chosen.graph,
            logs=override.logs or chosen.logs,
            registry_suffixes=chosen.registry_suffixes,
        )

    @model_validator(mode="after")
    def _replicas_share_their_memory(self) -> Self:
        """The history names the installation; replicas with a history each would take each other for another installation's."""
        if self.state.journal_url and (self.state.history_url or "").startswith("sqlite"):
            raise ValueError("state: replicas share the history too: leave history_url out, or name a database that all reach")
        return self

    @model_validator(mode="after")
    def _named_slots_exist(self) -> Self:
        """A misspelt slot would be no word at all: the credential would be held, for a reason that seems to be dealt with."""
        for name, slot in self.rotation.slots.items():
            valid = self._slots_of(name)
            if slot not in valid:
                raise ValueError(f"rotation: slots: {name} has no slot {slot!r}; it has {' and '.join(valid)}")
        return self

    def _slots_of(self, name: str) -> tuple[str, ...]:
        """Return the slots of a principal, by its id; ValueError, saying why, when it has none."""
        try:
            principal = Principal.parse(name)
        except ValueError:
            raise ValueError(f"rotation: slots: {name!r} is no credential's id, such as acr-token:demo.azurecr.io/pull") from None
        if principal.kind is PrincipalKind.QUAY_PAIR:
            quay = self.registries.quay.get(principal.registry)
            other = quay.pairs.get(principal.name) if quay else None
            if other is None:
                raise ValueError(f"rotation: slots: {name}: registries.quay has no pair that is called after this robot")
            return principal.name, other
        if principal.kind not in NAMED_SLOTS:
            raise ValueError(f"rotation: slots: {name}: a credential of this kind has no slots; remove the line")
        return NAMED_SLOTS[principal.kind]

    @model_validator(mode="after")
    def _no_credential_is_due_at_once(self) -> Self:
        for kind in PrincipalKind:
            ttl = self.rotation.ttl.get(kind, self.rotation.default_ttl)
            before = self.rotation.renew_before.get(kind, self.rotation.default_renew_before)
            if kind is not PrincipalKind.ECR and before >= ttl:
                raise ValueError(f"rotation: {kind} credentials live {ttl} and would be due {before} before their end: at once")
        return self
