"""What every environment promises, as a test that can be run on yours.

Usage, in a test of your own::

    from lookalike.testing.conformance import check_environment

    def test_my_game_keeps_the_contract():
        check_environment(MyGame)

A failure says what was seen, where, and what usually causes it.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Capability, Observation

_FALLBACK_ACTIONS = ("n", "s", "e", "w", "look", "inventory", "get lamp", "open door")
_STRANGE_COMMANDS = (
    "",
    "   ",
    "frotz the gnusto",
    "look " * 200,
    "n\ns\nlook",
    "日本語 ₤ é",
    "{}; rm -rf",
    "\x00\x07\x1b[2J",
    '"quoted" \\ back',
)


class ConformanceError(AssertionError):
    """An environment that breaks the contract: what was seen, and what usually causes it."""

    def __init__(self, what: str, *, got: object, likely_cause: str) -> None:
        super().__init__(f"{what}\n  got:          {got!s:.600}\n  likely cause: {likely_cause}")


@dataclass(frozen=True)
class _Step:
    """What one step showed, and after it."""

    action: str | None
    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    admissible: tuple[str, ...] | None
    facts: str

    def differs_from(self, other: _Step) -> str | None:
        """Name the first part in which two steps differ."""
        pairs = {
            "observation text": (self.observation.text, other.observation.text),
            "reward": (self.reward, other.reward),
            "terminated": (self.terminated, other.terminated),
            "truncated": (self.truncated, other.truncated),
            "admissible actions": (self.admissible, other.admissible),
            "facts": (self.facts, other.facts),
        }
        for name, (mine, theirs) in pairs.items():
            if mine != theirs:
                return f"{name}: {mine!r:.200} against {theirs!r:.200}"
        return None if self.observation == other.observation else "frame: the pictures differ"


def check_environment(
    factory: Callable[[], Environment],
    *,
    actions: Sequence[str] | None = None,
    seed: int = 7,
    steps: int = 60,
) -> tuple[str, ...]:
    """Check an environment against everything the protocol promises.

    Args:
        factory: Makes a fresh instance; called several times.
        actions: Commands to play; ``None`` draws from the admissible actions, or from a short list of common
            commands where there are none. A good list reaches the game's randomness.
        seed: Seed of the plays.
        steps: Steps of each play, >= 10.

    Returns:
        The names of the checks that were made, in order.

    Raises:
        ConformanceError: The first promise that is broken.
    """
    checks: list[tuple[str, Callable[[], None]]] = []
    with _made(factory) as one:
        _check_declarations(one)
        reference = _play(one, seed, steps, actions)
        played = [step.action for step in reference[1:] if step.action is not None]
        checks += [
            ("declarations", lambda: None),
            ("frames", lambda: _check_frames(one, reference)),
            ("score", lambda: _check_score(one, reference)),
            ("same seed, same play", lambda: _check_repeat(one, reference, played, seed)),
            ("seed 0", lambda: _check_seed_zero(one, played)),
            ("independent instances", lambda: _check_independence(factory, reference, played, seed)),
        ]
        if "save_restore" in one.capabilities:
            checks.append(("save and restore", lambda: _check_save(factory, one, played, seed)))
        checks.append(("strange commands", lambda: _check_strange_commands(one, seed)))
        for _, check in checks:
            check()
    _check_close(factory, seed)
    return (*(name for name, _ in checks), "close")


@contextlib.contextmanager
def _made(factory: Callable[[], Environment]) -> Iterator[Environment]:
    environment = factory()
    try:
        yield environment
    finally:
        with contextlib.suppress(Exception):
            environment.close()


def _check_declarations(environment: Environment) -> None:
    for name in ("id", "how_to_play"):
        value = getattr(environment, name, None)
        if not isinstance(value, str) or not value.strip():
            raise ConformanceError(
                f"An environment's {name} must be a text.",
                got=repr(value),
                likely_cause=f"the class has no attribute {name}",
            )
    known = frozenset(get_args(Capability))
    capabilities = getattr(environment, "capabilities", None)
    if not isinstance(capabilities, frozenset) or not known.issuperset(capabilities):
        raise ConformanceError(
            f"capabilities must be a frozenset of some of {', '.join(sorted(known))}.",
            got=repr(capabilities),
            likely_cause="a misspelt capability, or a list in place of a frozenset",
        )
    if not capabilities & {"text", "frames"}:
        raise ConformanceError(
            "An environment must show text or frames.",
            got=sorted(capabilities),
            likely_cause="'text' or 'frames' is missing from capabilities",
        )


def _play(environment: Environment, seed: int, steps: int, actions: Sequence[str] | None) -> list[_Step]:
    """Play ``steps`` steps, choosing by a generator of our own; stops where the game ends."""
    choose = random.Random(f"conformance {seed}")
    record = [_first(environment, environment.reset(seed=seed))]
    for index in range(steps):
        if record[-1].terminated or record[-1].truncated:
            break
        offered = record[-1].admissible
        if actions is not None:
            action = actions[index % len(actions)]
        else:
            action = choose.choice(offered or _FALLBACK_ACTIONS)
        record.append(_stepped(environment, action))
    return record


def _first(environment: Environment, observation: object) -> _Step:
    _check_observation(environment, observation, "reset")
    return _look(environment, None, StepResult(observation))  # type: ignore[arg-type]


def _stepped(environment: Environment, action: str) -> _Step:
    try:
        result = environment.step(action)
    except Exception as error:
        raise ConformanceError(
            f"step({action!r:.60}) raised.",
            got=f"{type(error).__name__}: {error}",
            likely_cause="a command looked up without asking whether it is known; the game must answer it",
        ) from error
    where = f"step({action!r:.60})"
    if not isinstance(result, StepResult):
        raise ConformanceError(
            f"{where} must return a StepResult.",
            got=type(result).__name__,
            likely_cause="a tuple or dictionary in the style of another library",
        )
    _check_observation(environment, result.observation, where)
    reward = result.env_reward
    if isinstance(reward, bool) or not isinstance(reward, int | float) or not math.isfinite(reward):
        raise ConformanceError(
            f"{where} must pay a finite number.",
            got=repr(reward),
            likely_cause="a division, or a numpy scalar",
        )
    if not isinstance(result.terminated, bool) or not isinstance(result.truncated, bool):
        raise ConformanceError(
            f"{where}: terminated and truncated must be bool.",
            got=f"{result.terminated!r}, {result.truncated!r}",
            likely_cause="a numpy bool; wrap it in bool()",
        )
    _as_json(result.info, f"info of {where}")
    return _look(environment, action, result)


def _look(environment: Environment, action: str | None, result: StepResult) -> _Step:
    over = result.terminated or result.truncated
    admissible = None
    if "admissible_actions" in environment.capabilities:
        admissible = environment.admissible_actions()
        _check_admissible(admissible, over=over)
    return _Step(
        action,
        result.observation,
        float(result.env_reward),
        result.terminated,
        result.truncated,
        admissible,
        _as_json(environment.facts(), "facts"),
    )


def _check_observation(environment: Environment, observation: object, where: str) -> None:
    if not isinstance(observation, Observation):
        raise ConformanceError(
            f"{where} must give an Observation.",
            got=type(observation).__name__,
            likely_cause="(observation, info) in Gymnasium's style, or a bare text",
        )
    text, frame = observation.text, observation.frame
    if ("text" in environment.capabilities) != (text is not None) or not isinstance(text, str | None):
        raise ConformanceError(
            f"{where}: an observation has a text exactly where 'text' is declared.",
            got=f"text {text!r:.80}, capabilities {sorted(environment.capabilities)}",
            likely_cause="the capability is declared but the text is missing, or the other way round",
        )
    if ("frames" in environment.capabilities) != (frame is not None):
        raise ConformanceError(
            f"{where}: an observation has a frame exactly where 'frames' is declared.",
            got=f"frame {None if frame is None else frame.shape}, {sorted(environment.capabilities)}",
            likely_cause="the capability is declared but the frame is missing, or the other way round",
        )
    if frame is not None and (frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3):
        raise ConformanceError(
            f"{where}: a frame must be uint8 [H, W, 3].",
            got=f"{frame.dtype} {list(frame.shape)}",
            likely_cause="channels first, floats in [0, 1], or an alpha channel",
        )


def _check_admissible(admissible: object, *, over: bool) -> None:
    fits = isinstance(admissible, tuple) and all(isinstance(one, str) and one for one in admissible)
    if not fits or list(admissible) != sorted(set(admissible)):  # type: ignore[call-overload]
        raise ConformanceError(
            "admissible_actions() must be a tuple of texts, sorted, each once.",
            got=repr(admissible),
            likely_cause="a list, or the game's own order: return tuple(sorted(set(actions)))",
        )
    if not admissible and not over:
        raise ConformanceError(
            "admissible_actions() is empty though the game goes on.",
            got="()",
            likely_cause="a state, e.g. an open question, that offers nothing",
        )


def _check_frames(environment: Environment, reference: list[_Step]) -> None:
    if "frames" not in environment.capabilities:
        return
    shapes = {step.observation.frame.shape for step in reference if step.observation.frame is not None}
    if len(shapes) > 1:
        raise ConformanceError(
            "All frames of an environment must have one shape.",
            got=sorted(shapes),
            likely_cause="frames cropped or scaled by content",
        )
    first = environment.reset(seed=1)
    kept = None if first.frame is None else first.frame.copy()
    for step in reference[1:]:
        if step.action is not None:
            environment.step(step.action)
    if kept is not None and first.frame is not None and not np.array_equal(kept, first.frame):
        raise ConformanceError(
            "A frame changed after it was handed out.",
            got="the first frame of an episode, looked at again after the steps",
            likely_cause="one buffer is drawn into at every step; return a copy",
        )


def _check_score(environment: Environment, reference: list[_Step]) -> None:
    if "score" not in environment.capabilities:
        return
    scores = [json.loads(step.facts).get("score") for step in reference]
    if not all(isinstance(score, int | float) for score in scores):
        raise ConformanceError(
            "An environment with a score must have it in its facts.",
            got=reference[0].facts,
            likely_cause="facts() has no 'score', or a text",
        )
    for before, after, step in zip(scores, scores[1:], reference[1:], strict=False):
        if not math.isclose(after - before, step.reward, abs_tol=1e-6):
            raise ConformanceError(
                f"env_reward must be the change of the score ({step.action!r}).",
                got=f"reward {step.reward}, score {before} -> {after}",
                likely_cause="the total is returned in place of the difference, or a shaped reward",
            )


def _check_repeat(environment: Environment, reference: list[_Step], played: Sequence[str], seed: int) -> None:
    again = [_first(environment, environment.reset(seed=seed))]
    again += [_stepped(environment, action) for action in played]
    _compare(
        reference,
        again,
        "Two plays of one seed and the same actions must agree step by step.",
        "randomness from outside the seed (the clock, a module's generator, the order of a set), "
        "or something that reset() forgets",
    )


def _check_seed_zero(environment: Environment, played: Sequence[str]) -> None:
    first = [_first(environment, environment.reset(seed=0))]
    first += _until_over(environment, played)
    again = [_first(environment, environment.reset(seed=0))]
    again += _until_over(environment, played)
    _compare(
        first,
        again,
        "Two plays of seed 0 must agree step by step.",
        "`seed or default`: 0 is a seed; test for None with `is None`",
    )


def _until_over(environment: Environment, played: Sequence[str]) -> list[_Step]:
    steps: list[_Step] = []
    for action in played:
        steps.append(_stepped(environment, action))
        if steps[-1].terminated or steps[-1].truncated:
            break
    return steps


def _check_independence(
    factory: Callable[[], Environment], reference: list[_Step], played: Sequence[str], seed: int
) -> None:
    with _made(factory) as one, _made(factory) as other:
        mine = [_first(one, one.reset(seed=seed))]
        other.reset(seed=seed + 1)
        for action, elsewhere in zip(played, reversed(played), strict=True):
            mine.append(_stepped(one, action))
            other.step(elsewhere)
        _compare(
            reference,
            mine,
            "Two instances played in turn must not disturb each other.",
            "state on the class or in a module, or a library that holds one game at a time",
        )


def _check_save(
    factory: Callable[[], Environment], environment: Environment, played: Sequence[str], seed: int
) -> None:
    middle = len(played) // 2
    environment.reset(seed=seed)
    for action in played[:middle]:
        environment.step(action)
    state = environment.save()
    if not isinstance(state, bytes):
        raise ConformanceError(
            "save() must return bytes.", got=type(state).__name__, likely_cause="an object of the engine"
        )
    rest = [_stepped(environment, action) for action in played[middle:]]
    cause = (
        "the random generator, or a counter that shows up later, is not in the saved state; or restore() "
        "leaves something of the play in between"
    )
    for _ in range(2):
        environment.restore(state)
        again = [_stepped(environment, action) for action in played[middle:]]
        _compare(rest, again, "After restore() the play must go on exactly as after save().", cause)
    with _made(factory) as fresh:
        fresh.reset(seed=seed + 1)
        for action in played[:3]:
            fresh.step(action)
        fresh.restore(state)
        again = [_stepped(fresh, action) for action in played[middle:]]
        _compare(
            rest,
            again,
            "A state restored into another instance must go on exactly as in the first.",
            cause + "; or the state refers to the instance that made it",
        )


def _check_strange_commands(environment: Environment, seed: int) -> None:
    for command in _STRANGE_COMMANDS:
        environment.reset(seed=seed)
        _stepped(environment, command)


def _check_close(factory: Callable[[], Environment], seed: int) -> None:
    environment = factory()
    environment.reset(seed=seed)
    try:
        environment.close()
        environment.close()
    except Exception as error:
        raise ConformanceError(
            "close() must be harmless when called twice.",
            got=f"{type(error).__name__}: {error}",
            likely_cause="a resource freed without noting that it is gone",
        ) from error


def _compare(expected: list[_Step], found: list[_Step], what: str, cause: str) -> None:
    for index, (one, other) in enumerate(zip(expected, found, strict=False)):
        difference = one.differs_from(other)
        if difference is not None:
            raise ConformanceError(
                what, got=f"step {index} ({other.action!r}): {difference}", likely_cause=cause
            )
    if len(expected) != len(found):
        raise ConformanceError(what, got=f"{len(expected)} and {len(found)} steps", likely_cause=cause)


def _as_json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConformanceError(
            f"{what} must consist of JSON values.",
            got=f"{error}: {value!r:.200}",
            likely_cause="a set, a numpy number, an object of the engine, or NaN",
        ) from error
