"""Azure's management hosts, whose routes several of the emulated clouds add to."""

from rotator.sandbox.wire import Auth, Handler, Route

HOSTS = ("management.azure.com", "management.chinacloudapi.cn", "management.usgovcloudapi.net")


def route(provider: str, operation: str, method: str, path: str, handler: Handler, auth: Auth = "arm") -> Route:
    """Return a route of the management hosts; `provider` is the short name that begins the operation's ("aci.groups.list")."""
    return Route(
        service="arm", operation=f"{provider}.{operation}", method=method, path=path, hosts=HOSTS, handler=handler, auth=auth
    )
