"""Every fact that a policy may read: the one table that documents them and types them when a policy is compiled.

A fact that is not known is absent, which makes an expression that needs it an error and the verdict UNKNOWN. A fact that
does not apply has a plain value instead (an empty text, `false`, 0), so that policies can say `principal_kind == 'acr-admin'`
of a binding that has no principal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from rotator.model.policy import Subject

FactValue = bool | int | float | str | list[str] | dict[str, str]


class FactType(Enum):
    """CEL's types, as far as facts have them. CEL compares no whole number with a NUMBER: write `14.0`, not `14`."""

    BOOL = "bool"
    COUNT = "int"
    NUMBER = "double"
    TEXT = "string"
    TEXTS = "list(string)"
    TAGS = "map(string, string)"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact's name, type and meaning."""

    name: str
    type: FactType
    meaning: str


_B, _C, _N, _T, _TS, _M = FactType.BOOL, FactType.COUNT, FactType.NUMBER, FactType.TEXT, FactType.TEXTS, FactType.TAGS

_GROUP = (
    Fact("subscription", _T, "the subscription's id, in lower case"),
    Fact("resource_group", _T, "the container group's resource group, in lower case"),
    Fact("group_name", _T, "the container group's name"),
    Fact("location", _T, "the Azure region"),
    Fact("tags", _M, "the container group's tags"),
    Fact("state", _T, "running, stopped, finished, failed or transitioning; absent when only the list was read"),
    Fact("restart_policy", _T, "Always, OnFailure or Never"),
    Fact("os_type", _T, "Linux or Windows"),
    Fact("private_network", _B, "the group has no public address or sits in a virtual network"),
    Fact("system_assigned", _B, "the group has a system-assigned identity"),
    Fact("identity_count", _C, "how many user-assigned identities are attached"),
)

FACTS: Mapping[Subject, tuple[Fact, ...]] = {
    Subject.GROUP: (
        *_GROUP,
        Fact(
            "suspects_in_environment",
            _TS,
            "paths of environment variables, configuration and probe headers that look like secrets",
        ),
        Fact("suspects_in_commands", _TS, "paths of command arguments that look like secrets"),
        Fact("suspects_in_git_urls", _TS, "paths of git volumes whose URL carries a secret"),
        Fact("write_only_fields", _TS, "paths of all values that Azure keeps and never returns"),
        Fact("undelegated_subnets", _TS, "its subnets that are not delegated to container groups; absent when one was not read"),
        Fact("unsourced_fields", _TS, "those of them that a redeploy would lose, because no place holds the value"),
    ),
    Subject.BINDING: (
        *_GROUP,
        Fact("registry", _T, "the registry's host"),
        Fact("registry_is_azure", _B, "the host is an Azure container registry"),
        Fact("registry_anonymous_pull", _B, "the Azure registry lets anybody pull; absent when it was not read"),
        Fact("registry_admin_enabled", _B, "the Azure registry's admin user is switched on; absent when it was not read"),
        Fact("registry_public_access", _B, "the Azure registry answers on the public network; absent when it was not read"),
        Fact("registry_abac", _B, "the Azure registry grants by repository (ABAC); absent when it was not read"),
        Fact("registry_closed", _B, "the Azure registry refuses the public network, wholly or but for listed addresses"),
        Fact("registry_private_endpoint", _B, "the Azure registry has an approved private endpoint; absent when not read"),
        Fact("registry_host_private", _B, "the host is a private address, or has a name that only a private network knows"),
        Fact("in_subnet", _B, "the group is put into a subnet"),
        Fact("private_dns_linked", _B, "the group's network finds a private address for the registry; absent when not read"),
        Fact("source", _T, "inline, vault-reference, managed-identity or absent (an image's registry without an entry)"),
        Fact("username", _T, "the user name presented; empty without one"),
        Fact("image_count", _C, "how many of the group's images come from the registry"),
        Fact("identity_attached", _B, "the identity that the entry names is attached to the group; true when it names none"),
        Fact("principal", _T, "whom the entry authenticates as, for example acr-token:demo.azurecr.io/pull; empty when nobody"),
        Fact(
            "principal_kind",
            _T,
            "acr-token, acr-admin, acr-refresh-token, entra-app, ecr, docker-hub, docker-hub-org, ghcr, gitlab, "
            "gitlab-deploy-token, quay, quay-pair, other",
        ),
        Fact("principal_exists", _B, "its service knows the principal; absent when that could not be looked up"),
        Fact(
            "principal_enabled", _B, "its service lets the principal in; absent when there is no such switch or it was not read"
        ),
        Fact("principal_credentials", _C, "how many secrets its service lists for the principal; absent when not read"),
        Fact("in_vault", _B, "the vault holds the principal's credential, enabled; true for a vault reference"),
        Fact("lease_run_out", _B, "the stored ECR password has ended; false for other kinds; absent when it cannot be told"),
        Fact("lease_ends_at", _T, "when it ends, as RFC 3339; empty for other kinds; absent when it cannot be told"),
    ),
    Subject.REGISTRY: (
        Fact("subscription", _T, "the subscription's id, in lower case"),
        Fact("resource_group", _T, "the registry's resource group, in lower case"),
        Fact("registry", _T, "the login server, in lower case"),
        Fact("registry_name", _T, "the resource's name"),
        Fact("location", _T, "the Azure region"),
        Fact("sku", _T, "Basic, Standard or Premium"),
        Fact("tags", _M, "the registry's tags"),
        Fact("admin_enabled", _B, "the admin user is switched on"),
        Fact("anonymous_pull", _B, "anybody may pull"),
        Fact("abac", _B, "rights are granted by repository (ABAC)"),
        Fact("public_access", _B, "it answers on the public network"),
        Fact("network_rules_deny", _B, "its network rules refuse every address that they do not list"),
        Fact("closed", _B, "it refuses the public network, wholly or but for listed addresses"),
        Fact("trusted_services", _B, "its network rules let Azure's own services past"),
        Fact("private_endpoints", _C, "how many approved private endpoints it has"),
        Fact("endpoints_in_group_subnets", _TS, "those of them in a subnet that is delegated to container groups"),
        Fact("consumers", _C, "how many container groups pull from it; absent when 0 and not every group was read"),
    ),
    Subject.CREDENTIAL: (
        Fact("principal", _T, "the principal's id"),
        Fact("principal_kind", _T, "as for bindings"),
        Fact("registry", _T, "the registry's host, or entra"),
        Fact("consumers", _C, "how many container groups use the principal; absent when 0 and not every group was read"),
        Fact("slot", _T, "the slot, for kinds that have slots (password1); otherwise empty"),
        Fact("is_first", _B, "this is the first of the principal's credentials: for rules that judge the principal once"),
        Fact("is_lease", _B, "the service alone decides how long it lives (ECR, Azure refresh tokens)"),
        Fact("has_expiry", _B, "it ends by itself some day"),
        Fact("expires_at", _T, "when, as RFC 3339; absent without an expiry"),
        Fact("expires_in_days", _N, "days until then, negative afterwards"),
        Fact("expiring_within_days", _N, "the operator's limit: how long before its end it is due"),
        Fact("expired", _B, "it has ended by itself"),
        Fact("all_expired", _B, "so have all credentials of the principal"),
        Fact("issued_at", _T, "when it was made, as RFC 3339"),
        Fact("age_days", _N, "days since then"),
        Fact("max_age_days", _N, "the operator's limit; absent when the kind has none"),
        Fact("has_max_age", _B, "the operator set a limit for the kind"),
        Fact("in_vault", _B, "the vault holds a credential of the principal, enabled"),
        Fact(
            "current",
            _B,
            "the groups use this one, by the vault's tags or because there is only one; absent when it cannot be told",
        ),
        Fact("superseded", _B, "the vault says that the groups use another one"),
        Fact("live_credentials", _C, "how many of the principal's credentials have not expired"),
        Fact("current_known", _B, "it can be told which of the principal's credentials the groups use"),
    ),
}


def names_of(subject: Subject) -> frozenset[str]:
    """Return the names of the facts of a subject."""
    return frozenset(fact.name for fact in FACTS[subject])
