"""Experts beside the embedded one in an experiment: who writes its reward model, and who judges live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lookalike.core.protocols import EpisodeScorer, ResponseCache
from lookalike.core.types import Usage
from lookalike.experiments.continuation import Continuation
from lookalike.experiments.preparation import Advance, Watched
from lookalike.experts import make_expert
from lookalike.experts.remote_judge import JudgedScorer, RemoteJudge
from lookalike.models import make_model
from lookalike.rewards import RewardModel
from lookalike.store import (
    EpisodeFailed,
    EpisodeFinished,
    Event,
    Measured,
    StepTaken,
    UsageRecord,
    open_response_cache,
    usage_of,
)

DEFAULT_EXPERT = "embedded-text"


def watched_by(
    expert: str,
    watched: Watched,
    *,
    environment: str,
    cache: str,
    progress: Advance | None = None,
    notify: Callable[[str], None] | None = None,
) -> Watched:
    """Return what was watched with the reward model that another expert writes of it.

    Args:
        expert: As for :func:`lookalike.experts.make_expert`, e.g. ``remote:google:MODEL``.
        watched: The recordings, read.
        environment: Environment id.
        cache: Where the expert's responses are kept: nothing is paid twice.
        progress: Called with done, total and what is going on.
        notify: Called with a sentence when something was left out, split or sampled.

    Raises:
        LookalikeError: As the expert's own.
    """
    if expert == DEFAULT_EXPERT:
        return watched
    demonstrations = getattr(watched, "demonstrations", None) or (watched.demonstration,)
    with open_response_cache(cache, paid=True) as responses:
        watcher = make_expert(expert, cache=responses, notify=notify)
        if hasattr(watcher, "videos") and len(demonstrations) == 1:
            watcher.videos[demonstrations[0].id] = watched.video
        if progress is not None:
            progress(0.0, 1.0, f"{watcher.name} watches")
        document = watcher.watch(demonstrations, environment=environment)
        close = getattr(watcher, "close", None)
        if close is not None:
            close()
    return replace(watched, reward_model=document)


def make_judge(model: str, document: RewardModel, *, cache: ResponseCache | None) -> RemoteJudge:
    """Return a judge of live transitions.

    Raises:
        CapabilityError: The model cannot hold a reply to a schema.
        ModelError: It has no key, or what it needs is not installed.
    """
    return RemoteJudge(make_model(model, cache=cache), document)


def judged(scorer: EpisodeScorer | None, judge: RemoteJudge | None) -> EpisodeScorer | None:
    """Return the scorer with the judge beside it, where there are both."""
    return scorer if scorer is None or judge is None else JudgedScorer(scorer, judge)


class JudgedRecord:
    """Adds what the judge was asked to the events of the steps it was asked about.

    A step that comes from the log has it already where the player's proposals do (see ``continuation``), and
    then it reaches the episode's sum through them.

    Args:
        judge: Whose usage.
        continuation: Where events go.
        player_repeats: The player's proposals repeat a logged step's usage, the judge's included.
    """

    def __init__(self, judge: RemoteJudge, continuation: Continuation, *, player_repeats: bool) -> None:
        self._judge = judge
        self._continuation = continuation
        self._player_repeats = player_repeats
        self._added = Usage()
        judge.take_usage()  # of an episode that was given up

    def record(self, event: Event) -> None:
        """Take an event of the episode."""
        if isinstance(event, StepTaken):
            asked = self._judge.take_usage()
            if self._continuation.next_step is None or not self._player_repeats:
                self._added = self._added + asked
                event = event.model_copy(update=_with_usage(event, asked))
        elif isinstance(event, EpisodeFinished | EpisodeFailed):
            event = event.model_copy(update=_with_usage(event, self._added))
        self._continuation.record(event)


def _with_usage(event: StepTaken | EpisodeFinished | EpisodeFailed, asked: Usage) -> dict[str, object]:
    total = usage_of(event.usage, event.measured) + asked
    measured = Measured.of(total, seconds=event.measured.seconds)
    return {"usage": UsageRecord.of(total), "measured": measured}
