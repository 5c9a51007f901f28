"""The proxy by which any program reaches the emulated hosts under their real names; and the account that goes with it."""

import ssl
from pathlib import Path

import httpx
import pytest

from rotator.sandbox.operator import operator
from rotator.sandbox.serve import Sandbox, SandboxOptions


def _client(sandbox: Sandbox) -> httpx.Client:
    return httpx.Client(proxy=sandbox.proxy_url, verify=ssl.create_default_context(cafile=str(sandbox.ca_file)))


def test_an_emulated_host_answers_under_its_real_name_and_no_other_host_is_reached(tmp_path: Path) -> None:
    with (
        Sandbox(SandboxOptions(directory=tmp_path, estate="one-acr-token", manners="quiet")) as sandbox,
        _client(sandbox) as client,
    ):
        assert client.get("https://contosoone.azurecr.io/v2/").status_code == 401
        assert client.get("https://management.azure.com/subscriptions?api-version=2022-12-01").status_code == 401
        for other in ("https://example.invalid/", "https://management.azure.com:8443/", "https://azurecr.io/"):
            with pytest.raises(httpx.ProxyError, match="403"):
                client.get(other)


def test_the_operator_is_made_once_and_leaves_the_worlds_chance_alone(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxOptions(directory=tmp_path, estate="one-ecr", manners="quiet"))
    before = sandbox.world.rng.getstate()
    first, again = operator(sandbox.world), operator(sandbox.world)
    assert sandbox.world.rng.getstate() == before
    assert (first["client_id"], first["aws_roles"]) == (again["client_id"], again["aws_roles"])
    assert len(first["aws_roles"]) == 1
