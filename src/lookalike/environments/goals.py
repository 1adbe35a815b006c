"""Goals as data: named predicates over an environment's facts, each with a step limit.

A goal file is YAML; the shipped ones are in ``data/goals/``, and their comments say how each predicate is
decided. Anybody's own file is read by the same loader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.types import Goal, Predicate
from lookalike.environments.levels import has_levels

FORMAT = "lookalike-goals/1"
MAX_FILE_BYTES = 1 << 20

_GOAL_KEYS = {
    "name": str,
    "description": str,
    "success": list,
    "step_limit": int,
    "complexity": int,
    "in_paper_table": bool,
}
_OPTIONAL_KEYS = frozenset(("in_paper_table",))
_FILE_KEYS = frozenset(("format", "environment", "step_limit_rule", "goals"))
_ID_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OPERATIONS = ("at_least", "equals", "contains")


def load_goals(environment_id: str, path: Path | None = None) -> tuple[Goal, ...]:
    """Read an environment's goals, ordered by complexity.

    Args:
        environment_id: Environment the goals must be for.
        path: A goal file; ``None`` for the shipped one, or the one the environment was registered with.

    Raises:
        UsageError: No such file, or the file is malformed; the message names file, goal and key.
    """
    if has_levels(environment_id):
        environment_id = environment_id.partition("@")[0]  # how large its frames are changes no goal
    file = path if path is not None else _registered_file(environment_id)
    name, data = _read(environment_id, file)
    _check_file(name, data, environment_id)
    goals = [_goal(name, index, entry, environment_id) for index, entry in enumerate(data["goals"])]
    names = [goal.name for goal in goals]
    for goal in goals:
        if names.count(goal.name) > 1:
            raise _fault(name, goal.name, "name", repr(goal.name), "a name no other goal of the file has")
    return tuple(sorted(goals, key=lambda goal: (goal.complexity, goal.name)))


def find_goal(environment_id: str, name: str, path: Path | None = None) -> Goal:
    """Return one goal by name.

    Raises:
        UnknownNameError: There is no such goal; the nearest names are suggested.
        UsageError: The goal file cannot be read.
    """
    goals = {goal.name: goal for goal in load_goals(environment_id, path)}
    if name not in goals:
        raise UnknownNameError(f"goal of {environment_id}", name, goals)
    return goals[name]


def goals_as_data(goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """Return goals as a goal file's entries, JSON values."""
    return [
        {
            "name": goal.name,
            "description": goal.description,
            "success": [{"fact": p.fact, "op": p.op, "value": p.value} for p in goal.success],
            "step_limit": goal.step_limit,
            "complexity": goal.complexity,
            "in_paper_table": goal.in_paper_table,
        }
        for goal in goals
    ]


def goals_from_data(environment_id: str, entries: Sequence[Any]) -> tuple[Goal, ...]:
    """Return the goals of a goal file's entries.

    Raises:
        UsageError: An entry is malformed.
    """
    return tuple(_goal("goals", index, entry, environment_id) for index, entry in enumerate(entries))


def check_goals_against(goals: Sequence[Goal], facts: Mapping[str, Any]) -> None:
    """Check that every predicate asks for a fact the environment really has.

    Args:
        goals: Goals of one environment.
        facts: What its ``facts()`` returned after a reset.

    Raises:
        UsageError: A predicate names an unknown fact, or compares what cannot be compared.
    """
    for goal in goals:
        for predicate in goal.success:
            if predicate.fact not in facts:
                raise UnknownNameError(
                    f"fact of {goal.environment} (goal {goal.name!r})", predicate.fact, facts
                )
            try:
                predicate.holds(facts)
            except TypeError as error:
                raise _fault(
                    goal.environment,
                    goal.name,
                    predicate.fact,
                    str(error),
                    f"a value that fits {predicate.op}",
                ) from error


def _registered_file(environment_id: str) -> Path | None:
    from lookalike.environments.registry import environment_goal_file

    return environment_goal_file(environment_id)


def _read(environment_id: str, path: Path | None) -> tuple[str, Any]:
    if path is None:
        name = _shipped_name(environment_id)
        source = resources.files("lookalike.environments") / "data" / "goals" / name
        if not source.is_file():
            raise UsageError(
                f"No goals are shipped for {environment_id!r}.",
                expected="a goal file",
                remedy="Pass the path of your own goal file (docs/goals.md says how to write one).",
            )
        text = source.read_text(encoding="utf-8")
    else:
        name = str(path)
        try:
            raw = path.read_bytes()[: MAX_FILE_BYTES + 1]
            text = raw.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                "The goal file cannot be read.",
                got=f"{name}: {error}",
                expected="a UTF-8 YAML file",
                remedy="Check the path.",
            ) from error
        if len(raw) > MAX_FILE_BYTES:
            raise _fault(name, None, None, f"over {MAX_FILE_BYTES} bytes", "a goal file of a few kB")
    try:
        # The same safe loader, in C where PyYAML has it: a goal file is read whenever a run is looked at.
        return name, yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _fault(name, None, None, " ".join(str(error).split()), "YAML") from error


def _shipped_name(environment_id: str) -> str:
    """Return the shipped file's name; a family's members (``procgen:maze``) have a folder of their own."""
    family, _, member = environment_id.partition(":")
    if not _ID_PART.fullmatch(family) or (member and not _ID_PART.fullmatch(member)):
        return f"{environment_id.replace('/', '-')}.yaml"  # no path of anybody's choosing
    return f"{family}/{member}.yaml" if member else f"{family}.yaml"


def _check_file(file: str, data: Any, environment_id: str) -> None:
    if not isinstance(data, dict):
        raise _fault(file, None, None, type(data).__name__, "a mapping with format, environment and goals")
    for key in data:
        if key not in _FILE_KEYS:
            raise _fault(file, None, str(key), "an unknown key", f"one of {', '.join(sorted(_FILE_KEYS))}")
    if data.get("format") != FORMAT:
        raise _fault(file, None, "format", repr(data.get("format")), repr(FORMAT))
    if data.get("environment") != environment_id:
        raise _fault(file, None, "environment", repr(data.get("environment")), repr(environment_id))
    if not isinstance(data.get("goals"), list) or not data["goals"]:
        raise _fault(file, None, "goals", repr(data.get("goals"))[:80], "a list of at least one goal")


def _goal(file: str, index: int, entry: Any, environment_id: str) -> Goal:
    if not isinstance(entry, dict):
        raise _fault(file, f"#{index + 1}", None, type(entry).__name__, "a mapping")
    name = str(entry.get("name", f"#{index + 1}"))
    for key in entry:
        if key not in _GOAL_KEYS:
            raise _fault(file, name, str(key), "an unknown key", f"one of {', '.join(_GOAL_KEYS)}")
    for key, kind in _GOAL_KEYS.items():
        if key not in entry:
            if key in _OPTIONAL_KEYS:
                continue
            raise _fault(file, name, key, "nothing", f"a {kind.__name__}")
        value = entry[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _fault(file, name, key, repr(value)[:80], f"a {kind.__name__}")
    for key in ("step_limit", "complexity"):
        if entry[key] < 1:
            raise _fault(file, name, key, repr(entry[key]), "at least 1")
    if not entry["name"].strip() or not entry["description"].strip():
        raise _fault(file, name, "name or description", "an empty text", "a few words")
    if not entry["success"]:
        raise _fault(file, name, "success", "[]", "at least one predicate")
    return Goal(
        name=entry["name"],
        environment=environment_id,
        description=entry["description"],
        success=tuple(_predicate(file, name, one) for one in entry["success"]),
        step_limit=entry["step_limit"],
        complexity=entry["complexity"],
        in_paper_table=entry.get("in_paper_table", True),
    )


def _predicate(file: str, goal: str, entry: Any) -> Predicate:
    if not isinstance(entry, dict):
        raise _fault(file, goal, "success", repr(entry)[:80], "{fact: …, op: …, value: …}")
    for key in entry:
        if key not in ("fact", "op", "value"):
            raise _fault(file, goal, f"success.{key}", "an unknown key", "fact, op or value")
    for key in ("fact", "op", "value"):
        if key not in entry:
            raise _fault(file, goal, f"success.{key}", "nothing", "fact, op and value")
    fact, operation, value = entry["fact"], entry["op"], entry["value"]
    if not isinstance(fact, str) or not fact:
        raise _fault(file, goal, "success.fact", repr(fact), "the name of a fact")
    if operation not in _OPERATIONS:
        raise _fault(file, goal, "success.op", repr(operation), f"one of {', '.join(_OPERATIONS)}")
    if not isinstance(value, int | float | str | bool):
        raise _fault(file, goal, "success.value", repr(value)[:80], "a number, a text, true or false")
    if operation == "at_least" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _fault(file, goal, "success.value", repr(value), "a number, to compare with at_least")
    return Predicate(fact, cast("Any", operation), value)


def _fault(file: str, goal: str | None, key: str | None, got: str, expected: str) -> UsageError:
    where = ", ".join(
        part for part in (file, f"goal {goal!r}" if goal else "", f"key {key!r}" if key else "") if part
    )
    return UsageError(
        "The goal file is malformed.",
        got=f"{where}: {got}",
        expected=expected,
        remedy="Correct the file; docs/goals.md describes the format.",
    )
