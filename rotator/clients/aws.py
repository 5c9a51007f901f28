"""AWS: a passing identity by web identity federation, and ECR's authorization tokens with it."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from rotator.clients.failures import translated
from rotator.clients.observed import TRAIL
from rotator.clients.retry import retried
from rotator.model.errors import ConfigError, Rejected
from rotator.model.secret import Secret
from rotator.ports import Clock

# docs.aws.amazon.com/AmazonECR/latest/userguide/Registries: <account>.dkr.ecr.<region>.amazonaws.com, with `-fips` and the
# suffix of other partitions.
_ECR_HOST = re.compile(r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)")
# STS: RoleSessionName takes 2 to 64 of these characters.
_NO_SESSION_NAME = re.compile(r"[^\w+=,.@-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentityRole:
    """A role that our managed identity may assume: its token for `audience` is what AWS is shown."""

    role_arn: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrLogin:
    """What `docker login` would be given. It ends by itself at `expires_at`."""

    username: str
    password: Secret
    expires_at: datetime


def ecr_region(registry: str) -> str:
    """Return the region of an ECR registry's host; ConfigError for any other host."""
    match = _ECR_HOST.fullmatch(registry)
    if match is None:
        raise ConfigError(f"{registry} is no ECR registry; its host has the form <account>.dkr.ecr.<region>.amazonaws.com")
    return match["region"]


class EcrLogins:
    """Fetches ECR logins. Safe for threads.

    `roles` maps registry hosts to the role to assume; a registry without one is asked with the static `profile` of the AWS
    configuration files. `web_identity` returns our identity's token for an audience. `endpoint_url` and `ca_file` replace
    the public services', for a private endpoint or the sandbox.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        roles: Mapping[str, WebIdentityRole],
        web_identity: Callable[[str], Secret],
        profile: str | None = None,
        endpoint_url: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._clock = clock
        self._roles = dict(roles)
        self._web_identity = web_identity
        self._profile = profile
        self._endpoint_url = endpoint_url
        self._ca_file = ca_file
        self._making = Lock()

    def login(self, registry: str, session_name: str) -> EcrLogin:
        """Return a new login for the registry. `session_name` is what AWS's audit log (CloudTrail) will show.

        A login changes nothing that another one would not change again, so an answer that is lost is simply asked for again.
        Raises ConfigError for a host that is not ECR's, Denied, Throttled, Unavailable or Rejected.
        """
        region = ecr_region(registry)
        proof = self._assumed(registry, region, session_name)
        client = self._client("ecr", region, proof)
        answer = self._asked("ecr", "get-authorization-token", registry, client.get_authorization_token)
        data = answer.get("authorizationData") or [{}]
        return _read(data[0], registry)

    def _assumed(self, registry: str, region: str, session_name: str) -> Mapping[str, str] | None:
        role = self._roles.get(registry)
        if role is None:
            if self._profile is None:
                raise ConfigError(
                    f"there is neither a role nor a profile to ask {registry} for a login with",
                    advice="Add the registry to aws.roles, or name a profile in aws.profile.",
                )
            return None
        token = self._web_identity(role.audience)
        client = self._client("sts", region, {})
        answer = self._asked(
            "sts",
            "assume-role-with-web-identity",
            role.role_arn,
            lambda: client.assume_role_with_web_identity(
                RoleArn=role.role_arn,
                RoleSessionName=(_NO_SESSION_NAME.sub("-", session_name) or "rotator")[:64].ljust(2, "-"),
                WebIdentityToken=token.reveal(),
            ),
        )
        found = answer.get("Credentials", {})
        return {
            "aws_access_key_id": found.get("AccessKeyId", ""),
            "aws_secret_access_key": found.get("SecretAccessKey", ""),
            "aws_session_token": found.get("SessionToken", ""),
        }

    def _asked(self, api: str, operation: str, thing: str, ask: Callable[[], Any]) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            with translated(api=api, operation=operation, needs=_NEEDS[api], thing=thing):
                answer = dict(ask())
                told = answer.get("ResponseMetadata", {})
                TRAIL.leave("POST", str(told.get("HTTPStatusCode", 200)), {}, told.get("HTTPHeaders", {}))
                return answer

        return retried(self._clock, once, key=thing)

    def _client(self, service: str, region: str, proof: Mapping[str, str] | None) -> Any:  # noqa: ANN401 - boto3 has no types
        """Make a client. `proof` holds session keys, is empty for an unsigned call, None for the configured profile."""
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        options: dict[str, Any] = {
            # Waiting is done on our clock, by `retried`; botocore would sleep by itself.
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 15,
            "read_timeout": 30,
            "proxies": {},  # the environment is read in one place, which is not here
        }
        if proof is not None and not proof:
            options["signature_version"] = UNSIGNED
        with translated(api=service, operation="connect"), self._making:  # boto3 makes clients from shared, unlocked state
            session = boto3.Session(region_name=region, profile_name=self._profile if proof is None else None)
            return session.client(
                service,
                endpoint_url=self._endpoint_url,
                verify=str(self._ca_file) if self._ca_file else None,
                config=Config(**options),
                **(proof or {}),
            )


_NEEDS = {
    "sts": "sts:AssumeRoleWithWebIdentity (the role's trust policy)",
    "ecr": "ecr:GetAuthorizationToken",
}


def _read(data: Mapping[str, Any], registry: str) -> EcrLogin:
    try:
        username, colon, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        expires_at = data["expiresAt"].astimezone(UTC)
    except (KeyError, AttributeError, binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise Rejected(f"ECR answered {registry}'s login without a token", api="ecr", operation="get-authorization-token")
    return EcrLogin(username=username, password=Secret(password), expires_at=expires_at)
