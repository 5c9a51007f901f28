"""Image references, read the way container runtimes read them."""

from dataclasses import dataclass

# All of these name one service (facts: normalise; ACI's own errors cite index.docker.io).
DOCKER_HUB = "index.docker.io"
_DOCKER_HUB_NAMES = {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", ""}


def normal_server(text: str) -> str:
    """Return the registry's host in lower case: scheme, path and trailing slash removed, Docker Hub's names made one."""
    host = text.strip().lower()
    for scheme in ("https://", "http://"):
        host = host.removeprefix(scheme)
    host = host.split("/", 1)[0]
    return DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


@dataclass(frozen=True, slots=True, order=True)
class ImageReference:
    """One image: `server` (normalised host), `repository`, and `reference` (a tag or a `sha256:` digest)."""

    server: str
    repository: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Read `[host[:port]/]repository[:tag][@digest]`.

        The first segment is a host only when it has a dot, a colon or is `localhost`; a name without a host is Docker
        Hub's, one without a slash is in its `library/`. A missing tag is `latest`.
        """
        first, slash, rest = text.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            server, path = normal_server(first), rest
        else:
            server, path = DOCKER_HUB, text
        path, _, digest = path.partition("@")
        name, colon, tag = path.rpartition(":")
        if not colon or "/" in tag:
            name, tag = path, ""
        if server == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return cls(server=server, repository=name, reference=digest or tag or "latest")

    def __str__(self) -> str:
        separator = "@" if self.reference.startswith("sha256:") else ":"
        return f"{self.server}/{self.repository}{separator}{self.reference}"
