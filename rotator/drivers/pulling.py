"""What verifying means for every kind whose secret is a registry password: pull with it."""

from collections.abc import Sequence

from rotator.clients.pulls import PullProbe
from rotator.clients.retry import retried
from rotator.model.credential import Credential
from rotator.model.errors import Refusal, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


class Pulling:
    """The part of a `rotator.ports.RegistryDriver` that every kind has in common."""

    def __init__(self, pulls: PullProbe, clock: Clock) -> None:
        self._pulls = pulls
        self._clock = clock

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Return when every image could be asked for once. Raises as `PullProbe.probe` does.

        A registry that is down or throttles is asked again: that says nothing about the secret. Its refusal is not: whether a
        new secret is still on its way to some replica is the caller's to judge, by the driver's traits.
        """
        for image in images:
            try:
                self._pull(credential, secret, image)
            except VerificationFailed as error:
                if error.refusal in (Refusal.WRONG_CREDENTIAL, Refusal.EXPIRED) and credential.expired(self._clock.now()):
                    # The registry says the same of a wrong password and of one that has ended; the date tells.
                    raise VerificationFailed(
                        f"the credential of {credential.username} at {image.server} expired on "
                        f"{credential.expires_at:%Y-%m-%d %H:%M} UTC, so {image} cannot be pulled with it",
                        advice="Issue a new one: rotator rotate does.",
                        refusal=Refusal.EXPIRED,
                    ) from error
                raise

    def _pull(self, credential: Credential, secret: Secret, image: ImageReference) -> None:
        retried(self._clock, lambda: self._pulls.probe(image, credential.username, secret), key=str(image))
