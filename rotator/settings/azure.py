"""Azure: which cloud, as whom, which container groups, and where their credentials and logs are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, HttpUrl

from rotator.azure.groupversion import API_VERSION
from rotator.configtext import Duration
from rotator.settings.section import GUID, Section


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
