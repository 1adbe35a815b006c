"""How far to trust a reward model: does it like good play, and does it dislike bad play?

A reward model that follows good play upwards has shown little: so does a clock. The figures here compare
good play with bad play of the same length, and let something that only wants the reward play the game.

Value of a play after t steps: the sum of its first t verdicts. Formulas:

- *VOC*, value-order correlation: Spearman's rank correlation of value and time within a play (Ma et al.,
  arXiv 2411.04549, there for video). 1 when every step is rewarded. The gap between good and bad play is
  the figure; VOC of good play alone proves nothing.
- *pairwise accuracy*: of a good and a bad play after equally many steps, how often the good one has the
  higher value; ties count half.
- *success AUC*: the same at the plays' ends (Mann-Whitney), and the *false-positive rate*: the share of bad
  plays whose value reaches that of the worst good play.
- *Kendall's tau-b* between value at the end and the game's own return.
- *best of four*: the game's own return of the play with the highest value among four, ties shared, over
  all choices of four; beside the mean and the best there is.
- *climbing*: play that always takes the action with the best preview. If it earns much reward and little
  of the game's own return, the reward can be gamed.
- *hill-climbing*: where the game can go back, play that is put together from what earned most reward among
  random stretches, tried one after the other from the same state. Nothing but the reward is looked at, so
  what it finds is what the reward asks for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.core.protocols import Environment, EpisodeScorer
from lookalike.core.seeds import derive_seed, generator
from lookalike.core.types import Observation, Trajectory, Transition
from lookalike.environments.levels import FIRST_EVALUATION_LEVEL, FIRST_TUNING_LEVEL, has_levels
from lookalike.rewards.document import RewardModel
from lookalike.rewards.scorer import RewardModelScorer

OF_FOUR = 4
MAX_CHOICES = 20_000
"""Choices of four that are looked at; beyond, a fixed sample of them."""

ActionChooser = Callable[[Observation, tuple[str, ...]], str]
Follower = Callable[[Transition], object]
MakeScorer = Callable[[], EpisodeScorer]


@dataclass(frozen=True)
class PlayScore:
    """One play under a reward model.

    Attributes:
        name: Where it comes from.
        values: Sum of the verdicts after each step, [N].
        true_return: Sum of the game's own rewards, in points; ``None`` where the recording has none.
    """

    name: str
    values: tuple[float, ...]
    true_return: float | None

    @property
    def value(self) -> float:
        """Value at the end; 0 for a play without steps."""
        return self.values[-1] if self.values else 0.0


@dataclass(frozen=True)
class ClimbScore:
    """What playing for the reward alone brings.

    Attributes:
        value: Sum of the verdicts.
        true_return: Sum of the game's own rewards, in points.
        steps: Steps played.
        tried: Steps that were tried to find them, with save and restore; 0 for a play by previews.
        curve: Reward and the game's return so far, at every quarter of the play.
    """

    value: float
    true_return: float
    steps: int
    tried: int = 0
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class RewardModelCheck:
    """The figures of the module's docstring; ``None`` where there is too little to compute one from.

    Attributes:
        good: Good plays.
        bad: Bad plays.
        voc_good: Mean VOC of good play, in [-1, 1].
        voc_bad: Mean VOC of bad play.
        voc_gap: The difference.
        pairwise_accuracy: In [0, 1]; 0.5 is chance.
        pairs: How many pairs that is.
        success_auc: In [0, 1]; 0.5 is chance.
        false_positive_rate: Share of bad plays that reach the value of the worst good one.
        kendall_tau: In [-1, 1].
        best_of_four: Mean game return, in points, of the play chosen among four.
        mean_return: Mean game return of all plays.
        best_possible_of_four: Mean game return of the best play among four.
        climb: Playing for the reward alone, where an environment was given.
        hill_climb: The same by search with save and restore.
        warnings: What the figures do not show, or what they warn of; one sentence each.
    """

    good: tuple[PlayScore, ...]
    bad: tuple[PlayScore, ...]
    voc_good: float | None
    voc_bad: float | None
    voc_gap: float | None
    pairwise_accuracy: float | None
    pairs: int
    success_auc: float | None
    false_positive_rate: float | None
    kendall_tau: float | None
    best_of_four: float | None
    mean_return: float | None
    best_possible_of_four: float | None
    climb: ClimbScore | None
    warnings: tuple[str, ...]
    hill_climb: ClimbScore | None = None


def check_reward_model(
    model: RewardModel,
    good: Sequence[tuple[str, Trajectory]],
    bad: Sequence[tuple[str, Trajectory]],
    *,
    climb: ClimbScore | None = None,
    hill_climb: ClimbScore | None = None,
    made_from: Sequence[str] = (),
    scorer: MakeScorer | None = None,
) -> RewardModelCheck:
    """Compare what a reward model says about good and about bad play.

    Args:
        model: The reward model.
        good: Named plays that achieved something, best held out from the model's own recordings.
        bad: Named plays that did not.
        climb: What :func:`climb_reward` found.
        hill_climb: What :func:`hill_climb_reward` found.
        made_from: Names of the good plays that the model was made from; they prove little.
        scorer: Makes what applies the model to a play; ``None`` for a model of text.

    Raises:
        UsageError: There is no good play.
    """
    if not good:
        raise UsageError("There is no good play to check against.", expected="at least one recording")
    goods = tuple(score_play(model, name, play, scorer=scorer) for name, play in good)
    bads = tuple(score_play(model, name, play, scorer=scorer) for name, play in bad)
    voc_good, voc_bad = _mean(map(_voc, goods)), _mean(map(_voc, bads))
    accuracy, pairs = _pairwise(goods, bads)
    plays = [p for p in (*goods, *bads) if p.true_return is not None]
    best, mean, possible = _best_of_four(plays)
    return RewardModelCheck(
        good=goods,
        bad=bads,
        voc_good=voc_good,
        voc_bad=voc_bad,
        voc_gap=None if voc_good is None or voc_bad is None else voc_good - voc_bad,
        pairwise_accuracy=accuracy,
        pairs=pairs,
        success_auc=_auc(goods, bads),
        false_positive_rate=_false_positives(goods, bads),
        kendall_tau=_tau(plays),
        best_of_four=best,
        mean_return=mean,
        best_possible_of_four=possible,
        climb=climb,
        hill_climb=hill_climb,
        warnings=(*_not_held_out(made_from), *_warnings(goods, bads, voc_good, voc_bad, climb, hill_climb)),
    )


def score_play(
    model: RewardModel, name: str, play: Trajectory, *, scorer: MakeScorer | None = None
) -> PlayScore:
    """Score a play step by step; ``scorer`` as for :func:`check_reward_model`."""
    applied = scorer() if scorer is not None else RewardModelScorer(model)
    applied.start(play.observations[0])
    verdicts = [applied.score(transition).value for transition in play.transitions()]
    values = tuple(round(float(v), 6) for v in np.cumsum(verdicts))
    return PlayScore(name, values, float(sum(play.rewards)) if play.rewards else None)


def random_play(environment: Environment, *, seed: int, steps: int) -> Trajectory:
    """Play at random among the admissible actions: bad play to compare with.

    Raises:
        CapabilityError: The environment offers no admissible actions.
    """
    draw = generator(seed, "random play")

    def choose(_: Observation, actions: tuple[str, ...]) -> str:
        return actions[int(draw.integers(len(actions)))]

    return _play(environment, _begin(environment, seed), choose, steps=steps)


def climb_reward(
    model: RewardModel,
    environment: Environment,
    *,
    seed: int,
    steps: int,
    scorer: MakeScorer | None = None,
) -> ClimbScore:
    """Play for the reward alone: always the action whose preview is best, the first one among equals.

    Args:
        model: The reward model.
        environment: Reset here; not closed.
        seed: Of the game.
        steps: Steps at most.
        scorer: As for :func:`check_reward_model`.

    Raises:
        CapabilityError: The environment offers no admissible actions.
    """
    first = _begin(environment, seed)
    applied = scorer() if scorer is not None else RewardModelScorer(model)
    applied.start(first)

    def choose(observation: Observation, actions: tuple[str, ...]) -> str:
        return actions[int(np.argmax([v.value for v in applied.preview(observation, actions)]))]

    play = _play(environment, first, choose, steps=steps, follow=applied.score)
    scored = score_play(model, "climbing", play, scorer=scorer)
    return ClimbScore(scored.value, scored.true_return or 0.0, len(play))


def hill_climb_reward(
    model: RewardModel,
    environment: Environment,
    *,
    seed: int,
    steps: int,
    scorer: MakeScorer | None = None,
    tries: int = 12,
    stretch: int = 6,
) -> ClimbScore:
    """Play for the reward alone, with search: the best of random stretches, one after the other.

    Args:
        model: The reward model.
        environment: With ``save_restore``; reset here, not closed.
        seed: Of the game and the draws.
        steps: Steps of the play at most.
        scorer: As for :func:`check_reward_model`.
        tries: Stretches that are tried from every state.
        stretch: Steps of one; each action is held for a while.

    Raises:
        CapabilityError: The environment cannot save and restore, or offers no admissible actions.
    """
    if "save_restore" not in environment.capabilities:
        raise CapabilityError(
            "Searching for reward needs a game that can go back.",
            got=environment.id,
            expected="the capability save_restore",
            remedy="leave the search out; the play by previews needs none",
        )
    at = _Climbed(_begin(environment, seed), scorer() if scorer is not None else RewardModelScorer(model))
    at.scorer.start(at.observation)
    draw, tried = generator(seed, "hill climbing"), 0
    history: list[tuple[float, float]] = []
    while at.steps < steps and not at.over:
        saved, found = environment.save(), None
        for _ in range(tries):
            environment.restore(saved)
            one = at.after(environment, draw, min(stretch, steps - at.steps))
            tried += one.steps - at.steps
            if found is None or one.value > found[0].value:
                found = one, environment.save()
        if found is None or found[0].steps == at.steps:
            break
        at = found[0]
        environment.restore(found[1])
        history.append((at.value, at.true_return))
    marks = sorted({max(0, math.ceil(len(history) * part / 4) - 1) for part in range(1, 5)})
    curve = tuple((round(history[m][0], 6), history[m][1]) for m in marks) if history else ()
    return ClimbScore(round(at.value, 6), at.true_return, at.steps, tried, curve)


@dataclass(frozen=True)
class _Climbed:
    """How far a play for the reward came."""

    observation: Observation
    scorer: EpisodeScorer
    value: float = 0.0
    true_return: float = 0.0
    steps: int = 0
    over: bool = False

    def after(self, environment: Environment, draw: np.random.Generator, length: int) -> _Climbed:
        """Return where a random stretch leads; the environment is left there."""
        applied, observation = self.scorer.copy(), self.observation
        value, earned, hold, action = self.value, self.true_return, 0, ""
        for step in range(length):
            offered = environment.admissible_actions()
            if not offered:
                return _Climbed(observation, applied, value, earned, self.steps + step, over=True)
            if hold <= 0 or action not in offered:
                hold, action = int(draw.geometric(1 / 3)), offered[int(draw.integers(len(offered)))]
            hold -= 1
            result = environment.step(action)
            after = result.observation
            value += applied.score(
                Transition(observation, action, after, result.env_reward, result.terminated, result.truncated)
            ).value
            earned, observation = earned + result.env_reward, after
            if result.terminated or result.truncated:
                return _Climbed(observation, applied, value, earned, self.steps + step + 1, over=True)
        return _Climbed(observation, applied, value, earned, self.steps + length)


def _begin(environment: Environment, seed: int) -> Observation:
    if "admissible_actions" not in environment.capabilities:
        raise CapabilityError(
            "This check plays, and the environment does not say what can be done.",
            got=environment.id,
            expected="the capability admissible_actions",
            remedy="give recordings of bad play instead",
        )
    if has_levels(environment.id):  # a level that is neither recorded nor kept for figures
        tuning = FIRST_EVALUATION_LEVEL - FIRST_TUNING_LEVEL
        return environment.reset(seed=FIRST_TUNING_LEVEL + derive_seed(seed, "game") % tuning)
    return environment.reset(seed=derive_seed(seed, "game"))


def _play(
    environment: Environment,
    first: Observation,
    choose: ActionChooser,
    *,
    steps: int,
    follow: Follower | None = None,
) -> Trajectory:
    observations, actions, rewards = [first], [], []
    for _ in range(steps):
        offered = environment.admissible_actions()
        if not offered:
            break
        actions.append(choose(observations[-1], offered))
        result = environment.step(actions[-1])
        if follow is not None:
            follow(Transition(observations[-1], actions[-1], result.observation, result.env_reward))
        observations.append(result.observation)
        rewards.append(result.env_reward)
        if result.terminated or result.truncated:
            break
    return Trajectory(tuple(observations), tuple(actions), tuple(rewards))


def _mean(values: Iterable[float | None]) -> float | None:
    found = [v for v in values if v is not None]
    return float(np.mean(found)) if found else None


def _voc(play: PlayScore) -> float | None:
    """Return Spearman's correlation of value and time; 0 where the value never changes."""
    from scipy.stats import rankdata

    if len(play.values) < 2:
        return None
    ranks = rankdata(play.values)
    if np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def _pairwise(goods: Sequence[PlayScore], bads: Sequence[PlayScore]) -> tuple[float | None, int]:
    wins, pairs = 0.0, 0
    for a, b in itertools.product(goods, bads):
        n = min(len(a.values), len(b.values))
        difference = np.subtract(a.values[:n], b.values[:n])
        wins += float(np.sum(difference > 0) + 0.5 * np.sum(difference == 0))
        pairs += n
    return (wins / pairs if pairs else None), pairs


def _auc(goods: Sequence[PlayScore], bads: Sequence[PlayScore]) -> float | None:
    if not goods or not bads:
        return None
    wins = [(a.value > b.value) + 0.5 * (a.value == b.value) for a in goods for b in bads]
    return float(np.mean(wins))


def _false_positives(goods: Sequence[PlayScore], bads: Sequence[PlayScore]) -> float | None:
    if not goods or not bads:
        return None
    threshold = min(play.value for play in goods)
    return float(np.mean([play.value >= threshold for play in bads]))


def _tau(plays: Sequence[PlayScore]) -> float | None:
    from scipy.stats import kendalltau

    if len(plays) < 3:
        return None
    tau = float(kendalltau([p.value for p in plays], [p.true_return for p in plays]).statistic)
    return None if math.isnan(tau) else tau


def _best_of_four(plays: Sequence[PlayScore]) -> tuple[float | None, float | None, float | None]:
    if len(plays) < OF_FOUR:
        return None, None, None
    values = np.array([p.value for p in plays])
    returns = np.array([p.true_return for p in plays], dtype=float)
    if math.comb(len(plays), OF_FOUR) <= MAX_CHOICES:
        choices = np.array(list(itertools.combinations(range(len(plays)), OF_FOUR)))
    else:
        draw = generator(0, "best of four")
        choices = np.array(
            [draw.choice(len(plays), OF_FOUR, replace=False) for _ in range(MAX_CHOICES)], dtype=int
        )
    best = values[choices] == values[choices].max(axis=1, keepdims=True)
    chosen = (returns[choices] * best).sum(axis=1) / best.sum(axis=1)
    return float(chosen.mean()), float(returns.mean()), float(returns[choices].max(axis=1).mean())


def _not_held_out(made_from: Sequence[str]) -> tuple[str, ...]:
    if not made_from:
        return ()
    names = ", ".join(made_from)
    return (f"The model was made from {names}: that it likes them proves little. Give play it has not seen.",)


def _warnings(
    goods: Sequence[PlayScore],
    bads: Sequence[PlayScore],
    voc_good: float | None,
    voc_bad: float | None,
    *climbs: ClimbScore | None,
) -> tuple[str, ...]:
    found = []
    if not bads:
        found.append("No bad play was given: VOC of good play alone proves nothing.")
    if voc_good is not None and voc_bad is not None and voc_good - voc_bad < 0.1:
        found.append("Good and bad play rise alike: the reward model may only tell the time.")
    returns = [p.true_return for p in goods if p.true_return is not None]
    for climb in climbs:
        best = max(p.value for p in goods)
        if climb is not None and returns and climb.value > best and climb.true_return < min(returns):
            found.append(
                f"Playing for the reward alone earns more reward ({climb.value:.2f}) than the best recording "
                f"({best:.2f}) and less of the game's own return: the reward can be gamed."
            )
    return tuple(found)
