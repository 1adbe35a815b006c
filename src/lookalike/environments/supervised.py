"""A game that is brought back to where it was when it hangs or dies, so that the episode can go on.

A worker process makes a failure harmless; this makes it short. What was played since the last ``reset`` or
``restore`` is remembered, and after a failure it is played again in a fresh process, checked step by step,
before the call that failed is made once more. A game that fails there again has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lookalike.core.errors import (
    EnvironmentDiedError,
    EnvironmentHungError,
    GameError,
    UsageError,
)
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Observation

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Restart:
    """One restart that brought the game back.

    Attributes:
        step: Steps the episode had taken: the 0-based index of the step that failed, or during which
            something else that was asked (actions, facts, a state) failed; 0 for a failed ``reset``.
        failure: What happened, in one sentence that begins with the error's class.
        replayed: Actions played again to get back; 0 for ``reset``, and right after a ``restore``.
    """

    step: int
    failure: str
    replayed: int


class SupervisedEnvironment:
    """An environment that survives hangs and deaths of the one it wraps, behind the same protocol.

    A restart is a ``reset`` with the episode's seed (and a ``restore`` where one came last), then the
    actions played since. Every observation, reward and end that comes back must equal the one seen the
    first time. A failure on the way back goes through, and so does a malformed answer: neither would get
    better.

    Args:
        environment: The game; one whose ``reset`` starts it anew after a failure, as a worker's does.
        restarts: Restarts an episode may use, >= 0; ``reset`` begins to count anew.
        on_restart: Called with every restart once the game is back, before the failed call is repeated (a
            failed ``reset`` or ``restore`` has nothing to come back to and is just repeated).

    Raises:
        UsageError: ``restarts`` is negative.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        restarts: int = 1,
        on_restart: Callable[[Restart], None] | None = None,
    ) -> None:
        if restarts < 0:
            raise UsageError(
                "The number of restarts must not be negative.",
                got=restarts,
                expected="an integer >= 0",
                remedy="Use 0 for a game that must not be started again within an episode.",
            )
        self.id: str = environment.id
        self.capabilities = environment.capabilities
        self.how_to_play: str = environment.how_to_play
        self._environment = environment
        self._restarts = restarts
        self._on_restart = on_restart
        self._restarts_left = restarts
        self._seed: int | None = None
        self._state: bytes | None = None  # what the play began from, where that was a restore
        self._first = 0  # fingerprint of reset's observation
        self._played: list[tuple[str, int]] = []  # actions since, each with its answer's fingerprint
        self._steps_before = 0  # of this episode, ahead of the last restore
        self._known = False  # whether seed, state and actions lead to where the game is
        self._astray: GameError | None = None

    @property
    def restarts_left(self) -> int:
        """Restarts this episode may still use."""
        return self._restarts_left

    def reset(self, *, seed: int) -> Observation:
        """Start an episode; tried again where it fails.

        Raises:
            EnvironmentHungError, EnvironmentDiedError: It failed more often than ``restarts`` allows.
            GameError: The game cannot be started, or its observation is malformed.
        """
        self._restarts_left = self._restarts
        self._seed = None
        self._forget()
        self._steps_before = 0
        observation = self._start(lambda: self._environment.reset(seed=seed))
        self._seed = seed
        self._first = _fingerprint(observation)
        self._known = True
        return observation

    def step(self, action: str) -> StepResult:
        """Play one command; on a failure, come back and play it once more.

        Raises:
            EnvironmentHungError, EnvironmentDiedError: It failed more often than ``restarts`` allows, or on
                the way back.
            GameError: The answer is malformed, or the game did not come back to the same state.
        """
        if self._astray is not None:
            raise self._astray
        try:
            result = self._step(action)
        except (EnvironmentHungError, EnvironmentDiedError) as error:
            result = self._once_more(error, lambda: self._step(action))
        self._played.append((action, _step_fingerprint(result)))
        return result

    def admissible_actions(self) -> tuple[str, ...]:
        """Return commands worth trying here; see :meth:`step` for failures."""
        return self._ask(self._environment.admissible_actions)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on; see :meth:`step` for failures."""
        return self._ask(self._environment.facts)

    def save(self) -> bytes:
        """Return the whole state; see :meth:`step` for failures."""
        return self._ask(self._environment.save)

    def restore(self, state: bytes) -> None:
        """Go back to a saved state, from which a restart goes on from now on; tried again where it fails.

        Raises:
            EnvironmentHungError, EnvironmentDiedError: It failed more often than ``restarts`` allows.
            GameError: The state is not one of this game's.
        """
        self._forget()
        try:
            self._environment.restore(state)
        except (EnvironmentHungError, EnvironmentDiedError) as error:
            self._spend_restart(error)
            self._report(error, 0)
            self._start(lambda: self._begin(state))
        self._state = state
        self._known = True

    def close(self) -> None:
        """End the game. Closing twice is harmless."""
        self._environment.close()

    def __enter__(self) -> SupervisedEnvironment:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _forget(self) -> None:
        """Drop what was played: until the call under way succeeds, nothing leads to where the game is."""
        self._steps_before += len(self._played)
        self._state = None
        self._played = []
        self._known = False
        self._astray = None

    def _start(self, call: Callable[[], _Answer]) -> _Answer:
        """Make a call that needs no coming back, as often as the episode may still restart."""
        while True:
            try:
                return call()
            except (EnvironmentHungError, EnvironmentDiedError) as error:
                self._spend_restart(error)
                self._report(error, 0)

    def _step(self, action: str) -> StepResult:
        try:
            return self._environment.step(action)
        except (EnvironmentHungError, EnvironmentDiedError):
            raise
        except Exception:
            self._known = False  # nobody can say whether the command was played
            raise

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        if self._astray is not None:
            raise self._astray
        try:
            return call()
        except (EnvironmentHungError, EnvironmentDiedError) as error:
            return self._once_more(error, call)

    def _once_more(
        self, error: EnvironmentHungError | EnvironmentDiedError, call: Callable[[], _Answer]
    ) -> _Answer:
        """Come back and repeat the call, as often as the episode may still restart."""
        while True:
            if not self._known:
                raise error
            self._spend_restart(error)
            self._replay()
            self._report(error, len(self._played))
            try:
                return call()
            except (EnvironmentHungError, EnvironmentDiedError) as again:
                error = again

    def _spend_restart(self, error: EnvironmentHungError | EnvironmentDiedError) -> None:
        if self._restarts_left == 0:
            raise error
        self._restarts_left -= 1

    def _report(self, error: EnvironmentHungError | EnvironmentDiedError, replayed: int) -> None:
        if self._on_restart is not None:
            step = self._steps_before + len(self._played)
            self._on_restart(Restart(step, f"{type(error).__name__}: {error.what}", replayed))

    def _begin(self, state: bytes | None) -> None:
        """Start the game anew where the play began: by the seed, then the state where there is one."""
        if self._seed is not None:
            first = self._environment.reset(seed=self._seed)
            if _fingerprint(first) != self._first:
                raise self._gone_astray("the first observation", first)
        if state is not None:
            self._environment.restore(state)

    def _replay(self) -> None:
        """Bring the game back; whatever goes wrong on the way goes through."""
        self._known = False
        self._begin(self._state)
        for index, (action, fingerprint) in enumerate(self._played, start=1):
            result = self._environment.step(action)
            if _step_fingerprint(result) != fingerprint:
                where = f"the answer to {action!r:.60}, {index} of {len(self._played)} actions replayed,"
                raise self._gone_astray(where, result.observation)
        self._known = True

    def _gone_astray(self, where: str, observation: Observation) -> GameError:
        """Return the error for a game that plays differently; it is raised until a reset or a restore."""
        text = "no text" if observation.text is None else repr(observation.text[:120])
        self._astray = GameError(
            "After a restart the game did not come back to the same state.",
            got=f"{where} differs from the first time; it is now {text}",
            expected="the same answers to the same seed and actions",
            remedy="Reset to go on; look for randomness outside the seed with "
            "lookalike.testing.conformance.check_environment.",
        )
        return self._astray


def _fingerprint(observation: Observation) -> int:
    """Return 64 bits of what was seen, to be compared within this process only."""
    frame = observation.frame
    return hash((observation.text, None if frame is None else (frame.shape, frame.tobytes())))


def _step_fingerprint(result: StepResult) -> int:
    seen = _fingerprint(result.observation)
    return hash((seen, result.env_reward, result.terminated, result.truncated))
