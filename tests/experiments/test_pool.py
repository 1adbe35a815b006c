"""Players in processes of their own: steps told as they happen, deaths survived, stops obeyed."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from lookalike.core.errors import UnknownNameError
from lookalike.environments import load_goals
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.pool import DEATHS_PER_EPISODE, PlayerPool, Teller
from lookalike.experiments.resolved import PlayTask
from lookalike.experiments.session import PlayStopped, SessionSetup
from lookalike.store import EpisodeFailed, EpisodeFinished, canonical_bytes

CAVE = "colossal-cave"


class Ears:
    """Keeps what it hears; `on_events` may do something meanwhile."""

    def __init__(self, on_events=lambda task, events: None) -> None:
        self.heard: dict[str, list] = {}
        self.tasks: list[str] = []
        self._on_events = on_events

    def events(self, task, events):
        self.heard.setdefault(str(task), []).extend(events)
        self._on_events(task, events)

    def ended(self, task):
        self.tasks.append(str(task))

    def bytes_of(self, task) -> list[bytes]:
        return [canonical_bytes(event) for event in self.heard[task]]


def setup(**changes) -> SessionSetup:
    return SessionSetup(CAVE, None, None, (), flush_after_s=0.0, **changes)


def tasks(count: int, goal: str = "lit-with-rod", condition: str = "random") -> list[PlayTask]:
    known = {g.name: g for g in load_goals(CAVE)}
    return [PlayTask(find_condition(condition), known[goal], seed, (0,)) for seed in range(count)]


def play(ears: Ears, wanted, *, workers: int = 2, act=lambda pool: None, **changes) -> PlayerPool:
    pool = PlayerPool(setup(**changes), workers, listener=ears, logged=lambda key: ())
    try:
        act(pool)
        pool.play(wanted)
    finally:
        pool.close()
    return pool


def test_every_task_is_played_once_and_told_in_order():
    one, three = Ears(), Ears()
    play(one, tasks(5), workers=1)
    play(three, tasks(5), workers=3)
    assert sorted(one.tasks) == sorted(three.tasks) == sorted(map(str, tasks(5)))
    for task in one.tasks:
        assert one.bytes_of(task) == three.bytes_of(task)
        assert isinstance(one.heard[task][-1], EpisodeFinished)


def test_a_killed_player_is_replaced_and_goes_on():
    undisturbed = Ears()
    play(undisturbed, tasks(2, "diamonds"), workers=1)
    killed: list[int] = []

    def kill_once(task, events):
        if not killed and events[-1].kind == "step_taken" and events[-1].step >= 5:
            killed.append(pool.process_ids[0])
            os.kill(killed[0], signal.SIGKILL)

    ears = Ears(kill_once)
    pool = PlayerPool(setup(), 1, listener=ears, logged=lambda key: ())
    try:
        pool.play(tasks(2, "diamonds"))
    finally:
        pool.close()
    assert killed
    assert sorted(ears.tasks) == sorted(undisturbed.tasks)
    for task in ears.tasks:
        assert ears.bytes_of(task) == undisturbed.bytes_of(task)


def test_an_episode_that_kills_its_players_has_failed_and_the_others_go_on():
    doomed = str(tasks(1)[0])

    def kill(task, events):
        if str(task) == doomed and not isinstance(events[-1], EpisodeFailed):
            for process_id in pool.process_ids:
                os.kill(process_id, signal.SIGKILL)

    ears = Ears(kill)
    pool = PlayerPool(setup(), 1, listener=ears, logged=lambda key: ())
    try:
        pool.play(tasks(2))
    finally:
        pool.close()
    last = ears.heard[doomed][-1]
    assert isinstance(last, EpisodeFailed)
    assert f"ended {DEATHS_PER_EPISODE} times, last with signal SIGKILL" in last.failure
    assert sorted(ears.tasks) == sorted(map(str, tasks(2)))


def test_stopping_ends_after_the_step_under_way():
    ears = Ears(lambda task, events: pool.stop())
    pool = PlayerPool(setup(), 2, listener=ears, logged=lambda key: ())
    try:
        pool.play(tasks(6, "diamonds"))
        ids = pool.process_ids
    finally:
        pool.close()
    assert ears.tasks == []
    assert len(ears.heard) <= 2
    assert all(len(events) < 10 for events in ears.heard.values())
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{i}") for i in ids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{i}") for i in ids), "a player process was left behind"


def masks(process_id: int) -> tuple[bool, bool]:
    """Return whether a process blocks, and whether it ignores, Ctrl-C."""
    with open(f"/proc/{process_id}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    interrupt = 1 << (signal.SIGINT - 1)
    return bool(int(fields["SigBlk"], 16) & interrupt), bool(int(fields["SigIgn"], 16) & interrupt)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_ctrl_c_while_a_player_starts_is_left_to_the_one_who_started_it():
    pool = PlayerPool(setup(), 1, listener=Ears(), logged=lambda key: ())
    try:
        player = pool._hire()
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert any(masks(player.process.pid))  # from its very first moment
        assert player.pipe.recv() == ("ready", None)
        assert masks(player.process.pid) == (False, True)
    finally:
        pool.close()


def test_a_player_that_dies_is_not_replaced_once_the_run_stops():
    def stop_and_kill(task, events):
        pool.stop()
        os.kill(pool.process_ids[0], signal.SIGKILL)

    ears = Ears(stop_and_kill)
    pool = PlayerPool(setup(), 1, listener=ears, logged=lambda key: ())
    try:
        pool.play(tasks(2, "diamonds"))
        assert pool.process_ids == []
    finally:
        pool.close()


def test_an_error_in_a_player_comes_out():
    with pytest.raises(UnknownNameError, match="no-such-model-file"):
        play(Ears(), tasks(1, condition="solo"), workers=1, model="no-such-model-file")


def test_a_teller_tells_fast_steps_together_and_stops_when_told():
    told: list[tuple] = []
    stop: list[bool] = []
    teller = Teller(told.append, lambda: bool(stop), flush_after_s=60.0)
    finished = EpisodeFinished.model_construct(kind="episode_finished")
    teller.record("a")  # type: ignore[arg-type]
    teller.record("b")  # type: ignore[arg-type]
    assert told == []
    teller.record(finished)
    assert told == [("a", "b", finished)]
    stop.append(True)
    with pytest.raises(PlayStopped):
        teller.record("c")  # type: ignore[arg-type]
    assert told[-1] == ("c",)
