"""Role definitions and the question whether one of them grants an action."""

import re
from dataclasses import dataclass
from functools import lru_cache

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
ACR_REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
# The two vault roles are quoted from memory; the sandbox needs only that they differ.
KEY_VAULT_SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
LOG_ANALYTICS_READER = "73c42c96-874c-492b-b04d-ab87d138a893"

PULL = "Microsoft.ContainerRegistry/registries/pull/read"
REPOSITORY_READ = "Microsoft.ContainerRegistry/registries/repositories/content/read"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDefinition:
    """A role: what it lets its holder do, as globs over control-plane actions and data-plane actions."""

    id: str
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    custom: bool = False

    def grants(self, action: str) -> bool:
        """Say whether it grants a control-plane action."""
        return matches(self.actions, action) and not matches(self.not_actions, action)

    def grants_data(self, action: str) -> bool:
        """Say whether it grants a data-plane action; no control-plane glob ever does."""
        return matches(self.data_actions, action)


@lru_cache(maxsize=4096)
def matches(globs: tuple[str, ...], action: str) -> bool:
    """Say whether one of Azure's action globs covers `action`; `*` spans slashes, case does not count."""
    return any(_expression(glob).fullmatch(action.lower()) for glob in globs)


@lru_cache(maxsize=1024)
def _expression(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in glob.lower().split("*")))


BUILT_IN = (
    RoleDefinition(id=OWNER, name="Owner", actions=("*",)),
    RoleDefinition(
        id=CONTRIBUTOR,
        name="Contributor",
        actions=("*",),
        not_actions=("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
    ),
    RoleDefinition(id=READER, name="Reader", actions=("*/read",), not_actions=(PULL,)),
    RoleDefinition(id=ACR_PULL, name="AcrPull", actions=(PULL,)),
    RoleDefinition(
        id=ACR_REPOSITORY_READER,
        name="Container Registry Repository Reader",
        data_actions=(
            REPOSITORY_READ,
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
        ),
    ),
    RoleDefinition(
        id=KEY_VAULT_SECRETS_OFFICER,
        name="Key Vault Secrets Officer",
        actions=("Microsoft.KeyVault/vaults/*/read",),
        data_actions=("Microsoft.KeyVault/vaults/secrets/*",),
    ),
    RoleDefinition(
        id=KEY_VAULT_SECRETS_USER,
        name="Key Vault Secrets User",
        data_actions=(
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    RoleDefinition(
        id=LOG_ANALYTICS_READER,
        name="Log Analytics Reader",
        actions=("*/read", "Microsoft.OperationalInsights/workspaces/analytics/query/action"),
        not_actions=("Microsoft.OperationalInsights/workspaces/sharedKeys/read", PULL),
    ),
)
