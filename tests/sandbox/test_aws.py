"""STS and ECR through boto3: a token of Entra becomes a session, a session becomes a registry password."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rotator.sandbox import FaultPlan
from rotator.sandbox.clouds.aws import rules
from tests.sandbox.servedworld import Cloud, served_world

ACCOUNT = "123456789012"
SERVER = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/rotator-pull"
AUDIENCE = "api://AzureADTokenExchange"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        served.world.aws.add_registry(SERVER, [f"team/app-{number}" for number in range(5)])
        served.world.aws.add_role(ROLE, subject=served.principal_id, audience=AUDIENCE)
        yield served


def client(cloud: Cloud, service: str, **credentials: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    keys = credentials or {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, region_name="eu-west-1", endpoint_url=cloud.base, verify=cloud.ca_file, config=config, **keys)


def token(cloud: Cloud, audience: str = AUDIENCE, principal: str = "") -> str:
    return cloud.world.entra.issue_token(principal or cloud.principal_id, audience)


def assume(cloud: Cloud, **changes: object) -> dict[str, str]:
    """Assume the role as the product does; return boto3's names of the three parts of the session."""
    wanted = {"RoleArn": ROLE, "RoleSessionName": "rotator", "WebIdentityToken": token(cloud), **changes}
    session = client(cloud, "sts").assume_role_with_web_identity(**wanted)["Credentials"]
    return {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_token_of_entra_becomes_a_session_and_the_session_a_registry_password(cloud: Cloud) -> None:
    session = assume(cloud)
    identity = client(cloud, "sts", **session).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/rotator-pull/rotator")
    data = client(cloud, "ecr", **session).get_authorization_token()["authorizationData"][0]
    assert data["proxyEndpoint"] == f"https://{SERVER}"
    now = cloud.world.now()
    assert abs((data["expiresAt"] - now - timedelta(hours=12)).total_seconds()) < 5
    lease = cloud.world.ledger.find_in(data["authorizationToken"])[0]
    assert (lease.kind, lease.principal) == ("ecr-lease", f"ecr:{SERVER}/AWS")
    assert cloud.world.aws.lease_valid(SERVER, lease.value, now) == "valid"
    assert cloud.world.aws.lease_valid(SERVER, lease.value, now + timedelta(hours=12)) == "expired"
    assert cloud.world.aws.lease_valid(SERVER.replace("eu", "us"), lease.value, now) == "unknown"
    assert cloud.world.ledger.live(lease, now)
    assert not cloud.world.ledger.live(lease, now + timedelta(hours=12))


def test_an_older_password_keeps_working_next_to_a_newer_one(cloud: Cloud) -> None:
    first, _ = cloud.world.aws.issue_lease(SERVER)
    second, _ = cloud.world.aws.issue_lease(SERVER)
    assert {cloud.world.aws.lease_valid(SERVER, one, cloud.world.now()) for one in (first, second)} == {"valid"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("not a token", "InvalidIdentityToken"),
        ("another audience", "InvalidIdentityToken"),
        ("another account", "AccessDenied"),
        ("another role", "AccessDenied"),
        ("an old token", "ExpiredTokenException"),
        ("too long", "ValidationError"),
        ("another issuer", "InvalidIdentityToken"),
    ],
)
def test_a_role_is_assumed_only_as_its_trust_policy_says(cloud: Cloud, wrong: str, code: str) -> None:
    changes: dict[str, object] = {}
    if wrong == "not a token":
        changes = {"WebIdentityToken": "not.a.token"}
    elif wrong == "another audience":
        changes = {"WebIdentityToken": token(cloud, "https://management.azure.com")}
    elif wrong == "another account":
        other = cloud.world.graph.add_application(cloud.world.guid(), "other").object_id
        changes = {"WebIdentityToken": token(cloud, principal=other)}
    elif wrong == "another role":
        changes = {"RoleArn": f"{ROLE}-2"}
    elif wrong == "an old token":
        changes = {"WebIdentityToken": token(cloud)}
        cloud.advance(hours=2)
    elif wrong == "another issuer":
        cloud.world.aws.add_role(ROLE, subject=cloud.principal_id, issuer="https://sts.windows.net/elsewhere/")
    else:
        changes = {"DurationSeconds": 7200}
    with pytest.raises(ClientError) as error:
        assume(cloud, **changes)
    assert refusal(error) == code


def test_a_session_ends_on_the_sandbox_clock(cloud: Cloud) -> None:
    session = assume(cloud)
    cloud.advance(hours=1)
    with pytest.raises(ClientError) as error:
        client(cloud, "ecr", **session).get_authorization_token()
    assert refusal(error) == "ExpiredTokenException"
    with pytest.raises(ClientError) as error:
        client(cloud, "sts", **session).get_caller_identity()
    assert refusal(error) == "ExpiredToken"


def test_a_static_access_key_works_without_a_role(cloud: Cloud) -> None:
    key = cloud.world.aws.add_access_key(f"arn:aws:iam::{ACCOUNT}:user/ci")
    ecr = client(cloud, "ecr", aws_access_key_id=key.id, aws_secret_access_key=key.secret)
    assert ecr.get_authorization_token()["authorizationData"]
    assert cloud.world.ledger.find_in(key.secret)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("id", "UnrecognizedClientException"), ("secret", "InvalidSignatureException"), ("session", "UnrecognizedClientException")],
)
def test_a_wrong_part_of_the_access_key_is_noticed(cloud: Cloud, wrong: str, code: str) -> None:
    session = assume(cloud)
    name = {"id": "aws_access_key_id", "secret": "aws_secret_access_key", "session": "aws_session_token"}[wrong]
    session[name] = "AKIAWRONGWRONGWRONGX"
    with pytest.raises(ClientError) as error:
        client(cloud, "ecr", **session).get_authorization_token()
    assert refusal(error) == code


def test_a_policy_without_the_action_denies_it(cloud: Cloud) -> None:
    key = cloud.world.aws.add_access_key(f"arn:aws:iam::{ACCOUNT}:user/ci", permissions=["ecr:Describe*"])
    ecr = client(cloud, "ecr", aws_access_key_id=key.id, aws_secret_access_key=key.secret)
    with pytest.raises(ClientError, match="no identity-based policy allows the ecr:GetAuthorizationToken action") as error:
        ecr.get_authorization_token()
    assert refusal(error) == "AccessDeniedException"
    assert len(ecr.describe_repositories()["repositories"]) == 5


def test_repositories_are_listed_in_pages_and_an_unknown_one_is_named(cloud: Cloud) -> None:
    ecr = client(cloud, "ecr", **assume(cloud))
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["repositories"]) for page in pages] == [2, 2, 1]
    assert pages[0]["repositories"][0]["repositoryUri"] == f"{SERVER}/team/app-0"
    with pytest.raises(ClientError, match="'nope' does not exist") as error:
        ecr.describe_repositories(repositoryNames=["nope"])
    assert refusal(error) == "RepositoryNotFoundException"


def test_more_than_200_calls_at_once_are_throttled(cloud: Cloud) -> None:
    ecr = client(cloud, "ecr", **assume(cloud))
    key = ("ecr", ACCOUNT, "eu-west-1", "GetAuthorizationToken")
    # The state of the bucket, not 200 round trips, is what is under test; the debt outlasts a request's latency.
    cloud.world.limits._buckets[key] = (-5.0, cloud.world.now())
    with pytest.raises(ClientError) as error:
        ecr.get_authorization_token()
    assert refusal(error) == "ThrottlingException"
    cloud.advance(seconds=1)
    assert ecr.get_authorization_token()


def test_what_is_not_emulated_says_so(cloud: Cloud) -> None:
    session = assume(cloud)
    with pytest.raises(ClientError, match="does not emulate"):
        client(cloud, "ecr", **session).create_repository(repositoryName="new")
    with pytest.raises(ClientError, match="does not emulate"):
        client(cloud, "sts", **session).get_session_token()


@pytest.mark.parametrize("host", ["example.com", "1234.dkr.ecr.eu-west-1.amazonaws.com", "kv.vault.azure.net"])
def test_only_ecr_hosts_are_ecr_registries(host: str) -> None:
    with pytest.raises(ValueError, match="not an ECR registry"):
        rules.registry_of(host)


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [("aws.GetAuthorizationToken", 400, "ThrottlingException"), ("aws.AssumeRoleWithWebIdentity", 503, "ServiceUnavailable")],
)
def test_a_fault_selects_an_action_and_arrives_in_its_envelope(cloud: Cloud, operation: str, status: int, code: str) -> None:
    cloud.world.faults = FaultPlan.parse([{"on": operation, "nth": 1, "status": status, "code": code, "message": "Slow down."}])
    with pytest.raises(ClientError, match="Slow down") as error:
        client(cloud, "ecr", **assume(cloud)).get_authorization_token()
    assert refusal(error) == code
    assert error.value.operation_name == operation.removeprefix("aws.")
    assert cloud.world.faults.struck == {operation: 1}


def test_a_fault_on_every_call_still_has_its_name(cloud: Cloud) -> None:
    cloud.world.faults = FaultPlan.parse([{"on": "aws.call", "status": 503}])
    with pytest.raises(ClientError):
        assume(cloud)
