"""The use cases of a group's file: deploy it, write it, and bring a group under management. Called by the command line."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from rotator.deployment import adoption, putting
from rotator.deployment.adoption import Gap
from rotator.deployment.deployment import Deployment
from rotator.deployment.difference import difference_of
from rotator.deployment.home import home_of
from rotator.deployment.origin import looked_up, sources_of, tags_of
from rotator.deployment.references import Holder
from rotator.deployment.template import read_template
from rotator.deployment.text import exported
from rotator.inventory.classify import KnownHosts, classify
from rotator.model.arm import ArmId
from rotator.model.errors import ConfigError, NotFound
from rotator.model.estate import Estate
from rotator.model.group import ContainerGroup
from rotator.model.secret import Secret
from rotator.rotation.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """Built by `rotator.application`. `read` reads the clouds anew; `owner` names the tool that a group belongs to.

    `kept` keeps evidence of what is done inside of it.
    """

    context: Context
    read: Callable[[], Estate]
    hosts: KnownHosts
    kept: Callable[[str], AbstractContextManager[None]]
    owner: Callable[[ContainerGroup], str]
    api_version: str

    def group(self, which: str, estate: Estate) -> ContainerGroup:
        """Return the group with this name or resource id, read anew. Raises ConfigError for none, and for several."""
        found = [one for one in estate.groups if one.name.lower() == which.lower() or one.id == ArmId(which)]
        if len(found) > 1:
            some = ", ".join(one.id.text for one in found[:3])
            raise ConfigError(f"{len(found)} groups are called {which}: {some}", advice="Name one by its resource id.")
        if not found:
            unread = "; it may be among what could not be read" if estate.unread else ""
            raise ConfigError(f"no group in scope is called {which}{unread}", advice="rotator plan --json names groups.")
        read = self.context.platform.read(found[0].id)
        principals = (replace(one, principal=classify(one, estate.registry_of, self.hosts)) for one in read.bindings)
        return replace(read, bindings=tuple(principals))

    def prepare(self, text: str, file: str, *, resource_group: str = "", subscription: str = "") -> Deployment:
        """Check a file and say what putting it would do. Raises ConfigError with file and line; changes nothing."""
        template = read_template(text, file, self.api_version)
        context = self.context
        where = home_of(template, self.read(), resource_group, subscription)
        current = self._current(where)
        stored = looked_up(context.vault, template, context.clock.now())
        tags = tags_of(template, stored, context.vault, current)
        document = {key: value for key, value in template.document.items() if key != "tags"} | ({"tags": tags} if tags else {})
        made = Deployment(
            template=template,
            group=where,
            document=document,
            current=current,
            difference=difference_of(template, document, current.body if current else None),
            stored=stored,
            sources=sources_of(template, stored),
            owner=self.owner(current) if current else "",
        )
        self._check_keys(made)
        return putting.standing(context, made)

    def deploy(self, deployment: Deployment) -> None:
        """Put the group and return when it is healthy. Raises as `rotator.deployment.putting` says."""
        putting.refuse(self.context, deployment)
        # Where nothing is put, there is nothing to keep evidence of.
        with self.kept(f"a person deploys {deployment.group.name}") if deployment.since is None else nullcontext():
            putting.put(self.context, deployment)

    def export(self, group: ContainerGroup) -> str:
        """Return the file that would deploy the group again, with references for its hidden values."""
        sources = {field.path: self.context.values.locate(group, field) for field in group.write_only}
        owner = self.owner(group)
        return exported(group, sources, self.api_version, (owner,) if owner else ())

    def gaps(self, group: ContainerGroup) -> tuple[Gap, ...]:
        """Return every hidden value of a group, and the place that holds it if there is one."""
        return adoption.gaps_of(self.context, group)

    def adopt(self, group: ContainerGroup, gap: Gap, value: Secret) -> str:
        """Put a group's hidden value into the vault; returns its name there. Raises as `rotator.deployment.adoption` says."""
        tags = adoption.examined(self.context, group, gap, value)
        with self.kept(f"a person adopts {gap.field.path} of {group.name}"):
            adoption.store(self.context, gap, value, tags)
        return gap.secret_name

    def _current(self, where: ArmId) -> ContainerGroup | None:
        try:
            return self.context.platform.read(where)
        except NotFound as error:
            if error.reason == "ResourceGroupNotFound":
                raise ConfigError(
                    f"there is no resource group {where.resource_group} in subscription {where.subscription}",
                    advice="Correct --resource-group, or make it: az group create.",
                ) from None
            return None

    def _check_keys(self, made: Deployment) -> None:
        """Raise ConfigError for a reference to a key that nothing tells, before anybody says yes."""
        group = made.group_at(self.context.clock.now())
        for one in made.template.references:
            if one.holder is Holder.VAULT:
                continue
            held = self.context.values.locate(group, one.slot.field)
            if held != str(one):
                why = f"this value is held by {held}" if held else f"{one.name} is not found, or its keys may not be listed"
                advice = f"Write ${{{held}}}." if held else "Correct the name, or put the value into the vault."
                raise made.template.error(f"{one}: {why}", one.at, advice)
