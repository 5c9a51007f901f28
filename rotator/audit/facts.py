"""From an estate to the facts that policies read. Pure.

Reading is over before judging begins: everything here is arithmetic on what `gather` brought. A fact that nobody could read
is left out and never guessed; `facttable.FACTS` says what each fact means.
"""

from collections.abc import Iterator
from datetime import datetime

from rotator.audit.bindingfacts import binding_cases
from rotator.audit.cases import Case, Facts, Sight
from rotator.audit.credentialfacts import credential_cases
from rotator.audit.groupfacts import group_facts
from rotator.audit.limits import Limits
from rotator.audit.networkfacts import registry_network_facts
from rotator.model.arm import ArmId
from rotator.model.estate import Estate, Registry, Unread
from rotator.model.image import normal_server
from rotator.model.policy import Subject


def cases(estate: Estate, now: datetime, limits: Limits) -> Iterator[Case]:
    """Yield everything that policies judge, group by group, then registries, then credentials.

    What was not read is among it: a subscription whose groups could not be listed is one case without facts, so that every
    policy on groups answers UNKNOWN for it rather than nothing at all.
    """
    sight = Sight(estate)
    for unread in sight.all_of("container-groups"):
        for subject in (Subject.GROUP, Subject.BINDING):
            yield _unseen(subject, unread)
    for group in estate.groups:
        facts = group_facts(estate, sight, group)
        yield Case(
            subject=Subject.GROUP,
            resource=group.id.text,
            part="",
            subscription=group.id.subscription,
            facts=facts.known,
            missing=facts.missing,
        )
        yield from binding_cases(estate, sight, group, facts, now, limits)
    for unread in sight.all_of("registries"):
        yield _unseen(Subject.REGISTRY, unread)
    consumers = _pulls(estate)
    for registry in estate.registries:
        yield _registry_case(estate, registry, consumers.get(registry.login_server.lower(), 0), sight)
    yield from credential_cases(estate, sight, now, limits)


def _unseen(subject: Subject, unread: Unread) -> Case:
    scope = unread.scope
    resource = scope if "/" in scope else f"/subscriptions/{scope}"
    return Case(
        subject=subject,
        resource=resource,
        part=unread.what,
        subscription=ArmId(resource).subscription,
        facts={},
        otherwise=unread.reason,
    )


def _pulls(estate: Estate) -> dict[str, int]:
    counted: dict[str, int] = {}
    for group in estate.groups:
        for server in {normal_server(binding.registry) for binding in group.bindings}:
            counted[server] = counted.get(server, 0) + 1
    return counted


def _registry_case(estate: Estate, registry: Registry, consumers: int, sight: Sight) -> Case:
    facts = Facts()
    facts.put("subscription", registry.id.subscription)
    facts.put("resource_group", registry.id.resource_group.lower())
    facts.put("registry", registry.login_server.lower())
    facts.put("registry_name", registry.name)
    facts.put("location", registry.location)
    facts.put("sku", registry.sku)
    facts.put("tags", dict(registry.tags))
    facts.put("admin_enabled", registry.admin_enabled)
    facts.put("anonymous_pull", registry.anonymous_pull)
    facts.put("abac", registry.abac)
    facts.put("public_access", registry.public_access)
    registry_network_facts(facts, estate, registry)
    hidden = sight.any_reason("container-groups")
    facts.put("consumers", consumers if consumers or not hidden else None, hidden)
    return Case(
        subject=Subject.REGISTRY,
        resource=registry.id.text,
        part="",
        subscription=registry.id.subscription,
        facts=facts.known,
        missing=facts.missing,
    )
