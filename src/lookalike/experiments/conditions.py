"""Conditions and experiments as data: what is switched on, and what is played."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from lookalike.core.errors import UnknownNameError
from lookalike.core.types import Handicaps, Role
from lookalike.experiments.results import ConditionInfo, ConditionKind
from lookalike.experiments.variations import Variation
from lookalike.swarm import SwarmConfig, roles_at
from lookalike.swarm.config import MemoryKind, RewardSource

ASKS_A_MODEL = frozenset({"llm", "plan", "human"})
"""Players that need a language model."""
PERSON = "you"
"""The member that a person is, where ``player`` is ``human``."""
Members = Literal["llm", "random", "mimic"]
"""Who the other members of a person's council are."""
_JOINED = "+you"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Data):
    """Which parts are switched on.

    Attributes:
        name: Its row's name.
        kind: A row of the paper (with its missing cell), a control or a baseline.
        description: One sentence.
        player: Who proposes: ``llm``, ``random``, ``replay``, ``follow`` (the expert's recommendation) or
            ``plan`` (a language model that writes all commands beforehand, docs/plan-mode.md) or ``human``
            (a person at the dashboard is a member besides the language model's, docs/dashboard.md), ``mimic``
            (a policy cloned from videos, docs/visual.md) or ``lookahead`` (imitators that try ahead).
        temperatures: One member each.
        mode: ``council``, ``worlds``, ``search`` or ``tree search``.
        council: The council's rule.
        memory: ``shared``, ``private`` or ``none``.
        reward: ``none``, ``environment score`` or ``reward model``.
        recommendation: Whether the reward model's preview may be seen before playing.
        admissible_actions: Whether players choose from the environment's list; without it they write
            freely.
        sync_every: In ``worlds`` mode with save/restore, rounds between going back to the best branch.
        attempts: Attempts at each goal and seed, independent unless the variation keeps a memory; a second
            row counts all of them.
        variation: What is taken out of the method, or different at the start (docs/mastery.md).
        members: Who the others are, where ``player`` is ``human``; not written down where it is the usual.
    """

    name: str
    kind: ConditionKind
    description: str
    player: Literal["llm", "random", "replay", "follow", "plan", "human", "mimic", "lookahead"] = "llm"
    temperatures: tuple[float, ...]
    mode: Literal["council", "worlds", "search", "tree search"] = "council"
    council: str = "best-reward"
    memory: MemoryKind = "shared"
    reward: RewardSource = "none"
    recommendation: bool = False
    admissible_actions: bool = True
    sync_every: int = 0
    attempts: int = 1
    variation: Variation = Variation()
    members: Members = "llm"

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write it as before there were other members: a run that was begun then goes on."""
        said: dict[str, Any] = write(self)
        if self.members == "llm":
            said.pop("members", None)
        return said

    def config(self) -> SwarmConfig:
        """Return how its swarm plays."""
        return SwarmConfig(
            roles=((Role(PERSON, 0.0),) if self.player == "human" else ()) + roles_at(self.temperatures),
            mode=self.mode,
            council=self.council,
            memory=self.memory,
            reward=self.reward,
            recommendation=self.recommendation,
            admissible_actions=self.admissible_actions,
            sync_every=self.sync_every,
        )

    def handicaps(self) -> Handicaps:
        """Return the help its results are obtained with."""
        return Handicaps(
            save_restore=self.sync_every > 0 or "search" in self.mode or self.player == "lookahead",
            admissible_actions=self.admissible_actions and self.player not in {"replay", "plan"},
            step_limit=self.config().search_interactions if "search" in self.mode else None,
            restarts=0,
            recommendation=self.recommendation,
            reward=self.reward,
            demonstrations_of_this_level=False,
            model_calls_per_step=len(self.temperatures) if self._asks_a_model else 0,
        )

    @property
    def _asks_a_model(self) -> bool:
        return self.player in ASKS_A_MODEL and (self.player != "human" or self.members == "llm")

    @property
    def has_a_seat(self) -> bool:
        """Whether a person can sit down among its members: they play one world and decide together."""
        return self.mode == "council" and self.player in get_args(Members) and len(self.temperatures) > 1

    def with_person(self) -> Condition:
        """Return the same with a person among its members: a condition of its own, with its own row."""
        return self.model_copy(
            update={
                "name": self.name + _JOINED,
                "kind": "control",
                "description": f"{self.description}, with a person among the members",
                "player": "human",
                "members": self.player,
                "attempts": 1,
            }
        )

    def rows(self) -> list[ConditionInfo]:
        """Return its rows: the first attempt, and where there are more, the best of all."""
        rows = [
            ConditionInfo(
                name=self.name, handicaps=self.handicaps(), kind=self.kind, description=self.description
            )
        ]
        if self.attempts > 1:
            rows.append(
                ConditionInfo(
                    name=f"{self.name} best-of-{self.attempts}",
                    handicaps=replace(self.handicaps(), restarts=self.attempts - 1),
                    kind="baseline",
                    description=f"best of {self.attempts} {self._plays} of {self.name}",
                    episodes_of=self.name,
                    attempts=self.attempts,
                )
            )
        return rows

    @property
    def _plays(self) -> str:
        return "plays in turn" if self.variation.learns_from_setbacks else "independent plays"


def joined_conditions(asked: Sequence[Condition], played: Iterable[str]) -> tuple[Condition, ...]:
    """Return the conditions that were not asked for: a person sat down in a run's councils as it was played.

    Args:
        asked: The run's own.
        played: Names of the conditions of its episodes.
    """
    names = set(played)
    joined = (condition.with_person() for condition in asked if condition.has_a_seat)
    return tuple(condition for condition in joined if condition.name in names)


class ExperimentSpec(_Data):
    """An experiment.

    Attributes:
        name: What `lookalike experiment run` takes.
        description: One sentence.
        environment: Environment id.
        recording: Which play is recorded and watched: ``adventure:N`` or ``jericho:zork1``.
        seeds: As in ``--seeds``.
        goals: Goal names; empty for the goals that count in the paper's table.
        conditions: Condition names, in the table's order.
    """

    name: str
    description: str
    environment: str
    recording: str
    seeds: str
    goals: tuple[str, ...] = ()
    conditions: tuple[str, ...]


def find_condition(name: str) -> Condition:
    """Return a condition by its name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    known = _conditions()
    if name not in known:
        raise UnknownNameError("condition", name, known)
    return known[name]


def condition_names() -> tuple[str, ...]:
    """Return all conditions' names, in the order of the data file."""
    return tuple(_conditions())


def find_experiment(name: str) -> ExperimentSpec:
    """Return an experiment by its name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    known = {spec.name: spec for spec in list_experiments()}
    if name not in known:
        raise UnknownNameError("experiment", name, known, remedy="See `lookalike experiment list`.")
    return known[name]


@lru_cache(maxsize=1)
def list_experiments() -> tuple[ExperimentSpec, ...]:
    """Return all experiments."""
    return tuple(ExperimentSpec.model_validate(entry) for entry in _read("experiments.yaml"))


@lru_cache(maxsize=1)
def _conditions() -> dict[str, Condition]:
    entries = (*_read("conditions.yaml"), *_read("variations.yaml"))
    return {entry["name"]: Condition.model_validate(entry) for entry in entries}


def _read(name: str) -> Any:
    return yaml.safe_load(
        (resources.files("lookalike.experiments") / "data" / name).read_text(encoding="utf-8")
    )


def parse_range(text: str) -> tuple[int, ...]:
    """Return the seeds of ``"A-B"`` in a data file."""
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))
