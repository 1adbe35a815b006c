"""What an experiment changes to tell apart what the recording, the reward model and the search bring.

Parts of the method are switched off, the part of the recording that leads to the goal is cut out, the order
of the plan is changed, or the episode begins in a state that the recording never saw. Each is data of a
condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lookalike.core.errors import GameError
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.seeds import derive_seed, generator
from lookalike.core.types import Goal, Observation, Transition
from lookalike.rewards import Plan, RewardModel, RewardModelScorer, compile_plan
from lookalike.rewards.document import Pathway
from lookalike.rewards.hazards import HazardModel, load_hazards

Switch = Literal["legs", "recover", "fights", "explore", "hazards", "join"]
_LONGEST_WAY_IN = 150
_DRAWS = 50
_ENDS_THE_GAME = ("quit", "restart", "restore", "save")


class Variation(BaseModel):
    """What is different from the method as it is shipped.

    Attributes:
        without: Parts of following the plan that are switched off (``following`` in the reward model).
        cut: The part of the recording between the milestone before the goal and the goal is cut out.
        reorder: The trips from home to home are in another order, drawn by the seed.
        random_start: Random legal commands played before the episode begins, after a part of the plan was
            followed, both drawn by the seed; 0 to begin at the beginning.
        learnt_hazards: A hazard model goes with the game, learnt from the swarm's own plays on other seeds.
        learns_from_setbacks: A memory of setbacks is kept over the attempts at a goal and seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    without: tuple[Switch, ...] = ()
    cut: bool = False
    reorder: bool = False
    random_start: int = Field(default=0, ge=0, le=10_000)
    learnt_hazards: bool = False
    learns_from_setbacks: bool = False

    @property
    def changes_the_document(self) -> bool:
        """Whether the reward model is another one than the experiment's."""
        return bool(self.without or self.cut or self.reorder or self.learnt_hazards)

    def plan(self, model: RewardModel, goal: Goal, *, seed: int) -> Plan:
        """Return what is played under, compiled."""
        learnt = shipped_hazards(model.environment) if self.learnt_hazards else None
        return compile_plan(self.document(model, goal, seed=seed), learnt=learnt)

    def document(self, model: RewardModel, goal: Goal, *, seed: int) -> RewardModel:
        """Return the reward model that is played under."""
        if self.without:
            off: dict[str, Any] = dict.fromkeys(self.without, False)
            model = model.model_copy(update={"following": model.following.model_copy(update=off)})
        if self.cut:
            model = cut_out(model, goal)
        if self.reorder:
            model = reordered(model, seed=seed)
        return model


@lru_cache(maxsize=4)
def shipped_hazards(environment: str) -> HazardModel | None:
    """Return what was learnt from own plays of a game on seeds 300-399; ``None`` where nothing was."""
    place = resources.files("lookalike.experiments") / "data" / "hazards" / f"{environment}.yaml"
    with resources.as_file(place) as path:
        return load_hazards(path) if path.exists() else None


def cut_out(model: RewardModel, goal: Goal) -> RewardModel:
    """Return the document without the part of the recording in which the goal was reached.

    A goal's complexity is the number of commands after which the recording had reached it. The pathway that
    this command belongs to goes, with its milestone, and with the notes that its object was in hand.
    """
    number = goal.complexity - 1
    to = next((p.to for p in model.pathways if p.evidence.start <= number <= p.evidence.end), None)
    if to is None:
        return model
    return model.without([f"pathway:{to}", f"milestone:{to}"])


def trips(model: RewardModel) -> list[tuple[Pathway, ...]]:
    """Cut the pathways where the person set out from home again: after the last thing put down there."""
    home = compile_plan(model).store.home
    kinds = {milestone.id: milestone for milestone in model.milestones}

    def at_home(pathway: Pathway) -> bool:
        milestone = kinds.get(pathway.to)
        return milestone is not None and milestone.kind == "deposit" and milestone.detect.place == home

    found: list[list[Pathway]] = [[]]
    for before, pathway in zip((None, *model.pathways), model.pathways, strict=False):
        if before is not None and at_home(before) and not at_home(pathway):
            found.append([])
        found[-1].append(pathway)
    return [tuple(trip) for trip in found]


def reordered(model: RewardModel, *, seed: int) -> RewardModel:
    """Return the document with its trips in another order; the first and the last stay where they are.

    The order is drawn by the seed and is never the recording's, where there are trips enough for another.
    """
    first, *middle, last = [(), *trips(model)] if len(trips(model)) == 1 else trips(model)
    if len(middle) < 2:
        return model
    order = list(range(len(middle)))
    while order == sorted(order):
        order = [int(i) for i in generator(derive_seed(seed, "order of trips")).permutation(len(middle))]
        seed += 1
    pathways = (*first, *(pathway for i in order for pathway in middle[i]), *last)
    return model.model_copy(update={"pathways": pathways})


class StartedElsewhere:
    """An environment whose episodes begin in the middle of the game.

    On reset a part of the plan is followed (at most 150 steps, drawn by the seed) and then random legal
    commands are played. A state in which the game is over or the player died is drawn again. The scorer and
    the players of the episode see nothing of this: they begin at its end.
    """

    def __init__(self, environment: Environment, plan: Plan, *, steps: int) -> None:
        self._environment = environment
        self._plan = plan
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def step(self, action: str) -> StepResult:
        """Play one command."""
        return self._environment.step(action)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on."""
        return self._environment.facts()

    def reset(self, *, seed: int) -> Observation:
        """Begin in a state drawn by the seed.

        Raises:
            GameError: None was found in which the game goes on.
        """
        for draw in range(_DRAWS):
            observation = self._draw(seed, draw)
            if observation is not None:
                return observation
        raise GameError("No state in the middle of the game was found that goes on.", got=f"{_DRAWS} draws")

    def _draw(self, seed: int, draw: int) -> Observation | None:
        random = generator(derive_seed(seed, "start in the middle", draw))
        game, scorer = self._environment, RewardModelScorer(self._plan)
        seen = game.reset(seed=seed)
        scorer.start(seen)
        followed = int(random.integers(_LONGEST_WAY_IN + 1))
        for number in range(followed + self._steps):
            actions: Sequence[str] = scorer.recommend(seen) if number < followed else ()
            if not actions:
                legal = [a for a in game.admissible_actions() if a.split()[0] not in _ENDS_THE_GAME]
                actions = [legal[int(random.integers(len(legal)))]] if legal else ["look"]
            result = game.step(actions[0])
            if number < followed:
                scorer.score(Transition(seen, actions[0], result.observation))
            seen = result.observation
            if result.terminated or game.facts().get("deaths"):
                return None
        return seen
