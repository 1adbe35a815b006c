from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lookalike.core.errors import (
    CapabilityError,
    EnvironmentDiedError,
    EnvironmentHungError,
    GameError,
    UsageError,
)
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Observation
from lookalike.environments import make_environment
from lookalike.environments.supervised import Restart, SupervisedEnvironment
from lookalike.environments.worker import EnvironmentWorker
from lookalike.testing import Fault, NoisyTinyEnvironment, TinyEnvironment, make_faulty
from lookalike.testing.conformance import check_environment

FAULTY = "lookalike.testing.environments:make_faulty"
ACTIONS = ("left", "left", "take key", "right", "frotz", "right", "open door", "look")


class Flaky(NoisyTinyEnvironment):
    """Raises a worker's errors in this process: at calls numbered over the whole life, from 0."""

    def __init__(self, *failing: int, error: type[GameError] = EnvironmentDiedError) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.failing = set(failing)
        self.error = error
        self.running = True
        self.strays = False

    def reset(self, *, seed: int) -> Observation:
        self.running = True
        self._call(f"reset {seed}")
        return super().reset(seed=seed + (1 if self.strays else 0))

    def step(self, action: str) -> StepResult:
        self._call(action)
        return super().step(action)

    def facts(self):
        self._call("facts")
        return super().facts()

    def admissible_actions(self):
        self._call("actions")
        return super().admissible_actions()

    def save(self) -> bytes:
        self._call("save")
        return super().save()

    def restore(self, state: bytes) -> None:
        self.running = True
        self._call("restore")
        super().restore(state)

    def _call(self, name: str) -> None:
        number = len(self.calls)
        self.calls.append(name)
        if number in self.failing:
            self.running = self.error is GameError
            raise self.error("It failed.")
        if not self.running:
            raise EnvironmentDiedError("The environment is not running.")


def supervise(environment: Environment, *, restarts: int = 1) -> tuple[SupervisedEnvironment, list[Restart]]:
    seen: list[Restart] = []
    return SupervisedEnvironment(environment, restarts=restarts, on_restart=seen.append), seen


def transcript(environment: Environment, *, seed: int = 4) -> list:
    """What an episode shows and tells, everything asked for at every step."""
    told: list = [environment.reset(seed=seed), environment.facts(), environment.admissible_actions()]
    for action in ACTIONS:
        told += [environment.step(action), environment.facts(), environment.admissible_actions()]
        told.append(environment.save())
    return told


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


# --- what comes back is what would have been there


@pytest.mark.parametrize("failing", range(35))
@pytest.mark.parametrize("error", [EnvironmentDiedError, EnvironmentHungError])
def test_a_failure_in_any_call_is_got_over(failing, error):
    supervised, seen = supervise(Flaky(failing, error=error))
    assert transcript(supervised) == transcript(NoisyTinyEnvironment())
    (restart,) = seen
    assert restart.failure == f"{error.__name__}: It failed."
    # Three calls of the start, then four a step, the step itself first.
    step = 0 if failing < 3 else -(-(failing - 2) // 4) - (1 if (failing - 3) % 4 == 0 else 0)
    assert (restart.step, restart.replayed) == (step, step)
    assert supervised.restarts_left == 0


def test_a_restart_plays_the_same_seed_and_actions_again_and_no_more():
    flaky = Flaky(3)
    supervised, _ = supervise(flaky)
    supervised.reset(seed=0)
    for action in ("left", "right", "look"):
        supervised.step(action)
    assert flaky.calls == ["reset 0", "left", "right", "look", "reset 0", "left", "right", "look"]


def test_after_a_restore_the_saved_state_is_gone_back_to():
    flaky = Flaky(6)
    supervised, seen = supervise(flaky)
    plain = NoisyTinyEnvironment()
    for environment in (supervised, plain):
        environment.reset(seed=3)
        environment.step("left")
        state = environment.save()
        environment.step("left")
    supervised.restore(state)
    plain.restore(state)
    for action in ACTIONS:
        assert supervised.step(action) == plain.step(action)
    assert supervised.save() == plain.save()
    assert flaky.calls[5:] == ["left", "left", "reset 3", "restore", "left", "left", *ACTIONS[2:], "save"]
    assert seen == [Restart(3, "EnvironmentDiedError: It failed.", 1)]


def test_a_restore_that_fails_is_tried_again():
    flaky = Flaky(3)
    supervised, seen = supervise(flaky)
    supervised.reset(seed=3)
    state = supervised.save()
    supervised.step("left")
    supervised.restore(state)
    assert flaky.calls == ["reset 3", "save", "left", "restore", "reset 3", "restore"]
    assert seen == [Restart(1, "EnvironmentDiedError: It failed.", 0)]
    assert supervised.save() == state


def test_a_state_may_be_restored_before_any_reset():
    plain = TinyEnvironment()
    plain.reset(seed=9)
    flaky = Flaky(2)
    supervised, seen = supervise(flaky)
    supervised.restore(plain.save())
    supervised.step("left")
    supervised.step("look")
    assert flaky.calls == ["restore", "left", "look", "restore", "left", "look"]
    assert seen[0].replayed == 1


# --- how often, and what goes through


def test_the_second_failure_of_an_episode_goes_through_and_the_next_episode_counts_anew():
    supervised, seen = supervise(Flaky(1, 7, 9))
    supervised.reset(seed=1)
    supervised.step("left")  # fails, reset, is played
    supervised.step("left")
    supervised.step("left")
    supervised.facts()
    with pytest.raises(EnvironmentDiedError, match="It failed"):
        supervised.step("right")
    with pytest.raises(EnvironmentDiedError, match="not running"):
        supervised.step("right")
    supervised.reset(seed=2)
    assert supervised.restarts_left == 0  # its own reset failed once
    assert [restart.step for restart in seen] == [0, 0]
    supervised.reset(seed=2)
    assert supervised.restarts_left == 1


@pytest.mark.parametrize(("restarts", "survives"), [(0, False), (1, False), (2, False), (3, True)])
def test_the_number_of_restarts_is_kept(restarts, survives):
    # The step is call 1; every restart makes a reset, and then the step again.
    supervised, seen = supervise(Flaky(1, 3, 5), restarts=restarts)
    supervised.reset(seed=1)
    if survives:
        assert supervised.step("left") is not None
    else:
        with pytest.raises(EnvironmentDiedError):
            supervised.step("left")
    assert len(seen) == restarts


def test_a_failure_on_the_way_back_goes_through():
    supervised, seen = supervise(Flaky(3, 5), restarts=5)
    supervised.reset(seed=1)
    supervised.step("left")
    supervised.step("left")
    with pytest.raises(EnvironmentDiedError):
        supervised.step("left")
    assert seen == []
    assert supervised.reset(seed=1).text


def test_a_malformed_answer_is_no_reason_to_restart():
    flaky = Flaky(2, error=GameError)
    supervised, seen = supervise(flaky)
    supervised.reset(seed=1)
    supervised.step("left")
    with pytest.raises(GameError, match="It failed"):
        supervised.step("left")
    # Nobody can say where the game is now, so nothing may be replayed.
    flaky.failing, flaky.error = {3}, EnvironmentDiedError
    with pytest.raises(EnvironmentDiedError):
        supervised.step("left")
    assert (seen, flaky.calls) == ([], ["reset 1", "left", "left", "left"])


def test_a_game_that_comes_back_different_is_told_until_a_reset():
    flaky = Flaky(4)
    supervised, seen = supervise(flaky)
    supervised.reset(seed=1)
    flaky.strays = True  # seed 2 begins with another observation, or goes on with one
    for _ in range(3):
        supervised.step("left")
    with pytest.raises(GameError, match="did not come back to the same state") as caught:
        supervised.step("left")
    assert "differs from the first time" in str(caught.value.got)
    assert not isinstance(caught.value, EnvironmentDiedError)
    calls = len(flaky.calls)
    for ask in (supervised.facts, supervised.admissible_actions, supervised.save):
        with pytest.raises(GameError, match="same state"):
            ask()
    assert (len(flaky.calls), seen) == (calls, [])
    flaky.strays = False
    supervised.reset(seed=1)
    assert supervised.step("left").observation.text


class Drifting(Flaky):
    """Pays otherwise, or ends, where it says the same: what a replay must notice too."""

    drift = ""

    def step(self, action: str) -> StepResult:
        result = super().step(action)
        if self.drift == "reward":
            return StepResult(result.observation, result.env_reward + 1)
        return StepResult(result.observation, result.env_reward, terminated=self.drift == "end")


@pytest.mark.parametrize("drift", ["reward", "end"])
def test_rewards_and_ends_must_come_back_too(drift):
    environment = Drifting(2)
    supervised, _ = supervise(environment)
    supervised.reset(seed=1)
    supervised.step("left")
    environment.drift = drift
    with pytest.raises(GameError, match="same state"):
        supervised.step("left")


def test_frames_must_come_back_too():
    import numpy as np

    class Framed(Flaky):
        shade = 0

        def step(self, action: str) -> StepResult:
            super().step(action)
            return StepResult(Observation("same", np.full((2, 2, 3), self.shade, dtype=np.uint8)))

    environment = Framed(2)
    supervised, _ = supervise(environment)
    supervised.reset(seed=1)
    supervised.step("left")
    environment.shade = 1
    with pytest.raises(GameError, match="same state"):
        supervised.step("left")


def test_other_errors_pass_and_restarts_must_not_be_negative():
    lake = make_environment("gymnasium:FrozenLake-v1", isolated=False)
    supervised, seen = supervise(lake)
    with pytest.raises(CapabilityError):
        supervised.save()
    assert seen == []
    with pytest.raises(UsageError, match="negative"):
        SupervisedEnvironment(TinyEnvironment(), restarts=-1)


def test_it_keeps_the_contract():
    check_environment(lambda: SupervisedEnvironment(NoisyTinyEnvironment()))


# --- with real processes


@pytest.mark.parametrize(
    "fault",
    [
        "hangs,how=sleep,step=3",
        "hangs,how=c,step=3",
        "hangs,how=sleep,step=3,call=facts",
        "hangs,how=sleep,step=2,call=admissible_actions",
        "dies,how=abort,step=3",
        "dies,how=segfault,step=4,call=save",
        "dies,how=kill,step=0,call=reset",
        "dies,how=exit,after=13,seed=4",
        "leaks,how=slowly,step=3",
    ],
)
def test_a_real_failure_is_got_over_where_it_does_not_come_again(fault, tmp_path):
    once = "" if "after" in fault else f",once={tmp_path / 'mark'}"
    worker = EnvironmentWorker(
        FAULTY,
        argument=fault + once,
        step_time_limit_s=1.0 if "hangs" in fault else 20.0,
        memory_limit_mb=512,
    )
    supervised, seen = supervise(worker)
    with supervised:
        transcript(supervised, seed=3)
        assert transcript(supervised, seed=4) == transcript(TinyEnvironment(), seed=4)
    (restart,) = seen
    assert ("Hung" in restart.failure) == ("hangs" in fault)


def test_the_cave_comes_back_with_its_chance():
    """Real game, real kill: the dwarves throw as they would have."""
    plain = make_environment("colossal-cave", isolated=False)
    worker = EnvironmentWorker("lookalike.environments.colossal_cave:ColossalCave")
    supervised, seen = supervise(worker, restarts=9)
    commands = ("no", "enter", "get lamp", "leave", "south", "south", "south", "open grate", "look", "east")
    with supervised:
        assert supervised.reset(seed=5) == plain.reset(seed=5)
        for number, command in enumerate(commands):
            if number % 3 == 2:
                assert worker.process_id is not None
                os.kill(worker.process_id, signal.SIGKILL)
            assert supervised.step(command) == plain.step(command)
            assert supervised.facts() == plain.facts()
            assert supervised.admissible_actions() == plain.admissible_actions()
        assert supervised.save() == plain.save()
    assert [restart.replayed for restart in seen] == [2, 5, 8]


def test_a_malformed_answer_fails_at_once_with_real_processes():
    worker = EnvironmentWorker(FAULTY, argument="malformed,how=long,step=2")
    supervised, seen = supervise(worker, restarts=5)
    with supervised:
        supervised.reset(seed=1)
        supervised.step("left")
        supervised.step("left")
        began = time.monotonic()
        with pytest.raises(GameError, match="malformed") as caught:
            supervised.step("left")
        assert time.monotonic() - began < 2
    assert not isinstance(caught.value, EnvironmentDiedError | EnvironmentHungError)
    assert seen == []


# --- the games that fail on demand


@pytest.mark.parametrize("argument", ["hangs", "dies,step=900", "leaks,after=9000", "malformed,seed=5"])
def test_faulty_games_keep_the_contract_until_their_fault_is_due(argument):
    check_environment(lambda: make_faulty(argument))


@pytest.mark.parametrize(
    "argument",
    ["", "sulks", "hangs,step=soon", "hangs,how=often", "dies,call=close", "dies,when=3", "leaks,seed=1+x"],
)
def test_a_fault_that_cannot_be_meant_is_refused(argument):
    with pytest.raises(UsageError):
        make_faulty(argument)


def test_a_fault_strikes_when_all_its_conditions_hold(tmp_path):
    fault = Fault.parse(f"how=c,step=3,seed=1+2,call=facts,after=5,once={tmp_path / 'mark'}")
    due = {"step": 3, "seed": 2, "process_steps": 5}
    assert fault.how == "c"
    assert not fault.strikes("step", **due)
    for change in ({"step": 2}, {"seed": 3}, {"process_steps": 4}):
        assert not fault.strikes("facts", **{**due, **change})
    assert not (tmp_path / "mark").exists()
    assert fault.strikes("facts", **due)
    assert not fault.strikes("facts", **due)
    assert not Fault.parse("").strikes("step", **due)


# --- many at once

FAULTS: tuple[tuple[str | None, type[GameError] | None], ...] = (
    ("hangs,how=c,step=2", EnvironmentHungError),
    ("leaks,how=c,step=2", EnvironmentDiedError),
    ("dies,how=abort,step=2", EnvironmentDiedError),
    (None, None),
)


def test_sixteen_at_once_end_within_their_limits_and_leave_nothing():
    """Twelve fail, are restarted and fail again; four play a game that is well, and must not notice."""
    ended: dict[int, GameError | None] = {}
    restarts: list[Restart] = []
    pids: set[int] = set()

    def play(number: int) -> None:
        argument, _ = FAULTS[number % 4]
        worker = EnvironmentWorker(
            FAULTY if argument else "lookalike.testing.environments:TinyEnvironment",
            argument=argument,
            step_time_limit_s=2.0,
            memory_limit_mb=256,
        )
        pids.add(worker.process_id or 0)

        def note(restart: Restart) -> None:
            restarts.append(restart)
            pids.add(worker.process_id or 0)

        try:
            with SupervisedEnvironment(worker, on_restart=note) as supervised:
                supervised.reset(seed=number)
                for action in ACTIONS:
                    supervised.step(action)
                    supervised.facts()
            ended[number] = None
        except GameError as error:
            ended[number] = error

    threads = [threading.Thread(target=play, args=(number,)) for number in range(16)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert time.monotonic() - began < 60
    for number in range(16):
        _, failure = FAULTS[number % 4]
        error = ended[number]  # missing where the thread did not end
        assert error is None if failure is None else type(error) is failure
    assert len(restarts) == 12
    assert len(pids) == 16 + 12
    assert all(gone_within(pid, 3) for pid in pids)
