"""One tree for everything that can go wrong, so that a caller can catch by boundary.

The tree::

    LookalikeError
    ├── UsageError                a name, a number or an option that cannot be meant
    │   └── UnknownNameError      with the nearest known names
    ├── RecordingError            a recording that cannot be read or holds nothing to learn from
    ├── RewardModelError          a reward-model file that is not ours, or is from a newer version
    ├── GameError                 a game that cannot be installed or started
    │   ├── EnvironmentHungError  no answer within the time limit of a step
    │   └── EnvironmentDiedError  the worker process ended in the middle of an episode
    ├── CapabilityError           asked of something that did not declare it
    ├── ModelError                a language model that is missing, corrupt or fails
    │   ├── ModelUnavailableError overloaded, limited or out of reach: asking again later can work
    │   └── ModelCancelledError   the caller gave up waiting
    └── StoreError                the event log cannot be read or written
        └── RunHeldError          another process plays this run just now

Every error says what happened, what was got, what was expected, and what to do next. Only ``cli`` turns
one into an exit text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LookalikeError(Exception):
    """The base of all errors this package raises on purpose.

    Args:
        what: One sentence: what went wrong.
        got: What was found, already readable; ``None`` where there is nothing to show.
        expected: What would have been right; ``None`` where the sentence says it.
        remedy: What the reader can do next, as an imperative.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, got: object | None = None, expected: str | None = None, remedy: str | None = None
    ) -> None:
        self.what = what
        self.got = got
        self.expected = expected
        self.remedy = remedy
        super().__init__(self.render())

    def render(self) -> str:
        """Return the error as lines: what, got, expected, remedy."""
        lines = [self.what]
        if self.got is not None:
            lines.append(f"  got:      {self.got!s:.400}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.remedy is not None:
            lines.append(f"  remedy:   {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way out of a worker process (keyword-only arguments do not pickle by default)."""
        return (_rebuild, (type(self), self.what, self.got, self.expected, self.remedy))


def _rebuild(
    kind: type[LookalikeError], what: str, got: object, expected: str | None, remedy: str | None
) -> LookalikeError:
    error = kind.__new__(kind)
    LookalikeError.__init__(error, what, got=got, expected=expected, remedy=remedy)
    return error


class UsageError(LookalikeError):
    """A name, a number or an option that cannot be meant."""


class UnknownNameError(UsageError):
    """A name that nothing is registered under; the nearest known names are suggested."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str | None = None) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else None
        super().__init__(
            f"There is no {kind} called {name!r}.",
            got=repr(name),
            expected=f"one of: {', '.join(names)}" if names else f"a registered {kind}",
            remedy=". ".join(part for part in (hint, remedy) if part) or None,
        )


class RecordingError(LookalikeError):
    """A recording that cannot be read, or that holds nothing to learn from."""


class RewardModelError(LookalikeError):
    """A reward-model file that is not ours, is malformed, or is from a newer version."""


class GameError(LookalikeError):
    """A game that cannot be installed, found or started."""


class EnvironmentHungError(GameError):
    """A step gave no answer within its time limit; the worker was killed."""


class EnvironmentDiedError(GameError):
    """The worker process ended in the middle of an episode."""


class CapabilityError(LookalikeError):
    """Something was asked for that the other side did not declare."""


class ModelError(LookalikeError):
    """A language model that is missing, corrupt, or fails to answer."""


class ModelUnavailableError(ModelError):
    """A language model's service is overloaded, limits its callers, or is out of reach, after all retries."""


class ModelCancelledError(ModelError):
    """A call was given up by its caller before it was answered."""


class StoreError(LookalikeError):
    """The event log cannot be read or written."""


class StoreLostError(StoreError):
    """The connection to a database server was lost; what was asked for may work again at the next call."""


class DamagedResponseError(StoreError):
    """One stored response is not what was stored; the others of its cache are not concerned."""


class RunHeldError(StoreError):
    """A run that another process plays just now; the error names the holder."""
