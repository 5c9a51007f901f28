"""ECR logins by web identity federation."""

from datetime import timedelta

import pytest

from rotator.clients.aws import EcrLogins, WebIdentityRole, ecr_region
from rotator.model.errors import ConfigError, Denied, Rejected
from rotator.model.secret import Secret
from rotator.sandbox.estates.builder import ECR_SERVER
from tests.contract.groups.conftest import Cloud


def logins(cloud: Cloud, *, role_arn: str = "", token: str = "") -> EcrLogins:
    role = cloud.sandbox.configuration["aws"]["roles"][0]
    return EcrLogins(
        cloud.clock,
        roles={ECR_SERVER: WebIdentityRole(role_arn=role_arn or role["role_arn"], audience=role["audience"])},
        web_identity=lambda audience: Secret(token or cloud.credential.get_token(f"{audience}/.default").token),
        endpoint_url=f"https://{cloud.sandbox.address}",
        ca_file=cloud.sandbox.ca_file,
    )


def test_a_login_lives_for_twelve_hours(cloud: Cloud) -> None:
    login = logins(cloud).login(ECR_SERVER, "rot-1")
    assert login.username == "AWS"
    # Our reading of the sandbox's clock may be a fraction of a second old.
    assert abs(login.expires_at - cloud.clock.now() - timedelta(hours=12)) < timedelta(minutes=5)


def test_a_session_name_that_aws_would_refuse_is_made_fit(cloud: Cloud) -> None:
    assert logins(cloud).login(ECR_SERVER, "ecr:a/b c" + "x" * 100).password
    assert logins(cloud).login(ECR_SERVER, "").password


@pytest.mark.parametrize(
    "change",
    [{"token": "no.token.atall"}, {"role_arn": "arn:aws:iam::123456789012:role/another"}],
    ids=["a bad token", "no role"],
)
def test_who_is_not_trusted_is_denied_and_no_token_is_told(cloud: Cloud, change: dict[str, str]) -> None:
    with pytest.raises((Denied, Rejected)) as caught:
        logins(cloud, **change).login(ECR_SERVER, "rot-1")
    assert "no.token.atall" not in f"{caught.value} {caught.value.__dict__}"
    assert caught.value.api == "sts"


def test_a_registry_without_a_role_or_a_profile_says_what_to_configure(cloud: Cloud) -> None:
    with pytest.raises(ConfigError, match="neither a role nor a profile"):
        logins(cloud).login("210987654321.dkr.ecr.us-east-1.amazonaws.com", "rot-1")


def test_a_profile_that_does_not_exist_is_refused_before_anything_is_sent(cloud: Cloud) -> None:
    static = EcrLogins(cloud.clock, roles={}, web_identity=lambda _: Secret(""), profile="no-such-profile")
    with pytest.raises(Rejected, match="ProfileNotFound"):
        static.login(ECR_SERVER, "rot-1")
    assert cloud.requests("aws.call") == 0


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
    ],
)
def test_the_region_is_in_the_host(host: str, region: str) -> None:
    assert ecr_region(host) == region


@pytest.mark.parametrize("host", ["demo.azurecr.io", "public.ecr.aws", "12.dkr.ecr.eu-west-1.amazonaws.com", ""])
def test_another_host_has_no_region(host: str) -> None:
    with pytest.raises(ConfigError):
        ecr_region(host)
