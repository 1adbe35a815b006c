from __future__ import annotations

import json
import re
import sys
import time

import pytest
from reference_plays import DATA

from lookalike.core.errors import EnvironmentDiedError, EnvironmentHungError, GameError, UsageError
from lookalike.environments import make_environment, zmachine
from lookalike.environments.zmachine import MAX_SEED, ZMachine, jericho_seed, one_command
from lookalike.environments.zmemory import StoryMemory
from lookalike.testing.conformance import check_environment

Z3, Z5 = DATA / "lanternlight.z3", DATA / "lanternlight.z5"
PLAY = ("wait", "get lamp", "wait", "d", "wait", "u", "inventory", "drop lamp")


@pytest.fixture
def story():
    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    environment = ZMachine(Z3)
    environment.reset(seed=3)
    yield environment
    environment.close()


@pytest.fixture
def in_worker():
    """Our own story in a process of its own, for what its engine does not survive."""
    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    environment = make_environment(f"zmachine:{Z3}")
    yield environment
    environment.close()


@pytest.mark.parametrize("path", [Z3, Z5])
def test_our_own_story_keeps_the_contract(path):
    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    checks = check_environment(lambda: ZMachine(path), actions=PLAY)
    assert "save and restore" in checks


def test_the_status_line_comes_first_and_is_of_this_moment(story):
    result = story.step("get lamp")
    assert result.observation.text == "Meadow   Score: 5\nTaken."
    assert result.env_reward == 5
    assert (story.step("d").observation.text or "").startswith("Cellar   Score: 5\nCellar\n")


def test_a_later_version_has_no_status_line_and_no_score():
    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    environment = ZMachine(Z5)
    assert (environment.reset(seed=1).text or "").startswith("Lanternlight")
    assert "score" not in environment.capabilities
    assert environment.step("get lamp").observation.text == "Taken."
    environment.close()


def test_facts_come_from_the_machines_memory(story):
    story.step("get lamp")
    story.step("d")
    facts = story.facts()
    assert (facts["place"], facts["score"], facts["moves"]) == ("Cellar", 5, 2)
    assert facts["visited"] == ["Cellar", "Meadow"]
    assert not facts["finished"]
    memory = story.memory()
    assert [memory.name(one) for one in memory.contents(memory.find("yourself") or 0)] == ["lamp"]


def test_the_end_is_recognised(story):
    for command in ("get lamp", "d"):
        assert not story.step(command).terminated
    assert story.step("drop lamp").terminated
    assert story.facts()["finished"]
    assert story.admissible_actions() == ()
    assert story.step("look").observation.text == "The game is over."


def test_admissible_actions_follow_the_text_and_the_dictionary(story):
    assert story.admissible_actions() == ("d", "get lamp", "inventory", "look", "u", "wait")
    story.step("get lamp")
    assert "drop lamp" in story.admissible_actions()
    assert "get lamp" not in story.admissible_actions()


def test_seeds_decide_the_dice(story):
    def rolls(seed: int) -> list[str | None]:
        story.reset(seed=seed)
        return [story.step("wait").observation.text for _ in range(6)]

    assert rolls(0) == rolls(0)
    assert len({str(rolls(seed)) for seed in range(8)}) > 4


def test_no_seed_becomes_the_clock():
    for seed in (0, 1, 12, 998, 999, 1000, MAX_SEED - 1, MAX_SEED):
        assert jericho_seed(seed) not in (0, -1)
        assert -(2**31) <= jericho_seed(seed) < 2**31
    assert len({jericho_seed(seed) for seed in [*range(1000), MAX_SEED - 1, MAX_SEED]}) == 1002
    for wrong in (-1, MAX_SEED + 1, True, "1", None):
        with pytest.raises(UsageError, match="31 bits"):
            jericho_seed(wrong)  # type: ignore[arg-type]


def test_files_and_other_commands_of_the_host_are_out_of_reach(story, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    switched_off = (
        "save",
        "SAVE foo",
        "n. save",
        "restore",
        "restart",
        "quit",
        "q",
        "script",
        "#record",
        "$verify",
    )
    for command in switched_off:
        before = story.save()
        text = story.step(command).observation.text or ""
        if command == "n. save":
            assert "switched off" not in text  # only what stands before the full stop is played
        else:
            assert "switched off" in text, command
            assert story.save() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "played"),
    [
        ("  Open   Mailbox ", "open mailbox"),
        ("n. e. s", "n"),
        ("get lamp then drop lamp", "get lamp"),
        ("look\nwait", "look wait"),
        ("\\help", "help"),
        ("", ""),
        ("say 'frotz'", "say 'frotz'"),
        ("unrestored", "unrestored"),
        ("restore", None),
    ],
)
def test_one_command_a_step(typed, played):
    assert one_command(typed) == played


def test_a_halted_machine_costs_the_episode_and_its_process_only(in_worker):
    """Never in the tests' own process: the engine writes past its memory before it halts."""
    in_worker.reset(seed=3)
    with pytest.raises(EnvironmentDiedError, match="halted"):
        in_worker.step("halt")
    with pytest.raises(EnvironmentDiedError, match="not running"):
        in_worker.step("look")
    in_worker.reset(seed=3)
    assert in_worker.step("get lamp").env_reward == 5


def test_an_endless_loop_in_the_engine_is_killed():
    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    environment = make_environment(f"zmachine:{Z3}", step_time_limit_s=0.5)
    try:
        environment.reset(seed=1)
        began = time.monotonic()
        with pytest.raises(EnvironmentHungError):
            environment.step("spin")
        assert time.monotonic() - began < 3
        assert environment.reset(seed=1).text
    finally:
        environment.close()


def test_a_crash_of_the_engine_costs_the_episode_only(in_worker):
    in_worker.reset(seed=1)
    with pytest.raises(EnvironmentDiedError, match="signal 8"):
        in_worker.step("crash")  # the engine divides by zero, as the story asks
    assert in_worker.reset(seed=1).text


@pytest.mark.parametrize(
    "part", ["ram", "stack", "registers", "random", "narrative", "beliefs", "story", "counts"]
)
def test_a_damaged_state_is_refused_before_it_reaches_the_engine(story, part):
    good = story.save()
    data = json.loads(good)
    damaged = {"ram": "AAAA", "registers": [1 << 30, 0, 0, 0, 0], "narrative": "QUFB" * 2800}
    data[part] = damaged.get(part)
    with pytest.raises(GameError, match="no saved state"):
        story.restore(json.dumps(data).encode())
    assert story.save() == good


def test_a_state_can_be_restored_before_any_reset(story):
    for command in PLAY[:5]:
        story.step(command)
    fresh = ZMachine(Z3)
    fresh.restore(story.save())
    assert fresh.step("inventory") == story.step("inventory")
    fresh.close()


def test_deaths_are_counted_by_the_storys_words():
    assert zmachine._DIED.search("\n    ****  You have died  ****\n")
    assert not zmachine._DIED.search("You have died of boredom.")


def test_a_missing_file_and_a_wrong_file(tmp_path):
    with pytest.raises(GameError, match="cannot be read"):
        ZMachine(tmp_path / "none.z5")
    wrong = tmp_path / "wrong.z5"
    for data in (b"", b"not a story" * 20, bytes([6]) * 100):
        wrong.write_bytes(data)
        with pytest.raises(GameError, match="no Z-machine story"):
            ZMachine(wrong)
    wrong.write_bytes(b"\x05" * (2 << 20))
    with pytest.raises(GameError, match="too large"):
        ZMachine(wrong)


def test_a_damaged_story_is_refused_before_it_reaches_the_engine(tmp_path):
    data = bytearray(Z3.read_bytes())
    damaged = tmp_path / "damaged.z3"
    for change in (lambda: data[:900], lambda: data[:1200] + b"!" + data[1201:]):
        damaged.write_bytes(bytes(change()))
        with pytest.raises(GameError, match="damaged"):
            ZMachine(damaged)


def test_without_jericho_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jericho", None)
    zmachine._jericho.cache_clear()
    with pytest.raises(GameError, match="make zork"):
        ZMachine(Z3)
    zmachine._jericho.cache_clear()


def test_memory_reads_the_story_as_it_starts():
    memory = StoryMemory(Z3.read_bytes())
    assert (memory.version, memory.release, memory.serial) == (3, 1, "260101")
    names = [memory.name(number) for number in memory.objects()]
    assert {"Meadow", "Cellar", "yourself", "lamp"} <= set(names)
    later = StoryMemory(Z5.read_bytes())
    assert {"Meadow", "lamp"} <= {later.name(number) for number in later.objects()}
    assert later.find("dragon") is None
    assert not re.search(r"[^ -~]", "".join(names))
