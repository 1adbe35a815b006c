"""The step loop: recall, propose, verdicts, decide, step, score, remember, record.

One loop serves every condition; what is switched off is simply empty (no recollections, no verdicts).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lookalike.core.errors import GameError
from lookalike.core.protocols import Environment, EpisodeScorer, Player
from lookalike.core.seeds import derive_seed
from lookalike.core.types import (
    Decision,
    Goal,
    Observation,
    Outcome,
    Proposal,
    Recollection,
    Role,
    Situation,
    Transition,
    Usage,
    Verdict,
)
from lookalike.store.events import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    Measured,
    StepTaken,
    UsageRecord,
)
from lookalike.swarm.config import SwarmConfig
from lookalike.swarm.council import decide
from lookalike.swarm.memory import Entry, SwarmMemory

Record = Callable[[Event], None]
KeepFrame = Callable[[Observation], str | None]
_SCORE_SCALE = 25.0
"""Points of the game's own score that make a reward of 1 where no reward model gives it."""


@dataclass
class World:
    """One copy of the game with what its player or players know.

    Attributes:
        environment: The game.
        observation: What is seen now.
        scorer: The reward model following this world, or ``None``.
        history: Last transitions with their verdict's value.
        score: The game's own score now, in points.
        rewards: Verdict value of every step.
        terminated: The game ended here.
    """

    environment: Environment
    observation: Observation
    scorer: EpisodeScorer | None
    history: list[tuple[Transition, float | None]] = field(default_factory=list)
    score: float | None = None
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False


@dataclass
class Totals:
    """Counts over an episode, for its last event."""

    interactions: int = 0
    usage: Usage = field(default_factory=Usage)
    proposals: int = 0
    executable: int = 0
    agreements: list[float] = field(default_factory=list)
    dissents: int = 0
    right_dissents: int | None = None

    def count(
        self, proposals: Sequence[Proposal], decision: Decision, values: Sequence[float | None]
    ) -> None:
        """Take in one step's proposals and decision."""
        self.usage = sum((p.usage for p in proposals), self.usage)
        self.proposals += len(proposals)
        self.executable += sum(1 for p in proposals if p.action is not None)
        if len(proposals) > 1 and decision.action is not None:
            self.agreements.append(decision.agreement)
        if not decision.dissent:
            return
        self.dissents += 1
        known = [(p, v) for p, v in zip(proposals, values, strict=True) if v is not None and p.action]
        decided = [v for p, v in known if p.action == decision.action]
        if known and decided:
            better = any(v > max(decided) for p, v in known if p.action != decision.action)
            self.right_dissents = (self.right_dissents or 0) + int(better)


@dataclass
class Episode:
    """Plays one goal once.

    Args:
        key: Names the episode.
        goal: What to reach.
        environment: The game.
        player: Who proposes.
        config: Which parts are switched on.
        scorer: A fresh reward-model scorer, where the config needs one.
        seed: The episode's seed; the game's and the player's are derived from it by the caller's key.
        environment_seed: What the game is reset with.
        record: Takes every event in order.
        keep_frame: Keeps the picture of an observation and returns its name; ``None`` where there is none.
    """

    key: EpisodeKey
    goal: Goal
    environment: Environment
    player: Player
    config: SwarmConfig
    scorer: EpisodeScorer | None
    seed: int
    environment_seed: int
    record: Record
    keep_frame: KeepFrame = lambda _: None
    memory: SwarmMemory = field(init=False)
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        if self.config.needs_reward_model and self.scorer is None:
            raise ValueError("this condition needs a reward model")
        self.memory = SwarmMemory(shared=self.config.memory == "shared")
        self.totals = Totals()

    def play(self) -> EpisodeFinished | EpisodeFailed:
        """Play to the goal, the end or the step limit, and return the last event."""
        started = time.perf_counter()
        world: World | None = None
        step = 0
        try:
            world = self._begin()
            success = self.goal.reached(self.environment.facts())
            while not success and not world.terminated and step < self.goal.step_limit:
                success = self._step(world, step)
                step += 1
        except GameError as error:
            rewards = world.rewards if world else ()
            return self.fail(error, steps=step, rewards=rewards)
        outcome = Outcome(
            success=success,
            steps=step,
            score=world.score,
            terminated=world.terminated,
            truncated=not success and not world.terminated,
        )
        seconds = time.perf_counter() - started
        # Steps that a player tried on copies of the game are steps as well.
        self.totals.interactions += int(getattr(self.player, "interactions", 0))
        finished = finish(self.key, outcome, self.totals, world.rewards, seconds=seconds)
        self.record(finished)
        return finished

    def fail(self, error: GameError, *, steps: int, rewards: Sequence[float] = ()) -> EpisodeFailed:
        """Record that the game ended the episode, and return the event."""
        failed = EpisodeFailed(
            episode=self.key,
            failure=f"{type(error).__name__}: {error.what}",
            steps=steps,
            interactions=self.totals.interactions,
            rewards=tuple(rewards),
            usage=UsageRecord.of(self.totals.usage),
            measured=Measured.of(self.totals.usage),
        )
        self.record(failed)
        return failed

    def _begin(self) -> World:
        observation = self.environment.reset(seed=self.environment_seed)
        self.player.start_episode(seed=derive_seed(self.seed, "player"))
        if self.scorer is not None:
            self.scorer.start(observation)
        world = World(self.environment, observation, self.scorer, score=score_of(self.environment))
        self.record_start(observation)
        return world

    def record_start(self, observation: Observation) -> None:
        """Record that the episode began."""
        self.record(
            EpisodeStarted(
                episode=self.key,
                environment_seed=self.environment_seed,
                first_observation=observation.text,
                first_frame=self.keep_frame(observation),
            )
        )

    def _step(self, world: World, step: int) -> bool:
        return self.decided_step(world, step, number=step)[1]

    def decided_step(self, world: World, step: int, *, number: int) -> tuple[Verdict | None, bool]:
        """Have the members propose, decide, play what was decided, and record it.

        Args:
            world: Where it is played.
            step: 0-based, of the play as it stands.
            number: What it is recorded under, and what the members draw with.

        Returns:
            The reward model's verdict, and whether the goal was reached.
        """
        proposals, recollections = self.propose(world, self.config.roles, number)
        verdicts = self.preview(world, proposals)
        values = [None if v is None else v.value for v in verdicts]
        asked: list[Proposal] = []
        decision = self._decide(world, proposals, values, number, asked)
        self.totals.count(proposals, decision, values)
        for extra in asked:
            self.totals.usage = self.totals.usage + extra.usage
        if decision.action is None:
            transition, verdict, success = self.stand_still(world), None, False
        else:
            members = tuple(p.role.name for p in proposals if p.action == decision.action)
            transition, verdict, success = self.act(world, decision.action, members, step)
        self.record_step(
            world,
            number,
            transition,
            proposals=proposals,
            decision=decision,
            verdict=verdict,
            proposal_verdicts=verdicts,
            recollections=recollections,
            goal_reached=success,
            asked_besides=asked,
        )
        return verdict, success

    def given_step(
        self, world: World, step: int, action: str, rule: str, *, number: int
    ) -> tuple[Verdict | None, bool]:
        """Play an action that no member proposed, and record it under ``rule``; else as `decided_step`."""
        transition, verdict, success = self.act(world, action, (), step)
        self.record_step(
            world,
            number,
            transition,
            proposals=(),
            decision=Decision(action, rule, {}),
            verdict=verdict,
            proposal_verdicts=(),
            recollections=(),
            goal_reached=success,
        )
        return verdict, success

    def stand_still(self, world: World) -> Transition:
        """Nothing executable was proposed: the world stays as it is, and the step is spent."""
        return Transition(world.observation, None, world.observation)

    def record_step(
        self,
        world: World,
        step: int,
        transition: Transition,
        *,
        proposals: Sequence[Proposal],
        decision: Decision,
        verdict: Verdict | None,
        proposal_verdicts: Sequence[Verdict | None],
        recollections: Sequence[Recollection],
        goal_reached: bool,
        asked_besides: Sequence[Proposal] = (),
        member: str | None = None,
    ) -> None:
        """Record a step with everything that led to it; ``member`` names whose own world it was."""
        previewed = any(verdict is not None for verdict in proposal_verdicts)
        self.record(
            StepTaken.of(
                self.key,
                step,
                transition,
                proposals=proposals,
                decision=decision,
                verdict=verdict,
                proposal_verdicts=proposal_verdicts if previewed else (),
                recollections=recollections,
                score=world.score,
                goal_reached=goal_reached,
                world=member,
                asked_besides=asked_besides,
                next_frame=self.keep_frame(transition.after),
            )
        )

    def propose(
        self, world: World, roles: Sequence[Role], step: int
    ) -> tuple[list[Proposal], tuple[Recollection, ...]]:
        """Ask all roles at once; roles that know the same are asked in one batch."""
        seed = derive_seed(self.seed, "step", step)
        text = world.observation.text or ""
        groups: dict[tuple[Recollection, ...], list[Role]] = {}
        for role in roles:
            groups.setdefault(self._recall(text, role), []).append(role)
        listed = self.config.admissible_actions and "admissible_actions" in world.environment.capabilities
        admissible = world.environment.admissible_actions() if listed else None
        if world.scorer is not None and admissible is not None:
            world.scorer.note_admissible(admissible)
        guidance = self._guidance(world, admissible)
        by_role: dict[str, Proposal] = {}
        for recollections, members in groups.items():
            situation = Situation(
                how_to_play=world.environment.how_to_play,
                goal=self.goal.description,
                guidance=guidance,
                recollections=recollections,
                history=tuple(world.history[-self.config.history :]) if self.config.history else (),
                observation=world.observation,
                admissible_actions=admissible,
                step=step,
                steps_left=self.goal.step_limit - step,
            )
            for proposal in self.player.propose(situation, members, seed=seed):
                by_role[proposal.role.name] = proposal
        shown = dict.fromkeys(r for recollections in groups for r in recollections)
        return [by_role[role.name] for role in roles], (*shown, *guidance)

    def _recall(self, text: str, role: Role) -> tuple[Recollection, ...]:
        if self.config.memory == "none" or not self.config.recollections:
            return ()
        return self.memory.recall(text, limit=self.config.recollections, member=role.name)

    def _guidance(self, world: World, admissible: Sequence[str] | None) -> tuple[Recollection, ...]:
        """Return the expert's recommendation for this step, where the handicap is on."""
        if not self.config.recommendation or world.scorer is None:
            return ()
        wanted = [
            a for a in world.scorer.recommend(world.observation) if admissible is None or a in admissible
        ]
        if not wanted:
            return ()
        value = world.scorer.preview(world.observation, wanted[:1])[0].value
        text = world.observation.text or ""
        return (Recollection(text, wanted[0], value, "", "expert", "recommendation"),)

    def preview(self, world: World, proposals: Sequence[Proposal]) -> list[Verdict | None]:
        """Say what the proposals would be worth, as far as the council may know.

        With the recommendation handicap the reward model says it; without, what the swarm remembers of
        the same action in the same state.
        """
        actions = [p.action for p in proposals]
        if self.config.recommendation and world.scorer is not None:
            known = iter(world.scorer.preview(world.observation, [a for a in actions if a is not None]))
            return [None if a is None else next(known) for a in actions]
        if self.config.memory == "none" or self.config.reward == "none":
            return [None] * len(actions)
        text = world.observation.text or ""
        values = [
            None if p.action is None else self.memory.value(text, p.action, member=p.role.name)
            for p in proposals
        ]
        return [None if v is None else Verdict(v, {"memory": v}) for v in values]

    def _decide(
        self,
        world: World,
        proposals: Sequence[Proposal],
        values: Sequence[float | None],
        step: int,
        asked: list[Proposal],
    ) -> Decision:
        """Let the council decide; what an arbiter was asked is appended to ``asked``."""

        def arbiter(actions: Sequence[str]) -> Proposal:
            role = Role("arbiter", 0.0)
            situation = Situation(
                how_to_play=world.environment.how_to_play,
                goal=self.goal.description,
                guidance=self._guidance(world, actions),
                recollections=self._recall(world.observation.text or "", role),
                history=tuple(world.history[-self.config.history :]) if self.config.history else (),
                observation=world.observation,
                admissible_actions=tuple(sorted(actions)),
                step=step,
                steps_left=self.goal.step_limit - step,
            )
            seed = derive_seed(self.seed, "arbiter", step)
            chosen = self.player.propose(situation, [role], seed=seed)[0]
            asked.append(chosen)
            return chosen

        return decide(self.config.council, proposals, values, arbiter=arbiter)

    def act(
        self, world: World, action: str, members: tuple[str, ...], step: int
    ) -> tuple[Transition, Verdict | None, bool]:
        """Play an action, score it, remember it; return the transition, the verdict and success."""
        result = world.environment.step(action)
        self.totals.interactions += 1
        success = self.goal.reached(world.environment.facts())
        transition = Transition(
            before=world.observation,
            action=action,
            after=result.observation,
            env_reward=result.env_reward,
            terminated=result.terminated,
            truncated=result.truncated or (step + 1 >= self.goal.step_limit and not success),
        )
        verdict = self._score(world, transition)
        value = verdict.value if verdict is not None else None
        if self.config.memory != "none":
            self.memory.remember(
                Entry(
                    transition.before.text or "",
                    action,
                    value,
                    transition.after.text or "",
                    members,
                    f"step {step} by {'+'.join(members)}",
                )
            )
        world.history = [*world.history[-7:], (transition, value)]
        world.rewards.append(value or 0.0)
        world.observation = result.observation
        world.score = score_of(world.environment)
        world.terminated = result.terminated or result.truncated
        return transition, verdict, success

    def _score(self, world: World, transition: Transition) -> Verdict | None:
        """Give the reward the config asks for; the reward model follows the play in any case."""
        verdict = world.scorer.score(transition) if world.scorer is not None else None
        if self.config.reward == "reward model":
            return verdict
        if self.config.reward == "environment score":
            value = max(-1.0, min(1.0, transition.env_reward / _SCORE_SCALE))
            return Verdict(value, {"environment score": value} if value else {})
        return None


def finish(
    key: EpisodeKey, outcome: Outcome, totals: Totals, rewards: Sequence[float], *, seconds: float
) -> EpisodeFinished:
    """Return an episode's last event; the seconds it took are no part of what two runs agree on."""
    return EpisodeFinished.of(
        key,
        outcome,
        interactions=totals.interactions,
        usage=totals.usage,
        rewards=rewards,
        proposals=totals.proposals,
        executable_proposals=totals.executable,
        agreement=sum(totals.agreements) / len(totals.agreements) if totals.agreements else None,
        dissents=totals.dissents,
        correct_dissents=totals.right_dissents,
        seconds=seconds,
    )


def score_of(environment: Environment) -> float | None:
    """Return the game's own score, in points, or ``None`` where it has none."""
    if "score" not in environment.capabilities:
        return None
    score = environment.facts().get("score")
    return None if score is None else float(score)
