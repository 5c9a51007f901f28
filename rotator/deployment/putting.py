"""Putting a group from its file: everything that could be wrong is looked at before the one request that changes something."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from rotator.deployment.deployment import Deployment
from rotator.deployment.difference import difference_of
from rotator.deployment.origin import DEPLOYED, deployed_at, deployed_tag
from rotator.deployment.references import Holder
from rotator.deployment.trial import try_all
from rotator.model.errors import CutoverFailed, Held, Indeterminate, NotFound, Rejected
from rotator.model.group import ContainerGroup, GroupState, Inline
from rotator.model.secret import Secret
from rotator.rotation.context import Context
from rotator.rotation.inaccessible import INACCESSIBLE, unexplained
from rotator.rotation.redeploy import CLOCKS_APART, await_health

_GOING = {GroupState.RUNNING, GroupState.TRANSITIONING}
_LOOK = "Look at the group's events; deploy a file that works. Nothing is put back: the old file is yours."


def standing(context: Context, deployment: Deployment) -> Deployment:
    """Return the deployment with `since`, where an earlier run put exactly this, and the group is well or on its way.

    So a pipeline that runs twice restarts nothing, and a run after one that was killed carries on from what is there.
    """
    current, what = deployment.current, deployment.difference
    if current is None or current.state not in _GOING or what.changes or deployment.refused:
        return deployment
    at = deployed_at(current.tags, deployment.sources)
    if at is None:
        return deployment
    health = context.platform.health(deployment.group, at - CLOCKS_APART)
    return deployment if health.settled and not health.healthy else replace(deployment, since=at)


def put(context: Context, deployment: Deployment) -> None:
    """Put the group and return when it is healthy. Where nothing is left to put, only wait for that.

    Raises, before anything is changed, Held for a group that somebody changed since it was looked at, and for what Azure refuses;
    VerificationFailed for a password that cannot pull. CutoverFailed when the group does not become healthy.
    """
    if deployment.since is not None:
        _await(context, deployment, deployment.since)
        return
    with context.claims.claim(deployment.group):
        _check_unchanged(context, deployment)
        values = _values(context, deployment)
        try_all(context.drivers, deployment, values)
        since = context.clock.now()
        _send(context, deployment, values)
        _await(context, deployment, since)


def refuse(context: Context, deployment: Deployment) -> None:
    """Raise Held for a deployment that would take something away that nobody gives back.

    Before a deletion is proposed, every password of the file is tried: what is deleted must be there again afterwards.
    """
    group, what = deployment.group, deployment.difference
    if what.lost:
        raise Held(
            f"the file leaves out hidden values that {group.name} has, and they would be lost: {', '.join(what.lost)}",
            missing=what.lost,
            advice="Add them (rotator export shows them), or delete the group first if they are not needed.",
        )
    if what.recreate:
        try_all(context.drivers, deployment, _values(context, deployment))
        roles = ", and its system-assigned identity loses its roles" if deployment.has_own_identity else ""
        raise Held(
            f"Azure changes this of {group.name} only by delete and create: {'; '.join(what.recreate)}",
            advice="Every hidden value is at hand and every password pulls, so this would do it:"
            f" az container delete --subscription {group.subscription} -g {group.resource_group} -n {group.name}, and then"
            f" rotator deploy with -g {group.resource_group}. The group is away in between and gets another address{roles}.",
        )


class _Arrived(Exception):
    """The document is there already: an earlier attempt of this very run had an effect that its answer denied."""


def _send(context: Context, deployment: Deployment, values: Mapping[str, Secret]) -> None:
    name, mark = deployment.group.name, deployed_tag(deployment.sources, context.clock.now())
    document = {**deployment.document, "tags": {**deployment.document.get("tags", {}), DEPLOYED: mark}}
    filled = {one.at: Secret(one.encoded(values[str(one)].reveal())) for one in deployment.template.references}
    try:
        context.platform.deploy(
            deployment.group, document, values=filled, check=lambda: _check_unchanged(context, deployment, mark)
        )
    except _Arrived:
        return
    except Rejected as refused:
        error = _with_cause(context, deployment, refused)
        known = f" Azure's activity log has the request {error.request_id}." if error.request_id else ""
        raise Held(
            f"Azure refuses to deploy {name}, and changed nothing: {error.message}",
            advice=f"Correct the file.{known}" if error.advice == Rejected.advice else error.advice,
        ) from refused
    except Indeterminate as error:
        if context.platform.read(deployment.group).tags.get(DEPLOYED) != mark:
            error.advice = "Run the same command again: it looks at the group first, and does nothing twice."
            raise
        raise CutoverFailed(f"{name} was deployed, and failed: {error.message}", advice=_LOOK) from error


def _with_cause(context: Context, deployment: Deployment, refused: Rejected) -> Rejected:
    """Add what may be the cause of an image that Azure cannot pull: stored passwords were tried before."""
    if refused.reason != INACCESSIBLE:
        return refused
    bindings = deployment.group_at(context.clock.now()).bindings
    pulled = [str(image) for one in bindings if isinstance(one.source, Inline) for image in one.images]
    return unexplained(deployment.group.name, bindings, pulled, refused)


def _check_unchanged(context: Context, deployment: Deployment, mark: str = "") -> None:
    try:
        now: ContainerGroup | None = context.platform.read(deployment.group)
    except NotFound:
        now = None
    if mark and now and now.tags.get(DEPLOYED) == mark:
        raise _Arrived
    again = difference_of(deployment.template, deployment.document, now.body if now else None)
    if again != deployment.difference or (now is None) is not (deployment.current is None):
        raise Held(f"group {deployment.group.name} was changed since it was looked at; nothing was put", advice="Run again.")


def _values(context: Context, deployment: Deployment) -> dict[str, Secret]:
    """Read what the references stand for: the very versions that the preview was made from."""
    group = deployment.group_at(context.clock.now())
    return {
        str(one): context.vault.read(one.name, deployment.stored[one.name].version)
        if one.holder is Holder.VAULT
        else context.values.fetch(group, one.slot.field)
        for one in deployment.template.references
    }


def _await(context: Context, deployment: Deployment, since: datetime) -> None:
    try:
        await_health(context, deployment.group, since - CLOCKS_APART)
    except CutoverFailed as error:
        error.advice = _LOOK
        raise
