"""AWS over HTTP: STS (forms in, XML out) and the ECR API (JSON 1.1), told apart as AWS does, by what the request names."""

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rotator.sandbox.clouds.aws import rules
from rotator.sandbox.clouds.aws.records import AccessKey, Role
from rotator.sandbox.wire import Bucket, Document, Refused, Reply, Request, Route, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_HOSTS = ("sts.amazonaws.com", "sts.*.amazonaws.com", "api.ecr.*.amazonaws.com", "ecr.*.amazonaws.com")
_TARGET = "AmazonEC2ContainerRegistry_V20150921."
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_RATE = Bucket(capacity=200, per_second=20)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_SHORTEST_SESSION, _LONGEST_SESSION = 900, 43200
_PAGE = 100


# --- the two envelopes --------------------------------------------------------------------------------------------


def _sts_refuse(world: "World", status: int, code: str, message: str) -> Refused:
    whose = "Sender" if status < 500 else "Receiver"
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{whose}</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{world.guid()}</RequestId></ErrorResponse>"
    )
    return Refused(Reply(status, body, {"Content-Type": "text/xml"}), code, message)


def _sts_reply(world: "World", action: str, inner: str) -> Reply:
    body = (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{inner}</{action}Result>'
        f"<ResponseMetadata><RequestId>{world.guid()}</RequestId></ResponseMetadata></{action}Response>"
    )
    return Reply(200, body, {"Content-Type": "text/xml"})


def _ecr_refuse(world: "World", code: str, message: str, *, status: int = 400) -> Refused:
    body = json.dumps({"__type": code, "message": message})
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": world.guid()}
    return Refused(Reply(status, body, headers), code, message)


def _ecr_reply(world: "World", body: Document) -> Reply:
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": world.guid()}
    return Reply(200, json.dumps(body), headers)


# --- who signed ---------------------------------------------------------------------------------------------------

Refusal = Callable[[str, str], Refused]


def _signer(world: "World", request: Request, service: str, refusal: Refusal) -> tuple[AccessKey, str]:
    """Return the access key that signed and the region signed for; `refusal` builds the service's error.

    The age of the signature is not judged: clients sign with the real time, and the sandbox's may be days ahead.
    """
    signature = rules.Signature.parse(request.headers.get("authorization", ""))
    if signature is None:
        raise refusal("MissingAuthenticationToken", "Missing Authentication Token")
    key = world.aws.access_key(signature.key)
    if key is None or request.headers.get("x-amz-security-token") != key.session_token:
        raise refusal("UnrecognizedClient", "The security token included in the request is invalid.")
    # The headers that were signed include the host: it is compared as it arrived.
    signed = signature.matches(key.secret, request.method, request.path, request.query, request.headers, request.body)
    if signature.service != service or "host" not in signature.headers or not signed:
        raise refusal(
            "InvalidSignature",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
            "Key and signing method. Consult the service documentation for details.",
        )
    if key.expires_at is not None and world.now() >= key.expires_at:
        raise refusal("ExpiredToken", "The security token included in the request is expired")
    return key, signature.region


# --- STS ----------------------------------------------------------------------------------------------------------

_STS_CODES = {
    "MissingAuthenticationToken": "MissingAuthenticationToken",
    "UnrecognizedClient": "InvalidClientTokenId",
    "InvalidSignature": "SignatureDoesNotMatch",
    "ExpiredToken": "ExpiredToken",
}


def get_caller_identity(world: "World", request: Request) -> Reply:
    """Say whom the access key belongs to; no right is needed."""
    key, _ = _signer(world, request, "sts", lambda code, text: _sts_refuse(world, 403, _STS_CODES[code], text))
    inner = f"<Arn>{escape(key.arn)}</Arn><UserId>{key.id}</UserId><Account>{key.account}</Account>"
    return _sts_reply(world, "GetCallerIdentity", inner)


def assume_role_with_web_identity(world: "World", request: Request) -> Reply:
    """Exchange a token of our Entra for the temporary access key of a role. The request is not signed."""
    form = request.form()
    duration = _duration(world, form)
    claims, role = _trusted(world, form)
    if duration > role.max_session:
        raise _sts_refuse(
            world,
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    name = form["RoleSessionName"]
    session = world.aws.open_session(role, name, duration)
    world.events.append("aws.role.assumed", role=role.arn, access_key=session.id)
    inner = (
        f"<SubjectFromWebIdentityToken>{claims['sub']}</SubjectFromWebIdentityToken>"
        f"<Audience>{escape(claims['aud'])}</Audience><Provider>{escape(claims['iss'])}</Provider>"
        f"<AssumedRoleUser><Arn>{escape(session.arn)}</Arn><AssumedRoleId>AROA{session.id[4:]}:{escape(name)}"
        f"</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>{session.id}</AccessKeyId>"
        f"<SecretAccessKey>{session.secret}</SecretAccessKey><SessionToken>{session.session_token}</SessionToken>"
        f"<Expiration>{rfc3339(session.expires_at or world.now())}</Expiration></Credentials>"
    )
    return _sts_reply(world, "AssumeRoleWithWebIdentity", inner)


def _duration(world: "World", form: dict[str, str]) -> timedelta:
    missing = [name for name in ("RoleArn", "RoleSessionName", "WebIdentityToken") if not form.get(name)]
    seconds = form.get("DurationSeconds", "3600")
    if missing:
        message = (
            f"1 validation error detected: Value null at '{missing[0]}' failed to satisfy constraint: Member must not be null"
        )
    elif not _SESSION_NAME.fullmatch(form["RoleSessionName"]):
        message = "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: [\\w+=,.@-]*"
    elif not seconds.isdigit() or not _SHORTEST_SESSION <= int(seconds) <= _LONGEST_SESSION:
        message = f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint"
    else:
        return timedelta(seconds=int(seconds))
    raise _sts_refuse(world, 400, "ValidationError", message)


def _trusted(world: "World", form: dict[str, str]) -> tuple[Document, Role]:
    """Return the claims of the token and the role whose trust policy it satisfies."""
    claims = world.entra.claims_of(form["WebIdentityToken"])
    if claims is None:
        raise _sts_refuse(world, 400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
    now = world.now()
    if now.timestamp() >= claims["exp"]:
        raise _sts_refuse(
            world, 400, "ExpiredTokenException", f"Token expired: current date/time {int(now.timestamp())} must be "
            f"before the expiration date/time {claims['exp']}"
        )  # fmt: skip
    role = world.aws.roles.get(form["RoleArn"])
    if role is not None and claims["iss"] != role.issuer:
        issuer = escape(claims["iss"])
        raise _sts_refuse(world, 400, "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
    if role is not None and str(claims["aud"]).rstrip("/") != role.audience.rstrip("/"):
        raise _sts_refuse(world, 400, "InvalidIdentityToken", "Incorrect token audience")
    if role is None or claims["sub"] != role.subject:
        raise _sts_refuse(world, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    return claims, role


# --- ECR ----------------------------------------------------------------------------------------------------------

_ECR_CODES = {
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "UnrecognizedClient": "UnrecognizedClientException",
    "InvalidSignature": "InvalidSignatureException",
    "ExpiredToken": "ExpiredTokenException",
}


def _enter(world: "World", request: Request, action: str) -> tuple[AccessKey, str, Document]:
    """Check signature, rate and policy of an ECR call: (access key, region, body)."""
    key, region = _signer(world, request, "ecr", lambda code, text: _ecr_refuse(world, _ECR_CODES[code], text))
    if not world.options.quiet and world.limits.take(("ecr", key.account, region, action), _RATE, world.now())[0]:
        world.events.append("ecr.throttled", action=action)
        raise _ecr_refuse(world, "ThrottlingException", "Rate exceeded")
    if not key.may(f"ecr:{action}"):
        raise _ecr_refuse(
            world,
            "AccessDeniedException",
            f"User: {key.arn} is not authorized to perform: ecr:{action} on resource: * because no identity-based policy "
            f"allows the ecr:{action} action",
        )
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        raise _ecr_refuse(world, "SerializationException", "The request body is not JSON.") from None
    return key, region, body


def get_authorization_token(world: "World", request: Request) -> Reply:
    """Issue a registry password that ends by itself after twelve hours."""
    key, region, body = _enter(world, request, "GetAuthorizationToken")
    data = []
    for account in body.get("registryIds") or [key.account]:
        lease = world.aws.lease(str(account), region)
        token = base64.b64encode(f"AWS:{lease.password}".encode()).decode()
        data.append(
            {
                "authorizationToken": token,
                "expiresAt": lease.expires_at.timestamp(),
                "proxyEndpoint": f"https://{rules.server_of(lease.account, region)}",
            }
        )
    return _ecr_reply(world, {"authorizationData": data})


def describe_repositories(world: "World", request: Request) -> Reply:
    """List the repositories of one account in the region signed for."""
    key, region, body = _enter(world, request, "DescribeRepositories")
    account = str(body.get("registryId") or key.account)
    registry = world.aws.registries.get(rules.server_of(account, region))
    held = registry.repositories if registry else {}
    names = body.get("repositoryNames") or sorted(held)
    unknown = next((name for name in names if name not in held), None)
    if unknown is not None:
        raise _ecr_refuse(
            world,
            "RepositoryNotFoundException",
            f"The repository with name '{unknown}' does not exist in the registry with id '{account}'",
        )
    size, token = int(body.get("maxResults") or _PAGE), str(body.get("nextToken") or "0")
    if not token.isdigit() or not 1 <= size <= 1000:
        raise _ecr_refuse(world, "InvalidParameterException", "Invalid parameter: nextToken or maxResults.")
    start, end = int(token), int(token) + size
    page: Document = {"repositories": [_repository(account, region, name, held[name]) for name in names[start:end]]}
    if end < len(names):
        page["nextToken"] = str(end)
    return _ecr_reply(world, page)


def _repository(account: str, region: str, name: str, created_at: datetime) -> Document:
    return {
        "repositoryArn": f"arn:aws:ecr:{region}:{account}:repository/{name}",
        "registryId": account,
        "repositoryName": name,
        "repositoryUri": f"{rules.server_of(account, region)}/{name}",
        "createdAt": created_at.timestamp(),
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


# --- dispatch -----------------------------------------------------------------------------------------------------

_STS_ACTIONS = {
    "GetCallerIdentity": get_caller_identity,
    "AssumeRoleWithWebIdentity": assume_role_with_web_identity,
}
_ECR_ACTIONS = {
    "GetAuthorizationToken": get_authorization_token,
    "DescribeRepositories": describe_repositories,
}


def call(world: "World", request: Request) -> Reply:
    """Answer any AWS call: they all are POST /, and the request names the action in a header or in the form."""
    target, action = request.headers.get("x-amz-target", ""), _action(request)
    if target:
        handler = _ECR_ACTIONS.get(action) if target.startswith(_TARGET) else None
        refusal = _ecr_refuse(world, "UnknownOperationException", f"The sandbox does not emulate {target}", status=501)
    else:
        handler = _STS_ACTIONS.get(action)
        refusal = _sts_refuse(world, 501, "InvalidAction", f"The sandbox does not emulate the action '{action}'")
    if handler is None:
        raise refusal
    return handler(world, request)


def _action(request: Request) -> str:
    target = request.headers.get("x-amz-target", "")
    return target.removeprefix(_TARGET) if target else request.form().get("Action", "")


def _named(request: Request) -> str:
    """Name a known action for faults and counts; whatever else a client writes there is no name."""
    action = _action(request)
    return f"aws.{action}" if action in _STS_ACTIONS or action in _ECR_ACTIONS else ""


def _injected(world: "World", request: Request, status: int, code: str, message: str) -> Refused:
    if request.headers.get("x-amz-target"):
        return _ecr_refuse(world, code, message, status=status)
    return _sts_refuse(world, status, code, message)


ROUTES: tuple[Route, ...] = (
    Route(
        service="aws",
        operation="aws.call",
        method="POST",
        path="/",
        hosts=_HOSTS,
        handler=call,
        auth="aws",
        detail=_named,
        refusal=_injected,
    ),
)
