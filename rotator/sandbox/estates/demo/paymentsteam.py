"""The payments team: credentials that nobody looked after, and service principals."""

from rotator.sandbox.estates.demo.contoso import Contoso
from rotator.sandbox.estates.documents import container
from rotator.sandbox.wire import Document


def plant(contoso: Contoso) -> None:
    """Plant the team's groups."""
    _tokens(contoso)
    _service_principals(contoso)
    _history(contoso)


def _history(contoso: Contoso) -> None:
    """One group was put by a template, and carries no tag that says so."""
    home = contoso.payments
    network = f"{home.id}/providers/Microsoft.Network/virtualNetworks/vnet-payments"
    ledger = f"{home.id}/providers/Microsoft.ContainerInstance/containerGroups/payments-ledger"
    contoso.world.arm.add_deployment(home, "payments-stack", [ledger])
    contoso.world.arm.add_deployment(home, "payments-network", [network])


def _tokens(contoso: Contoso) -> None:
    build, main, server = contoso.build, contoso.main, contoso.main.login_server
    expired = build.token(main, "aci-payments-pull", ("payments/gateway",), age=92, expires=-2)
    build.group(  # Runs on, and cannot be restarted.
        contoso.payments,
        "payments-gateway",
        [container("gateway", f"{server}/payments/gateway:v1", cpu=1.0)],
        credentials=[expired.entry()],
        tags={"team": "payments"},
    )
    ancient = build.token(main, "aci-ledger-pull", ("payments/ledger",), age=410, expires=None)
    build.group(  # Older than allowed, and without an end.
        contoso.payments,
        "payments-ledger",
        [container("ledger", f"{server}/payments/ledger:v1", cpu=1.0, mounts={"share": "/data"})],
        credentials=[ancient.entry()],
        volumes=[_share(contoso, "stcontosoledger", "ledger")],
        diagnostics={"logAnalytics": _logs(contoso)},
    )
    unmanaged = build.token(main, "aci-fraud-pull", ("payments/fraud",), age=50, expires=40, vault=False)
    build.group(  # Nobody but the group itself knows this password.
        contoso.payments,
        "payments-fraud",
        [container("fraud", f"{server}/payments/fraud:v1")],
        credentials=[unmanaged.entry()],
    )
    sealed = build.token(main, "aci-sealed-pull", ("payments/sealed",), age=84, expires=6)
    key = f"sk_live_{contoso.world.text(32)}"
    build.group(  # API_KEY is write-only and in no vault: a redeploy would lose it, so it must be held.
        contoso.payments,
        "payments-sealed",
        [container("sealed", f"{server}/payments/sealed:v1", secure={"API_KEY": key})],
        credentials=[sealed.entry()],
        tags={"team": "payments"},
    )


def _share(contoso: Contoso, account: str, name: str) -> Document:
    resource_id = f"{contoso.payments.id}/providers/Microsoft.Storage/storageAccounts/{account}"
    keys = contoso.world.keys
    holder = keys.find(resource_id) or keys.add_storage_account(resource_id)
    share = {"shareName": name, "storageAccountName": account, "storageAccountKey": holder.keys[0], "readOnly": False}
    return {"name": "share", "azureFile": share}


def _logs(contoso: Contoso) -> Document:
    holder = contoso.build.key_holder(contoso.workspace)
    return {"workspaceId": holder.customer_id, "workspaceKey": holder.keys[0], "logType": "ContainerInsights"}


def _service_principals(contoso: Contoso) -> None:
    build, server = contoso.build, contoso.main.login_server
    rows = (
        # name, age, expires, where the password lives
        ("billing", 20.0, 160.0, "application"),  # healthy
        ("invoices", 356.0, 9.0, "servicePrincipal"),  # soon at its end, and on the object that few people look at
        ("reports", 368.0, -3.0, "application"),  # expired
    )
    for name, age, expires, on in rows:
        secret = build.app(
            contoso.main,
            f"sp-aci-{name}",
            age=age,
            expires=expires,
            on="servicePrincipal" if on == "servicePrincipal" else "application",
        )
        build.history(contoso.main, secret.username, f"payments/{name}", (2, 5) if expires > 0 else (10, 20))
        build.group(
            contoso.payments,
            f"payments-{name}",
            [container(name, f"{server}/payments/{name}:v1")],
            credentials=[secret.entry()],
            tags={"team": "payments"},
        )
