"""Gymnasium environments as ours, and ours as Gymnasium's.

``GymnasiumEnvironment`` takes any environment with a ``Discrete`` or ``Text`` action space: discrete actions
get names. ``as_gymnasium`` is the way back, for libraries that expect ``gymnasium.Env``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from lookalike.core.errors import CapabilityError, GameError, UsageError
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Capability, Frame, Observation

_CHARACTERS = string.printable + "".join(chr(code) for code in range(0xA1, 0x180))
_MAX_TEXT = 20_000
_MAX_COMMAND = 200


class GymnasiumEnvironment:
    """A Gymnasium environment as an :class:`~lookalike.core.protocols.Environment`.

    An image observation (``Box`` uint8 [H, W, 3]) becomes the frame. Otherwise the text is the ``ansi``
    rendering where the environment was made with ``render_mode="ansi"``, a ``Text`` observation as it is,
    and any other observation written out; with ``render_mode="rgb_array"`` the rendering is the frame.
    The score is the sum of rewards. ``terminated`` and ``truncated`` are kept apart.

    Args:
        env: The environment; it is closed with this one.
        action_names: A name for each discrete action, in order; ``None`` takes ``get_action_meanings()``
            where there is one, else ``"0"``, ``"1"``, …
        id: Environment id; ``None`` takes ``gymnasium:`` and the environment's spec.
        how_to_play: For prompts; ``None`` lists the action names.

    Raises:
        UsageError: The action space is neither Discrete nor Text, or the names do not fit it.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        action_names: Sequence[str] | None = None,
        id: str | None = None,
        how_to_play: str | None = None,
    ) -> None:
        self._env = env
        self._names = _action_names(env, action_names)
        spec = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.id = id if id is not None else f"gymnasium:{spec}"
        self.how_to_play = how_to_play or (
            f"Commands: {', '.join(self._names)}." if self._names else "Commands are free text."
        )
        self._image = _is_image(env.observation_space)
        drawn = self._image or env.render_mode == "rgb_array"
        written = not self._image
        shown: list[Capability] = [*(["text"] if written else []), *(["frames"] if drawn else [])]  # type: ignore[list-item]
        self.capabilities: frozenset[Capability] = frozenset(
            [*shown, "score", *(["admissible_actions"] if self._names else [])]  # type: ignore[list-item]
        )
        self._return = 0.0
        self._last: Observation | None = None
        self._raw: Any = None
        self._ended = (False, False)  # terminated, truncated
        self._closed = False

    def reset(self, *, seed: int) -> Observation:
        """Start an episode under the seed, which goes to ``env.reset(seed=...)``."""
        self._raw, _ = self._env.reset(seed=seed)
        self._return, self._ended = 0.0, (False, False)
        self._last = self._observe()
        return self._last

    def step(self, action: str) -> StepResult:
        """Take an action by its name; an unknown name changes nothing and is answered with the known ones.

        Raises:
            GameError: Before the first ``reset``.
        """
        if self._last is None:
            raise GameError(f"{self.id} has not been started.", remedy="Call reset(seed=...) first.")
        if any(self._ended):
            return StepResult(self._last, 0.0, *self._ended)
        name = " ".join(action.split())
        if self._names and name not in self._names:
            return StepResult(self._answer(f"There is no action {name[:40]!r}. {self.how_to_play}"))
        chosen: Any = self._names.index(name) if self._names else _fit(name, self._env.action_space)
        start = self._env.action_space.start if isinstance(self._env.action_space, spaces.Discrete) else 0
        self._raw, reward, terminated, truncated, _ = self._env.step(
            chosen + start if self._names else chosen
        )
        self._return += float(reward)
        self._ended = (bool(terminated), bool(truncated))
        self._last = self._observe()
        return StepResult(self._last, float(reward), *self._ended)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return all action names, sorted; none once the episode is over."""
        return () if any(self._ended) else tuple(sorted(self._names))

    def save(self) -> bytes:
        """Not available: Gymnasium has no such notion.

        Raises:
            CapabilityError: Always.
        """
        raise self._no_saving()

    def restore(self, state: bytes) -> None:
        """Not available: Gymnasium has no such notion.

        Raises:
            CapabilityError: Always.
        """
        del state
        raise self._no_saving()

    def facts(self) -> Mapping[str, Any]:
        """Return ``score`` (the sum of rewards), ``over``, and ``state``: an observation that is a number."""
        facts: dict[str, Any] = {"score": self._return, "over": any(self._ended)}
        if isinstance(self._raw, int | np.integer):
            facts["state"] = int(self._raw)
        return facts

    def close(self) -> None:
        """Close the Gymnasium environment. Closing twice is harmless."""
        if not self._closed:
            self._env.close()
        self._closed = True

    def _no_saving(self) -> CapabilityError:
        return CapabilityError(
            f"{self.id} cannot save and restore.",
            got=f"capabilities {', '.join(sorted(self.capabilities))}",
            expected="save_restore",
            remedy="Ask `capability in environment.capabilities` first.",
        )

    def _observe(self) -> Observation:
        if self._image:
            return Observation(frame=np.array(self._raw, dtype=np.uint8))
        text = _plain(str(self._env.render())) if self._env.render_mode == "ansi" else str(self._raw)
        return Observation(text=text.strip("\n"), frame=self._draw())

    def _answer(self, text: str) -> Observation:
        if self._image and self._last is not None:
            return self._last
        return Observation(text=text, frame=self._draw())

    def _draw(self) -> Frame | None:
        if self._env.render_mode != "rgb_array":
            return None
        return np.array(self._env.render(), dtype=np.uint8)


def make_gymnasium(id: str) -> GymnasiumEnvironment:
    """Make ``gymnasium.make(id)`` as one of ours, in its ``ansi`` rendering where it has one.

    Raises:
        GameError: Gymnasium does not know the id or cannot make it.
    """
    try:
        env: gymnasium.Env[Any, Any] = gymnasium.make(id)
        if "ansi" in env.metadata.get("render_modes", []):
            env.close()
            env = gymnasium.make(id, render_mode="ansi")
    except (gymnasium.error.Error, ImportError) as error:
        raise GameError(
            "Gymnasium cannot make this environment.",
            got=f"{id}: {error}",
            expected="an id that gymnasium.make() knows",
            remedy="Check the spelling, and install what the environment needs.",
        ) from error
    return GymnasiumEnvironment(env)


class _AsGymnasium(gymnasium.Env[Any, Any]):
    """One of our environments behind Gymnasium's interface; see :func:`as_gymnasium`."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (Gymnasium's own declaration)

    def __init__(self, environment: Environment, actions: Sequence[str] | None) -> None:
        self.environment = environment
        self._actions = tuple(actions) if actions is not None else None
        self.action_space = (
            spaces.Text(_MAX_COMMAND, min_length=0, charset=_CHARACTERS)
            if self._actions is None
            else spaces.Discrete(len(self._actions))
        )
        self._texts = "text" in environment.capabilities
        self._frames = "frames" in environment.capabilities
        text_space = spaces.Text(_MAX_TEXT, min_length=0, charset=_CHARACTERS)
        if not self._frames:
            self.observation_space = text_space
            return
        shape = _shape(environment.reset(seed=0).frame)
        picture = spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = (
            spaces.Dict({"text": text_space, "frame": picture}) if self._texts else picture
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; without a seed, one is drawn from this environment's own generator."""
        super().reset(seed=seed, options=options)
        if seed is None:
            seed = int(self.np_random.integers(1, 2**31 - 1))
        return self._convert(self.environment.reset(seed=seed)), self._info({})

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play a command, or the command behind a discrete action."""
        command = str(action) if self._actions is None else self._actions[int(action)]
        result = self.environment.step(command)
        info = self._info(result.info)
        converted = self._convert(result.observation)
        return converted, result.env_reward, result.terminated, result.truncated, info

    def close(self) -> None:
        """Close the environment behind."""
        self.environment.close()

    def _convert(self, observation: Observation) -> Any:
        text = "".join(c if c in _CHARACTERS else "?" for c in (observation.text or "")[:_MAX_TEXT])
        if not self._frames:
            return text
        return {"text": text, "frame": observation.frame} if self._texts else observation.frame

    def _info(self, info: Mapping[str, Any]) -> dict[str, Any]:
        if "admissible_actions" not in self.environment.capabilities:
            return dict(info)
        return {**info, "admissible_actions": list(self.environment.admissible_actions())}


def as_gymnasium(
    environment: Environment, *, actions: Sequence[str] | None = None
) -> gymnasium.Env[Any, Any]:
    """Return one of our environments as a ``gymnasium.Env``.

    Args:
        environment: Closed together with the result.
        actions: Commands that become a ``Discrete`` action space; ``None`` makes it ``Text``.

    Observations are ``Text``, ``Box`` uint8 [H, W, 3] or a ``Dict`` of both, by capability; characters
    outside Latin scripts are replaced by ``?``. ``info`` holds ``admissible_actions`` where declared.
    """
    return _AsGymnasium(environment, actions)


def _action_names(env: gymnasium.Env[Any, Any], names: Sequence[str] | None) -> tuple[str, ...]:
    space = env.action_space
    if isinstance(space, spaces.Text):
        return ()
    if not isinstance(space, spaces.Discrete):
        raise UsageError(
            "This environment's actions cannot be named.",
            got=f"action space {space}",
            expected="a Discrete or a Text action space",
            remedy="Wrap the environment so that its actions are discrete.",
        )
    if names is None:
        meanings = getattr(env.unwrapped, "get_action_meanings", None)
        names = meanings() if callable(meanings) else [str(index) for index in range(int(space.n))]
    if len(names) != space.n or len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise UsageError(
            "The action names do not fit the action space.",
            got=f"{list(names)!r:.200}",
            expected=f"{space.n} different names",
            remedy="Name every action once, in the order of the action space.",
        )
    return tuple(" ".join(name.split()) for name in names)


def _fit(text: str, space: spaces.Space[Any]) -> str:
    """Drop what a Text space does not allow: its environment may rely on it."""
    if not isinstance(space, spaces.Text):
        return text
    kept = "".join(character for character in text if character in space.character_set)[: space.max_length]
    return kept.ljust(space.min_length, space.character_list[0])


def _plain(text: str) -> str:
    """Put what a terminal would highlight into brackets (toy games mark the player so), and drop colours."""
    marked = re.sub(r"\x1b\[[0-9;]*m(.)\x1b\[0m", r"[\1]", text)
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", marked)


def _is_image(space: spaces.Space[Any]) -> bool:
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and space.shape[2] == 3
    )


def _shape(frame: Frame | None) -> tuple[int, ...]:
    if frame is None:
        raise GameError("An environment that declares frames showed none.", remedy="Fix the environment.")
    return frame.shape
