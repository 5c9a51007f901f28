import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotator.inventory.suspects import find_suspects
from tests.builders import container_body

# Put together here, so that no scanner takes this file for a leak.
RANDOM = "Zq8" + "vT3kLm0Xy5Rw2Bn7Jd4Hs9Gf6Cp1Ae"
ACR_52 = "Ab3" * 14 + "+ACR" + "Cd4Ef5"
ACR_84 = "Ab3d" * 13 + "JQQJ99" + "Bx7y" * 4 + "Zz" + "AZCR" + "Qw1e"
STORAGE = "Ab3d" * 19 + "+ASt" + "Cd4Ef5" + "=="
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0." + "c2lnbmF0dXJlLW9mLWl0"

SECRETS: dict[str, tuple[str, str, str]] = {
    "a password that a registry made, under a telling name": ("REGISTRY_PASSWORD", RANDOM, "secret-name"),
    "a weak password is a password": ("DB_PASSWORD", "hunter2", "secret-name"),
    "a default password is a password": ("DB_PASSWORD", "changeme", "secret-name"),
    "a name in camel case": ("dbPassword", "hunter2", "secret-name"),
    "a name with colons, as .NET writes it": ("Smtp:Password", "hunter2", "secret-name"),
    "a client secret": ("AZURE_CLIENT_SECRET", "s3cr3t-of-mine", "secret-name"),
    "a numbered name": ("API_KEY_2", "k-123456", "secret-name"),
    "a random value under a doubtful name": ("SERVICE_TOKEN", RANDOM, "secret-name-and-random-value"),
    "a registry password of 52 characters under any name": ("FOO", ACR_52, "azure-registry-password"),
    "a registry password of 84 characters under any name": ("FOO", ACR_84, "azure-key"),
    "a storage key under any name": ("FOO", STORAGE, "azure-storage-key"),
    "an Entra client secret under any name": ("FOO", "abc8" + "Q~" + "d" * 33 + "1", "azure-client-secret"),
    "a GitHub token": ("FOO", "ghp_" + "a1B2" * 9, "github-token"),
    "a GitLab token": ("FOO", "glpat-" + "a1B2c3D4e5F6g7H8i9J0", "gitlab-token"),
    "a Docker token": ("FOO", "dckr_pat_" + "a1B2c3D4e5F6g7H8i9J0", "docker-token"),
    "an AWS key id": ("FOO", "AKIA" + "A1B2C3D4E5F6G7H8", "aws-access-key-id"),
    "a JSON web token": ("FOO", JWT, "json-web-token"),
    "a private key": ("FOO", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE", "private-key"),
    "a URL with a password": ("DATABASE_URL", "postgres://app:hunter2@db.example.com/app", "url-with-password"),
    "a connection string to storage": (
        "STORE",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=abcdefgh12345678;EndpointSuffix=core.windows.net",
        "connection-string",
    ),
    "a connection string to SQL Server": ("STORE", "Server=tcp:db,1433;User ID=app;Password=hunter2;", "connection-string"),
    "a connection string of PostgreSQL": ("STORE", "host=db user=app password=hunter2", "connection-string"),
    "a shared access signature": (
        "FOO",
        "https://x.blob.core.windows.net/c?sv=2024&sig=" + "aB3%2F" * 6,
        "shared-access-signature",
    ),
}

HARMLESS: dict[str, tuple[str, str]] = {
    "a plain setting": ("LOG_LEVEL", "debug"),
    "an image name": ("IMAGE", "demo.azurecr.io/web:1.2.3"),
    "the shell's working directory": ("PWD", "/srv/app"),
    "the file that holds the password": ("DB_PASSWORD_FILE", "/run/secrets/db-password"),
    "a path under a telling name": ("TLS_PRIVATE_KEY", "/etc/tls/private.key"),
    "a file name under a telling name": ("SIGNING_KEY", "signing.pem"),
    "a switch": ("DISABLE_PASSWORD", "true"),
    "a length": ("PASSWORD_MIN_LENGTH", "12"),
    "a lifetime": ("TOKEN_TTL", "3600s"),
    "the address where tokens are made": ("TOKEN_URL", "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
    "a plain address under a telling name": ("VAULT_SECRET", "https://kv.vault.azure.net/secrets/db"),
    "a reference to the vault": ("DB_PASSWORD", "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/db)"),
    "a placeholder in braces": ("DB_PASSWORD", "${DB_PASSWORD}"),
    "a placeholder in brackets": ("DB_PASSWORD", "<set at deployment>"),
    "a template": ("DB_PASSWORD", "{{ .Values.password }}"),
    "a mask": ("DB_PASSWORD", "********"),
    "an empty value": ("DB_PASSWORD", ""),
    "a public key": ("JWT_PUBLIC_KEY", RANDOM),
    "a key of a cache": ("CACHE_KEY", RANDOM),
    "words under a doubtful name": ("ROUTING_TOKEN", "orders-created-event-v"),
    "an id under a doubtful name": ("TENANT_KEY", "5f0c7a1e-0000-4000-8000-000000000001"),
    "a name that only contains a telling word": ("KEYBOARD_LAYOUT", "de-latin1-nodeadkeys-x"),
    "a tokenizer is no token": ("TOKENIZERS_PARALLELISM", "false"),
    "an instrumentation key identifies only": ("APPINSIGHTS_INSTRUMENTATIONKEY", "5f0c7a1e-1111-4222-8333-000000000001"),
    "a random value that nothing calls secret": ("BUILD_ID", RANDOM),
    "a commit": ("GIT_COMMIT", "9fceb02d0ae598e95dc970b74767f19372d61af8"),
    "a URL with a user and no password": ("REPO", "ssh://git@example.com/x.git"),
    "a URL with a placeholder for the password": ("DATABASE_URL", "postgres://app:${DB_PASSWORD}@db/app"),
    "a user and a host": ("DSN", "app@db.example.com:5432/orders"),
    "two harmless settings of a shell": ("KEY2", "FOO=BAR="),
}


@pytest.mark.parametrize(("name", "value", "why"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_in_the_environment_is_seen(name: str, value: str, why: str) -> None:
    found = find_suspects(container_body(environment={name: value}))
    assert [(one.path, one.why) for one in found] == [(f"containers/web/environmentVariables/{name}/value", why)]


@pytest.mark.parametrize(("name", "value"), HARMLESS.values(), ids=HARMLESS.keys())
def test_a_harmless_setting_is_not_suspected(name: str, value: str) -> None:
    assert find_suspects(container_body(environment={name: value})) == ()


COMMANDS: dict[str, tuple[list[str], list[tuple[int, str]]]] = {
    "an option with its value": (["app", "--password=hunter2"], [(1, "secret-option")]),
    "an option before its value": (["app", "--db-password", "hunter2"], [(2, "secret-option")]),
    "a script that sets a variable": (["sh", "-c", "export DB_PASSWORD=hunter2; app"], [(2, "secret-assignment")]),
    "a script that quotes it": (["sh", "-c", 'DB_PASSWORD="hunter two" app'], [(2, "secret-assignment")]),
    "a script with an option": (["sh", "-c", "az login --client-secret hunter2"], [(2, "secret-option")]),
    "a header": (["curl", "-H", f"Authorization: Bearer {RANDOM}"], [(2, "authorization-header")]),
    "a user with a password": (["sh", "-c", "curl -u app:hunter2 https://x"], [(2, "user-option")]),
    "a known format": (["app", "ghp_" + "a1B2" * 9], [(1, "github-token")]),
    "an option that reads a variable": (["app", "--password", "$DB_PASSWORD"], []),
    "an option that names a file": (["app", "--password-file", "/run/secrets/db"], []),
    "a password read from a file": (["sh", "-c", "DB_PASSWORD=$(cat /run/secrets/db) app"], []),
    "a password from standard input": (["sh", "-c", "docker login --password-stdin"], []),
    "a switch": (["app", "--no-password", "verbose"], []),
    "two options in a row": (["app", "--token", "--verbose"], []),
    "an ordinary loop": (["/bin/sh", "-c", "while true; do echo hello; sleep 20; done"], []),
    "an ordinary server": (["python", "-m", "http.server", "--bind", "127.0.0.1"], []),
}


@pytest.mark.parametrize(("command", "expected"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_is_read_like_a_shell_would(command: list[str], expected: list[tuple[int, str]]) -> None:
    found = find_suspects(container_body(command=command))
    assert [(one.path, one.why) for one in found] == [(f"containers/web/command/{place}", why) for place, why in expected]


def test_other_readable_places_are_seen() -> None:
    probe = {
        "exec": {"command": ["check", "--token=hunter2"]},
        "httpGet": {"httpHeaders": [{"name": "X-Api-Key", "value": "k-123456"}]},
    }
    inside = {"livenessProbe": probe, "configMap": {"keyValuePairs": {"DB_PASSWORD": "hunter2"}}}
    body = {
        "properties": {
            "initContainers": [
                {
                    "name": "setup",
                    "properties": {"environmentVariables": [{"name": "PGPASSWORD", "value": "x"}, {"name": "TOKEN"}]},
                }
            ],
            "containers": [{"name": "web", "properties": inside}],
            "volumes": [{"name": "code", "gitRepo": {"repository": "https://robot:hunter2@git.example.com/x.git"}}],
        }
    }
    assert [one.path for one in find_suspects(body)] == [
        "containers/web/livenessProbe/exec/command/1",
        "containers/web/livenessProbe/httpGet/httpHeaders/X-Api-Key",
        "containers/web/configMap/keyValuePairs/DB_PASSWORD",
        "volumes/code/gitRepo/repository",
    ]


def test_what_azure_hides_is_not_suspected() -> None:
    body = container_body()
    body["properties"]["containers"][0]["properties"]["environmentVariables"] = [
        {"name": "DB_PASSWORD", "secureValue": "hunter2"}
    ]
    assert find_suspects(body) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "properties", "value", "command"]), inner)
    ),
    max_leaves=12,
)


@given(container=json_values, volumes=json_values)
def test_a_body_of_any_shape_is_read(container: object, volumes: object) -> None:
    find_suspects({"properties": {"containers": [container], "initContainers": container, "volumes": volumes}})


@given(
    name=st.sampled_from(["DB_PASSWORD", "TOKEN", "API_KEY", "FOO"]),
    value=st.text(min_size=6, max_size=80),
    where=st.sampled_from(["environment", "command", "git", "config"]),
)
def test_no_value_is_ever_in_the_answer(name: str, value: str, where: str) -> None:
    bodies = {
        "environment": container_body(environment={name: value}),
        "command": container_body(command=["app", "--password", value, f"{name}={value}"]),
        "git": container_body(volumes=[{"name": "code", "gitRepo": {"repository": f"https://x:{value}@git.example.com"}}]),
        "config": {
            "properties": {"containers": [{"name": "web", "properties": {"configMap": {"keyValuePairs": {name: value}}}}]}
        },
    }
    unsuspected = repr(find_suspects(container_body(environment={name: RANDOM}))) + repr(
        find_suspects(container_body(command=["app", "--password", "hunter2", "DB_PASSWORD=hunter2"]))
    )
    assume(value not in unsuspected and value not in "volumes/code/gitRepo/repository url-with-password configMap/keyValuePairs")
    assert value not in repr(find_suspects(bodies[where]))


def test_real_groups_are_not_suspected(recorded_bodies: Path) -> None:
    found = {}
    for path in sorted((recorded_bodies / "recorded-bodies").glob("cg_resp_*.json")):
        body = json.loads(path.read_text())["body"]
        for group in body.get("value", [body]):
            found.update({(path.name, one.path): one.why for one in find_suspects(group)})
    assert found == {}
