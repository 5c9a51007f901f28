"""From an inventory and a few trials to the explanation of one group. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from rotator.explain.answer import Answer, Because, Evidence, Explanation, ImageAnswer, Trial
from rotator.explain.path import Path, path_of
from rotator.explain.stored import held
from rotator.model.arm import ArmId
from rotator.model.credential import PrincipalKind
from rotator.model.errors import Refusal
from rotator.model.estate import Estate, PrincipalRecord
from rotator.model.group import Absent, Binding, ContainerGroup, Inline, ManagedIdentity, VaultReference
from rotator.model.image import ImageReference

THERE = "whether the image is there"
PUSH = "Push the image, or correct its name in the group."
IMAGE_GOES = "somebody deletes the image or its tag"
_WITHOUT_END = "no end: no secret is involved"
_NOBODY = "no end: nobody logs in"
_RIGHT = "Grant the principal the right to pull this repository."


def explain(estate: Estate, group: ContainerGroup, evidence: Evidence, now: datetime) -> Explanation:
    """Say for each image of a group whether it can be pulled now, and why."""
    bound = {image for binding in group.bindings for image in binding.images}
    images = [_explained(estate, group, binding, image, evidence, now) for binding in group.bindings for image in binding.images]
    images += [_public(image) for image in images_of(group) if image not in bound]
    answers = {one.answer for one in images}
    worst = next((one for one in (Answer.NO, Answer.UNKNOWN) if one in answers), Answer.YES)
    return Explanation(group=group.id, answer=worst, state=str(group.state), images=tuple(images), observed_at=estate.observed_at)


def images_of(group: ContainerGroup) -> tuple[ImageReference, ...]:
    """Return every image of the group once, those that run first included."""
    properties = group.body.get("properties")
    found: dict[ImageReference, None] = {}
    for kind in ("initContainers", "containers"):
        for one in (properties.get(kind) or ()) if isinstance(properties, Mapping) else ():
            inside = one.get("properties") if isinstance(one, Mapping) else None
            if isinstance(inside, Mapping) and inside.get("image"):
                found[ImageReference.parse(str(inside["image"]))] = None
    return tuple(found)


def _public(image: ImageReference) -> ImageAnswer:
    return ImageAnswer(
        image=str(image),
        answer=Answer.YES,
        reason="anybody may pull from this registry",
        remedy="",
        how="anonymously",
        path="the public network",
        until=None,
        breaks=(IMAGE_GOES,),
        ends=_NOBODY,
        unseen=(THERE,),
    )


def _explained(
    estate: Estate, group: ContainerGroup, binding: Binding, image: ImageReference, evidence: Evidence, now: datetime
) -> ImageAnswer:
    registry = estate.registry_of.get(image.server)
    path = path_of(estate, group, registry, binding.source)
    verdict = _verdict(estate, group, binding, image, evidence, now, path)
    return ImageAnswer(
        image=str(image),
        answer=verdict.answer,
        reason=verdict.reason,
        remedy=verdict.remedy,
        how=how(binding),
        path=path.way,
        until=verdict.until,
        breaks=tuple(_breaks(binding, verdict, path)) if verdict.answer is not Answer.NO else (),
        ends="" if verdict.answer is Answer.NO else verdict.ends,
        unseen=verdict.unseen if verdict.answer is Answer.YES else (),
    )


def _verdict(
    estate: Estate,
    group: ContainerGroup,
    binding: Binding,
    image: ImageReference,
    evidence: Evidence,
    now: datetime,
    path: Path,
) -> Because:
    """Ask in the order in which a pull fails: the door, then who knocks, then what he may do, then whether it is there."""
    trial = evidence.trials.get(image)
    if path.obstacle is not None:
        return path.obstacle
    if evidence.there.get(image) is False:
        reason = f"{image} does not exist: another credential of the vault may pull there, and finds none"
        return Because(answer=Answer.NO, reason=reason, remedy=PUSH)
    if isinstance(binding.source, ManagedIdentity):
        return _by_identity(binding, binding.source, image, evidence)
    if isinstance(binding.source, Absent):
        return _anonymous(estate, image, trial)
    wrong = _principal_wrong(estate, binding, image, evidence)
    if wrong is not None:
        return wrong
    stored = held(estate, group, binding, now)
    verdict = replace(stored.verdict, unseen=(*stored.verdict.unseen, *_unread_right(binding)))
    if verdict.answer is Answer.NO:
        return verdict
    if trial is None or not trial.answered:
        return _untried(verdict, trial, image, binding, evidence)
    return _tried(verdict, trial, binding, by_vault=stored.by_vault)


def _unread_right(binding: Binding) -> tuple[str, ...]:
    if isinstance(binding.source, VaultReference):
        return (f"whether identity {ArmId(binding.source.identity).name} may read the vault",)
    return ()


def _untried(verdict: Because, trial: Trial | None, image: ImageReference, binding: Binding, evidence: Evidence) -> Because:
    """Say why nothing was pulled, and what the answer takes for granted therefore."""
    why = trial.reason if trial else "it was not tried, because the vault has no copy of the password"
    unseen = list(verdict.unseen)
    if binding.principal is None or evidence.actions.get(binding.principal) is None:
        unseen.append(f"whether it may pull {image.repository}")
    if image not in evidence.there:
        unseen.append(THERE)
    return replace(verdict, reason=f"{verdict.reason}; {why}", unseen=tuple(unseen))


def _tried(verdict: Because, trial: Trial, binding: Binding, *, by_vault: bool) -> Because:
    """Add what a pull with the vault's secret showed to what the dates say of the stored one."""
    if trial.pulled:
        tried = "the vault's copy of it" if by_vault else "the secret that the vault holds"
        return replace(verdict, reason=f"{verdict.reason}; {tried} pulled this just now")
    if trial.refusal in (Refusal.NO_RIGHT, Refusal.NO_IMAGE):
        # Whichever secret the group stores: it stands for the same principal.
        return Because(answer=Answer.NO, reason=trial.reason, remedy=trial.remedy or _RIGHT)
    if trial.refusal is Refusal.FIREWALL:
        reason = f"{verdict.reason}; it could not be tried: {trial.reason}"
        return replace(verdict, reason=reason, remedy=trial.remedy, unseen=(*verdict.unseen, THERE))
    if by_vault or isinstance(binding.source, VaultReference):
        return Because(answer=Answer.NO, reason=trial.reason, remedy=trial.remedy)
    reason = f"{verdict.reason}; but the secret that the vault holds is refused: {trial.reason}"
    unseen = (*verdict.unseen, "whether the group's own secret is refused too", THERE)
    return replace(verdict, reason=reason, remedy=trial.remedy, unseen=unseen)


def _principal_wrong(estate: Estate, binding: Binding, image: ImageReference, evidence: Evidence) -> Because | None:
    principal = binding.principal
    if principal is None:
        return None
    record: PrincipalRecord | None = estate.records.get(principal)
    if record is not None and record.enabled is False:
        reason = f"{principal.id} is disabled, so no password of it is accepted"
        return Because(answer=Answer.NO, reason=reason, remedy="Enable it, or give the group another credential.")
    if record is None and principal.kind is PrincipalKind.ACR_TOKEN and _tokens_read(estate, principal.registry):
        reason = f"{principal.registry} has no token, and no admin user, that is called {principal.name}"
        return Because(answer=Answer.NO, reason=reason, remedy="Correct the user name in the group's registry entry.")
    actions = evidence.actions.get(principal)
    if actions is not None and not _allows(actions, image.repository):
        reason = f"the scope of token {principal.name} does not include the repository {image.repository}"
        remedy = f"Add repositories/{image.repository}/content/read to the scope map {record.scope if record else ''}."
        return Because(answer=Answer.NO, reason=reason, remedy=remedy)
    return None


def _tokens_read(estate: Estate, server: str) -> bool:
    registry = estate.registry_of.get(server)
    return registry is not None and not any(one.what == "tokens" and ArmId(one.scope) == registry.id for one in estate.unread)


def _allows(actions: tuple[str, ...], repository: str) -> bool:
    wanted = f"repositories/{repository}/content/read"
    return any(fnmatchcase(wanted, one) for one in actions)


def _by_identity(binding: Binding, source: ManagedIdentity, image: ImageReference, evidence: Evidence) -> Because:
    name = ArmId(source.identity).name
    if not source.attached:
        reason = f"the registry entry names identity {name}, which the group does not carry"
        return Because(answer=Answer.NO, reason=reason, remedy="Attach the identity to the group.")
    if ArmId(source.identity) in evidence.gone:
        remedy = "Create it again and give it the role anew, or name another identity in the registry entry."
        return Because(answer=Answer.NO, reason=f"identity {name} no longer exists", remedy=remedy)
    role = evidence.roles.get((ArmId(source.identity), binding.registry))
    if role is None:
        reason = f"the roles of identity {name} on {image.server} could not be judged: not read, or roles of your own"
        remedy = "Let rotator read role assignments at the registry, or give the identity AcrPull there."
        return Because(answer=Answer.UNKNOWN, reason=reason, remedy=remedy, ends=_WITHOUT_END)
    if not role:
        reason = f"identity {name} has no role that lets it pull from {image.server}"
        remedy = "Assign AcrPull; on a registry with permissions by repository (ABAC) Container Registry Repository Reader."
        return Because(answer=Answer.NO, reason=reason, remedy=remedy)
    reason = f"identity {name} has a role that lets it pull from {image.server}; nobody but the group can try it"
    if evidence.there.get(image):
        reason = f"{reason}, but another credential of the vault pulled this just now"
    unseen = () if evidence.there.get(image) else (THERE,)
    return Because(answer=Answer.YES, reason=reason, ends=_WITHOUT_END, unseen=unseen)


def _anonymous(estate: Estate, image: ImageReference, trial: Trial | None) -> Because:
    registry = estate.registry_of.get(image.server)
    remedy = "Add a registry entry to the group: an identity with AcrPull, or a repository token."
    if registry is not None and registry.anonymous_pull is False:
        reason = f"the group has no registry entry for {image.server}, which lets nobody pull anonymously"
        return Because(answer=Answer.NO, reason=reason, remedy=remedy)
    if trial is None or not trial.answered:
        reason, advice = (trial.reason, trial.remedy) if trial else (f"{image.server} was not asked", "")
        return Because(answer=Answer.UNKNOWN, reason=reason, remedy=advice, ends=_NOBODY)
    if trial.pulled:
        return Because(answer=Answer.YES, reason="anybody may pull it; it was tried just now", ends=_NOBODY)
    return Because(answer=Answer.NO, reason=trial.reason, remedy=trial.remedy or remedy)


def how(binding: Binding) -> str:
    """Say in words how a registry entry authenticates."""
    source, principal = binding.source, binding.principal
    match source:
        case ManagedIdentity():
            return f"managed identity {ArmId(source.identity).name}"
        case Absent():
            return "anonymously: the group has no entry for this registry"
        case VaultReference():
            return f"{_called(binding)}, its password read from the vault"
        case Inline():
            return f"{_called(binding)}, its password stored in the group" if principal else f"user {source.username}"


def _called(binding: Binding) -> str:
    principal = binding.principal
    kinds = {
        PrincipalKind.ACR_TOKEN: "token",
        PrincipalKind.ACR_ADMIN: "the admin user",
        PrincipalKind.ENTRA_APP: "service principal",
        PrincipalKind.ECR: "an Amazon login for",
        PrincipalKind.ACR_REFRESH_TOKEN: "a refresh token of",
    }
    if principal is None:
        return "an unknown user"
    return f"{kinds.get(principal.kind, 'user')} {principal.name}"


_BREAKING = {
    PrincipalKind.ACR_TOKEN: "somebody regenerates the password, disables the token or narrows its scope",
    PrincipalKind.ACR_ADMIN: "somebody regenerates the password or switches the admin user off",
    PrincipalKind.ENTRA_APP: "somebody deletes the secret or the application, or takes its role on the registry away",
    PrincipalKind.ECR: "somebody takes the right to the repository from the AWS role that asked for the password",
    PrincipalKind.QUAY: "somebody regenerates the robot's token, or takes its right to the repository away",
    PrincipalKind.QUAY_PAIR: "somebody regenerates the robot's token, or takes its right to the repository away",
}


def _breaks(binding: Binding, verdict: Because, path: Path) -> Iterator[str]:
    source, principal = binding.source, binding.principal
    if verdict.until is not None:
        yield "nobody replaces its credential by then"
    if isinstance(source, ManagedIdentity):
        yield "somebody takes the identity's role on the registry away, or deletes the identity"
    elif isinstance(source, Absent):
        yield "somebody makes the repository private, or the registry's limit for anonymous pulls is used up"
    else:
        ended = "somebody ends its password or token, or takes its right to the repository away"
        yield _BREAKING.get(principal.kind, ended) if principal else ended
    if isinstance(source, VaultReference):
        yield f"identity {ArmId(source.identity).name} loses its right to read the vault"
    yield from path.breaks
    yield IMAGE_GOES
