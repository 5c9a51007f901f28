"""Quay's robot accounts. Paths and fields are those of docs.quay.io/api/swagger; the words of refusals are from memory."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import Document, Refused, Reply, Request, Route

if TYPE_CHECKING:
    from rotator.sandbox.world import World

HOSTS = ("quay.io",)
REGISTRY = "quay.io"
KIND = "quay-robot-token"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(slots=True, kw_only=True)
class Robot:
    """A robot account and its one token. `mirrors`: a mirrored repository logs in with it, and it cannot be deleted."""

    name: str
    token: str
    created_at: datetime
    description: str = ""
    mirrors: bool = False


class Quay:
    """Robots by full name, and the OAuth tokens that may administer organisations."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.robots: dict[str, Robot] = {}
        self.administrators: dict[str, frozenset[str]] = {}
        world.ledger.judge(KIND, self._lives)

    def add(self, name: str, created_at: datetime) -> Robot:
        """Add a robot, `organisation+short`, with its first token."""
        robot = self.robots[name] = Robot(name=name, token="", created_at=created_at)
        self.regenerate(robot)
        return robot

    def regenerate(self, robot: Robot) -> None:
        """Give the robot another token; the old one ends at once."""
        robot.token = self.world.text(64, _LETTERS)
        self.world.issued(robot.token, KIND, f"plain:{REGISTRY}/{robot.name}", "token", "quay.token.issued")

    def verdict(self, username: str, password: str) -> str:
        """Judge a log-in to the registry."""
        robot = self.robots.get(username)
        return "ok" if robot is not None and robot.token == password else "invalid"

    def _lives(self, entry: Entry, now: datetime) -> bool:
        del now  # A token never ends by itself.
        robot = self.robots.get(entry.principal.rpartition("/")[2])
        return robot is not None and robot.token == entry.value


def _refuse(status: int, message: str) -> Refused:
    body = {"status": status, "error_message": message, "title": "error", "detail": message}
    return Refused(Reply(status, body), "", message)


def _refusal(_world: "World", _request: Request, status: int, _code: str, message: str) -> Refused:
    return _refuse(status, message)


def _name(world: "World", request: Request) -> str:
    """Return the robot's full name, after the question whether the caller administers its organisation."""
    organization = request.params["org"]
    if organization not in world.quay.administrators.get(request.bearer, ()):
        raise _refuse(403 if request.bearer in world.quay.administrators else 401, "Unauthorized")
    return f"{organization}+{request.params['short']}"


def _found(world: "World", request: Request) -> Robot:
    name = _name(world, request)
    robot = world.quay.robots.get(name)
    if robot is None:
        raise _refuse(404, f"Could not find robot with username: {name}")
    return robot


def _document(robot: Robot) -> Document:
    created = robot.created_at.strftime("%a, %d %b %Y %H:%M:%S -0000")
    return {
        "name": robot.name,
        "created": created,
        "last_accessed": None,
        "description": robot.description,
        "token": robot.token,
    }


def get_robot(world: "World", request: Request) -> Reply:
    """Return a robot with its present token, as the real service does."""
    return Reply(200, _document(_found(world, request)))


def put_robot(world: "World", request: Request) -> Reply:
    """Create a robot."""
    name = _name(world, request)
    if name in world.quay.robots:
        raise _refuse(400, f"Existing robot with name: {name}")
    return Reply(201, _document(world.quay.add(name, world.now())))


def regenerate(world: "World", request: Request) -> Reply:
    """Give a robot another token."""
    robot = _found(world, request)
    world.quay.regenerate(robot)
    return Reply(200, _document(robot))


def delete_robot(world: "World", request: Request) -> Reply:
    """Delete a robot, unless a mirror needs it."""
    robot = _found(world, request)
    if robot.mirrors:
        raise _refuse(400, f"Robot {robot.name} is used by a mirrored repository")
    del world.quay.robots[robot.name]
    world.touch(f"plain:{REGISTRY}/{robot.name}")
    return Reply(204)


_ONE = "/api/v1/organization/{org}/robots/{short}"
ROUTES: tuple[Route, ...] = tuple(
    Route(
        service="quay",
        operation=f"quay.robots.{deed}",
        method=method,
        path=path,
        hosts=HOSTS,
        handler=handler,
        bare=False,
        refusal=_refusal,
    )
    for deed, method, path, handler in (
        ("get", "GET", _ONE, get_robot),
        ("put", "PUT", _ONE, put_robot),
        ("delete", "DELETE", _ONE, delete_robot),
        ("regenerate", "POST", _ONE + "/regenerate", regenerate),
    )
)
