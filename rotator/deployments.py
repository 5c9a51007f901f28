"""The use cases of a group's file: deploy it, write it, and bring a group under management. Called by the command line."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from rotator.azure.groupbody import read_group
from rotator.deployment.difference import Difference, difference_of
from rotator.deployment.references import Holder, Reference
from rotator.deployment.slots import without_values
from rotator.deployment.template import KIND, Template, read_template
from rotator.deployment.text import exported
from rotator.inventory.classify import KnownHosts, classify
from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal
from rotator.model.errors import ConfigError, CutoverFailed, Held, NotFound, Throttled, Unavailable, VerificationFailed
from rotator.model.estate import STAGED_SUFFIX, TAG_FIELD, TAG_GROUP, TAG_PRINCIPAL, TAG_ROTATION, Estate, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, Binding, ContainerGroup, GroupState, Inline, VaultReference, WriteOnlyField
from rotator.model.secret import Secret
from rotator.rotation.consumers import Target
from rotator.rotation.context import Context, looking
from rotator.rotation.naming import field_name_of, name_of, stranger_in
from rotator.rotation.verify import pull_all

_HEALTH_PAUSE = timedelta(seconds=10)
_CLOCKS_APART = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What putting a file would do, before anything is done. `document` has the tags that it will be put with, and no secret.

    `current` is None for a group that does not exist. `owner` is the tool that somebody else deploys it with, as a sentence.
    """

    template: Template
    group: ArmId
    document: Mapping[str, Any]
    current: ContainerGroup | None
    difference: Difference
    stored: Mapping[str, StoredSecret]
    owner: str = ""

    @property
    def starts(self) -> bool:
        """Whether it starts a group that does not run now: one that was stopped, or whose job is done."""
        return self.current is not None and self.current.state in {GroupState.STOPPED, GroupState.FINISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A hidden value of a group. `source` is the place that holds it, or None; `secret_name` is where an adoption puts it.

    `principal` is there for a registry's password.
    """

    field: WriteOnlyField
    source: str | None
    secret_name: str
    principal: Principal | None = None
    binding: Binding | None = None


class Deployments:
    """Built by `rotator.application`. `estate` reads the clouds anew; `owner` names the tool that a group belongs to."""

    def __init__(
        self,
        context: Context,
        *,
        estate: Callable[[], Estate],
        hosts: KnownHosts,
        kept: Callable[[str], AbstractContextManager[None]],
        owner: Callable[[ContainerGroup], str] = lambda _group: "",
        api_version: str,
    ) -> None:
        self._context = context
        self._estate = estate
        self._hosts = hosts
        self._kept = kept
        self.owner = owner
        self._api_version = api_version

    def group(self, which: str, estate: Estate) -> ContainerGroup:
        """Return the group with this name or resource id, read anew. Raises ConfigError for none, and for several."""
        found = [one for one in estate.groups if one.name.lower() == which.lower() or one.id == ArmId(which)]
        if len(found) > 1:
            some = ", ".join(one.id.text for one in found[:3])
            raise ConfigError(f"{len(found)} groups are called {which}: {some}", advice="Name one by its resource id.")
        if not found:
            unread = "; it may be among what could not be read" if estate.unread else ""
            raise ConfigError(f"no group in scope is called {which}{unread}", advice="rotator plan --json names groups.")
        read = self._context.platform.read(found[0].id)
        return replace(read, bindings=self._classified(read, estate))

    def read(self) -> Estate:
        """Read the clouds anew."""
        return self._estate()

    # --- deploy ---------------------------------------------------------------------------------------------------

    def prepare(self, text: str, file: str, *, resource_group: str = "", subscription: str = "") -> Deployment:
        """Check a file and say what putting it would do. Raises ConfigError with file and line; changes nothing."""
        template = read_template(text, file, self._api_version)
        estate = self._estate()
        where = _where(template, estate, resource_group, subscription)
        try:
            current = self._context.platform.read(where)
        except NotFound:
            current = None
        stored = {one.name: self._looked_up(template, one) for one in template.references if one.holder is Holder.VAULT}
        document = {**template.document, "tags": self._tags(template, stored)}
        if not document["tags"]:
            del document["tags"]
        return Deployment(
            template=template,
            group=where,
            document=document,
            current=current,
            difference=difference_of(template, document, current.body if current else None),
            stored=stored,
            owner=self.owner(current) if current else "",
        )

    def deploy(self, deployment: Deployment) -> str:
        """Put the group and wait until it is healthy; returns how it is.

        Raises, before anything is changed, Held for what Azure changes only by delete and create, for values that would be lost,
        and for a group that somebody changed since it was looked at; VerificationFailed for a password that cannot pull.
        CutoverFailed when the group does not become healthy.
        """
        context, group = self._context, deployment.group
        _refuse(deployment)
        with self._kept(f"a person deploys {group.name}"), context.claims.claim(group):
            self._check_unchanged(deployment)
            values = self._values(deployment)
            self._pull(deployment, values)
            since = context.clock.now() - _CLOCKS_APART
            filled = {one.at: Secret(one.encoded(values[str(one)].reveal())) for one in deployment.template.references}
            context.platform.deploy(group, dict(deployment.document), values=filled)
            return self._healthy(deployment, since)

    def _looked_up(self, template: Template, reference: Reference) -> StoredSecret:
        """Return the version that a reference stands for; ConfigError where the vault has none that may be used."""
        vault, name, why = self._context.vault, reference.name, ""
        stored = vault.look(name)
        if name.endswith(STAGED_SUFFIX):
            why = "is staged: it is not verified, and its consumers read the one without the suffix"
        elif stored is None:
            why = f"does not exist in {vault.address}"
        elif not stored.enabled:
            why = f"is disabled in {vault.address}"
        elif stored.expires_at is not None and stored.expires_at <= self._context.clock.now():
            why = f"expired on {stored.expires_at:%Y-%m-%d}"
        if why or stored is None:
            raise template.error(f"vault secret {name} {why}", reference.at, "Correct the name, or put the value into the vault.")
        return stored

    def _tags(self, template: Template, stored: Mapping[str, StoredSecret]) -> dict[str, str]:
        """Return the file's tags, and for each registry the mark of the rotation whose secret the group will store.

        Like a cutover: without it the next rotation would take the group for one that stores an older secret.
        """
        tags = {name: value for name, value in template.document["tags"].items() if not name.startswith(GROUP_TAG_PREFIX)}
        by_field = {one.slot.field.path: one for one in template.references}
        for binding in _bindings(template.document):
            mark = ""
            if isinstance(binding.source, Inline):
                reference = by_field.get(f"imageRegistryCredentials/{binding.registry}/password")
                mark = _mark(stored.get(reference.name)) if reference else ""
            elif isinstance(binding.source, VaultReference):
                mark = _mark(self._referred(binding.source))
            if mark:
                tags[GROUP_TAG_PREFIX + binding.registry] = mark
        return tags

    def _referred(self, source: VaultReference) -> StoredSecret | None:
        name = source.secret_url.split("/secrets/", 1)[-1].strip("/")
        target = Target(principal=_NOBODY, mark="", secret_name=name, vault=self._context.vault.address)
        return self._context.vault.look(name) if target.is_read_by(source) else None

    def _check_unchanged(self, deployment: Deployment) -> None:
        try:
            now: ContainerGroup | None = self._context.platform.read(deployment.group)
        except NotFound:
            now = None
        again = difference_of(deployment.template, deployment.document, now.body if now else None)
        if again != deployment.difference or (now is None) is not (deployment.current is None):
            raise Held(f"group {deployment.group.name} was changed since it was looked at; nothing was put", advice="Run again.")

    def _values(self, deployment: Deployment) -> dict[str, Secret]:
        """Read what the references stand for: the very versions that the preview was made from."""
        context, found = self._context, dict[str, Secret]()
        shown = {**without_values(deployment.document), "id": deployment.group.text}
        group = read_group(shown, context.clock.now())
        for one in deployment.template.references:
            if one.holder is Holder.VAULT:
                found[str(one)] = context.vault.read(one.name, deployment.stored[one.name].version)
            else:
                found[str(one)] = context.values.fetch(group, one.slot.field)
        return found

    def _pull(self, deployment: Deployment, values: Mapping[str, Secret]) -> None:
        by_field = {one.slot.field.path: one for one in deployment.template.references}
        for binding in _bindings(deployment.document):
            reference = by_field.get(f"imageRegistryCredentials/{binding.registry}/password")
            if isinstance(binding.source, Inline) and reference:
                self.try_password(binding, values[str(reference)], f"{reference}")

    def try_password(self, binding: Binding, password: Secret, what: str) -> None:
        """Pull every image of a registry entry for real. Raises VerificationFailed, saying that `what` cannot."""
        if not isinstance(binding.source, Inline):
            return
        # Pulling is the same for every kind of credential, so any driver can try any password.
        driver = next(iter(self._context.drivers.values()))
        credential = Credential(handle=Handle(principal=binding.principal or _NOBODY, id=""), username=binding.source.username)
        try:
            missing = pull_all(driver, credential, password, binding.images)
        except VerificationFailed as error:
            raise VerificationFailed(f"{what}: {error.message}", advice="Nothing was changed. Correct the secret.") from None
        if missing:
            raise VerificationFailed(f"{min(missing)} does not exist in its registry", advice="Nothing was changed.")

    def _healthy(self, deployment: Deployment, since: Any) -> str:  # noqa: ANN401 - an instant
        context = self._context
        deadline = context.clock.now() + context.rules.health_timeout
        while True:
            try:
                health = context.platform.health(deployment.group, since)
                detail, settled = health.detail, health.settled
                if health.healthy:
                    return detail or "healthy"
            except (Throttled, Unavailable) as error:
                detail, settled = error.message, False
            if settled or context.clock.now() >= deadline:
                raise CutoverFailed(
                    f"{deployment.group.name} was deployed and is not healthy: {detail}",
                    advice="Look at the group's events; deploy a file that works. Nothing is put back: the old file is yours.",
                )
            context.clock.sleep(_HEALTH_PAUSE)

    # --- export and adopt -----------------------------------------------------------------------------------------

    def export(self, group: ContainerGroup) -> str:
        """Return the file that would deploy the group again, with references for its hidden values."""
        sources = {field.path: self._context.values.locate(group, field) for field in group.write_only}
        owner = self.owner(group)
        return exported(group, sources, self._api_version, (owner,) if owner else ())

    def gaps(self, group: ContainerGroup) -> tuple[Gap, ...]:
        """Return every hidden value of a group, and the place that holds it if there is one."""
        by_field = {
            f"imageRegistryCredentials/{one.registry}/password": one for one in group.bindings if isinstance(one.source, Inline)
        }
        found = []
        for field in group.write_only:
            binding = by_field.get(field.path)
            # Only what a driver can rotate is a principal's: for the others the field's own name finds it again.
            principal = binding.principal if binding and binding.principal else None
            if principal is not None and principal.kind not in self._context.drivers:
                principal = None
            name = name_of(principal, self._context.rules) if principal else field_name_of(group.name, group.id.key, field.path)
            source = self._context.values.locate(group, field)
            found.append(Gap(field=field, source=source, secret_name=name, principal=principal, binding=binding))
        return tuple(found)

    def adopt(self, group: ContainerGroup, gap: Gap, value: Secret) -> str:
        """Put a group's hidden value into the vault, under the tags by which every later redeploy finds it; returns its name.

        A registry's password is tried first. Raises VerificationFailed, and Held where the name is taken.
        """
        vault = self._context.vault
        if gap.binding is not None:
            self.try_password(gap.binding, value, gap.field.path)
        known = vault.look(gap.secret_name)
        tags = {TAG_GROUP: group.id.key, TAG_FIELD: gap.field.path}
        if gap.principal is not None:
            tags = {TAG_PRINCIPAL: gap.principal.id}
            listed = {one.name.lower(): one for one in vault.inventory()}
            stranger = stranger_in(gap.principal, gap.secret_name, listed, self._context.rules)
        else:
            owner = {name: known.tags.get(name) for name in tags} if known else tags
            stranger = known.name if known and owner != tags else ""
        if stranger:
            raise Held(
                f"the vault has a secret {stranger} that is somebody else's",
                advice="Give that one its tags, or choose another name with rotation.secret_names.",
            )
        with self._kept(f"a person adopts {gap.field.path} of {group.name}"):
            looking(self._context, lambda: vault.write(gap.secret_name, value, tags=tags, expires_at=None))
        self._context.values.refresh()
        return gap.secret_name

    def _classified(self, group: ContainerGroup, estate: Estate) -> tuple[Binding, ...]:
        return tuple(replace(one, principal=classify(one, estate.registry_of, self._hosts)) for one in group.bindings)


_NOBODY = Principal.parse("other:nowhere/nobody")


def _bindings(document: Mapping[str, Any]) -> Sequence[Binding]:
    from datetime import UTC, datetime

    return read_group(without_values(document), datetime.min.replace(tzinfo=UTC)).bindings


def _mark(stored: StoredSecret | None) -> str:
    if stored is None or TAG_PRINCIPAL not in stored.tags:
        return ""
    # A secret that rotator did not make has no mark: a group that stores it is known by having none.
    return stored.tags.get(TAG_ROTATION, "")


def _where(template: Template, estate: Estate, resource_group: str, subscription: str) -> ArmId:
    known = [
        one.id
        for one in estate.groups
        if one.name == template.name
        and resource_group.lower() in ("", one.id.resource_group.lower())
        and subscription.lower() in ("", one.id.subscription)
    ]
    if len(known) == 1:
        return known[0]
    if known:
        raise ConfigError(
            f"{len(known)} groups are called {template.name}", advice="Say which: --resource-group, --subscription."
        )
    if not resource_group:
        raise ConfigError(f"no group in scope is called {template.name}", advice="To create it, give --resource-group.")
    if subscription and subscription.lower() not in {one.lower() for one in estate.subscriptions}:
        raise ConfigError("this subscription is not in scope.subscriptions", advice="Add it, or name another.")
    homes = {one.id.subscription for one in estate.groups if one.id.resource_group.lower() == resource_group.lower()}
    possible = [subscription] if subscription else sorted(homes) or list(estate.subscriptions)
    if len(possible) > 1:
        raise ConfigError("several subscriptions are in scope", advice="Say which: --subscription.")
    [chosen] = possible
    return ArmId(f"/subscriptions/{chosen}/resourceGroups/{resource_group}/providers/{KIND}/{template.name}")


def _refuse(deployment: Deployment) -> None:
    name, what = deployment.group.name, deployment.difference
    if what.recreate:
        raise Held(
            f"Azure changes this of {name} only by delete and create: {', '.join(what.recreate)}",
            advice=f"az container delete --ids {deployment.group.text}, then deploy again; the group gets another address.",
        )
    if what.lost:
        raise Held(
            f"the file leaves out hidden values that {name} has, and they would be lost: {', '.join(what.lost)}",
            missing=what.lost,
            advice="Add them (rotator export shows them), or delete the group first if they are not needed.",
        )
