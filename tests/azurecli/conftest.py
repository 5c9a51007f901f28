"""The real Azure CLI in front of a sandbox: `az`, and where needed `aws` and `jq`, on PATH; `.ci/run` puts them there."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.cli.exits import Exit
from rotator.cli.sandbox import environment_of
from rotator.sandbox.estates.builder import ECR_SERVER, Builder
from rotator.sandbox.estates.documents import Secret
from rotator.sandbox.serve import Sandbox, SandboxOptions
from rotator.sandbox.world import World
from tests.conftest import Programs
from tests.e2e.desk import Ended, run

_LONGEST = 240
_PROLOGUE = f"""\
set -euo pipefail
rotator() {{ {shlex.quote(sys.executable)} -c 'from rotator.cli.app import main; main()' "$@"; }}
eval "$(rotator sandbox env --azure-cli --directory "$SANDBOX")"
RG=rg-one LOC=westeurope ACR_NAME=contosoone ACR_SERVER=contosoone.azurecr.io
ACR_ID=/subscriptions/$SUBSCRIPTION/resourceGroups/$RG/providers/Microsoft.ContainerRegistry/registries/$ACR_NAME
"""


@dataclass
class Terminal:
    """A person's shell, in which `eval "$(rotator sandbox env --azure-cli)"` was said."""

    sandbox: Sandbox
    accounts: dict[str, Secret]

    @property
    def world(self) -> World:
        """The emulated clouds behind it."""
        return self.sandbox.world

    def run(self, commands: str, **variables: str) -> Ended:
        """Run commands as a script that ends at the first failure."""
        folder = self.sandbox.options.directory
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "IDENTITY_", "AZURE_"))}  # noqa: TID251
        given = {"SANDBOX": str(folder), "SUBSCRIPTION": self.sandbox.estate.subscriptions[0], "HOME": str(folder / "home")}
        ended = subprocess.run(
            ["bash", "-c", _PROLOGUE + commands],  # noqa: S607 - whichever bash the person has
            env={**mine, **given, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def works(self, commands: str, **variables: str) -> str:
        """Run commands that must succeed; what they printed."""
        ended = self.run(commands, **variables)
        assert ended.status == 0, ended.err
        return ended.out.strip()

    def fails(self, commands: str, **variables: str) -> str:
        """Run commands that must fail; what was said."""
        ended = self.run(commands, **variables)
        assert ended.status != 0, ended.out
        return ended.words

    def audited(self, group: str) -> str:
        """Return how the product's audit says that a group pulls: the section of its inventory."""
        sections = self._audit()["inventory"]
        found = [one["id"] for one in sections for row in one["rows"] if row["group"].endswith(f"/{group}")]
        assert len(found) == 1, found
        return str(found[0])

    def found(self, policy: str) -> list[str]:
        """Return the groups, by name, that a policy of the product finds at fault."""
        judged = next(one for one in self._audit()["policies"] if one["policy"]["id"] == policy)
        return [finding["resource"].rpartition("/")[2] for finding in judged["open"]]

    def _audit(self) -> dict[str, Any]:
        settings = self.sandbox.options.directory / "rotator.yaml"
        ended = run("audit", "--json", "--fail-on", "never", "--config", str(settings))
        # Nobody has told rotator yet how the other parties' tokens are managed: what it could not see, it says.
        assert ended.status in {Exit.CLEAN, Exit.INCOMPLETE}, ended.err
        told: dict[str, Any] = json.loads(ended.out)
        return told


# The guide's repository at each party, and what rotator calls its kind of credential.
THIRD_PARTIES = {
    "docker.io": ("yourname/private-repo", "docker-hub"),
    "ghcr.io": ("your-org/your-image", "ghcr"),
    "registry.gitlab.com": ("namespace/project/image", "gitlab-deploy-token"),
    "quay.io": ("org/repo", "quay"),
}


@pytest.fixture
def terminal(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A shell before a small world that holds the registries and images that the guide's commands name."""
    programs.find("az", "azure-cli", how="in an environment of its own: pip install azure-cli")
    (tmp_path / "home").mkdir()
    with Sandbox(SandboxOptions(directory=tmp_path, estate="one-ecr", manners="quiet")) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        accounts = _plant(sandbox.world)
        told = {"address": sandbox.address, "control": sandbox.control_url, "environment": environment_of(sandbox)}
        (tmp_path / "sandbox.json").write_text(json.dumps(told))
        yield Terminal(sandbox, accounts)


def _plant(world: World) -> dict[str, Secret]:
    """Push the guide's images, and open the accounts that it takes for granted, each with a token that its party issues."""
    with world.lock:
        next(iter(world.registries.acr.values())).repositories["myimage"] = {"v1"}
        world.aws.add_registry(ECR_SERVER, ["myapp"])
        world.registries.plain[ECR_SERVER].repositories["myapp"] = {"tag"}
        build = Builder(world, "guide")
        hub, github, gitlab, quay = (repository for repository, _ in THIRD_PARTIES.values())
        build.gitlab_registry((gitlab,))
        accounts = {
            "docker.io": build.docker_hub("yourname", (hub,), age=1, expires=80, vault=False),
            "ghcr.io": build.github("your-gh-username", (github,), age=1, expires=80, vault=False),
            "registry.gitlab.com": build.gitlab_token("gitlab-deploy-token", "projects/17", age=1, expires=80, vault=False),
            "quay.io": build.quay(("org+robot",), (quay,), age=1, vault=False),
        }
        for host, (repository, _) in THIRD_PARTIES.items():
            world.registries.plain[host].repositories[repository] = {"tag"}
        return accounts
