"""Plays episodes of an experiment: one session a process, with its own game and its own model.

What an episode does depends on the seed, the environment, the goal, the condition and the attempt, and on
nothing that was played before it; so it does not matter which process plays what, nor how often an episode
is begun before it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lookalike.core.errors import EnvironmentDiedError, EnvironmentHungError, UsageError
from lookalike.core.protocols import Environment, EpisodeScorer, LanguageModel, Player, ResponseCache
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Goal, Observation
from lookalike.environments import make_environment
from lookalike.environments.batch import EnvironmentBatch, make_environment_batch
from lookalike.environments.levels import evaluation_level, has_levels
from lookalike.environments.supervised import Restart, SupervisedEnvironment
from lookalike.environments.worker import DEFAULT_MEMORY_LIMIT_MB
from lookalike.experiments.budget import NO_LIMIT, Budget, Spent
from lookalike.experiments.conditions import Condition
from lookalike.experiments.continuation import Continuation, ContinuedPlayer, DivergedError
from lookalike.experiments.judging import JudgedRecord, judged, make_judge
from lookalike.experiments.resolved import PlayTask
from lookalike.experiments.seat import CouncilPlayer, Seat, Sitting, how_it_ended
from lookalike.experiments.variations import StartedElsewhere
from lookalike.experts.remote_judge import RemoteJudge
from lookalike.models import make_model
from lookalike.models.capabilities import capabilities_of
from lookalike.models.rendering import Budget as PromptBudget
from lookalike.players import LanguageModelPlayer, RandomPlayer, ReplayPlayer
from lookalike.players.described import DescribedPlayer
from lookalike.players.follow import FollowPlayer
from lookalike.players.lookahead import LookaheadPlayer, LookaheadSettings
from lookalike.players.mimic import MimicPlayer
from lookalike.players.plan import PlanPlayer
from lookalike.rewards import Plan, RewardModel, RewardModelScorer, compile_plan
from lookalike.rewards.visual_network import VisualModel
from lookalike.rewards.visual_scorer import VisualScorer, load_visual
from lookalike.store import (
    EnvironmentRestarted,
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodePaused,
    Event,
    FileStore,
    StepTaken,
    open_response_cache,
    usage_of,
)
from lookalike.swarm import (
    Episode,
    PatientPlayer,
    SearchEpisode,
    SetbackMemory,
    SwarmConfig,
    TreeSearchEpisode,
    WorldsEpisode,
)

COPIES = 16
"""Copies of the game with which the lookahead player tries things."""


class PlayStopped(Exception):  # noqa: N818 - control flow, no error
    """The run is to stop here; what was played so far is in the log."""


class EpisodeBudgetReached(Exception):  # noqa: N818 - control flow, no error
    """The episode has spent what it may; the message says of what."""


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
        cache: Where the response cache is (a file, or a database's URL), or ``None``.
        step_time_limit_s: Seconds a game's step may take.
        memory_limit_mb: MiB of address space a game's process may use.
        prompt_budget: How much of a situation goes into a prompt; ``None`` for the style's default.
        budget: What one episode may spend.
        files: Folder for pictures that are seen; ``None`` to keep none.
        flush_after_s: Steps that come within this many seconds of each other are written down together.
        paid: Whether responses cost money, so that each is on disk before it is used.
        visual: Folder of the reward model, where its weights lie; ``None`` for one without.
        lookahead_steps: Steps that one search of the lookahead player may take.
        judge: Model that is asked live about steps the reward model does not cover, or ``None``.
    """

    environment: str
    reward_model: RewardModel | None
    replay: tuple[str | None, ...] | None
    recorded_seeds: tuple[int, ...]
    model: str = "embedded"
    threads: int | None = None
    cache: str | None = None
    step_time_limit_s: float = 10.0
    memory_limit_mb: int = DEFAULT_MEMORY_LIMIT_MB
    prompt_budget: PromptBudget | None = None
    budget: Budget = NO_LIMIT
    files: Path | None = None
    flush_after_s: float = 0.05
    paid: bool = False
    visual: Path | None = None
    lookahead_steps: int = LookaheadSettings().steps
    judge: str | None = None


class Session:
    """Plays episodes one after the other.

    Args:
        setup: What it needs.
        notify: Called with a sentence when something takes long.
        sitting: A person who is a member of the councils that it plays, or ``None``.
    """

    def __init__(
        self,
        setup: SessionSetup,
        *,
        notify: Callable[[str], None] | None = None,
        sitting: Sitting | None = None,
    ) -> None:
        self.setup = setup
        self._notify = notify
        self._sitting = sitting
        self._plan: Plan | None = None
        if setup.reward_model is not None and setup.visual is None:
            self._plan = compile_plan(setup.reward_model)
        self._visual: VisualModel | None = None
        self._copies: EnvironmentBatch | None = None
        self._games: list[SupervisedEnvironment] = []
        self._on_restart: Callable[[Restart], None] | None = None
        self._files: FileStore | None = None
        self._setbacks: SetbackMemory | None = None
        self._model: LanguageModel | None = None
        self._cache: ResponseCache | None = None
        self._close_cache: Callable[[], None] = lambda: None
        self._judge: RemoteJudge | None = None

    def close(self) -> None:
        """End the games' processes and write the cache."""
        for game in self._games:
            game.close()
        self._games.clear()
        if self._copies is not None:
            self._copies.close()
            self._copies = None
        self._close_cache()
        self._close_cache = lambda: None
        self._model = self._cache = self._judge = None

    def play_task(
        self,
        task: PlayTask,
        *,
        record: Callable[[Event], None],
        logged: Callable[[EpisodeKey], Sequence[Event]] = lambda _: (),
    ) -> None:
        """Play a task's attempts until one succeeds.

        Args:
            task: What to play.
            record: Takes every event as it happens. What it raises ends the task.
            logged: Gives what the log has of an episode that was begun before.
        """
        self._seat_who_waits(task, record)
        for attempt, heard in self._attempts(task, record):
            ended = self.play(
                task.condition,
                task.goal,
                seed=task.seed,
                attempt=attempt,
                record=heard,
                logged=logged(task.key(attempt)),
            )
            if not isinstance(ended, EpisodeFailed) and (isinstance(ended, EpisodePaused) or ended.success):
                return

    def _seat_who_waits(self, task: PlayTask, record: Callable[[Event], None]) -> None:
        """Play the goal once more, with the person who waits for a seat, where one does.

        It is an episode besides, under a condition of its own: what the run was asked to play stays as it is.
        """
        if self.setup.files is None or not task.condition.has_a_seat:
            return
        seat = Seat(self.setup.files.parent)
        sitting = seat.claim()
        if sitting is None:
            return
        condition = task.condition.with_person()
        asked = PlayTask(condition, task.goal, task.seed, (0,))
        sitting.episode = seat.attempt(asked.key)
        words = "The run was stopped."
        self._sitting = sitting
        try:
            ended = self.play(
                condition,
                task.goal,
                seed=task.seed,
                attempt=sitting.episode.attempt,
                record=partial(_hear, sitting.hear, record),
            )
            words = how_it_ended(ended)
        finally:
            self._sitting = None
            sitting.end(words)

    def _attempts(
        self, task: PlayTask, record: Callable[[Event], None]
    ) -> Iterator[tuple[int, Callable[[Event], None]]]:
        """Yield the attempts to play and where their events go; learn from each where a memory is kept."""
        if not task.condition.variation.learns_from_setbacks:
            yield from ((attempt, record) for attempt in task.attempts)
            return
        self._setbacks = SetbackMemory()
        try:
            for attempt in range(max(task.attempts, default=-1) + 1):
                events: list[Event] = []
                if attempt in task.attempts:
                    yield attempt, partial(_hear, events.append, record)
                else:  # it is in the log already: played again for what it teaches
                    chosen, goal, seed = task.condition, task.goal, task.seed
                    self.play(chosen, goal, seed=seed, attempt=attempt, record=events.append)
                self._setbacks.learn(events)
        finally:
            self._setbacks = None

    def play(
        self,
        condition: Condition,
        goal: Goal,
        *,
        seed: int,
        attempt: int,
        record: Callable[[Event], None],
        logged: Sequence[Event] = (),
    ) -> EpisodeFinished | EpisodeFailed | EpisodePaused:
        """Play one episode, or go on with it.

        A game that hangs or dies is brought back to where it was, once; at the second time the episode has
        failed.

        Args:
            condition: Which parts are switched on.
            goal: What to reach.
            seed: The experiment's seed.
            attempt: 0-based.
            record: Takes every event that is not in ``logged``, as it happens.
            logged: The episode's events so far, where it was begun before.

        Returns:
            The last event: how it ended, or that its budget paused it.
        """
        try:
            return self._try(condition, goal, seed=seed, attempt=attempt, record=record, logged=logged)
        except DivergedError:
            # What was logged cannot be reached again: the episode starts over.
            return self._try(condition, goal, seed=seed, attempt=attempt, record=record, logged=())

    def environment_seed(self, seed: int) -> int:
        """Return the seed the game is reset with: the same for all goals and conditions of one seed.

        Raises:
            UsageError: It is the recording's own, or names a level that is not for experiments.
        """
        if has_levels(self.setup.environment):
            return evaluation_level(self.setup.environment, seed, recorded=self.setup.recorded_seeds)
        derived = derive_seed(seed, self.setup.environment, "environment")
        if derived in self.setup.recorded_seeds:
            raise UsageError(
                "This seed was recorded; it cannot be played.", got=seed, remedy="Choose other seeds."
            )
        return derived

    def _try(
        self,
        condition: Condition,
        goal: Goal,
        *,
        seed: int,
        attempt: int,
        record: Callable[[Event], None],
        logged: Sequence[Event],
    ) -> EpisodeFinished | EpisodeFailed | EpisodePaused:
        config = condition.config()
        if condition.player == "plan":
            # The plan is over after its last command: nothing can happen on the steps beyond.
            goal = replace(goal, step_limit=min(goal.step_limit, goal.complexity))
        key = EpisodeKey(condition=condition.name, goal=goal.name, seed=seed, attempt=attempt)
        own_seed = derive_seed(seed, self.setup.environment, goal.name, condition.name, attempt)
        worlds = len(config.roles) if config.mode == "worlds" else 1
        try:
            games = self._reserve(worlds)
        except (EnvironmentDiedError, EnvironmentHungError) as error:
            failed = EpisodeFailed(episode=key, failure=f"{type(error).__name__}: {error.what}")
            record(failed)
            return failed
        scorers = [self._scorer() if config.needs_reward_model else None for _ in range(worlds)]
        meter = _Meter(key, self.setup.budget, record, logged)
        continuation = Continuation(logged, meter.record)
        player = self.player(condition, goal, seed=seed)
        self._on_restart = meter.restarted
        games, scorers = self._varied(condition, goal, seed, games, scorers)
        if self._setbacks is not None:
            player = PatientPlayer(player, self._setbacks)
        judge = self._judge_of(config)
        scorers = [judged(scorer, judge) for scorer in scorers]
        shared = {
            "key": key,
            "goal": goal,
            "player": ContinuedPlayer(player, continuation) if condition.player == "llm" else player,
            "config": config,
            "seed": own_seed,
            "environment_seed": self.environment_seed(seed),
            "record": self._recorder(continuation, judge, condition),
            "keep_frame": self._keep_frame,
        }
        try:
            if config.mode == "worlds":
                return WorldsEpisode(environments=games, scorers=scorers, **shared).play()  # type: ignore[arg-type]
            if config.mode == "tree search":
                return TreeSearchEpisode(environment=games[0], scorer=scorers[0], **shared).play()  # type: ignore[arg-type]
            if config.mode == "search":
                return SearchEpisode(environment=games[0], scorer=scorers[0], **shared).play()  # type: ignore[arg-type]
            return Episode(environment=games[0], scorer=scorers[0], **shared).play()  # type: ignore[arg-type]
        except EpisodeBudgetReached as reached:
            paused = EpisodePaused(episode=key, step=meter.steps, reason=str(reached))
            record(paused)
            return paused
        finally:
            self._on_restart = None

    def _varied(
        self,
        condition: Condition,
        goal: Goal,
        seed: int,
        games: list[Environment],
        scorers: list[EpisodeScorer | None],
    ) -> tuple[list[Environment], list[EpisodeScorer | None]]:
        """Return games and scorers as the condition's variation has them."""
        variation, model = condition.variation, self.setup.reward_model
        if variation.changes_the_document and model is not None:
            plan = variation.plan(model, goal, seed=seed)
            scorers = [None if scorer is None else RewardModelScorer(plan) for scorer in scorers]
        if variation.random_start and self._plan is not None:
            games = [StartedElsewhere(game, self._plan, steps=variation.random_start) for game in games]
        return games, scorers

    def _keep_frame(self, observation: Observation) -> str | None:
        """Keep a picture among the run's files; return its name there."""
        if observation.frame is None or self.setup.files is None:
            return None
        if self._files is None:
            self._files = FileStore(self.setup.files)
        return self._files.put_frame(observation.frame)

    def _scorer(self) -> EpisodeScorer | None:
        if self.setup.visual is not None and self.setup.reward_model is not None:
            return VisualScorer(self.setup.reward_model, self.visual())
        return RewardModelScorer(self._plan) if self._plan is not None else None

    def visual(self) -> VisualModel:
        """Return the reward model's networks, loaded at first use.

        Raises:
            UsageError: The reward model has none.
            CapabilityError: PyTorch is missing.
        """
        if self._visual is None:
            if self.setup.visual is None or self.setup.reward_model is None:
                raise UsageError(
                    "Imitators need a reward model with weights.",
                    remedy="Write one from videos: `lookalike watch --expert embedded-visual`.",
                )
            self._visual = load_visual(self.setup.reward_model, self.setup.visual)
        return self._visual

    def _lookahead(self, seed: int, temperatures: tuple[float, ...]) -> LookaheadPlayer:
        if self._copies is None:
            self._copies = make_environment_batch(
                self.setup.environment,
                COPIES,
                step_time_limit_s=self.setup.step_time_limit_s,
                memory_limit_mb=self.setup.memory_limit_mb,
            )
        settings = LookaheadSettings(steps=self.setup.lookahead_steps, temperatures=temperatures)
        return LookaheadPlayer(
            self.visual(), self._copies, level=self.environment_seed(seed), settings=settings
        )

    def player(self, condition: Condition, goal: Goal, *, seed: int = 0) -> Player:
        """Return the condition's player.

        Args:
            condition: Says which.
            goal: A plan has as many commands as the person needed for it.
            seed: The experiment's seed; one that looks ahead begins there.

        Raises:
            UsageError: The replay baseline has no recording.
            ModelError: The language model is missing.
        """
        if condition.player == "human":
            sitting = self._sitting
            if sitting is None:
                raise UsageError(
                    "A person is a member of this condition, and nobody is here to be asked.",
                    got=condition.name,
                    remedy="play along in the dashboard: lookalike view",
                )
            others = condition.model_copy(update={"player": condition.members})
            return CouncilPlayer(
                self.player(others, goal, seed=seed),
                lambda seen: sitting.ask(seen, self._keep_frame(seen.observation)),
            )
        if condition.player == "random":
            return RandomPlayer()
        if condition.player == "mimic":
            return MimicPlayer(self.visual())
        if condition.player == "lookahead":
            return self._lookahead(seed, condition.temperatures)
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
        reader = LanguageModelPlayer(
            self.model(), admissible=condition.admissible_actions, budget=self.setup.prompt_budget
        )
        if self.setup.visual is None or capabilities_of(self.model()).images > 0:
            return reader
        return DescribedPlayer(reader, self.visual())

    def model(self) -> LanguageModel:
        """Return the language model, loaded at first use."""
        if self._model is None:
            self._model = make_model(
                self.setup.model, cache=self._responses(), threads=self.setup.threads, notify=self._notify
            )
        return self._model

    def _responses(self) -> ResponseCache | None:
        """Return the response cache, opened at first use."""
        if self._cache is None and self.setup.cache is not None:
            cache = open_response_cache(self.setup.cache, paid=self.setup.paid)
            self._cache, self._close_cache = cache, cache.close
        return self._cache

    def _recorder(
        self, continuation: Continuation, judge: RemoteJudge | None, condition: Condition
    ) -> Callable[[Event], None]:
        if judge is None:
            return continuation.record
        return JudgedRecord(judge, continuation, player_repeats=condition.player == "llm").record

    def _judge_of(self, config: SwarmConfig) -> RemoteJudge | None:
        """Return the judge, where the run has one and the condition rewards by the reward model."""
        document = self.setup.reward_model
        if self.setup.judge is None or document is None or config.reward != "reward model":
            return None
        if self._judge is None:
            self._judge = make_judge(self.setup.judge, document, cache=self._responses())
        return self._judge

    def _reserve(self, count: int) -> list[Environment]:
        while len(self._games) < count:
            game = self._start_game()
            self._games.append(SupervisedEnvironment(game, on_restart=self._restarted))
        return list(self._games[:count])

    def _start_game(self) -> Environment:
        """Start a game; one that dies or hangs on the way is started once more."""
        make = partial(
            make_environment,
            self.setup.environment,
            step_time_limit_s=self.setup.step_time_limit_s,
            memory_limit_mb=self.setup.memory_limit_mb,
        )
        try:
            return make()
        except (EnvironmentDiedError, EnvironmentHungError):
            return make()

    def _restarted(self, restart: Restart) -> None:
        if self._on_restart is not None:
            self._on_restart(restart)


def _hear(also: Callable[[Event], None], record: Callable[[Event], None], event: Event) -> None:
    record(event)
    also(event)


class _Meter:
    """Stamps an episode's steps with the seconds they took, and stops it at its budget."""

    def __init__(
        self, key: EpisodeKey, budget: Budget, record: Callable[[Event], None], logged: Sequence[Event]
    ) -> None:
        self._key = key
        self._budget = budget
        self._record = record
        self._since = time.perf_counter()
        self._spent = Spent()
        self.steps = 0
        for event in logged:
            if isinstance(event, StepTaken):
                self._count(event)

    def record(self, event: Event) -> None:
        """Take a new event of the episode.

        Raises:
            EpisodeBudgetReached: The episode may not go on.
        """
        if not isinstance(event, StepTaken):
            self._since = time.perf_counter()  # starting a game is no step
            self._record(event)
            return
        now = time.perf_counter()
        measured = event.measured.model_copy(update={"seconds": now - self._since})
        self._since = now
        event = event.model_copy(update={"measured": measured})
        self._count(event)
        self._record(event)
        reached = self._budget.reached(self._spent)
        if reached is not None and not (event.goal_reached or event.terminated or event.truncated):
            raise EpisodeBudgetReached(reached)

    def restarted(self, restart: Restart) -> None:
        """Write down that the game was brought back."""
        self._record(
            EnvironmentRestarted(
                episode=self._key, step=restart.step, failure=restart.failure, replayed=restart.replayed
            )
        )

    def _count(self, event: StepTaken) -> None:
        self.steps = event.step + 1
        self._spent = self._spent.plus(usage_of(event.usage, event.measured), event.measured.seconds)


def with_threads(setup: SessionSetup, threads: int | None) -> SessionSetup:
    """Return the setup with another number of model threads."""
    return replace(setup, threads=threads)
