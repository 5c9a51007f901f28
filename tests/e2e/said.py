"""The command line with something on standard input, and a file for `rotator deploy`."""

import io

import pytest
import yaml

from tests.e2e.desk import Desk, Ended

NEW = """\
apiVersion: 2021-10-01
location: westeurope
name: app-new
type: Microsoft.ContainerInstance/containerGroups
sku: Standard
properties:
  osType: Linux
  restartPolicy: Always
  containers:
    - name: web
      properties:
        image: {image}
        environmentVariables:
          - name: DB
            secureValue: ${{vault:{secret}}}
        resources: {{requests: {{cpu: 1.0, memoryInGB: 1.0}}}}
  imageRegistryCredentials:
    - server: {server}
      username: {username}
      password: ${{vault:{secret}}}
"""


class Said:
    """The command line with something on standard input."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self._patch = desk, monkeypatch

    def __call__(self, text: str, verb: str, *arguments: str) -> Ended:
        self._patch.setattr("sys.stdin", io.StringIO(text))
        ended = self.desk.run(verb, *arguments)
        assert "Traceback" not in ended.words, ended.words
        self.desk.sandbox.oracle.scan(f"{ended.out}{ended.err}".encode(), f"output of {verb}")
        return ended


def new_group(desk: Desk) -> str:
    exported = yaml.safe_load(desk.run("export", "web-api").out)["properties"]
    [entry] = exported["imageRegistryCredentials"]
    return NEW.format(
        image=exported["containers"][0]["properties"]["image"],
        server=entry["server"],
        username=entry["username"],
        secret=entry["password"].removeprefix("${vault:").removesuffix("}"),
    )
