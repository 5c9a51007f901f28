"""Image names and registry hosts, as the container platform reads them."""

from dataclasses import dataclass
from functools import lru_cache

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A parsed image name: canonical host, repository, and tag or digest."""

    host: str
    repository: str
    reference: str


def canonical_host(server: str) -> str:
    """Return one name for all spellings of a registry: lower-case, no scheme or path, Docker Hub always the same."""
    host = server.lower().removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


@lru_cache(maxsize=16384)
def parse_image(name: str) -> Image:
    """Read an image name by Docker's rules: without a host it is Docker Hub's, without a tag it is `latest`."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, rest
    else:
        host, path = DOCKER_HUB, name
    path, at, digest = path.partition("@")
    repository, colon, tag = path.rpartition(":")
    if not colon:
        repository, tag = path, "latest"
    if canonical_host(host) == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Image(host=canonical_host(host), repository=repository, reference=digest if at else tag)
