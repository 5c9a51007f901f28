"""Each reason why an image cannot be pulled has a sentence of its own: from a pull, and from a redeploy that Azure refused."""

from datetime import timedelta

import pytest

from rotator.model.credential import Credential, Handle, Principal, PrincipalKind
from rotator.model.errors import Refusal, RotatorError, Throttled, VerificationFailed
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from tests.contract.groups.conftest import Cloud
from tests.contract.groups.test_pulls import stored_password


def refused(cloud: Cloud, group: str, repository: str = "", password: str = "") -> VerificationFailed:
    image, username, secret = stored_password(cloud, group)
    wanted = ImageReference(server=image.server, repository=repository or image.repository, reference=image.reference)
    with pytest.raises(VerificationFailed) as caught:
        cloud.pulls.probe(wanted, username, Secret(password) if password else secret)
    assert str(wanted) in str(caught.value)
    assert secret.reveal() not in f"{caught.value} {caught.value.advice}"
    return caught.value


@pytest.mark.parametrize(
    "group", ["web-frontend", "tools-agent", "tools-runner", "tools-exporter", "tools-toolbox", "tools-cron"]
)
def test_a_wrong_password_at_every_kind_of_registry(cloud: Cloud, group: str) -> None:
    error = refused(cloud, group, password="not-the-password-0001")
    assert error.refusal is Refusal.WRONG_CREDENTIAL
    assert "does not accept the credential of" in error.message


def test_a_token_whose_scope_leaves_the_repository_out(cloud: Cloud) -> None:
    error = refused(cloud, "web-frontend", repository="payments/ledger")
    assert error.refusal is Refusal.NO_RIGHT
    assert "leaves out the repository payments/ledger" in error.message


def test_a_lease_of_amazon_that_has_ended(cloud: Cloud) -> None:
    error = refused(cloud, "scorer-late")
    assert error.refusal is Refusal.EXPIRED
    assert "has expired" in error.message


def test_a_pull_limit_is_no_fault_of_the_credential(cloud: Cloud) -> None:
    image, username, secret = stored_password(cloud, "tools-toolbox")
    cloud.break_(on="registry.plain.manifest", status=429, code="TOOMANYREQUESTS", message="TOOMANYREQUESTS: pull rate limit")
    with pytest.raises(Throttled, match="which says nothing about the credential"):
        cloud.pulls.probe(image, username, secret)


def test_a_driver_tells_an_expired_secret_from_a_wrong_one_by_its_date(cloud: Cloud) -> None:
    image, username, secret = stored_password(cloud, "payments-gateway")
    principal = Principal(kind=PrincipalKind.ACR_TOKEN, registry=image.server, name=username)
    ended = Credential(
        handle=Handle(principal=principal, id="password1"), username=username, expires_at=cloud.clock.now() - timedelta(days=2)
    )
    with pytest.raises(RotatorError, match="expired on") as caught:
        cloud.drivers[PrincipalKind.ACR_TOKEN].verify(ended, secret, [image])
    assert isinstance(caught.value, VerificationFailed)
    assert caught.value.refusal is Refusal.EXPIRED
