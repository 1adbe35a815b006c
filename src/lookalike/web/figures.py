"""A run's results while it is played: the same figures as `results.json`, from the same functions.

`experiments.collect` reads a run from its beginning and hashes every event, which is right for a file that is
written once. A page looks every second. So the ends of episodes are read as they come, and the rows
are computed again only where there are new ones.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import lookalike
from lookalike.core.errors import LookalikeError, UnknownNameError
from lookalike.core.types import Usage
from lookalike.environments import find_goal
from lookalike.experiments.collect import paused_result
from lookalike.experiments.conditions import Condition, ExperimentSpec, joined_conditions
from lookalike.experiments.resolved import ResolvedExperiment, resolve_again
from lookalike.experiments.results import (
    CreatedWith,
    EpisodeResult,
    ExperimentResult,
    GoalInfo,
    Row,
)
from lookalike.experiments.summary import paired_differences, summarise
from lookalike.store import EpisodeKey, EpisodePaused
from lookalike.store.browse import EpisodeEntry
from lookalike.web import plots
from lookalike.web.library import FoundRun

_MOST_RUNS = 32
_LONGEST_PAUSED = 5_000
"""Events of a paused episode that are read for its figures; a longer one counts by its end alone."""


@dataclass(frozen=True)
class Playing:
    """An episode that is going on.

    Attributes:
        entry: Which.
        events: How many there are of it.
        paused: Why it was paused, or ``None``.
    """

    entry: EpisodeEntry
    events: int
    paused: str | None


@dataclass
class Figures:
    """What is known of a run.

    Attributes:
        configuration: What it was asked to do.
        asked: The same, resolved; ``None`` where its experiment is not known here.
        trouble: Why not.
        result: Rows, differences and episodes.
        numbers: Episode number by key, of those that ended or were paused.
        playing: Episodes that have not ended.
        planned: Plays that were asked for.
        done: Those that have nothing left to be played.
        version: Events the figures are of.
    """

    configuration: dict[str, Any]
    asked: ResolvedExperiment | None = None
    trouble: str | None = None
    result: ExperimentResult | None = None
    numbers: dict[EpisodeKey, int] = field(default_factory=dict)
    playing: tuple[Playing, ...] = ()
    planned: int = 0
    done: int = 0
    version: int = -1

    @cached_property
    def drawings(self) -> list[plots.Drawing]:
        """The plots; drawn when they are first asked for."""
        return plots.draw(self.result, embedded=self.embedded) if self.result is not None else []

    @property
    def embedded(self) -> bool:
        """Whether the run's language model is the one that costs nothing."""
        return self.configuration.get("model") == "embedded"

    @property
    def usage(self) -> Usage:
        """What was asked of models in all episodes that ended."""
        episodes = self.result.episodes if self.result is not None else ()
        return sum((e.usage for e in episodes), Usage())

    def main_row(self) -> Row | None:
        """Return the row a list shows: the whole method's, or the first one played."""
        from lookalike.experiments.report.view import main_row

        return None if self.result is None else main_row(self.result)


def _asked(configuration: Mapping[str, Any]) -> ResolvedExperiment:
    """Return what a run was asked to play; one of no shipped experiment (a person's council) says it itself.

    Raises:
        LookalikeError: Its experiment, environment or goals are not known here.
        KeyError: The configuration does not say what is needed.
    """
    try:
        return resolve_again(configuration)
    except UnknownNameError:
        environment = configuration.get("environment")
        if not isinstance(environment, str):
            raise
    conditions = tuple(Condition.model_validate(entry) for entry in configuration["conditions"])
    goals = tuple(find_goal(environment, str(name)) for name in configuration["goals"])
    seeds = tuple(int(seed) for seed in configuration["seeds"])
    spec = ExperimentSpec(
        name=str(configuration["experiment"]),
        description="",
        environment=environment,
        recording="",
        seeds=",".join(map(str, seeds)),
        goals=tuple(goal.name for goal in goals),
        conditions=tuple(condition.name for condition in conditions),
    )
    return ResolvedExperiment(spec, goals, seeds, conditions)


class _Follower:
    """Keeps one run's figures up to date."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended: dict[EpisodeKey, EpisodeResult] = {}
        self.after = -1
        self.figures: Figures | None = None

    def update(self, run: FoundRun) -> Figures:
        with self.lock:
            events = run.browser.events_in(run.run_id)
            known = self.figures
            if known is not None and known.version == events:
                return known
            if known is None:
                known = self._begin(run)
            figures = Figures(known.configuration, known.asked, known.trouble, known.result, known.numbers)
            figures.version = events
            self._follow(run, figures)
            self.figures = figures
            return figures

    def _begin(self, run: FoundRun) -> Figures:
        figures = Figures(run.log.configuration(run.run_id))
        try:
            figures.asked = _asked(figures.configuration)
        except LookalikeError as error:
            figures.trouble = error.what
        except (KeyError, TypeError, ValueError) as error:
            figures.trouble = f"Its configuration cannot be understood ({type(error).__name__})."
        return figures

    def _follow(self, run: FoundRun, figures: Figures) -> None:
        complexity = {g.name: g.complexity for g in figures.asked.goals} if figures.asked else {}
        ends, self.after = run.browser.ends_since(run.run_id, self.after)
        for number, event in ends:
            figures.numbers[event.episode] = number
            self.ended[event.episode] = EpisodeResult.of_event(
                event, complexity=complexity.get(event.episode.goal, 0)
            )
        paused = self._unended(run, figures, complexity)
        if ends or paused or figures.result is None:
            self._summarise(run, figures, paused)
        figures.planned, figures.done = self._progress(figures)

    def _unended(
        self, run: FoundRun, figures: Figures, complexity: dict[str, int]
    ) -> dict[EpisodeKey, EpisodeResult]:
        playing, paused = [], {}
        for entry in run.browser.open_episodes(run.run_id)[:200]:
            count = run.browser.count(run.run_id, entry.number)
            last = run.browser.last_event(run.run_id, entry.number)
            reason = last.reason if isinstance(last, EpisodePaused) else None
            playing.append(Playing(entry, count, reason))
            if reason is not None and count <= _LONGEST_PAUSED:
                events = [*run.log.events(run.run_id, episode=entry.key)]
                figures.numbers[entry.key] = entry.number
                paused[entry.key] = paused_result(
                    entry.key, events, complexity=complexity.get(entry.key.goal, 0)
                )
        figures.playing = tuple(playing)
        return paused

    def _summarise(self, run: FoundRun, figures: Figures, paused: dict[EpisodeKey, EpisodeResult]) -> None:
        asked = figures.asked
        if asked is None:
            return
        joined = joined_conditions(asked.conditions, (key.condition for key in self.ended))
        rows = [row for condition in (*asked.conditions, *joined) for row in condition.rows()]
        known = {row.name for row in rows} | {row.episodes_of for row in rows}
        episodes = [e for e in (*self.ended.values(), *paused.values()) if e.condition in known]
        episodes.sort(key=lambda e: (e.condition, e.complexity, e.goal, e.seed, e.attempt))
        figures.result = ExperimentResult(
            name=asked.spec.name,
            environment=asked.spec.environment,
            complete=run.summary.status == "finished",
            created_with=CreatedWith(
                package_version=lookalike.__version__,
                reward_model=figures.configuration.get("reward_model"),
                spec=figures.configuration,
                commands=(f"lookalike experiment run {asked.spec.name}",),
            ),
            goals=tuple(
                GoalInfo(
                    name=g.name, description=g.description, complexity=g.complexity, step_limit=g.step_limit
                )
                for g in asked.goals
            ),
            rows=tuple(summarise(episodes, rows)),
            paired=tuple(paired_differences(episodes, rows)),
            episodes=tuple(episodes),
        )

    def _progress(self, figures: Figures) -> tuple[int, int]:
        asked = figures.asked
        if asked is None:
            return 0, 0
        attempts = {c.name: c.attempts for c in asked.conditions}
        ended: dict[tuple[str, str, int], tuple[int, bool]] = {}
        for key, result in self.ended.items():
            n, won = ended.get((key.condition, key.goal, key.seed), (0, False))
            ended[key.condition, key.goal, key.seed] = (n + 1, won or result.success)
        planned = len(asked.seeds) * len(asked.goals) * len(asked.conditions)
        done = sum(won or n >= attempts.get(condition, 1) for (condition, _, _), (n, won) in ended.items())
        return planned, done


class FigureBook:
    """The figures of the runs that were looked at last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: OrderedDict[str, _Follower] = OrderedDict()

    def of(self, run: FoundRun) -> Figures:
        """Return a run's figures as of now."""
        with self._lock:
            follower = self._followers.setdefault(run.key, _Follower())
            self._followers.move_to_end(run.key)
            while len(self._followers) > _MOST_RUNS:
                self._followers.popitem(last=False)
        return follower.update(run)

    def of_many(self, runs: list[FoundRun], *, within_s: float) -> dict[str, Figures]:
        """Return the figures of as many runs as can be computed in time; at least the first one's."""
        found: dict[str, Figures] = {}
        began = time.monotonic()
        for run in runs[:_MOST_RUNS]:
            if found and time.monotonic() - began > within_s:
                break
            found[run.key] = self.of(run)
        return found


def warm_up() -> None:
    """Import what the first page would otherwise wait for."""
    from lookalike.experiments.statistics import clustered_bootstrap_mean, wilson_interval

    wilson_interval(1, 2)
    clustered_bootstrap_mean([0.0, 1.0] * 5, list(range(10)), seed=0)
