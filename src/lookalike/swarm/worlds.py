"""Worlds mode, as in the paper: every member plays its own copy of the game.

In each round every member proposes and plays in its own world, and every member's reward or punishment is
in the shared memory before the next one proposes. Where save/restore is allowed, all go on from the most
successful branch every few rounds. The episode succeeds when any member reaches the goal.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.core.errors import GameError
from lookalike.core.protocols import Environment, EpisodeScorer, Player
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Decision, Goal, Outcome, Role
from lookalike.store.events import EpisodeFailed, EpisodeFinished, EpisodeKey
from lookalike.swarm.config import SwarmConfig
from lookalike.swarm.loop import Episode, KeepFrame, Record, World, finish, score_of


@dataclass
class WorldsEpisode:
    """Plays one goal with one world a member.

    Args:
        key: Names the episode.
        goal: What to reach.
        environments: One copy a member, in the roles' order.
        player: Who proposes.
        config: Which parts are switched on.
        scorers: One a member, or ``None`` each.
        seed: The episode's seed.
        environment_seed: What every copy is reset with.
        record: Takes every event in order.
        keep_frame: Keeps the picture of an observation and returns its name; ``None`` where there is none.
    """

    key: EpisodeKey
    goal: Goal
    environments: Sequence[Environment]
    player: Player
    config: SwarmConfig
    scorers: Sequence[EpisodeScorer | None]
    seed: int
    environment_seed: int
    record: Record
    keep_frame: KeepFrame = lambda _: None

    def play(self) -> EpisodeFinished | EpisodeFailed:
        """Play to the goal, until all worlds ended, or to the step limit."""
        started = time.perf_counter()
        loop = self._loop()
        worlds: list[World] = []
        rounds = 0
        try:
            worlds = self._begin(loop)
            success = self.goal.reached(self.environments[0].facts())
            while not success and rounds < self.goal.step_limit and not all(w.terminated for w in worlds):
                success = self._round(loop, worlds, rounds)
                rounds += 1
                if self.config.sync_every and rounds % self.config.sync_every == 0 and not success:
                    self._resume_from_best(worlds)
        except GameError as error:
            return loop.fail(error, steps=rounds)
        best = max(worlds, key=_standing)
        scores = [w.score for w in worlds if w.score is not None]
        ended = all(w.terminated for w in worlds)
        outcome = Outcome(success, rounds, max(scores, default=None), ended, not success and not ended)
        seconds = time.perf_counter() - started
        finished = finish(self.key, outcome, loop.totals, best.rewards, seconds=seconds)
        self.record(finished)
        return finished

    def _loop(self) -> Episode:
        """Return the step loop whose parts this mode uses; its own world is never played."""
        return Episode(
            key=self.key,
            goal=self.goal,
            environment=self.environments[0],
            player=self.player,
            config=self.config,
            scorer=self.scorers[0],
            seed=self.seed,
            environment_seed=self.environment_seed,
            record=self.record,
            keep_frame=self.keep_frame,
        )

    def _begin(self, loop: Episode) -> list[World]:
        worlds = []
        self.player.start_episode(seed=derive_seed(self.seed, "player"))
        for environment, scorer in zip(self.environments, self.scorers, strict=True):
            observation = environment.reset(seed=self.environment_seed)
            if scorer is not None:
                scorer.start(observation)
            worlds.append(World(environment, observation, scorer, score=score_of(environment)))
        loop.record_start(worlds[0].observation)
        return worlds

    def _round(self, loop: Episode, worlds: list[World], number: int) -> bool:
        reached = False
        for role, world in zip(self.config.roles, worlds, strict=True):
            if not world.terminated:
                reached = self._member_step(loop, role, world, number) or reached
        return reached

    def _member_step(self, loop: Episode, role: Role, world: World, number: int) -> bool:
        proposals, recollections = loop.propose(world, [role], number)
        verdicts = loop.preview(world, proposals)
        action = proposals[0].action
        decision = Decision(action, "own world", {action: 1.0} if action is not None else {})
        loop.totals.count(proposals, decision, [v.value if v else None for v in verdicts])
        if action is None:
            transition, verdict, success = loop.stand_still(world), None, False
        else:
            transition, verdict, success = loop.act(world, action, (role.name,), number)
        loop.record_step(
            world,
            number,
            transition,
            proposals=proposals,
            decision=decision,
            verdict=verdict,
            proposal_verdicts=verdicts,
            recollections=recollections,
            goal_reached=success,
            member=role.name,
        )
        return success

    def _resume_from_best(self, worlds: list[World]) -> None:
        """Let every world go on from the most successful one, where the environment can restore."""
        best = max(worlds, key=_standing)
        if "save_restore" not in best.environment.capabilities or best.terminated:
            return
        state = best.environment.save()
        for world in worlds:
            if world is best:
                continue
            world.environment.restore(state)
            world.observation = best.observation
            world.history = list(best.history)
            world.rewards = list(best.rewards)
            world.score = best.score
            world.terminated = best.terminated
            if world.scorer is not None and best.scorer is not None:
                world.scorer = best.scorer.copy()


def _standing(world: World) -> tuple[bool, float, float]:
    """Rank worlds: alive first, then by what was earned, then by the game's own score."""
    return (not world.terminated, round(sum(world.rewards), 9), world.score or 0.0)
