"""`rotator sandbox env --azure-cli`: a shell in which `az`, `aws`, `curl` and others speak to the sandbox."""

import shlex
from pathlib import Path

from rotator.cli.control import CLI_FOLDER, Control


def profile(directory: Path) -> tuple[dict[str, str], str]:
    """Prepare a profile of its own below the sandbox's directory: (variables, the command that logs in).

    The login is a managed identity's, so that no secret stands in an argument. It is left to the shell that evaluates it, which
    knows where its `az` is. ConfigError when no sandbox runs.
    """
    told = Control(directory).post("/operator", content=b"{}")
    folder, ca_file, proxy = (directory / CLI_FOLDER).resolve(), str((directory / "ca.pem").resolve()), str(told["proxy"])
    folder.mkdir(exist_ok=True)
    variables = {
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        # The proxy refuses every other host, so the sandbox's own authority is the only one that is needed.
        "REQUESTS_CA_BUNDLE": ca_file,
        "CURL_CA_BUNDLE": ca_file,
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,  # curl reads this one alone
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    if told["aws_roles"]:
        token = folder / "aws-token"
        token.write_text(told["aws_token"], encoding="utf-8")
        token.chmod(0o600)
        variables |= {
            "AWS_CA_BUNDLE": ca_file,
            "AWS_CONFIG_FILE": str(folder / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
            "AWS_ROLE_ARN": told["aws_roles"][0],
            "AWS_ROLE_SESSION_NAME": "sandbox",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
    client = shlex.quote(str(told["client_id"]))
    return variables, f"az login --identity --client-id {client} --only-show-errors --output none"
