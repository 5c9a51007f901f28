"""The emulated GitLab, asked as a client would, without the product."""

from datetime import timedelta

import httpx
import pytest

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.gitlab.records import GitLabToken
from rotator.sandbox.estates.builder import Builder
from tests.sandbox.conftest import Run
from tests.sandbox.owner import http_client

PROJECT = "/api/v4/projects/1701"


def planted(sandbox: Sandbox, scopes: tuple[str, ...] = ("api",)) -> GitLabToken:
    """Plant the registry and a project; return an access token with these scopes."""
    build = Builder(sandbox.world, "test")
    build.gitlab_token("gitlab-deploy-token", "projects/1701", age=1, expires=10, vault=False)
    return sandbox.world.gitlab.add("gitlab-access-token", "personal", "mine", scopes=scopes, username="me")


def ask(sandbox: Sandbox, token: GitLabToken | None, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Host": "gitlab.com", **({"PRIVATE-TOKEN": token.value} if token else {})}
    return http_client(sandbox).request(method, path, headers=headers, json=body)


def test_who_has_no_token_or_not_the_scope_is_refused(quiet: Sandbox) -> None:
    reader = planted(quiet, ("read_registry",))
    assert ask(quiet, None, "GET", f"{PROJECT}/deploy_tokens").status_code == 401
    refused = ask(quiet, reader, "GET", f"{PROJECT}/deploy_tokens")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert ask(quiet, reader, "POST", "/api/v4/personal_access_tokens/self/rotate", {}).status_code == 403


def test_an_unknown_project_token_or_method(quiet: Sandbox) -> None:
    api = planted(quiet)
    assert ask(quiet, api, "GET", "/api/v4/projects/9/deploy_tokens").status_code == 404
    assert ask(quiet, api, "DELETE", f"{PROJECT}/deploy_tokens/1").status_code == 404
    assert ask(quiet, api, "PUT", f"{PROJECT}/deploy_tokens").status_code == 405


def test_a_list_has_pages_and_never_a_value(quiet: Sandbox) -> None:
    api = planted(quiet)
    for number in range(4):
        made = ask(quiet, api, "POST", f"{PROJECT}/deploy_tokens", {"name": f"t{number}", "scopes": ["read_registry"]})
        assert made.status_code == 201
        assert made.json()["username"] == f"gitlab+deploy-token-{made.json()['id']}"
    page, seen = "1", []
    while page:
        answer = ask(quiet, api, "GET", f"{PROJECT}/deploy_tokens?page={page}")
        seen += answer.json()
        page = answer.headers["x-next-page"]
    assert len(seen) == 5
    assert all("token" not in one for one in seen)


def test_a_rotation_without_an_end_gives_a_week_and_ends_the_old_token_at_once(quiet: Sandbox) -> None:
    api = planted(quiet)
    made = ask(quiet, api, "POST", "/api/v4/personal_access_tokens/self/rotate", {}).json()
    assert made["expires_at"] == (quiet.world.now() + timedelta(days=7)).date().isoformat()
    assert ask(quiet, api, "GET", f"{PROJECT}/deploy_tokens").status_code == 401


def test_a_second_rotation_of_one_token_ends_its_family(quiet: Sandbox) -> None:
    api = planted(quiet)
    puller = quiet.world.gitlab.add("gitlab-access-token", "projects/1701", "bot", scopes=("read_registry",), username="bot")
    path = f"{PROJECT}/access_tokens/{puller.id}/rotate"
    new = ask(quiet, api, "POST", path, {})
    assert new.status_code == 200
    assert quiet.world.gitlab.verdict("bot", new.json()["token"], quiet.world.now()) == "ok"
    assert ask(quiet, api, "POST", path, {}).status_code == 401
    assert quiet.world.gitlab.verdict("bot", new.json()["token"], quiet.world.now()) == "invalid"


def test_the_registry_compares_the_user_name_after_the_token(quiet: Sandbox) -> None:
    planted(quiet)
    first, second = (
        quiet.world.gitlab.add("gitlab-deploy-token", "projects/1701", "t", scopes=("read_registry",), username="shared")
        for _ in range(2)
    )
    now = quiet.world.now()
    assert {quiet.world.gitlab.verdict("shared", one.value, now) for one in (first, second)} == {"ok"}
    assert quiet.world.gitlab.verdict("other", first.value, now) == "invalid"


@pytest.mark.parametrize("end", ["2020-01-01", "2099-01-01"])
def test_an_end_in_the_past_or_beyond_a_year_is_refused(quiet: Sandbox, end: str) -> None:
    api = planted(quiet)
    refused = ask(quiet, api, "POST", "/api/v4/personal_access_tokens/self/rotate", {"expires_at": end})
    assert refused.status_code == 400


def test_too_many_requests_are_told_to_wait(run: Run) -> None:
    sandbox = run(manners="azure")
    api = planted(sandbox)
    answers = [ask(sandbox, api, "GET", f"{PROJECT}/deploy_tokens") for _ in range(60)]
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
