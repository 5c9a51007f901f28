"""Estates with one due credential and the groups that use it: the smallest in which a whole rotation can go wrong.

There is one estate a kind of credential. The groups are the four that a rotation treats differently: one with a write-only value
that only the vault holds, a plain one, one that reads its password through a vault reference, and a stopped one.
"""

from collections.abc import Callable, Mapping

from rotator.sandbox.estates.builder import ECR_SERVER, Builder
from rotator.sandbox.estates.documents import Secret, container
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World

REPOSITORY = "team/app"
_VALUE = "containers/web/environmentVariables/API_KEY/secureValue"


class One:
    """Seeds the ground, one credential and its groups."""

    def __init__(self, world: World, kind: str) -> None:
        self.world = world
        # A group that reads its password from the vault has the user name in its own body: it cannot follow a pair of users.
        self.reads = kind != "quay-pair"
        self.windows: dict[str, str] = {}
        self.age = 12.0  # days since the groups were put
        self.build = build = Builder(world, f"one-{kind}")
        self.subscription = build.subscription("Contoso One")
        self.home = world.arm.add_resource_group(self.subscription, "rg-one", "westeurope")
        build.vault(self.home)
        self.workspace = build.workspace(self.home, "law-one")
        self.registry = build.registry(self.home, "contosoone", (REPOSITORY,), workspace=self.workspace)

    def seed(self, secret: Secret) -> Estate:
        """Plant the groups around the credential and finish the estate."""
        build, image = self.build, f"{secret.server}/{REPOSITORY}:v1"
        key = f"sk_live_{self.world.text(32)}"
        build.group(
            self.home,
            "web",
            [container("web", image, secure={"API_KEY": key})],
            credentials=[secret.entry()],
            tags={"team": "one"},
            age=self.age,
            vault_fields={_VALUE: key},
        )
        build.group(self.home, "api", [container("api", image)], credentials=[secret.entry()], age=self.age)
        if self.reads:
            self._plant_reader(secret)
        else:
            build.group(self.home, "reader", [container("reader", image)], credentials=[secret.entry()], age=self.age)
        build.group(self.home, "batch", [container("batch", image)], credentials=[secret.entry()], state="stopped", age=self.age)
        estate = build.finish(self.home, (self.subscription,), self.workspace)
        estate.outage_windows = self.windows
        return estate

    def _plant_reader(self, secret: Secret) -> None:
        build, image = self.build, f"{secret.server}/{REPOSITORY}:v1"
        reader = build.identity(self.home, "id-reader")
        build.vault_reader(reader)
        build.group(
            self.home,
            "reader",
            [container("reader", image)],
            credentials=[secret.reference("pull")],
            identities=[reader],
            api_version="2026-07-01",
            secretReferences=[build.reference("pull", reader, secret)],
            age=self.age,
        )


def _token(one: One) -> Secret:
    return one.build.token(one.registry, "pull", (REPOSITORY,), age=80, expires=10)


def _app(one: One) -> Secret:
    return one.build.app(one.registry, "sp-pull", age=80, expires=10)


def _lease(one: One) -> Secret:
    one.build.ecr(ECR_SERVER, (REPOSITORY,))
    one.age = 6.9 / 24  # what pulled a lease ago would store one that has run out
    return one.build.lease(ECR_SERVER, age_hours=7, vault=True)


def _hub(one: One) -> Secret:
    return one.build.docker_hub("contoso", (REPOSITORY,), age=80, expires=10)


def _hub_org(one: One) -> Secret:
    return one.build.docker_hub("contosoinc", (REPOSITORY,), age=80, expires=10, organization=True)


def _quay(one: One) -> Secret:
    one.windows["quay:*"] = "0 * * * * for 1h"
    return one.build.quay(("contoso+puller",), (REPOSITORY,), age=100)


def _quay_pair(one: One) -> Secret:
    return one.build.quay(("contoso+puller", "contoso+puller_b"), (REPOSITORY,), age=100)


def _admin(one: One) -> Secret:
    one.registry.admin_enabled = True
    one.world.registries.fill_admin(one.registry)
    # Its groups are being moved to something better, and the operator says which password they use.
    server, name = one.registry.login_server, one.registry.name
    one.build.rotation = {"admin_users": [server], "slots": {f"acr-admin:{server}/{name}": "password"}}
    return one.build.admin(one.registry, vault=True, age=100)


def _deploy_token(one: One) -> Secret:
    one.build.gitlab_registry((REPOSITORY,))
    return one.build.gitlab_token("gitlab-deploy-token", "projects/1701", age=80, expires=10)


def _access_token(one: One) -> Secret:
    one.build.gitlab_registry((REPOSITORY,))
    one.windows["gitlab:*"] = "0 * * * * for 1h"
    return one.build.gitlab_token("gitlab-access-token", "projects/1701", "aci-puller", age=80, expires=10)


def _github(one: One) -> Secret:
    return one.build.github("contoso-bot", (REPOSITORY,), age=80, expires=10)


def _other(one: One) -> Secret:
    return one.build.other("registry.contoso.dev", "ci", (REPOSITORY,), age=80, expires=10)


CREDENTIALS: Mapping[str, Callable[[One], Secret]] = {
    "acr-token": _token,
    "entra-app": _app,
    "ecr": _lease,
    "docker-hub": _hub,
    "docker-hub-org": _hub_org,
    "acr-admin": _admin,
    "quay": _quay,
    "quay-pair": _quay_pair,
    "gitlab": _access_token,
    "gitlab-deploy-token": _deploy_token,
    "ghcr": _github,
    "other": _other,
}
"""How each kind's credential is planted, held in the vault and due. A new kind of credential is a line here."""


def seed(world: World, kind: str) -> Estate:
    """Plant the estate of a kind; KeyError for one that is not in CREDENTIALS."""
    one = One(world, kind)
    return one.seed(CREDENTIALS[kind](one))
