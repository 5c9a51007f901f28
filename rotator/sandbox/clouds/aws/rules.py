"""AWS's rules: names of registries, policies, and the signature (SigV4) of a request. Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote

_REGISTRY = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def registry_of(server: str) -> tuple[str, str]:
    """Return account and region of an ECR host; ValueError when it is none."""
    found = _REGISTRY.fullmatch(server)
    if found is None:
        raise ValueError(f"not an ECR registry: {server}")
    return found["account"], found["region"].lower()


def server_of(account: str, region: str) -> str:
    """Return the host of an account's registry in a region."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{suffix}"


def allows(permissions: tuple[str, ...], action: str) -> bool:
    """Say whether a policy's action globs cover an action; case does not count."""
    return any(fnmatchcase(action.lower(), glob.lower()) for glob in permissions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parts of an Authorization header of Signature Version 4."""

    key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> "Signature | None":
        """Read the header; None when it is absent or of another kind."""
        found = _AUTHORIZATION.fullmatch(header)
        if found is None:
            return None
        return cls(
            key=found["key"],
            date=found["date"],
            region=found["region"],
            service=found["service"],
            headers=tuple(found["headers"].split(";")),
            signature=found["signature"],
        )

    def matches(
        self, secret: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> bool:
        """Say whether the secret access key signed exactly this request."""
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
        lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in self.headers]
        canonical = "\n".join(
            (
                method,
                quote(path, safe="/-_.~"),
                "&".join(f"{name}={value}" for name, value in pairs),
                *lines,
                "",
                ";".join(self.headers),
                hashlib.sha256(body).hexdigest(),
            )
        )
        scope = f"{self.date}/{self.region}/{self.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{headers.get('x-amz-date', '')}\n{scope}\n{digest}"
        key = f"AWS4{secret}".encode()
        for part in (self.date, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.signature)
