"""Memory of setbacks: the next attempt waits before them, and earlier where that did not help."""

from __future__ import annotations

from lookalike.core.types import Decision, Observation, Proposal, Role, Situation, Transition, Verdict
from lookalike.store import EpisodeFinished, EpisodeKey, StepTaken
from lookalike.swarm import PatientPlayer, SetbackMemory
from lookalike.swarm.search import WAIT

KEY = EpisodeKey(condition="c", goal="g", seed=1, attempt=0)


def attempt(steps: int, setback: int | None = None, *, won: bool = False):
    events = []
    for number in range(steps):
        parts = {"setback": -1.0} if number == setback else {}
        seen = Observation("here")
        events.append(
            StepTaken.of(
                KEY,
                number,
                Transition(seen, "n", seen),
                proposals=(),
                decision=Decision("n", "only one", {}),
                verdict=Verdict(0.0, parts, ""),
                recollections=(),
                score=None,
                goal_reached=False,
            )
        )
    ended = EpisodeFinished(
        episode=KEY,
        success=won,
        steps=steps,
        interactions=steps,
        score=None,
        terminated=won,
        truncated=not won,
    )
    events.append(ended)
    return events


def test_the_next_attempt_waits_before_the_first_setback_then_earlier():
    memory = SetbackMemory()
    memory.learn(attempt(100, 60))
    assert memory.waits == (59,)
    memory.learn(attempt(100, 60))
    assert memory.waits == (58,)
    memory.learn(attempt(100, 40))
    assert memory.waits == (54,), "what went worse is no reason to leave the best attempt"


def test_waits_that_helped_are_kept():
    memory = SetbackMemory()
    memory.learn(attempt(100, 60))
    memory.learn(attempt(100, 80))
    assert memory.waits == (59, 79)
    memory.learn(attempt(100))
    assert memory.waits == (59, 79, 98), "an attempt without a setback failed at its end"


def test_nothing_is_learnt_from_success_or_from_nothing():
    memory = SetbackMemory()
    memory.learn(attempt(100, won=True))
    memory.learn([])
    assert memory.waits == ()


class North:
    name = "north"

    def start_episode(self, *, seed):
        """Nothing."""

    def propose(self, situation, roles, *, seed):
        return [Proposal(role, "n") for role in roles]


def test_a_patient_player_waits_at_those_steps_only():
    memory = SetbackMemory()
    memory.learn(attempt(10, 5))
    player = PatientPlayer(North(), memory)

    def action(step):
        situation = Situation("", "", (), (), (), Observation("here"), None, step, 100 - step)
        return [p.action for p in player.propose(situation, [Role("a", 0.0)], seed=1)]

    assert [action(step) for step in (3, 4, 5)] == [["n"], [WAIT], ["n"]]
