"""How an error of ours is written down in a journal and raised again, and the engine without one.

The text of an exception that leaves a step is stored by every durable engine. So nothing but our own sentences may leave:
a library's exception can carry the request that failed, and with it a secret.
"""

import traceback
from collections.abc import Callable, Sequence
from functools import partial

from rotator.model import errors
from rotator.model.errors import RotatorError
from rotator.ports import Errand, Json

_ERROR = "rotator-error"


def guarded(work: Callable[[], Json]) -> Json:
    """Do the work; an error comes back as JSON that names its class, and anything unforeseen as its type and place only."""
    try:
        return work()
    except RotatorError as error:
        return {_ERROR: type(error).__name__, "message": error.message, "advice": error.advice}
    except Exception as error:  # noqa: BLE001 - the last gate before the journal: whatever it is, its text must not pass
        return {_ERROR: RotatorError.__name__, "message": place_of(error), "advice": RotatorError.advice}


def unguarded(result: Json) -> Json:
    """Return a step's result, or raise the error that it records."""
    if not isinstance(result, dict) or _ERROR not in result:
        return result
    message, advice = str(result["message"]), str(result["advice"])
    raised = getattr(errors, str(result[_ERROR]), RotatorError)
    if raised in {errors.VerificationFailed, errors.CutoverFailed, errors.Held}:
        raise raised(message, advice=advice)
    error = RotatorError(message, advice=advice)
    error.code = raised.code
    raise error


def place_of(error: BaseException) -> str:
    """Name an unforeseen error by its type and where it was raised, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "rotator" in frame.filename] or frames
    where = f" in {ours[-1].filename.rsplit('rotator', 1)[-1].lstrip('/')}:{ours[-1].lineno}" if ours else ""
    return f"an error that should not happen: {type(error).__name__}{where}"


class MemorySteps:
    """The `Steps` port without a journal file: results are kept in a dictionary, so that a crash can be simulated.

    `journal` may be handed to a second instance, which then replays what the first one recorded. `before` and `after` are
    called with each step's name around the work; a test raises its crash (a BaseException) there.
    """

    def __init__(
        self,
        journal: dict[str, Json] | None = None,
        *,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.journal: dict[str, Json] = {} if journal is None else journal
        self._before = before
        self._after = after

    def run(self, name: str, work: Callable[[], Json]) -> Json:
        """Return the recorded result, or do the work and record it."""
        if name not in self.journal:
            self._before(name)
            result = guarded(work)
            # The row of a step is written after its effect, as in a real engine: the crash in between is the hard one.
            self._after(name)
            self.journal[name] = result
        return unguarded(self.journal[name])

    def each(self, name: str, errands: Sequence[Errand], work: Callable[[Json], Json]) -> tuple[Json, ...]:
        """Do the errands one after the other; each is a step, so that a crash can come between any two."""
        return tuple(self.run(f"{name}/{one.key}", partial(work, one.argument)) for one in errands)
