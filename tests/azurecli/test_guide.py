"""How private images are pulled to Container Instances, system by system, as the field guide types it; the product sees each.

What the commands take for granted (a registry, an account elsewhere) is planted. As the guide has them, no `az container create`
succeeds today, in the sandbox or at Azure; `_mended` names the three reasons, and each has a test that it is really so.
"""

import pytest

from tests.azurecli.conftest import THIRD_PARTIES, Terminal
from tests.conftest import Programs

_IDENTITY = """
UAMI_NAME=aci-pull-mi
az identity create -g $RG -n $UAMI_NAME
UAMI_ID=$(az identity show -g $RG -n $UAMI_NAME --query id -o tsv)
UAMI_PRINCIPAL=$(az identity show -g $RG -n $UAMI_NAME --query principalId -o tsv)
ACR_ID=$(az acr show -n $ACR_NAME --query id -o tsv)
az role assignment create --assignee $UAMI_PRINCIPAL --role AcrPull --scope $ACR_ID
"""
_IDENTITY_GROUP = """
ACR_SERVER="$ACR_NAME.azurecr.io"
cat <<EOF | az container create -g $RG --name app-mi --file - --only-show-errors
apiVersion: 2021-10-01
location: $LOC
name: app-mi
type: Microsoft.ContainerInstance/containerGroups
sku: Standard
identity:
  type: UserAssigned
  userAssignedIdentities:
    $UAMI_ID: {}
properties:
  osType: Linux
  restartPolicy: Always
  ipAddress: { type: Public, dnsNameLabel: app-mi-$RANDOM, ports: [{protocol: TCP, port: 8080}] }
  containers:
    - name: web
      properties:
        image: $ACR_SERVER/myimage:v1
        ports: [{ port: 8080 }]
        resources: { requests: { cpu: 1.0, memoryInGB: 1.0 } }
EOF
"""
# What the service demands beyond the guide: an entry that names the identity.
_NAMED_GROUP = _IDENTITY_GROUP.replace(
    "  containers:\n", "  imageRegistryCredentials: [{ server: $ACR_SERVER, identity: $UAMI_ID }]\n  containers:\n"
)
_TOKEN = """
az acr scope-map create -r $ACR_NAME -n sm_pull --repository myimage content/read metadata/read
az acr token create -r $ACR_NAME -n tok_pull --scope-map sm_pull
TOKEN_PASS=$(az acr token credential generate -r $ACR_NAME -n tok_pull --query passwords[0].value -o tsv)
az container create -g $RG -n app-token \\
  --image $ACR_SERVER/myimage:v1 \\
  --registry-login-server $ACR_SERVER \\
  --registry-username tok_pull \\
  --registry-password "$TOKEN_PASS" \\
  --ip-address Public --ports 8080 --os-type Linux --sku Standard
"""
_APP = """
SP=$(az ad sp create-for-rbac \\
  --name sp-acr-pull \\
  --role AcrPull \\
  --scopes $ACR_ID -o json)
SP_APPID=$(echo "$SP" | jq -r .appId)
SP_SECRET=$(echo "$SP" | jq -r .password)

az container create -g $RG -n app-sp \\
  --image $ACR_SERVER/myimage:v1 \\
  --registry-login-server $ACR_SERVER \\
  --registry-username $SP_APPID \\
  --registry-password "$SP_SECRET" \\
  --ip-address Public --ports 8080 --os-type Linux --sku Standard
"""
_ADMIN = """
az acr update -n $ACR_NAME --admin-enabled true
ADMIN_USER=$(az acr credential show -n $ACR_NAME --query username -o tsv)
ADMIN_PASS=$(az acr credential show -n $ACR_NAME --query passwords[0].value -o tsv)

az container create -g $RG -n app-admin \\
  --image $ACR_SERVER/myimage:v1 \\
  --registry-login-server $ACR_SERVER \\
  --registry-username $ADMIN_USER \\
  --registry-password "$ADMIN_PASS" \\
  --ip-address Public --ports 8080 --os-type Linux --sku Standard
"""
_ECR = """
AWS_REGION=eu-west-1
AWS_ACCOUNT_ID=123456789012
ECR_SERVER="$AWS_ACCOUNT_ID.dkr.ecr.$AWS_REGION.amazonaws.com"
ECR_PASS=$(aws ecr get-login-password --region $AWS_REGION)

az container create -g $RG -n app-ecr \\
  --image $ECR_SERVER/myapp:tag \\
  --registry-login-server $ECR_SERVER \\
  --registry-username AWS \\
  --registry-password "$ECR_PASS" \\
  --ip-address Public --ports 8080 --os-type Linux --sku Standard
"""
_GENERIC = """
az container create \\
  -g $RG -n $APP \\
  --image $REGISTRY/$IMAGE \\
  --registry-login-server $REGISTRY \\
  --registry-username "$USERNAME" \\
  --registry-password "$PASSWORD" \\
  --ip-address Public --ports 8080 --os-type Linux --sku Standard
"""
_GENERIC_FILE = """
cd "$HOME"
cat > app-generic.yaml <<EOF
apiVersion: 2021-10-01
location: eastus
name: app-generic
type: Microsoft.ContainerInstance/containerGroups
sku: Standard
properties:
  osType: Linux
  restartPolicy: Always
  ipAddress:
    type: Public
    dnsNameLabel: app-generic-demo
    ports:
      - protocol: TCP
        port: 8080
  containers:
    - name: web
      properties:
        image: $REGISTRY/$IMAGE
        resources:
          requests: { cpu: 1.0, memoryInGB: 1.0 }
        ports:
          - port: 8080
  imageRegistryCredentials:
    - server: $REGISTRY
      username: $USERNAME
      password: $PASSWORD
EOF
az container create -g $RG --name app-generic --file app-generic.yaml
"""


def _mended(commands: str) -> str:
    """Return the commands as they work with today's CLI and service.

    * Flags without --cpu and --memory are refused by the service: ResourceRequestsNotSpecified (azure-cli#30496).
    * `--file -` is a file of that name to the CLI; /dev/stdin is standard input.
    * `sku` at the top of the YAML stops the CLI before any request: it reads an ARM resource, whose sku is an object.
    """
    for old, new in (
        ("--sku Standard", "--sku Standard --cpu 1 --memory 1"),
        ("--file - ", "--file /dev/stdin "),
        ("sku: Standard\n", ""),
    ):
        commands = commands.replace(old, new)
    return commands


def _third_party(terminal: Terminal, host: str) -> dict[str, str]:
    account, image = terminal.accounts[host], f"{THIRD_PARTIES[host][0]}:tag"
    return {"APP": "app-generic", "REGISTRY": host, "USERNAME": account.username, "PASSWORD": account.password, "IMAGE": image}


def test_without_cpu_and_memory_the_service_refuses(terminal: Terminal) -> None:
    assert "ResourceRequestsNotSpecified" in terminal.fails(_GENERIC, **_third_party(terminal, "quay.io"))


def test_the_cli_reads_no_dash_as_standard_input_and_no_sku_at_the_top(terminal: Terminal) -> None:
    """Both fail in the CLI itself, before a request is sent."""
    assert "No such file or directory: -" in terminal.fails(f"UAMI_ID=/any\n{_IDENTITY_GROUP}")
    assert "Unable to deserialize" in terminal.fails(_GENERIC_FILE, **_third_party(terminal, "quay.io"))
    assert "aci.groups.put" not in terminal.world.requests


def test_a_managed_identity_that_no_entry_names_is_not_used(terminal: Terminal) -> None:
    """The guide says that no entry is needed; the service then pulls anonymously. With an entry it pulls."""
    assert "InaccessibleImage" in terminal.fails(_mended(_IDENTITY + _IDENTITY_GROUP))
    terminal.works("UAMI_ID=$(az identity show -g $RG -n aci-pull-mi --query id -o tsv)" + _mended(_NAMED_GROUP))
    assert terminal.audited("app-mi") == "managed-identity"


def test_the_audit_explains_a_managed_identity_that_no_entry_names(terminal: Terminal) -> None:
    """Made while the registry let everybody pull, the guide's own group runs; it cannot start again once that has ended."""
    public = "az acr update -n $ACR_NAME --sku Standard --anonymous-pull-enabled"
    terminal.works(f"{public} true\n{_mended(_IDENTITY + _IDENTITY_GROUP)}{public} false")
    assert terminal.found("identity-attached-not-named") == ["app-mi"]


def test_a_repository_scoped_token(terminal: Terminal) -> None:
    terminal.works(_mended(_TOKEN))
    assert terminal.audited("app-token") == "password:acr-token"


def test_a_service_principal(terminal: Terminal, programs: Programs) -> None:
    programs.find("jq", "jq")
    terminal.works(_mended(_APP))
    assert terminal.audited("app-sp") == "password:entra-app"


def test_the_admin_user(terminal: Terminal) -> None:
    terminal.works(_mended(_ADMIN))
    assert terminal.audited("app-admin") == "password:acr-admin"


def test_amazon_ecr(terminal: Terminal, programs: Programs) -> None:
    programs.find("aws", "awscli")
    terminal.works(_mended(_ECR))
    assert terminal.audited("app-ecr") == "password:ecr"


@pytest.mark.parametrize("host", THIRD_PARTIES)
def test_docker_hub_ghcr_gitlab_and_quay_in_the_generic_pattern(terminal: Terminal, host: str) -> None:
    right = _third_party(terminal, host)
    assert "InaccessibleImage" in terminal.fails(_mended(_GENERIC), **right | {"PASSWORD": "wrong"})
    terminal.works(_mended(_GENERIC), **right)
    assert terminal.audited("app-generic") == f"password:{THIRD_PARTIES[host][1]}"


def test_the_generic_pattern_in_a_file(terminal: Terminal) -> None:
    right = _third_party(terminal, "quay.io")
    assert "InaccessibleImage" in terminal.fails(_mended(_GENERIC_FILE), **right | {"IMAGE": "org/repo:another"})
    terminal.works(_mended(_GENERIC_FILE), **right)
    assert terminal.audited("app-generic") == "password:quay"
