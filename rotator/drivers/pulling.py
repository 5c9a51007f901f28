"""What verifying means for every kind whose secret is a registry password: pull with it."""

from collections.abc import Sequence

from rotator.clients.pulls import PullProbe
from rotator.clients.retry import retried
from rotator.model.credential import Credential
from rotator.model.errors import Refusal, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


def pull_all(probe: PullProbe, clock: Clock, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
    """Return when every image could be asked for once. Raises as `PullProbe.probe` does.

    A registry that is down or throttles is asked again: that says nothing about the secret. Its refusal is not: whether a
    new secret is still on its way to some replica is the caller's to judge, by the driver's traits.
    """
    for image in images:
        try:
            retried(clock, lambda one=image: probe.probe(one, credential.username, secret), key=str(image))  # type: ignore[misc]
        except VerificationFailed as error:
            if error.refusal is Refusal.WRONG_CREDENTIAL and credential.expired(clock.now()):
                # The registry says the same of a wrong password and of one that has ended; the date tells.
                raise VerificationFailed(
                    f"the credential of {credential.username} at {image.server} expired on {credential.expires_at:%Y-%m-%d %H:%M}"
                    f" UTC, so {image} cannot be pulled with it",
                    advice="Issue a new one: rotator rotate does.",
                    refusal=Refusal.EXPIRED,
                ) from error
            raise
