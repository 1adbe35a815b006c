from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from reference_plays import CAVE_SEED, ZORK_SEED, cave_play, need_zork, zork_play

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.protocols import Environment
from lookalike.environments import find_goal, goals, load_goals, make_environment, registry
from lookalike.environments.colossal_cave import ColossalCave
from lookalike.environments.goals import check_goals_against
from lookalike.environments.zork1 import Zork1
from lookalike.testing.environments import TinyEnvironment


def first_reached(environment: Environment, seed: int, commands: list[str], id: str) -> dict[str, int]:
    environment.reset(seed=seed)
    reached: dict[str, int] = {}
    shipped = load_goals(id)
    check_goals_against(shipped, environment.facts())
    assert not any(goal.reached(environment.facts()) for goal in shipped), "reached by doing nothing"
    for index, command in enumerate(commands, start=1):
        environment.step(command)
        facts = environment.facts()
        for goal in shipped:
            if goal.reached(facts):
                reached.setdefault(goal.name, index)
    return reached


def test_the_human_play_reaches_every_goal_of_the_cave_at_its_complexity():
    commands = [command for command, _ in cave_play()]
    reached = first_reached(ColossalCave(), CAVE_SEED, commands, "colossal-cave")
    assert reached == {goal.name: goal.complexity for goal in load_goals("colossal-cave")}


def test_the_human_play_reaches_every_goal_of_zork_at_its_complexity():
    need_zork()
    environment = Zork1()
    reached = first_reached(environment, ZORK_SEED, zork_play(), "zork1")
    environment.close()
    assert reached == {goal.name: goal.complexity for goal in load_goals("zork1")}


@pytest.mark.parametrize("id", ["colossal-cave", "zork1"])
def test_the_shipped_goals_keep_their_rules(id):
    found = load_goals(id)
    assert len(found) == 12
    assert sum(goal.in_paper_table for goal in found) == 10
    assert [goal.complexity for goal in found] == sorted(goal.complexity for goal in found)
    assert [goal.in_paper_table for goal in found] == [True] * 10 + [False] * 2
    for goal in found:
        factor = 3 if goal.complexity <= 60 else 2
        assert goal.step_limit == max(20, factor * goal.complexity), goal.name


def test_no_goal_of_the_cave_rests_on_the_chest_or_on_chance():
    for goal in load_goals("colossal-cave"):
        for predicate in goal.success:
            assert predicate.value not in ("chest", "axe")
            assert predicate.fact in {"inventory", "place", "lamp_on", "snake_gone", "bridge", "score"}


def test_random_play_reaches_only_easy_goals():
    """A goal that random commands reach often would measure nothing."""
    reached: set[str] = set()
    shipped = load_goals("colossal-cave")
    for seed in range(10):
        environment, choose = ColossalCave(), random.Random(seed)
        environment.reset(seed=seed)
        for _ in range(146):
            offered = environment.admissible_actions()
            if not offered:
                break
            environment.step(choose.choice(offered))
            facts = environment.facts()
            reached |= {goal.name for goal in shipped if goal.reached(facts)}
    hard = {goal.name for goal in shipped if goal.complexity > 16}
    assert not reached & hard


def test_finding_a_goal():
    assert find_goal("colossal-cave", "lamp").complexity == 3
    with pytest.raises(UnknownNameError, match="crystal-bridge"):
        find_goal("colossal-cave", "crystal-bride")


def test_an_environment_without_goals_needs_a_file():
    with pytest.raises(UsageError, match="No goals are shipped"):
        load_goals("zmachine:lost.z5")
    with pytest.raises(UnknownNameError):
        load_goals("colosal-cave")


GOOD = {
    "format": "lookalike-goals/1",
    "environment": "tiny",
    "goals": [
        {
            "name": "key",
            "description": "Take the key.",
            "success": [{"fact": "inventory", "op": "contains", "value": "key"}],
            "step_limit": 20,
            "complexity": 3,
        },
        {
            "name": "door",
            "description": "Open the door.",
            "success": [{"fact": "won", "op": "equals", "value": True}],
            "step_limit": 40,
            "complexity": 9,
            "in_paper_table": False,
        },
    ],
}


def write(folder: Path, data: object) -> Path:
    path = folder / "my-goals.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    key, door = load_goals("tiny", path)
    assert (key.name, key.in_paper_table, door.in_paper_table) == ("key", True, False)
    environment = TinyEnvironment()
    environment.reset(seed=1)
    check_goals_against((key, door), environment.facts())
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register_environment("tiny", TinyEnvironment, goals=path)
    assert load_goals("tiny") == (key, door)
    assert make_environment("tiny", isolated=False).id == "tiny"


def broken(change) -> dict:
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    change(data, data["goals"][0])
    return data


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d, g: d.update(format="lookalike-goals/2"), "key 'format'"),
        (lambda d, g: d.update(environment="zork1"), "key 'environment'"),
        (lambda d, g: d.update(goals=[]), "key 'goals'"),
        (lambda d, g: d.update(extra=1), "key 'extra'"),
        (lambda d, g: d.update(goals=["key"]), "goal '#1'"),
        (lambda d, g: g.update(stepp_limit=3), "goal 'key', key 'stepp_limit'"),
        (lambda d, g: g.pop("step_limit"), "goal 'key', key 'step_limit'"),
        (lambda d, g: g.pop("name"), "goal '#1', key 'name'"),
        (lambda d, g: g.update(step_limit="20"), "goal 'key', key 'step_limit'"),
        (lambda d, g: g.update(step_limit=True), "goal 'key', key 'step_limit'"),
        (lambda d, g: g.update(step_limit=0), "goal 'key', key 'step_limit'"),
        (lambda d, g: g.update(description="  "), "goal 'key'"),
        (lambda d, g: g.update(name="door"), "goal 'door', key 'name'"),
        (lambda d, g: g.update(success=[]), "goal 'key', key 'success'"),
        (lambda d, g: g.update(success=["won"]), "goal 'key', key 'success'"),
        (lambda d, g: g["success"][0].pop("fact"), "goal 'key', key 'success.fact'"),
        (lambda d, g: g["success"][0].update(op="more"), "goal 'key', key 'success.op'"),
        (lambda d, g: g["success"][0].update(value=[1]), "goal 'key', key 'success.value'"),
        (lambda d, g: g["success"][0].update(op="at_least"), "goal 'key', key 'success.value'"),
        (lambda d, g: g["success"][0].update(because="x"), "goal 'key', key 'success.because'"),
    ],
)
def test_a_malformed_file_is_told_by_file_goal_and_key(tmp_path, change, named):
    path = write(tmp_path, broken(change))
    with pytest.raises(UsageError) as caught:
        load_goals("tiny", path)
    assert named in str(caught.value)
    assert "my-goals.yaml" in str(caught.value)


def test_files_that_are_no_goals_at_all(tmp_path):
    path = tmp_path / "my-goals.yaml"
    for data in (b"", b"[1, 2]", b"a: [", b"\xff\xfe\x00", b"!!python/object:os.system x", b"- " * 10):
        path.write_bytes(data)
        with pytest.raises(UsageError):
            load_goals("tiny", path)
    path.write_bytes(b"x" * (goals.MAX_FILE_BYTES + 1))
    with pytest.raises(UsageError, match="over"):
        load_goals("tiny", path)
    with pytest.raises(UsageError, match="cannot be read"):
        load_goals("tiny", tmp_path / "none.yaml")


def test_a_goal_on_a_fact_that_does_not_exist(tmp_path):
    data = broken(lambda d, g: g["success"][0].update(fact="inventry"))
    environment = TinyEnvironment()
    environment.reset(seed=1)
    with pytest.raises(UnknownNameError, match="inventory"):
        check_goals_against(load_goals("tiny", write(tmp_path, data)), environment.facts())
    data = broken(lambda d, g: g.update(success=[{"fact": "won", "op": "contains", "value": 1}]))
    with pytest.raises(UsageError, match="won"):
        check_goals_against(load_goals("tiny", write(tmp_path, data)), environment.facts())
