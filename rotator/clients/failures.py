"""The one place where a failure on the wire becomes a word: from azure-core, httpx and botocore to `rotator.model.errors`."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

import httpx
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from rotator.clients.observed import naming
from rotator.clients.refusals import Answer, Asked, refusal
from rotator.model.errors import Denied, Indeterminate, Rejected, RemoteError, RotatorError, Unavailable

# httpx raises these before a byte of the request has left.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_UNSENT_BOTO = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"})


@contextmanager
def translated(*, api: str, operation: str, effect: bool = False, needs: str = "", thing: str = "") -> Iterator[None]:
    """Turn every failure of the requests made inside into an error of ours; errors of ours pass unchanged.

    `api` and `operation` are closed names, for metrics; `thing` names the object for people. `effect` says that the request
    changes something that a second request would change again: then an answer that never came, or a 500, 502 or 504, is
    Indeterminate. Leave it False for reads and for requests that may safely be repeated; those become Unavailable. `needs` is
    the permission that Denied names, in the service's own words.

    The error is raised `from None`: the failure underneath holds the request, and the request may hold a secret.
    """
    asked = Asked(api=api, operation=operation, effect=effect, needs=needs, thing=thing)
    with naming(api, operation):
        try:
            yield
        except RotatorError:
            raise
        except AzureError as error:
            raise _from_azure(error, asked) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _from_httpx(error, asked) from None
        except JSONDecodeError:
            raise unanswered(asked, "the answer could not be read") from None
        except Exception as error:
            if not type(error).__module__.startswith("botocore"):
                raise
            raise _from_botocore(error, asked) from None


def unsent(asked: Asked, why: str, advice: str | None = None) -> Unavailable:
    """Return the error for a request that never left; `why` is a word of ours, such as the name of an exception class."""
    return Unavailable(
        f"{asked.service} could not be reached to {asked.deed} ({why}); nothing was sent.",
        api=asked.api,
        operation=asked.operation,
        advice=advice,
    )


def unreached(error: BaseException) -> tuple[str, str]:
    """Say of a host why no connection to it came about, and what helps: a name, a certificate, a port, or silence."""
    causes = list(_causes(error))
    certificate = next((one for one in causes if isinstance(one, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return (
            f"shows a certificate that rotator does not trust: {certificate.verify_message.rstrip('.')}",
            "If it has an authority of its own, name its certificate in network.ca_file. Azure pulls where a public one vouches.",
        )
    if any(isinstance(one, socket.gaierror) for one in causes):
        return (
            "has a name that no name server knows where rotator runs",
            "Correct the name, or let rotator ask the name server that knows it.",
        )
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "does not speak TLS as rotator does", "Check that this is the address and port of its HTTPS service."
    silent = any(isinstance(one, (httpx.ConnectTimeout, TimeoutError)) for one in causes)
    what = "does not answer at all" if silent else "refuses connections"
    return what, "Check the address, and the firewalls between it and rotator."


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def unanswered(asked: Asked, why: str) -> RemoteError:
    """Return the error for a request without an answer: Indeterminate when it may have changed something."""
    if asked.effect:
        return Indeterminate(
            f"No answer of {asked.service} to {asked.deed} ({why}); it may have taken effect.",
            api=asked.api,
            operation=asked.operation,
        )
    return Unavailable(f"No answer of {asked.service} to {asked.deed} ({why}).", api=asked.api, operation=asked.operation)


def _from_azure(error: AzureError, asked: Asked) -> RemoteError:
    if isinstance(error, ServiceRequestError):
        return unsent(asked, _why(error))
    if isinstance(error, ServiceResponseError):
        return unanswered(asked, _why(error))
    if isinstance(error, HttpResponseError) and error.response is not None:
        response = error.response
        answer = Answer.read(int(response.status_code or 0), dict(getattr(response, "headers", {})), _body(response))
        if answer.status >= 400:
            return refusal(answer, asked)
        if isinstance(error, DecodeError):
            return unanswered(asked, "the answer could not be read")
        return Rejected(
            f"{asked.service} answered {answer.status} to {asked.deed}, which is no answer to it.",
            api=asked.api,
            operation=asked.operation,
            request_id=answer.request_id,
            reason=answer.code or "unexpected-answer",
        )
    if isinstance(error, ClientAuthenticationError):
        return Denied(
            f"{asked.service} did not accept who we are, to {asked.deed}.",
            api=asked.api,
            operation=asked.operation,
            needs=asked.needs or "a valid identity",
        )
    return unanswered(asked, type(error).__name__)


def _from_httpx(error: Exception, asked: Asked) -> RemoteError:
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        return refusal(Answer.read(response.status_code, response.headers, _body(response)), asked)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        what, advice = unreached(error)
        return unsent(asked, f"it {what}", advice)
    if isinstance(error, (*_UNSENT, httpx.InvalidURL)):
        return unsent(asked, type(error).__name__)
    return unanswered(asked, type(error).__name__)


def _from_botocore(error: Exception, asked: Asked) -> RemoteError:
    from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, ClientError):
        meta = error.response.get("ResponseMetadata", {})
        code = str(error.response.get("Error", {}).get("Code", ""))
        headers = {str(name).lower(): str(value) for name, value in meta.get("HTTPHeaders", {}).items()}
        headers.setdefault("x-amzn-requestid", str(meta.get("RequestId", "")))
        return refusal(Answer(status=int(meta.get("HTTPStatusCode", 400)), code=code, headers=headers), asked)
    name = type(error).__name__
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return Denied(
            f"There are no AWS credentials to {asked.deed} with.",
            api=asked.api,
            operation=asked.operation,
            needs="an AWS role (aws.roles) or a profile (aws.profile)",
        )
    if name in _UNSENT_BOTO:
        return unsent(asked, name)
    if isinstance(error, HTTPClientError):
        return unanswered(asked, name)
    return Rejected(
        f"The request to {asked.service} to {asked.deed} could not be made ({name}).",
        api=asked.api,
        operation=asked.operation,
        reason=name,
    )


def _why(error: AzureError) -> str:
    inner = getattr(error, "inner_exception", None)
    detail = getattr(inner, "args", ("",))
    text = str(detail[0]) if detail else ""
    # Only our own connection writes "TLS: <reason>"; any other text may quote the request.
    return text.partition("TLS: ")[2] or type(inner or error).__name__


def _body(response: object) -> str:
    text = getattr(response, "text", "")
    try:
        return str(text() if callable(text) else text)
    except Exception:  # noqa: BLE001 - an error body that cannot be read only costs us the error's code
        return ""
