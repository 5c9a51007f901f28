"""The one wrapper a secret value lives in."""

import hashlib
import hmac
from typing import Never


class Secret:
    """Holds a secret value and gives it up only through `reveal`.

    It refuses every other way out, because the ways in which secrets reach a log are the ordinary ones: an f-string, a
    `repr` in a traceback, `json.dumps` of a request, a pickled job. `repr` answers a fixed text rather than raising, so that
    debuggers and assertion messages stay usable.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("a Secret holds text")
        self._value = value

    def reveal(self) -> str:
        """Return the value; only code that puts it into a request to the vault, a registry or Azure calls this."""
        return self._value

    def fingerprint(self) -> str:
        """Return `sha256:` and the first 16 hex digits of the value's SHA-256: names a token in tags, logs and reports.

        Only for tokens that a service drew at random. Whoever reads a tag may try guesses against a fingerprint, as fast as a
        machine can hash: 2^178 of them for a GitHub token, but a password that a person thought up is found in an hour. A salt
        would not help, because it would have to stand beside it; so other secrets are named by the instant they were brought.
        """
        return f"sha256:{hashlib.sha256(self._value.encode()).hexdigest()[:16]}"

    def __repr__(self) -> str:
        return "<Secret>"

    def __str__(self) -> Never:
        raise TypeError("a Secret has no text form; call reveal() where the value enters a request")

    def __format__(self, spec: str) -> Never:
        raise TypeError("a Secret cannot be formatted into text")

    def __reduce__(self) -> Never:
        raise TypeError("a Secret cannot be pickled or copied")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Constant time: the comparison must not tell an observer how many characters were right.
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a set or dict of secrets would keep values alive unseen

    def __bool__(self) -> bool:
        return bool(self._value)
