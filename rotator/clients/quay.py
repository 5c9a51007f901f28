"""Robot accounts of Quay. Addresses and fields: docs.quay.io/api/swagger."""

from dataclasses import dataclass, field
from urllib.parse import quote

from rotator.clients.rest import Rest, bearer
from rotator.model.errors import Indeterminate
from rotator.model.secret import Secret

API = "quay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Robot:
    """A robot account. Quay tells its present token whenever it is asked."""

    name: str
    token: Secret = field(repr=False)


class Quay:
    """The robots of the organisations that an OAuth token (scope org:admin) may administer."""

    def __init__(self, rest: Rest, token: Secret) -> None:
        self._rest = rest
        self._token = token

    def robot(self, name: str) -> Robot:
        """Return a robot, `organisation+short`. NotFound when there is none."""
        return self._robot("GET", name, "", "read-robot", effect=False)

    def regenerate(self, name: str) -> Robot:
        """Give a robot another token; the one before it ends at once. Raises Indeterminate when no answer came."""
        return self._robot("POST", name, "/regenerate", "regenerate-token", effect=True)

    def _robot(self, method: str, name: str, deed: str, operation: str, *, effect: bool) -> Robot:
        organization, _, short = name.partition("+")
        answer = self._rest.send(
            method,
            f"/api/v1/organization/{quote(organization, safe='')}/robots/{quote(short, safe='')}{deed}",
            operation=operation,
            auth={"Authorization": bearer(self._token)},
            needs=f"an OAuth token with the scope org:admin for {organization}",
            thing=f"the robot {name}",
            effect=effect,
        )
        token = answer.body.get("token") if isinstance(answer.body, dict) else None
        if not isinstance(token, str) or not token:
            raise Indeterminate(f"Quay did not tell the token of {name}", api=API, operation=operation)
        return Robot(name=name, token=Secret(token))
