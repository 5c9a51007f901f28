"""What may stand in the configuration, section by section, with every default.

Reading it is `rotator.config`'s business. A field's description is what the published JSON Schema says of it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rotator.model.credential import NAMED_SLOTS, Principal, PrincipalKind
from rotator.settings.azure import (
    CLOUDS,
    ContainerInstances,
    EndpointOverrides,
    Endpoints,
    Identity,
    Ownership,
    ScopeSettings,
    UsageLogSettings,
    Vault,
)
from rotator.settings.registries import Aws, Registries
from rotator.settings.rotation import MigrationSettings, RotationSettings
from rotator.settings.running import ClockSettings, NetworkSettings, Policies, Schedule, Service, State
from rotator.settings.section import GUID

ENVIRONMENT_PREFIX = "ROTATOR_"


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
