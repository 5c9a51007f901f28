"""Registries of other parties: what their credentials are managed with."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, field_validator, model_validator

from rotator.settings.section import Section

if TYPE_CHECKING:
    from rotator.clients.gitlab import GitLabSite


class AwsRole(Section):
    """An AWS role that the managed identity may assume to read one ECR registry, without any stored AWS key."""

    registry: Annotated[str, Field(pattern=r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$")]
    role_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
    audience: str = "api://AzureADTokenExchange"


class Aws(Section):
    """How ECR passwords are obtained."""

    roles: tuple[AwsRole, ...] = ()
    profile: Annotated[str | None, Field(description="a static AWS profile, for registries without a role")] = None
    endpoint_url: Annotated[str | None, Field(description="replaces every AWS address; for emulators")] = None


class GitLabSettings(Section):
    """How one GitLab's tokens are managed."""

    host: Annotated[str, Field(description="of its container registry, as container groups name it")] = "registry.gitlab.com"
    api: Annotated[str, Field(pattern=r"^https://[^/]+", description="GitLab's own address")] = "https://gitlab.com"
    secret: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{1,127}$", description="vault secret of a token with the scope api")]
    projects: Annotated[tuple[str, ...], Field(description="ids or paths of projects that own tokens")] = ()
    groups: Annotated[tuple[str, ...], Field(description="ids or paths of groups that own tokens")] = ()
    tokens: Annotated[dict[str, str], Field(description="user name to the name of its access token, where they differ")] = {}

    def site(self) -> "GitLabSite":
        """Return it as the client wants it."""
        from rotator.clients.gitlab import GitLabSite

        owners = (*(f"projects/{one}" for one in self.projects), *(f"groups/{one}" for one in self.groups))
        return GitLabSite(host=self.host, api=self.api, secret=self.secret, owners=owners, tokens=self.tokens)


class DockerHubAccount(Section):
    """How the tokens of one Docker ID or organisation are managed."""

    secret: Annotated[str, Field(description="vault secret with the password or token that manages the tokens")]
    identifier: Annotated[
        str, Field(description="who logs in with it: the Docker ID itself unless given; for an organisation, one of its owners")
    ] = ""
    organization: bool = False
    repositories: Annotated[
        tuple[str, ...],
        Field(description="what an organisation's token may pull, such as contoso/*; else what the last could"),
    ] = ()

    @model_validator(mode="after")
    def _somebody_logs_in(self) -> Self:
        if self.organization and not self.identifier:
            raise ValueError("an organisation cannot log in: name one of its owners as identifier")
        return self


class QuayInstallation(Section):
    """How the robot accounts of one Quay are managed."""

    secret: Annotated[str, Field(description="vault secret with an OAuth token of scope org:admin")]
    pairs: Annotated[
        dict[str, str], Field(description="robot to the one that it takes turns with; both may pull the same, for rotator alone")
    ] = {}

    @field_validator("pairs")
    @classmethod
    def _each_robot_once(cls, pairs: dict[str, str]) -> dict[str, str]:
        robots = [*pairs, *pairs.values()]
        if len(set(robots)) != len(robots):
            raise ValueError("a robot can be in one pair only")
        return pairs


class Registries(Section):
    """Registries of other parties: hosts whose kind cannot be seen from their name, and what manages their tokens."""

    docker_hub: Annotated[
        dict[str, DockerHubAccount], Field(description="by the user name that groups present, in lower case")
    ] = {}
    quay: Annotated[dict[str, QuayInstallation], Field(description="by host, such as quay.io")] = {}
    gitlab_hosts: tuple[str, ...] = ()
    quay_hosts: tuple[str, ...] = ()
    gitlab: tuple[GitLabSettings, ...] = ()
