"""Azure says that an image is not accessible, and never why: so the same pull is tried from here, and what it says is told."""

from collections.abc import Mapping, Sequence

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle
from rotator.model.errors import Rejected, RotatorError
from rotator.model.group import (
    Absent,
    Binding,
    ContainerGroup,
    Inline,
    ManagedIdentity,
    VaultReference,
    WriteOnlyField,
    registry_password,
)
from rotator.model.image import ImageReference
from rotator.model.rotation import PlanItem
from rotator.model.secret import Secret
from rotator.rotation.context import Context

INACCESSIBLE = "InaccessibleImage"


def explained(
    context: Context,
    item: PlanItem,
    group: ContainerGroup,
    values: Mapping[WriteOnlyField, Secret],
    username: str,
    refused: Rejected,
) -> Rejected:
    """Return Azure's refusal of an image with the cause, as far as a pull with the same credentials shows it."""
    pulled: list[str] = []
    for binding in group.bindings:
        secret = values.get(registry_password(binding.registry))
        if secret is None or not isinstance(binding.source, Inline):
            continue
        user = username if username and binding.principal == item.principal else binding.source.username
        for image in binding.images:
            cause = _cause(context, item, user, secret, image)
            if cause is not None:
                return _said(f"Azure could not pull an image of {group.name}: {cause.message}", refused, cause.advice)
            pulled.append(str(image))
    return unexplained(group.name, group.bindings, pulled, refused)


def unexplained(name: str, bindings: Sequence[Binding], pulled: Sequence[str], refused: Rejected) -> Rejected:
    """Return Azure's refusal of an image with what may be its cause, entry by entry, after `pulled` could be pulled from here."""
    causes = []
    if pulled:
        causes.append(
            f"although rotator pulls {', '.join(pulled)} with the very same credential: the registry's network rules let rotator"
            " in and not Azure, or Azure had a passing incident"
        )
    causes += [one for binding in bindings if (one := _untried(binding))]
    return _said(
        f"Azure could not pull an image of {name}{', ' if pulled else ': '}{'; '.join(causes) or 'it does not say why'}",
        refused,
        "Azure passes a closed registry with a user-assigned identity only; rotator explain shows the registry's rules.",
    )


def _untried(binding: Binding) -> str:
    """Say what an entry needs that nobody but Azure can try."""
    match binding.source:
        case ManagedIdentity():
            who = ArmId(binding.source.identity).name
            return (
                f"identity {who} may have no role at {binding.registry} yet (a new one takes minutes), or an image is not there"
            )
        case VaultReference():
            return (
                f"identity {ArmId(binding.source.identity).name} may not be allowed to read the password for {binding.registry}"
            )
        case Absent():
            return f"{binding.registry} may let nobody pull anonymously, as the group does"
        case _:
            return ""


def _cause(context: Context, item: PlanItem, user: str, secret: Secret, image: ImageReference) -> RotatorError | None:
    credential = Credential(handle=Handle(principal=item.principal, id=""), username=user)
    try:
        # Pulling is the same for every kind of credential, so any driver can try any password.
        context.driver(item.principal).verify(credential, secret, [image])
    except RotatorError as error:
        # One that is down or throttles is a cause too: Azure met the same.
        return error
    return None


def _said(message: str, refused: Rejected, advice: str) -> Rejected:
    return Rejected(
        message,
        api=refused.api,
        operation=refused.operation,
        request_id=refused.request_id,
        reason=refused.reason,
        advice=advice,
    )
