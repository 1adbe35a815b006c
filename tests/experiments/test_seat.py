"""A person sits down in a run that is played: asked through files, waited for no longer than they stay."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lookalike.core.errors import UsageError
from lookalike.environments import find_goal
from lookalike.experiments import seat as seat_module
from lookalike.experiments.collect import collect
from lookalike.experiments.conditions import Condition, find_condition, joined_conditions
from lookalike.experiments.playing import Playing
from lookalike.experiments.resolved import resolve
from lookalike.experiments.seat import Seat
from lookalike.experiments.session import Session, SessionSetup
from lookalike.store import EpisodeFinished, Event, StepTaken, open_log

CAVE = "colossal-cave"


def members_at_random(goals: list[str], seeds: list[int]) -> Any:
    asked = resolve("demo/colossal-cave", goals=goals, seeds=seeds, conditions=["random"])
    swarm = find_condition("random").model_copy(
        update={"name": "draws", "temperatures": (0.5, 1.0), "council": "majority"}
    )
    return type(asked)(asked.spec, asked.goals, asked.seeds, (swarm,))


class Person(threading.Thread):
    """Sits down and answers what is asked: first what it was told to, then with a look around, or it goes."""

    def __init__(self, seat: Seat, answers: list[str], *, leaves: bool = False) -> None:
        super().__init__(daemon=True)
        self.seat, self.answers, self.leaves = seat, answers, leaves
        self.token = seat.take()
        self.questions: list[dict[str, Any]] = []
        self.over: str | None = None

    def run(self) -> None:
        number, deadline = 0, time.monotonic() + 60
        while time.monotonic() < deadline and self.over is None:
            said = self.seat.said(self.token)
            if said is not None and said.number > number:
                number, self.over = said.number, said.over
                if said.question is not None:
                    self.questions.append(said.question)
                    if self.answers:
                        self.seat.answer(number, self.answers.pop(0))
                    elif self.leaves:
                        self.seat.leave()
                    else:
                        self.seat.answer(number, "look")
            time.sleep(0.005)


def play(folder: Path, *, workers: int = 1, seeds: tuple[int, ...] = (400, 401)) -> tuple[list[Event], Any]:
    asked = members_at_random(["lamp"], list(seeds))
    setup = SessionSetup(CAVE, None, replay=None, recorded_seeds=(), files=folder / "files")
    described = {
        "experiment": "demo/colossal-cave",
        "environment": CAVE,
        "recording": "",
        "goals": ["lamp"],
        "seeds": list(seeds),
        "conditions": [c.model_dump(mode="json") for c in asked.conditions],
        "reward_model": None,
        "model": "none",
    }
    with open_log(folder / "events.sqlite") as log, log.hold("run"):
        log.start_run("run", described, package_version="0", folder=str(folder))
        Playing(asked, setup, log, "run").play(workers=workers)
        result = collect(asked, log, "run", document=None, watched=None, described=described)
        return list(log.events("run")), result


@pytest.mark.parametrize("workers", [1, 2])
def test_a_person_sits_down_in_one_episode_besides_those_asked_for(tmp_path: Path, workers: int) -> None:
    person = Person(Seat(tmp_path), ["enter", "get lamp"])
    person.start()
    events, result = play(tmp_path, workers=workers)
    person.join(10)
    assert person.over in {"The goal was reached.", "The goal was not reached."}
    assert [q["step"] for q in person.questions] == list(range(len(person.questions)))
    assert "END OF A ROAD" in person.questions[0]["observation"]
    ended = [e for e in events if isinstance(e, EpisodeFinished)]
    assert sorted(e.episode.condition for e in ended) == ["draws", "draws", "draws+you"]
    steps = [e for e in events if isinstance(e, StepTaken) and e.episode.condition == "draws+you"]
    assert [[p.role for p in s.proposals] for s in steps] == [["you", "t0.5", "t1"]] * len(steps)
    assert [s.proposals[0].action for s in steps][:3] == ["enter", "get lamp", "look"]
    assert len(steps) == len(person.questions)
    rows = {row.condition: row for row in result.rows}
    assert rows["draws"].n == 2
    assert rows["draws+you"].n == 1
    assert rows["draws+you"].handicaps.model_calls_per_step == 0
    assert result.complete
    again, _ = play(tmp_path)
    assert len(again) == len(events), "there is nothing left to be played"


def test_who_leaves_is_waited_for_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_module, "ABSENT_AFTER_S", 1000.0)
    person = Person(Seat(tmp_path), ["look"], leaves=True)
    person.start()
    began = time.monotonic()
    events, _ = play(tmp_path, seeds=(400,))
    assert time.monotonic() - began < 200, "nobody waits until they are missed, or have thought"
    steps = [e for e in events if isinstance(e, StepTaken) and e.episode.condition == "draws+you"]
    assert steps[0].proposals[0].action == "look"
    assert len(steps) > 2
    assert all(step.proposals[0].action is None for step in steps[1:]), "the council goes on without them"
    assert not Seat(tmp_path).present(person.token)


def test_who_is_not_heard_of_has_left(tmp_path: Path) -> None:
    seat = Seat(tmp_path)
    token = seat.take()
    with pytest.raises(UsageError, match="sits"):
        seat.take()
    seat.stay()
    assert seat.present(token)
    long_ago = time.time() - seat_module.ABSENT_AFTER_S - 1
    os.utime(tmp_path / "seat" / "taken.json", (long_ago, long_ago))
    assert not seat.present(token)
    assert seat.claim() is None
    assert seat.take() != token


def test_a_member_who_thinks_too_long_proposes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat_module, "THINKING_S", 0.01)
    seat = Seat(tmp_path)
    sitting = seat_module.Sitting(seat, seat.take(), thinking_s=0.05)
    session = Session(SessionSetup(CAVE, None, replay=None, recorded_seeds=()), sitting=sitting)
    condition = find_condition("random").with_person()
    events: list[Event] = []
    try:
        ended = session.play(
            condition.model_copy(update={"temperatures": (1.0,)}),
            find_goal(CAVE, "lamp"),
            seed=400,
            attempt=0,
            record=events.append,
        )
    finally:
        session.close()
    assert isinstance(ended, EpisodeFinished)
    assert all(e.proposals[0].action is None for e in events if isinstance(e, StepTaken))


def test_what_lies_in_the_seat_is_believed_of_nothing(tmp_path: Path) -> None:
    seat = Seat(tmp_path)
    token = seat.take()
    for said in (b"", b"[1]", b"{", b'{"token": 1}', b'{"token": "%s", "number": "x"}' % token.encode()):
        (tmp_path / "seat" / "said.json").write_bytes(said)
        assert seat.said(token) is None
    said = {"token": token, "number": 1, "over": None, "failed": 0, "question": 3, "frame": "/etc/passwd"}
    (tmp_path / "seat" / "said.json").write_text(json.dumps(said | {"episode": None, "last": None}))
    asked = seat.said(token)
    assert asked is not None
    assert (asked.frame, asked.question, asked.failed) == (None, None, False)
    (tmp_path / "seat" / "answer.json").write_bytes(b"[" * 100_000)
    assert seat.answered(1) is None
    (tmp_path / "seat" / "taken.json").write_text('{"token": "../../x"}')
    assert seat.claim() is None
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "seat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="elsewhere"):
        Seat(tmp_path / "run").take()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_condition_with_a_person_is_one_of_its_own() -> None:
    swarm = find_condition("swarm+expert")
    assert swarm.has_a_seat
    joined = swarm.with_person()
    assert joined.name == "swarm+expert+you"
    assert joined.handicaps().model_calls_per_step == len(swarm.temperatures)
    assert joined.config().roles[0].name == "you"
    assert not find_condition("solo").has_a_seat, "one member is no council"
    assert not find_condition("replay").has_a_seat
    assert joined_conditions([swarm], ["swarm+expert"]) == ()
    assert joined_conditions([swarm], ["swarm+expert+you"]) == (joined,)
    draws = find_condition("random").model_copy(update={"temperatures": (1.0, 2.0)}).with_person()
    assert draws.handicaps().model_calls_per_step == 0
    for condition in (joined, draws, swarm):
        written = condition.model_dump(mode="json")
        assert ("members" in written) == (condition is draws)
        assert Condition.model_validate(written) == condition
