"""Plays episodes of an experiment: one session a process, with its own game and its own model.

What an episode does depends on the seed, the environment, the goal, the condition and the attempt, and on
nothing that was played before it; so it does not matter which process plays what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lookalike.core.errors import UsageError
from lookalike.core.protocols import Environment, LanguageModel, Player, ResponseCache
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Goal
from lookalike.environments import make_environment
from lookalike.experiments.conditions import Condition
from lookalike.models import make_model
from lookalike.models.rendering import Budget
from lookalike.players import LanguageModelPlayer, RandomPlayer, ReplayPlayer
from lookalike.players.follow import FollowPlayer
from lookalike.players.plan import PlanPlayer
from lookalike.rewards import Plan, RewardModel, RewardModelScorer, compile_plan
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey, Event, SqliteResponseCache
from lookalike.swarm import Episode, WorldsEpisode


@dataclass(frozen=True)
class SessionSetup:
    """What a session needs, picklable.

    Attributes:
        environment: Environment id.
        reward_model: Document, or ``None`` where no condition needs one.
        replay: The recording's actions, or ``None``.
        recorded_seeds: The game's seeds that were recorded; never played.
        model: Language model's name.
        threads: Threads of the language model; ``None`` for all cores.
        cache: File of the response cache, or ``None``.
        step_time_limit_s: Seconds a game's step may take.
        budget: How much of a situation goes into a prompt; ``None`` for the style's default.
    """

    environment: str
    reward_model: RewardModel | None
    replay: tuple[str | None, ...] | None
    recorded_seeds: tuple[int, ...]
    model: str = "embedded"
    threads: int | None = None
    cache: Path | None = None
    step_time_limit_s: float = 10.0
    budget: Budget | None = None


class Session:
    """Plays episodes one after the other."""

    def __init__(self, setup: SessionSetup, *, notify: Callable[[str], None] | None = None) -> None:
        self.setup = setup
        self._notify = notify
        self._plan: Plan | None = compile_plan(setup.reward_model) if setup.reward_model is not None else None
        self._games: list[Environment] = []
        self._model: LanguageModel | None = None
        self._cache: ResponseCache | None = None

    def close(self) -> None:
        """End the games' processes and write the cache."""
        for game in self._games:
            game.close()
        self._games.clear()
        if isinstance(self._cache, SqliteResponseCache):
            self._cache.close()
            self._cache = None

    def play(
        self, condition: Condition, goal: Goal, *, seed: int, attempt: int, record: Callable[[Event], None]
    ) -> EpisodeFinished | EpisodeFailed:
        """Play one episode; a game that crashes or hangs is tried once more.

        Events of a try that failed are recorded too; the last event says how the episode ended.
        """
        for last_try in (False, True):
            events: list[Event] = []
            ended = self._try(condition, goal, seed=seed, attempt=attempt, record=events.append)
            again = isinstance(ended, EpisodeFailed) and not last_try
            if again:
                events[-1] = replace_will_retry(events[-1])
            for event in events:
                record(event)
            if not again:
                return ended
        raise AssertionError("unreachable")

    def environment_seed(self, seed: int) -> int:
        """Return the seed the game is reset with: the same for all goals and conditions of one seed.

        Raises:
            UsageError: It is the recording's own.
        """
        derived = derive_seed(seed, self.setup.environment, "environment")
        if derived in self.setup.recorded_seeds:
            raise UsageError(
                "This seed was recorded; it cannot be played.", got=seed, remedy="Choose other seeds."
            )
        return derived

    def _try(
        self, condition: Condition, goal: Goal, *, seed: int, attempt: int, record: Callable[[Event], None]
    ) -> EpisodeFinished | EpisodeFailed:
        config = condition.config()
        if condition.player == "plan":
            # The plan is over after its last command: nothing can happen on the steps beyond.
            goal = replace(goal, step_limit=min(goal.step_limit, goal.complexity))
        key = EpisodeKey(condition=condition.name, goal=goal.name, seed=seed, attempt=attempt)
        own_seed = derive_seed(seed, self.setup.environment, goal.name, condition.name, attempt)
        worlds = len(config.roles) if config.mode == "worlds" else 1
        games = self._reserve(worlds)
        scorers = [RewardModelScorer(self._plan) if self._plan is not None else None for _ in range(worlds)]
        if not config.needs_reward_model:
            scorers = [None] * worlds
        shared = {
            "key": key,
            "goal": goal,
            "player": self.player(condition, goal),
            "config": config,
            "seed": own_seed,
            "environment_seed": self.environment_seed(seed),
            "record": record,
        }
        if config.mode == "worlds":
            return WorldsEpisode(environments=games, scorers=scorers, **shared).play()  # type: ignore[arg-type]
        return Episode(environment=games[0], scorer=scorers[0], **shared).play()  # type: ignore[arg-type]

    def player(self, condition: Condition, goal: Goal) -> Player:
        """Return the condition's player.

        Args:
            condition: Says which.
            goal: A plan has as many commands as the person needed for it.

        Raises:
            UsageError: The replay baseline has no recording.
            ModelError: The language model is missing.
        """
        if condition.player == "random":
            return RandomPlayer()
        if condition.player == "follow":
            return FollowPlayer()
        if condition.player == "replay":
            if self.setup.replay is None:
                raise UsageError(
                    "The replay baseline needs a recording.", remedy="Leave it out of --conditions."
                )
            return ReplayPlayer(self.setup.replay)
        if condition.player == "plan":
            document = self.setup.reward_model if condition.recommendation else None
            shown = [step.do for pathway in document.pathways for step in pathway.steps] if document else []
            return PlanPlayer(self.model(), goal.complexity, shown=shown[: goal.complexity])
        return LanguageModelPlayer(
            self.model(), admissible=condition.admissible_actions, budget=self.setup.budget
        )

    def model(self) -> LanguageModel:
        """Return the language model, loaded at first use."""
        if self._model is None:
            if self.setup.cache is not None:
                self.setup.cache.parent.mkdir(parents=True, exist_ok=True)
                self._cache = SqliteResponseCache(self.setup.cache)
            self._model = make_model(
                self.setup.model, cache=self._cache, threads=self.setup.threads, notify=self._notify
            )
        return self._model

    def _reserve(self, count: int) -> list[Environment]:
        while len(self._games) < count:
            limit = self.setup.step_time_limit_s
            self._games.append(make_environment(self.setup.environment, step_time_limit_s=limit))
        return self._games[:count]


def replace_will_retry(event: Event) -> Event:
    """Mark a failure as one that is tried again."""
    if isinstance(event, EpisodeFailed):
        return event.model_copy(update={"will_retry": True})
    return event


def with_threads(setup: SessionSetup, threads: int | None) -> SessionSetup:
    """Return the setup with another number of model threads."""
    return replace(setup, threads=threads)
