"""The use case behind `rotator explain`: asks what the inventory leaves open for one group, and has it judged."""

from collections.abc import Mapping
from dataclasses import dataclass

from rotator.explain.answer import Evidence, Explanation, Trial
from rotator.explain.judge import PUSH, explain
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import NotFound, Refusal, RotatorError, VerificationFailed
from rotator.model.estate import Estate, StoredSecret
from rotator.model.group import Absent, Binding, ContainerGroup, Inline, ManagedIdentity, VaultReference
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock, PullRights, PullTrial, SecretStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explains groups. It reads and pulls manifests; it changes nothing, and never needs what Azure keeps from readers."""

    clock: Clock
    vault: SecretStore
    access: PullRights
    pulls: PullTrial

    def explain(self, estate: Estate, group: ContainerGroup) -> Explanation:
        """Say for each image whether the group can pull it and why. Never raises an error of ours: what fails is unknown."""
        trials = {
            image: trial
            for binding in group.bindings
            for image in binding.images
            if (trial := self._trial(estate, binding, image)) is not None
        }
        named = {ArmId(one.source.identity) for one in group.bindings if isinstance(one.source, ManagedIdentity)}
        evidence = Evidence(
            trials=trials,
            there={
                image: there
                for binding in group.bindings
                for image in binding.images
                if image not in trials and (there := self._there(estate, image)) is not None
            },
            gone=frozenset(one for one in named if self._is_gone(one)),
            actions={
                binding.principal: self._actions(estate, binding.principal)
                for binding in group.bindings
                if binding.principal is not None and binding.principal.kind is PrincipalKind.ACR_TOKEN
            },
            roles={
                (ArmId(binding.source.identity), binding.registry): self._role(estate, group, binding)
                for binding in group.bindings
                if isinstance(binding.source, ManagedIdentity)
            },
        )
        return explain(estate, group, evidence, self.clock.now())

    def _trial(self, estate: Estate, binding: Binding, image: ImageReference) -> Trial | None:
        """Pull with the vault's value, or with none where the group has none; None when there is nothing to pull with."""
        if isinstance(binding.source, Absent):
            return self._pulled(image, "", None)
        stored = estate.secrets_of.get(binding.principal.id) if binding.principal else None
        if not isinstance(binding.source, Inline | VaultReference) or stored is None:
            return None
        return self._with(stored, image, binding.source.username.strip())

    def _with(self, stored: StoredSecret, image: ImageReference, username: str) -> Trial | None:
        if not stored.enabled:
            return None
        try:
            secret = self.vault.read(stored.name)
        except RotatorError as error:
            return Trial(answered=False, refusal=None, reason=error.message, remedy=error.advice)
        return self._pulled(image, username, secret)

    def _pulled(self, image: ImageReference, username: str, secret: Secret | None) -> Trial:
        try:
            self.pulls.probe(image, username, secret)
        except VerificationFailed as error:
            return Trial(answered=True, refusal=error.refusal, reason=error.message, remedy=error.advice)
        except NotFound as error:
            return Trial(answered=True, refusal=Refusal.NO_IMAGE, reason=error.message, remedy=PUSH)
        except RotatorError as error:
            return Trial(answered=False, refusal=None, reason=error.message, remedy=error.advice)
        return Trial(answered=True, refusal=None, reason="pulled")

    def _there(self, estate: Estate, image: ImageReference) -> bool | None:
        """Look for an image of an Azure registry with another credential of the vault; None when none of them may look there.

        Azure tells what a token may not see from what is not there: its grants are in the answer.
        """
        if image.server not in estate.registry_of:
            return None
        for principal in sorted(estate.records, key=lambda one: one.id):
            stored = estate.secrets_of.get(principal.id)
            if principal.kind is not PrincipalKind.ACR_TOKEN or principal.registry != image.server or not stored:
                continue
            trial = self._with(stored, image, principal.name)
            if trial is not None and (trial.pulled or trial.refusal is Refusal.NO_IMAGE):
                return trial.pulled
        return None

    def _is_gone(self, identity: ArmId) -> bool:
        try:
            return not self.access.identity_exists(identity)
        except RotatorError:
            return False

    def _actions(self, estate: Estate, principal: Principal) -> tuple[str, ...] | None:
        registry, record = estate.registry_of.get(principal.registry), estate.records.get(principal)
        if registry is None or record is None or not record.scope:
            return None
        try:
            return self.access.actions(registry, record.scope)
        except RotatorError:
            return None

    def _role(self, estate: Estate, group: ContainerGroup, binding: Binding) -> bool | None:
        registry = estate.registry_of.get(binding.registry)
        principal_id = _principal_id(group, binding)
        if registry is None or not principal_id:
            return None
        try:
            return self.access.may_pull(registry, principal_id)
        except RotatorError:
            return None


def _principal_id(group: ContainerGroup, binding: Binding) -> str:
    """Return the object id of the identity that a registry entry names, which Azure shows in the group."""
    identity = group.body.get("identity")
    named = identity.get("userAssignedIdentities") if isinstance(identity, Mapping) else None
    if not isinstance(named, Mapping) or not isinstance(binding.source, ManagedIdentity):
        return ""
    wanted = ArmId(binding.source.identity)
    found = next((value for key, value in named.items() if ArmId(str(key)) == wanted), None)
    return str(found.get("principalId", "")) if isinstance(found, Mapping) else ""
