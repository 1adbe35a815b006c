"""Search mode: one world, and after a setback back to an earlier state, to go on from there differently.

A state is kept whenever the reward model pays a milestone, and every few steps in between. After a setback
(the reward model says so), the end of the game, or many steps without a milestone, the episode goes back. It
waits there before it goes on, because a restored game would do the same again: what is random then falls
differently. Where that does not help, it goes back further, each time half as far again, until more
milestones are reached than ever before. Needs nothing of the game but ``save`` and ``restore``; every step
that was played counts as an interaction, whether it was kept or not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lookalike.core.errors import GameError, UsageError
from lookalike.core.protocols import EpisodeScorer
from lookalike.core.types import Observation, Outcome, Transition, Verdict
from lookalike.store.events import EpisodeFailed, EpisodeFinished
from lookalike.swarm.loop import Episode, World, finish

WAIT = "look"
"""What is played to let time pass: it is understood everywhere and changes nothing."""
STEPS_APART = 6
FURTHER = 1.5
LONGEST_WAIT = 5
_LARGEST_EXPONENT = 40
STEPS_WITHOUT_MILESTONE = 90


@dataclass
class KeptState:
    """A state to go back to.

    Attributes:
        state: What the environment saved.
        scorer: The reward model's follower there.
        observation: What was seen there.
        history: The transitions shown there.
        rewards: What was earned up to there.
        score: The game's score there, in points.
        steps: Length of the path to there.
        quiet: Steps since the last milestone.
        milestones: Milestones paid up to there.
    """

    state: bytes
    scorer: EpisodeScorer | None
    observation: Observation
    history: list[tuple[Transition, float | None]]
    rewards: list[float]
    score: float | None
    steps: int
    quiet: int
    milestones: int


def keep(world: World, *, steps: int | None = None, quiet: int = 0, milestones: int = 0) -> KeptState:
    """Keep a state; the length of the path is the number of rewards where it is not given."""
    return KeptState(
        state=world.environment.save(),
        scorer=world.scorer.copy() if world.scorer is not None else None,
        observation=world.observation,
        history=list(world.history),
        rewards=list(world.rewards),
        score=world.score,
        steps=len(world.rewards) if steps is None else steps,
        quiet=quiet,
        milestones=milestones,
    )


def restore(world: World, kept: KeptState) -> None:
    """Go back to a kept state."""
    world.environment.restore(kept.state)
    world.scorer = kept.scorer.copy() if kept.scorer is not None else None
    world.observation = kept.observation
    world.history = list(kept.history)
    world.rewards = list(kept.rewards)
    world.score = kept.score
    world.terminated = False


@dataclass
class ReturningEpisode(Episode):
    """Plays one goal with returns to earlier states; `search` says which. Arguments as for ``Episode``."""

    success: bool = field(init=False, default=False)
    best_score: float | None = field(init=False, default=None)

    def play(self) -> EpisodeFinished | EpisodeFailed:
        """Play to the goal, or until the interactions are spent.

        Raises:
            UsageError: The environment cannot go back.
        """
        if "save_restore" not in self.environment.capabilities:
            raise UsageError(
                "A search needs an environment that can save and restore.",
                got=self.environment.id,
                remedy="Choose a condition without search.",
            )
        started = time.perf_counter()
        world: World | None = None
        try:
            world = self._begin()
            self.success = self.goal.reached(self.environment.facts())
            self.best_score = world.score
            steps = self.search(world)
        except GameError as error:
            rewards = world.rewards if world else ()
            return self.fail(error, steps=self.totals.interactions, rewards=rewards)
        outcome = Outcome(
            success=self.success,
            steps=steps,
            score=world.score if self.success else self.best_score,
            terminated=world.terminated,
            truncated=not self.success and not world.terminated,
        )
        seconds = time.perf_counter() - started
        finished = finish(self.key, outcome, self.totals, world.rewards, seconds=seconds)
        self.record(finished)
        return finished

    def search(self, world: World) -> int:
        """Play while there is `more` to do; return the length of the way that is played in the end."""
        raise NotImplementedError

    def more(self) -> bool:
        """Return whether the goal is still to be reached and interactions are left."""
        return not self.success and self.totals.interactions < self.config.search_interactions

    def note_score(self, world: World) -> None:
        """Remember the best score of any way that was tried."""
        self.best_score = max((s for s in (self.best_score, world.score) if s is not None), default=None)


@dataclass
class SearchEpisode(ReturningEpisode):
    """Goes back after setbacks, each time further. Arguments are those of ``Episode``."""

    kept: list[KeptState] = field(init=False, default_factory=list)
    failures: int = field(init=False, default=0)

    def search(self, world: World) -> int:
        """As in ``ReturningEpisode``."""
        steps = quiet = waits = milestones = most = 0
        self._keep(world, steps, quiet, milestones)
        while self.more():
            verdict, self.success = self._search_step(world, steps, waiting=waits > 0)
            waits = max(0, waits - 1)
            steps += 1
            self.note_score(world)
            paid = verdict.components if verdict is not None else {}
            milestone = any(name.startswith("milestone:") for name in paid)
            quiet = 0 if milestone else quiet + 1
            milestones += milestone
            if milestones > most:
                most, self.failures = milestones, 0
            lost = world.terminated or "setback" in paid
            if self.success:
                break
            if lost or quiet > STEPS_WITHOUT_MILESTONE or steps >= self.goal.step_limit:
                kept, waits = self._go_back(world)
                steps, quiet, milestones = kept.steps, kept.quiet, kept.milestones
            elif milestone or steps - self.kept[-1].steps >= STEPS_APART:
                self._keep(world, steps, quiet, milestones)
        return steps

    def _keep(self, world: World, steps: int, quiet: int, milestones: int) -> None:
        self.kept.append(keep(world, steps=steps, quiet=quiet, milestones=milestones))

    def _go_back(self, world: World) -> tuple[KeptState, int]:
        """Restore an earlier state, and return it with the number of turns to wait there."""
        self.failures += 1
        exponent = min(self.failures - 1, _LARGEST_EXPONENT)
        back = min(int(FURTHER**exponent) - 1, len(self.kept) - 1)
        del self.kept[len(self.kept) - back :]
        kept = self.kept[-1]
        restore(world, kept)
        self.scorer = world.scorer
        longest = LONGEST_WAIT + self.failures // LONGEST_WAIT  # the same wait would play the same again
        return kept, 1 + (self.failures - 1) % longest

    def _search_step(self, world: World, steps: int, *, waiting: bool) -> tuple[Verdict | None, bool]:
        """Play one step, proposed or waited, and record it under the number of interactions so far."""
        number = self.totals.interactions
        if waiting:
            return self.given_step(world, steps, WAIT, "waiting after a return", number=number)
        return self.decided_step(world, steps, number=number)

    def stand_still(self, world: World) -> Transition:
        """As in ``Episode``; here every step is an interaction and counts."""
        self.totals.interactions += 1
        return super().stand_still(world)
