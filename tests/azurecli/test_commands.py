"""What people do with `az` besides creating groups: look, read logs, stop and start, and care for credentials by hand."""

from pathlib import Path

import yaml

from tests.azurecli.conftest import Terminal

_SERVER = "contosoone.azurecr.io"


def _lines(terminal: Terminal, commands: str) -> list[str]:
    return terminal.works(commands).splitlines()


def _accepts(terminal: Terminal, username: str, password: str) -> bool:
    world = terminal.world
    with world.lock:
        return world.registries.accepts(_SERVER, username, password, "myimage", world.now()).everywhere


def test_groups_are_listed_shown_and_exported_without_their_secrets(terminal: Terminal, tmp_path: Path) -> None:
    shown = _lines(
        terminal,
        """
        az container list -g $RG --query 'sort_by([], &name)[].name' -o tsv
        az container show -g $RG -n batch --query '[instanceView.state, containers[0].name]' -o tsv
        az container export -g $RG -n web --file "$HOME/web.yaml"
        GROUP=/subscriptions/$SUBSCRIPTION/resourceGroups/$RG/providers/Microsoft.ContainerInstance/containerGroups/web
        az rest --method get --url "$GROUP?api-version=2023-05-01" -o tsv --query '[name,tags.team,properties.provisioningState]'
        """,
    )
    assert shown == ["api", "batch", "reader", "web", "Stopped", "batch", "web", "one", "Succeeded"]
    text = (tmp_path / "home" / "web.yaml").read_text()
    properties = yaml.safe_load(text)["properties"]
    assert properties["imageRegistryCredentials"][0].keys() == {"server", "username", "isDelegatedIdentity"}
    assert properties["containers"][0]["properties"]["environmentVariables"] == [{"name": "API_KEY"}]
    assert "sk_live_" not in text


def test_a_group_logs_restarts_stops_starts_and_is_deleted(terminal: Terminal) -> None:
    """Its credential is a valid one, so that what starts it pulls."""
    shown = _lines(
        terminal,
        """
        STATE='--query instanceView.state -o tsv'
        say() { az container logs -g $RG -n web | grep .; }
        say | tail -1
        az container restart -g $RG -n web; say
        az container stop -g $RG -n web; say; az container show -g $RG -n web $STATE
        az container start -g $RG -n web; az container show -g $RG -n web $STATE
        """,
    )
    started = "Started 123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1."
    assert shown[0].startswith("Alive for 4")  # of the 420 minutes for which it has had its lease
    assert shown[1:] == [started, started, "Ended with exit code 0.", "Stopped", "Running"]
    assert "ContainerNotFound" in terminal.fails("az container logs -g $RG -n web --container-name other")
    gone = terminal.fails("az container delete -g $RG -n web --yes -o none && echo deleted >&2; az container logs -g $RG -n web")
    assert "deleted" in gone
    assert "ResourceNotFound" in gone


def test_scope_maps_and_tokens_are_made_changed_and_deleted(terminal: Terminal) -> None:
    shown = _lines(
        terminal,
        """
        SM="-r $ACR_NAME -n sm" TOK="-r $ACR_NAME -n tok"
        az acr scope-map create $SM --repository myimage content/read -o none
        az acr scope-map update $SM --add-repository team/app metadata/read -o none
        az acr scope-map show $SM --query 'sort(actions)' -o tsv
        az acr scope-map list -r $ACR_NAME --query "[?name=='sm'].name" -o tsv
        az acr token create $TOK --scope-map sm --query 'sort_by(credentials.passwords, &name)[].value' -o tsv
        az acr token credential delete $TOK --password1 -o none
        az acr token show $TOK --query 'credentials.passwords[].name' -o tsv
        """,
    )
    assert shown[:3] == ["repositories/myimage/content/read", "repositories/team/app/metadata/read", "sm"]
    first, second, left = shown[3:]
    assert left == "password2"
    assert (_accepts(terminal, "tok", first), _accepts(terminal, "tok", second)) == (False, True)
    listed = "az acr token list -r $ACR_NAME --query '[].join(`:`, [name, status])' -o tsv"
    assert terminal.works(f"az acr token update -r $ACR_NAME -n tok --status disabled -o none; {listed}") == "tok:disabled"
    assert not _accepts(terminal, "tok", second)
    assert terminal.works(f"az acr token delete -r $ACR_NAME -n tok --yes; {listed}") == ""


def test_one_admin_password_is_renewed_and_the_other_stays(terminal: Terminal) -> None:
    passwords = "--query 'sort_by(passwords, &name)[].value' -o tsv"
    one, two, kept, new = _lines(
        terminal,
        f"""
        az acr update -n $ACR_NAME --admin-enabled true -o none
        az acr credential show -n $ACR_NAME {passwords}
        az acr credential renew -n $ACR_NAME --password-name password2 {passwords}
        """,
    )
    assert kept == one
    assert {password: _accepts(terminal, "contosoone", password) for password in (one, two, new)} == {
        one: True, two: False, new: True
    }  # fmt: skip


def test_a_secret_has_versions_and_its_attributes_are_of_one_of_them(terminal: Terminal) -> None:
    shown = _lines(
        terminal,
        """
        SECRET="--vault-name kv-demo --name by-hand"
        az keyvault secret set $SECRET --value first --query value -o tsv
        az keyvault secret set $SECRET --value second --tags team=one -o none
        az keyvault secret set-attributes $SECRET --expires 2030-01-01T00:00:00Z --query attributes.expires -o tsv
        az keyvault secret show $SECRET --query '[value, tags.team, attributes.expires]' -o tsv
        az keyvault secret list-versions $SECRET --query '[length([]), length([?attributes.expires])]' -o tsv
        az keyvault secret list --vault-name kv-demo --query "[?name=='by-hand'].[name, value]" -o tsv
        """,
    )
    until = "2030-01-01T00:00:00+00:00"
    assert shown == ["first", until, "second", "one", until, "2", "1", "by-hand\tNone"]


def test_an_application_s_secrets_are_added_replaced_and_listed(terminal: Terminal) -> None:
    shown = _lines(
        terminal,
        """
        APP=$(az ad sp create-for-rbac --name sp-by-hand --role AcrPull --scopes $ACR_ID --query appId -o tsv)
        az ad app credential reset --id $APP --append -o none
        az ad app credential list --id $APP --query 'length(@)' -o tsv
        NAMES="--query sort_by([],&displayName)[].displayName -o tsv"
        az ad sp credential reset --id $APP --append --display-name one -o none
        az ad sp credential reset --id $APP --append --display-name two -o none
        az ad sp credential list --id $APP $NAMES
        az ad sp credential reset --id $APP --display-name only -o none
        az ad sp credential list --id $APP $NAMES
        az role assignment list --assignee $APP --scope $ACR_ID --query '[].roleDefinitionName' -o tsv
        """,
    )
    # The application and its service principal have secrets of their own: what replaces those of one leaves the other's.
    assert shown == ["2", "one", "two", "only", "AcrPull"]
