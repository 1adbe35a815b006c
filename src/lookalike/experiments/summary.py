"""From episodes to rows and differences: pure functions, so that every published figure can be recomputed.

A *play* is one goal at one seed. Nothing is dropped: a crashed episode is a play that did not succeed, and
a play that a stopped run has not reached yet is counted as unfinished, not as absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lookalike.core.errors import UsageError
from lookalike.core.types import Usage
from lookalike.experiments import statistics
from lookalike.experiments.results import ConditionInfo, EpisodeResult, PairedDifference, Row

PlayKey = tuple[str, int]
"""Goal and seed."""

BOOTSTRAP_SEED = 20240310
"""The default seed of all resampling; any other gives nearly the same intervals."""


@dataclass(frozen=True)
class Play:
    """One goal at one seed under one row, all its attempts together.

    Attributes:
        goal: Goal name.
        complexity: Commands the reference play needs.
        seed: The experiment's seed.
        success: Any attempt succeeded.
        failure: What crashed or hung, where no attempt succeeded; else ``None``.
        score: Best score of the attempts, or ``None``.
        return_: Best return of the attempts.
        steps: Steps of all attempts.
        interactions: Environment steps of all attempts.
        executability: Mean over the attempts that made proposals, or ``None``.
        agreement: Mean over the attempts that voted, or ``None``.
        dissents: Sum over the attempts.
        correct_dissents: Sum over the attempts, or ``None`` where no attempt knows.
        usage: Sum over the attempts.
        seconds: Sum over the attempts.
    """

    goal: str
    complexity: int
    seed: int
    success: bool
    failure: str | None
    score: float | None
    return_: float
    steps: int
    interactions: int
    executability: float | None
    agreement: float | None
    dissents: int
    correct_dissents: int | None
    usage: Usage
    seconds: float


def plays(episodes: Iterable[EpisodeResult], condition: ConditionInfo) -> dict[PlayKey, Play]:
    """Return the plays that a row counts; a play whose attempts have not all ended is left out.

    Raises:
        UsageError: One episode is there twice.
    """
    wanted = condition.episodes_of or condition.name
    attempts: dict[PlayKey, dict[int, EpisodeResult]] = {}
    for episode in episodes:
        if episode.condition != wanted or episode.attempt >= condition.attempts:
            continue
        of_play = attempts.setdefault((episode.goal, episode.seed), {})
        if episode.attempt in of_play:
            raise UsageError(
                "An episode is there twice.",
                got=f"{wanted}, goal {episode.goal}, seed {episode.seed}, attempt {episode.attempt}",
                expected="each condition, goal, seed and attempt once",
                remedy="give every episode once; a retried one counts by its last try",
            )
        of_play[episode.attempt] = episode
    return {
        key: _play([of_play[index] for index in sorted(of_play)])
        for key, of_play in sorted(attempts.items())
        if len(of_play) == condition.attempts or any(episode.success for episode in of_play.values())
    }


def _single(only: EpisodeResult) -> Play:
    """Return a play of one attempt, as `_play` would: most are, and thousands are made to follow a run."""
    return Play(
        goal=only.goal,
        complexity=only.complexity,
        seed=only.seed,
        success=only.success,
        failure=None if only.success else only.failure,
        score=only.score,
        return_=only.return_,
        steps=only.steps,
        interactions=only.interactions,
        executability=only.executability,
        agreement=only.agreement,
        dissents=only.dissents,
        correct_dissents=only.correct_dissents,
        usage=only.usage,
        seconds=only.seconds,
    )


def _play(attempts: Sequence[EpisodeResult]) -> Play:
    if len(attempts) == 1:
        return _single(attempts[0])
    first, success = attempts[0], any(episode.success for episode in attempts)
    failures = [episode.failure for episode in attempts if episode.failure is not None]
    known = [episode.correct_dissents for episode in attempts if episode.correct_dissents is not None]
    return Play(
        goal=first.goal,
        complexity=first.complexity,
        seed=first.seed,
        success=success,
        failure=failures[0] if failures and not success else None,
        score=max((episode.score for episode in attempts if episode.score is not None), default=None),
        return_=max(episode.return_ for episode in attempts),
        steps=sum(episode.steps for episode in attempts),
        interactions=sum(episode.interactions for episode in attempts),
        executability=_mean(episode.executability for episode in attempts),
        agreement=_mean(episode.agreement for episode in attempts),
        dissents=sum(episode.dissents for episode in attempts),
        correct_dissents=sum(known) if known else None,
        usage=sum((episode.usage for episode in attempts), Usage()),
        seconds=sum(episode.seconds for episode in attempts),
    )


def summarise(
    episodes: Sequence[EpisodeResult],
    conditions: Sequence[ConditionInfo],
    *,
    bootstrap_seed: int = BOOTSTRAP_SEED,
) -> list[Row]:
    """Return one row a condition, in the conditions' order.

    Args:
        episodes: All that ended, in any order.
        conditions: What the rows mean.
        bootstrap_seed: For the intervals that are resampled.

    Raises:
        UsageError: One episode is there twice.
    """
    by_condition = {condition.name: plays(episodes, condition) for condition in conditions}
    everywhere = {(episode.goal, episode.seed) for episode in episodes}
    return [
        _row(condition, by_condition[condition.name], len(everywhere), bootstrap_seed)
        for condition in conditions
    ]


def _row(
    condition: ConditionInfo, plays_by_key: dict[PlayKey, Play], expected: int, bootstrap_seed: int
) -> Row:
    counted = list(plays_by_key.values())
    n, successes = len(counted), sum(play.success for play in counted)
    known = [play.correct_dissents for play in counted if play.correct_dissents is not None]
    return Row(
        condition=condition.name,
        kind=condition.kind,
        description=condition.description,
        episodes_of=condition.episodes_of or condition.name,
        attempts=condition.attempts,
        plan_success=successes / n if n else 0.0,
        successes=successes,
        n=n,
        interval=statistics.wilson_interval(successes, n),
        failures=sum(play.failure is not None for play in counted),
        unfinished=expected - n,
        score_mean=_mean(play.score for play in counted),
        score_interval=_interval_by_seed(
            counted, [play.score for play in counted], bootstrap_seed=bootstrap_seed
        ),
        interactions_mean=_mean(play.interactions for play in counted) or 0.0,
        steps_mean=_mean(play.steps for play in counted) or 0.0,
        return_mean=_mean(play.return_ for play in counted) or 0.0,
        executability=_mean(play.executability for play in counted),
        agreement=_mean(play.agreement for play in counted),
        dissents=sum(play.dissents for play in counted),
        correct_dissents=sum(known) if known else None,
        seconds_mean=_mean(play.seconds for play in counted) or 0.0,
        usage=sum((play.usage for play in counted), Usage()),
        handicaps=condition.handicaps,
    )


def default_pairs(conditions: Sequence[ConditionInfo]) -> list[tuple[str, str]]:
    """Return which conditions to compare: the whole method against every other row, and each part alone."""
    names = [condition.name for condition in conditions]
    whole = "swarm+expert" if "swarm+expert" in names else names[0] if names else ""
    pairs = [(whole, name) for name in names if name != whole]
    parts = [("solo+expert", "solo"), ("swarm", "solo")]
    return pairs + [pair for pair in parts if set(pair) <= set(names) and pair not in pairs]


def paired_differences(
    episodes: Sequence[EpisodeResult],
    conditions: Sequence[ConditionInfo],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    bootstrap_seed: int = BOOTSTRAP_SEED,
) -> list[PairedDifference]:
    """Compare conditions over the goals and seeds that both have.

    Args:
        episodes: All that ended, in any order.
        conditions: What the rows mean.
        pairs: Names (a, b); ``None`` for :func:`default_pairs`.
        bootstrap_seed: For the intervals that are resampled.

    Raises:
        UsageError: A pair names no condition, or one episode is there twice.
    """
    by_name = {condition.name: condition for condition in conditions}
    chosen = default_pairs(conditions) if pairs is None else list(pairs)
    unknown = sorted({name for pair in chosen for name in pair} - set(by_name))
    if unknown:
        raise UsageError(
            "There is no such condition to compare.",
            got=", ".join(unknown),
            expected=f"some of: {', '.join(by_name)}",
            remedy="name conditions that the experiment has",
        )
    played = {name: plays(episodes, condition) for name, condition in by_name.items()}
    found = [_difference(a, b, played[a], played[b], bootstrap_seed) for a, b in chosen]
    corrected = statistics.holm([difference.p_value for difference in found])
    return [
        difference.model_copy(update={"p_holm": p}) for difference, p in zip(found, corrected, strict=True)
    ]


def _difference(
    a: str, b: str, plays_a: dict[PlayKey, Play], plays_b: dict[PlayKey, Play], bootstrap_seed: int
) -> PairedDifference:
    keys = sorted(plays_a.keys() & plays_b.keys())
    pairs = [(plays_a[key], plays_b[key]) for key in keys]
    both = sum(x.success and y.success for x, y in pairs)
    only_a = sum(x.success and not y.success for x, y in pairs)
    only_b = sum(y.success and not x.success for x, y in pairs)
    n, neither = len(pairs), len(pairs) - both - only_a - only_b
    difference = (only_a - only_b) / n if n else 0.0
    interval = statistics.newcombe_paired_interval(both, only_a, only_b, neither)
    first = [x for x, _ in pairs]
    by_seed = _interval_by_seed(
        first, [float(x.success) - float(y.success) for x, y in pairs], bootstrap_seed=bootstrap_seed
    )
    scores = [None if x.score is None or y.score is None else x.score - y.score for x, y in pairs]
    intervals = [interval] if by_seed is None else [interval, by_seed]
    p_value = statistics.mcnemar_exact(only_a, only_b)
    resolved = statistics.is_resolved(intervals, p_value=p_value)
    # The plays themselves say how often the two differ; one play is the least that can be assumed.
    discordant = max(only_a + only_b, 1) / n if n else 0.5
    detectable = statistics.minimum_detectable_difference(n, discordant=discordant)
    return PairedDifference(
        a=a,
        b=b,
        n=n,
        difference=difference,
        interval=interval,
        interval_by_seed=by_seed,
        both=both,
        only_a=only_a,
        only_b=only_b,
        neither=neither,
        p_value=p_value,
        p_holm=p_value,
        score_difference=_mean(scores),
        score_interval=_interval_by_seed(first, scores, bootstrap_seed=bootstrap_seed),
        minimum_detectable=detectable,
        resolved=resolved,
        statement=statistics.resolution_sentence(
            a, b, difference=difference, resolved=resolved, n=n, detectable=detectable
        ),
    )


def _interval_by_seed(
    counted: Sequence[Play], values: Sequence[float | None], *, bootstrap_seed: int
) -> tuple[float, float] | None:
    """Return the bootstrap interval over seeds of the values that are known, or ``None`` with too few."""
    known = [(value, play.seed) for value, play in zip(values, counted, strict=True) if value is not None]
    low, high = statistics.clustered_bootstrap_mean(
        [value for value, _ in known], [seed for _, seed in known], seed=bootstrap_seed
    )
    return None if math.isinf(low) else (low, high)


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known, or ``None`` where none is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def success_by(counted: Iterable[Play], key: Callable[[Play], int | str]) -> dict[int | str, tuple[int, int]]:
    """Return (successes, plays) by whatever ``key`` says, in the keys' order."""
    groups: dict[int | str, tuple[int, int]] = {}
    for play in counted:
        successes, n = groups.get(key(play), (0, 0))
        groups[key(play)] = (successes + play.success, n + 1)
    return dict(sorted(groups.items(), key=lambda item: item[0]))
