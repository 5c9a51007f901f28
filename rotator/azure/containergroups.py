"""Container groups over Azure Resource Manager: the GroupPlatform.

Reading, tags and restarts go through the SDK (`rotator.azure.groupclient`, which says why the PUT does not).
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypedDict
from urllib.parse import parse_qsl, urlsplit

from rotator.azure.groupbody import in_transition, read_group
from rotator.azure.groupclient import READ, SERVICE, WRITE, GroupClient
from rotator.azure.health import assess
from rotator.azure.pacing import Region, WritePacer
from rotator.azure.redeploy import compose, filled, with_tags
from rotator.azure.writeonly import Object, part
from rotator.clients.arm import Arm
from rotator.clients.operations import Patience, Poll, finished
from rotator.clients.refusals import Asked
from rotator.clients.retry import retried
from rotator.model.arm import ArmId
from rotator.model.errors import Conflict, Indeterminate, NotFound, Rejected, RemoteError, Unavailable
from rotator.model.group import ContainerGroup, GroupState, Source, WriteOnlyField
from rotator.model.secret import Secret
from rotator.ports import Clock, Health

_FRESH = timedelta(seconds=2)
"""How old a reading may be to be put again: about as long as reading it once more takes. Azure offers no condition on a PUT of a
group (no ETag), so there is always such a time. Another deployment inside of it makes Azure refuse ours, and the group is read
again; what can be lost is a change of tags alone, and this keeps the time for it short."""

_ADVICE = {
    "ContainerGroupQuotaReached": "Ask Azure for a higher quota in this region, or delete groups that nobody needs; the group"
    " is as it was.",
    "InaccessibleImage": "Azure could not pull the image. If rotator can, the registry's network rules shut Azure out (a"
    " restricted registry needs a managed identity), or Azure had a passing incident: try again.",
    "InvalidContainerGroupUpdate": "Azure demands that this group be deleted and created anew, which would change its address;"
    " rotator does not do that unasked. The group is as it was.",
    "RegistryErrorResponse": "The registry answered Azure with an error, often a pull limit; try again later.",
}


class _Call(TypedDict):
    service: str
    operation: str
    needs: str
    thing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long to wait for what. `transition_pause` is what Azure's documentation asks for at least.

    `deployment` exceeds the 30 minutes after which Azure itself gives up on a group.
    """

    transition_pause: timedelta = timedelta(seconds=10)
    transition: timedelta = timedelta(minutes=15)
    deployment: timedelta = timedelta(minutes=40)


class ContainerGroups:
    """Keeps `rotator.ports.GroupPlatform`. Safe for threads; `readers` bounds the parallel requests of one listing."""

    def __init__(
        self,
        client: GroupClient,
        arm: Arm,
        clock: Clock,
        pacer: WritePacer,
        *,
        readers: int = 8,
        waits: Waits | None = None,
    ) -> None:
        self._client = client
        self._arm = arm
        self._clock = clock
        self._pacer = pacer
        self._readers = readers
        self._waits = waits or Waits()

    def groups(self, subscription: str) -> Iterator[ContainerGroup]:
        """Yield every group of a subscription with its instance view. Raises Denied, NotFound, Unavailable.

        Azure's list has no instance view, so each group is read by itself; one that cannot be read comes as the list has it,
        in state UNKNOWN, and one that has been deleted meanwhile does not come. No more than twice `readers` groups are
        held at once.
        """
        listed = self._client.listed(subscription)
        pool = ThreadPoolExecutor(self._readers, thread_name_prefix="groups")
        try:
            waiting: deque[Future[ContainerGroup | None]] = deque(
                pool.submit(self._read_listed, body) for body in islice(listed, 2 * self._readers)
            )
            while waiting:
                found = waiting.popleft().result()
                waiting.extend(pool.submit(self._read_listed, body) for body in islice(listed, 1))
                if found is not None:
                    yield found
        finally:
            pool.shutdown(cancel_futures=True)

    def read(self, group: ArmId) -> ContainerGroup:
        """Return one group with its state. NotFound when it is gone."""
        asked_at = self._clock.now()
        return read_group(self._client.get(group), asked_at)

    def health(self, group: ArmId, since: datetime) -> Health:
        """Say whether the containers run (or have run to their end) on images pulled after `since`."""
        return assess(self._client.get(group), since)

    def redeploy(
        self,
        group: ContainerGroup,
        *,
        values: Mapping[WriteOnlyField, Secret],
        tags: Mapping[str, str],
        usernames: Mapping[str, str],
        entries: Mapping[str, Source] | None = None,
    ) -> None:
        """Put the group again with every write-only field filled from `values`; returns when Azure says it is done.

        Unless `group` was read a moment ago, it is read again before every PUT and after every wait: what somebody changed since
        stays changed, and a write-only field that came since has no value and holds the redeploy. Raises Held before anything is
        sent, Conflict for a group that stays in transition, Rejected with Azure's code when it refused and nothing changed.
        Indeterminate: Azure took the new document and then failed to deploy it, so there is something to put back; or no
        answer came and `tags` is empty. With tags, the group itself says whether a redeploy without an answer took effect.
        """
        region = (group.id.subscription, group.location.lower())

        def put() -> None:
            body = compose(self._current(group), values=values, tags=tags, usernames=usernames, entries=entries)
            while pause := self._pacer.claim(region):
                self._clock.sleep(pause)
                body = compose(self._current(group), values=values, tags=tags, usernames=usernames, entries=entries)
            self._put_or_settle(group.id, region, body.reveal(), tags)

        self._when_settled(lambda: retried(self._clock, put, key=group.id.key))

    def deploy(
        self,
        group: ArmId,
        document: Mapping[str, Any],
        *,
        values: Mapping[tuple[str | int, ...], Secret],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Put a whole document as the group, which may not exist yet; returns when Azure says it is done.

        `check` is called right before each PUT: while we waited for a limit or for another's deployment, the group may have
        become another one than the person saw who said yes. Raises as `redeploy` does.
        """
        region = (group.subscription, str(document.get("location", "")).replace(" ", "").lower())
        body, tags = filled(document, values), part(document, "tags")

        def put() -> None:
            while pause := self._pacer.claim(region):
                self._clock.sleep(pause)
            check()
            self._put_or_settle(group, region, body.reveal(), tags)

        self._when_settled(lambda: retried(self._clock, put, key=group.key))

    def restart(self, group: ArmId) -> None:
        """Restart every container of the group; returns when Azure says it is done. Raises Indeterminate without an answer."""
        self._when_settled(lambda: self._client.restart(group, self._waits.deployment))

    def tag(self, group: ContainerGroup, tags: Mapping[str, str]) -> None:
        """Add tags without a restart. The group's tags are read again first, since a PATCH may replace them all."""
        self._client.update_tags(group.id, with_tags(self._client.get(group.id), tags))

    def _current(self, group: ContainerGroup) -> Mapping[str, Any]:
        """Return the group's body as it is now; an element of a list is never put again."""
        age = self._clock.now() - group.observed_at
        whole = group.state not in {GroupState.UNKNOWN, GroupState.TRANSITIONING}
        return group.body if whole and age <= _FRESH else self._client.get(group.id)

    def _read_listed(self, body: Object) -> ContainerGroup | None:
        asked_at = self._clock.now()
        try:
            return self.read(ArmId(str(body.get("id", ""))))
        except NotFound:
            return None
        except RemoteError:
            return read_group(body, asked_at)

    def _put(self, group: ArmId, region: Region, document: Object) -> None:
        call = _Call(service=SERVICE, operation="redeploy", needs=WRITE, thing=f"group {group.name}")
        left: Mapping[str, str] = {}
        try:
            # One attempt: a throttle may ask for minutes, after which the document is out of date. The caller reads again.
            answer = self._arm.send("PUT", _path(group), self._client.api_version, document, **call, attempts=1)
            left = answer.headers
        finally:
            self._pacer.heed(region, left)
        headers = {name: value for name, value in answer.headers.items() if name != "location"}
        first = Poll(status=answer.status, headers=headers, body=answer.body)
        asked = Asked(effect=True, api=SERVICE, operation="redeploy", needs=WRITE, thing=call["thing"])
        patience = Patience(self._clock, self._waits.deployment)
        try:
            finished("PUT", _path(group), first, lambda link: self._look(link, group), patience, asked, final=False)
        except Rejected as error:
            raise _TakenAndFailed(
                error.message, api=SERVICE, operation="redeploy", advice=_ADVICE.get(error.reason, _TakenAndFailed.advice)
            ) from None

    def _put_or_settle(self, group: ArmId, region: Region, document: Object, tags: Mapping[str, str]) -> None:
        try:
            self._put(group, region, document)
        except _TakenAndFailed:
            raise
        except Indeterminate as error:
            self._settle(group, tags, error)

    def _look(self, link: str, group: ArmId) -> Poll:
        """Ask the operation's own address, or the group's when that is given; always at our own endpoint."""
        parts = urlsplit(link)
        query = dict(parse_qsl(parts.query))
        version = query.pop("api-version", self._client.api_version)
        call = _Call(service=SERVICE, operation="redeploy-poll", needs=READ, thing=f"group {group.name}")
        return Poll(status=200, headers={}, body=self._arm.get(parts.path, version, query=query, **call))

    def _settle(self, group: ArmId, tags: Mapping[str, str], lost: Indeterminate) -> None:
        """Decide by the group's tags whether a PUT without an answer took effect; raises Unavailable when it did not.

        The tags were in the same PUT as the passwords, so they are there together or not at all.
        """
        if not tags:
            raise lost
        until = self._clock.now() + self._waits.deployment
        while True:
            # Even a group at rest is given a moment: the request may still be on its way.
            self._clock.sleep(self._waits.transition_pause)
            try:
                body = self._client.get(group)
            except Unavailable:
                raise lost from None
            except NotFound:
                # A group that was to be made: nothing of it is there.
                body = {}
            if not in_transition(body):
                break
            if self._clock.now() >= until:
                raise lost
        present = {name.lower(): value for name, value in part(body, "tags").items()}
        if any(present.get(name.lower()) != value for name, value in tags.items()):
            raise _NotArrived(
                f"The redeploy of group {group.name} was sent, but did not reach Azure.", api=SERVICE, operation="redeploy"
            )
        if str(part(body, "properties").get("provisioningState", "")).lower() == "failed":
            raise _TakenAndFailed(
                f"Azure accepted the redeploy of group {group.name}, and it failed.", api=SERVICE, operation="redeploy"
            )

    def _when_settled(self, work: Callable[[], object]) -> None:
        """Do the work, again while Azure says that the group is in transition, or when the request did not reach it."""
        until = self._clock.now() + self._waits.transition
        while True:
            try:
                work()
            except (Conflict, _NotArrived):
                if self._clock.now() >= until:
                    raise
            except Rejected as error:
                error.advice = _ADVICE.get(error.reason, error.advice)
                raise
            else:
                return
            self._clock.sleep(self._waits.transition_pause)


class _TakenAndFailed(Indeterminate):
    """A PUT that Azure accepted and could not carry out: the group stores the new document, whatever it runs."""

    advice = "Look at the group's events. The old credential is kept, and is put back where that is possible."


class _NotArrived(Unavailable):
    """A PUT without an answer that demonstrably changed nothing."""


def _path(group: ArmId) -> str:
    return group.text.rstrip("/")
