"""A password is tried with real pulls before a group gets it."""

from collections.abc import Mapping

from rotator.deployment.deployment import Deployment
from rotator.deployment.origin import NOBODY, bindings_of, password_of
from rotator.model.credential import Credential, Handle
from rotator.model.errors import VerificationFailed
from rotator.model.group import Binding, Inline
from rotator.model.secret import Secret
from rotator.ports import DriverTable
from rotator.rotation.verify import pull_all


def try_all(drivers: DriverTable, deployment: Deployment, values: Mapping[str, Secret]) -> None:
    """Pull every image of a deployment with the password that it brings. Raises VerificationFailed."""
    for binding in bindings_of(deployment.document):
        reference = password_of(deployment.template, binding)
        if reference:
            try_password(drivers, binding, values[str(reference)], str(reference))


def try_password(drivers: DriverTable, binding: Binding, password: Secret, what: str) -> None:
    """Pull every image of a registry entry for real. Raises VerificationFailed, saying that `what` cannot; it may be empty."""
    if not isinstance(binding.source, Inline):
        return
    # Pulling is the same for every kind of credential, so any driver can try any password.
    driver = next(iter(drivers.values()))
    credential = Credential(handle=Handle(principal=binding.principal or NOBODY, id=""), username=binding.source.username)
    try:
        missing = pull_all(driver, credential, password, binding.images)
    except VerificationFailed as error:
        advice = f"Nothing was changed. {error.advice}"
        raise VerificationFailed(
            f"{what}: {error.message}" if what else error.message, advice=advice, refusal=error.refusal
        ) from None
    if missing:
        raise VerificationFailed(
            f"{min(missing)} does not exist in its registry", advice="Nothing was changed. Push the image, or correct its name."
        )
