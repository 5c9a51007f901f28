"""Pulling for real: whether a registry lets a credential read an image's manifest.

The flow is that of the OCI distribution specification and of the token authentication that registries share: ask `/v2/` how
to authenticate, fetch a token for `repository:<name>:pull`, ask for the manifest by HEAD. It is what Azure does first when it
pulls, so what passes here passes there, unless the registry's network rules tell the two callers apart.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from rotator.clients.failures import translated, unreached
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.refusals import retry_after
from rotator.model.errors import NotFound, Refusal, RemoteError, Throttled, Unavailable, VerificationFailed
from rotator.model.image import DOCKER_HUB, ImageReference
from rotator.model.secret import Secret
from rotator.model.usage import OWN_AGENT

# Without these a registry answers 404 for an image that it keeps as an index (multi-platform) or in the OCI format.
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# Docker Hub's login server and the host that serves its images have different names.
_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_API = "registry"


@dataclass(frozen=True, slots=True)
class _Challenge:
    scheme: str
    realm: str
    service: str


class PullProbe:
    """Tries credentials. Safe for threads: each probe has connections of its own, so that a load balancer may send each to
    another replica, and a new password is not found good by one replica alone.
    """

    def __init__(
        self, network: Network, observe: RequestObserver = unobserved, *, timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        self._network = network
        self._observe = observe
        self._timeout = timeout

    def probe(self, image: ImageReference, username: str, secret: Secret | None) -> None:
        """Return when the registry lets the credential read the image's manifest; without a secret, when it lets anybody.

        Raises VerificationFailed, with a sentence for each cause, when it does not (wrong credential, expired, no right to
        this repository, firewall); NotFound when the registry has no such image for this user, which no other credential would
        change; Throttled or Unavailable when the registry could not answer, which says nothing about the credential. No error
        holds the secret, the token or what the registry wrote.
        """
        with (
            translated(api=_API, operation="pull", thing=str(image)),
            self._network.http_client(self._timeout, self._observe) as client,
        ):
            client.headers["User-Agent"] = OWN_AGENT
            try:
                _Attempt(client, image, username, secret).run()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                what, advice = unreached(error)
                sentence = f"{image.server} {what} (tried for {image}); nothing was sent"
                raise Unavailable(sentence, api=_API, operation="pull", advice=advice) from None


class _Attempt:
    """One probe: the three requests and what their answers mean."""

    def __init__(self, client: httpx.Client, image: ImageReference, username: str, secret: Secret | None) -> None:
        self._client = client
        self._image = image
        self._who = f"the credential of {username}" if secret else "an anonymous caller"
        self._basic = httpx.BasicAuth(username, secret.reveal()) if secret else httpx.Auth()
        self._root = f"https://{_HOSTS.get(image.server, image.server)}/v2/"

    def run(self) -> None:
        challenge = self._challenge()
        if challenge.scheme == "bearer":
            self._manifest({"Authorization": f"Bearer {self._token(challenge)}"}, httpx.Auth())
            return
        answer = self._client.get(self._root, auth=self._basic)
        self._refuse_if_failing(answer)
        if answer.status_code in (401, 403):
            raise self._refused(answer)
        self._manifest({}, self._basic)

    def _challenge(self) -> _Challenge:
        answer = self._client.get(self._root)
        self._refuse_if_failing(answer)
        if answer.status_code == 403:
            # Nobody was asked who we are yet, so this is about where the request came from.
            raise self._firewall()
        header = answer.headers.get("www-authenticate", "")
        scheme, _, rest = header.partition(" ")
        fields = dict(_CHALLENGE.findall(rest))
        return _Challenge(scheme.lower(), fields.get("realm", ""), fields.get("service", ""))

    def _token(self, challenge: _Challenge) -> str:
        if urlsplit(challenge.realm).scheme != "https":
            # The password would travel in the clear to wherever the answer points.
            raise VerificationFailed(
                f"{self._image.server} asks for the credential over an unencrypted connection; not sent",
                refusal=Refusal.INSECURE,
            )
        query = {"service": challenge.service, "scope": f"repository:{self._image.repository}:pull"}
        answer = self._client.get(challenge.realm, params=query, auth=self._basic)
        self._refuse_if_failing(answer)
        if answer.status_code != 200:
            raise self._refused(answer)
        token = _token_of(answer)
        if not token:
            raise self._unavailable("answered a token request without a token")
        # Registries answer 200 to whoever has the right password, and leave out what he may not do.
        granted = _granted(token, self._image.repository)
        if granted is not None and not granted & {"pull", "*"}:
            raise self._no_right()
        return token

    def _manifest(self, headers: Mapping[str, str], auth: httpx.Auth) -> None:
        url = f"{self._root}{self._image.repository}/manifests/{self._image.reference}"
        answer = self._client.head(url, headers={"Accept": _MANIFESTS, **headers}, auth=auth)
        self._refuse_if_failing(answer)
        if answer.status_code in (401, 403):
            raise self._no_right()
        if answer.status_code == 404:
            raise NotFound(
                f"{self._image} does not exist in {self._image.server}, or {self._who} may not know that it does",
                api=_API,
                operation="pull",
                advice="Push the image, or correct its name in the group.",
            )
        if answer.status_code != 200:
            raise self._unavailable(f"answered {answer.status_code} for the manifest")

    def _no_right(self) -> VerificationFailed:
        return VerificationFailed(
            f"{self._image.server} accepts {self._who}, but does not let it pull {self._image}: its scope or role leaves out"
            f" the repository {self._image.repository}, or there is no such repository",
            advice="Grant the principal the right to pull this repository; the old credential is kept.",
            refusal=Refusal.NO_RIGHT,
        )

    def _refused(self, answer: httpx.Response) -> VerificationFailed:
        # Registries use one status and one code for several causes; only the text tells them apart. The type is the same, so
        # nothing is decided by it but the sentence.
        text = answer.text.lower()
        if answer.status_code == 403 and ("acr/firewall" in text or "not allowed access" in text):
            return self._firewall()
        if "token has expired" in text:  # ECR, after twelve hours
            return VerificationFailed(
                f"{self._image.server} says that {self._who} has expired (tried for {self._image})",
                advice="Ask for a new one: rotator rotate does.",
                refusal=Refusal.EXPIRED,
            )
        return VerificationFailed(
            f"{self._image.server} does not accept {self._who} (tried for {self._image})",
            advice="A new credential may need a minute to reach every replica; if it stays, the user name or the password is"
            " wrong, or it expired, was disabled or ended.",
            refusal=Refusal.WRONG_CREDENTIAL,
        )

    def _firewall(self) -> VerificationFailed:
        return VerificationFailed(
            f"the firewall of {self._image.server} refuses the address that rotator calls from (tried for {self._image})",
            advice="Allow rotator's outgoing address in the registry's network rules, or run it inside the network. Azure itself"
            " passes a closed registry with a user-assigned identity only, never with a password.",
            refusal=Refusal.FIREWALL,
        )

    def _refuse_if_failing(self, answer: httpx.Response) -> None:
        if answer.status_code == 429:
            raise self._throttled(answer)
        if answer.status_code >= 500:
            raise self._unavailable(f"answered {answer.status_code}")

    def _throttled(self, answer: httpx.Response) -> Throttled:
        # Docker Hub's word for its pull limit. The answer to a HEAD has no body to hold it, and Docker Hub slows nobody down for
        # another reason at the few requests that one probe makes.
        used_up = "toomanyrequests" in answer.text.lower() or self._image.server == DOCKER_HUB
        limit = "its pull limit is used up" if used_up else "it asked to slow down"
        advice = f"Wait until {self._image.server} counts anew, pull with a login that may pull more often, or keep a copy of the"
        return Throttled(
            f"{self._image.server} did not answer for {self._image}: {limit}, which says nothing about {self._who}",
            api=_API,
            operation="pull",
            retry_after=retry_after(answer.headers),
            advice=f"{advice} image in a registry of your own." if used_up else None,
        )

    def _unavailable(self, what: str) -> RemoteError:
        return Unavailable(
            f"{self._image.server} {what} while {self._image} was tried, which says nothing about {self._who}",
            api=_API,
            operation="pull",
            advice=f"Look at the health of {self._image.server}; nothing is wrong with the group or its credential.",
        )


def _token_of(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    # The specification has `token`; Azure and OAuth 2 answer `access_token`.
    token = body.get("access_token") or body.get("token")
    return token if isinstance(token, str) else ""


def _granted(token: str, repository: str) -> set[str] | None:
    """Return what an access token lets its bearer do with a repository; None when the token cannot be read.

    The claim is that of the registries' token authentication: `access: [{type, name, actions}]`. Some registries' tokens are
    opaque, and those tell nothing.
    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return {
            str(action)
            for one in claims["access"]
            if one.get("type") == "repository" and one.get("name") == repository
            for action in one.get("actions") or ()
        }
    except (IndexError, KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        return None
