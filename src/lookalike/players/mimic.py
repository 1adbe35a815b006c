"""The imitator: a policy cloned from videos whose actions were recovered by inverse dynamics.

A role's temperature applies to the policy's logits, so that a swarm of roles is a swarm of imitators. What
leads nowhere is not repeated for ever: where a screen comes back, what was tried there is known, and so is
the way back to places where something was left untried (``players.places``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import CapabilityError
from lookalike.core.seeds import generator
from lookalike.core.types import Frame, Proposal, Role, Situation
from lookalike.players.places import Places
from lookalike.rewards.visual_network import Floats, VisualModel

HEED = 2.0
"""Logits that the expert's recommendation adds to an action."""
_COLDEST = 0.05


class MimicPlayer:
    """A Player that does what people did on frames like this one.

    Args:
        model: Weights with a policy.

    Raises:
        CapabilityError: There is no policy in them.
    """

    name = "mimic"

    def __init__(self, model: VisualModel) -> None:
        if "policy" not in model.networks:
            raise CapabilityError(
                "These weights hold no policy to imitate.",
                got=", ".join(sorted(model.networks)),
                expected="policy",
                remedy="Watch the recordings again: `lookalike watch --expert embedded-visual`.",
            )
        self.model = model
        self._places = Places(model.actions)

    def start_episode(self, *, seed: int) -> None:
        """Forget what was tried."""
        del seed
        self._places = Places(self.model.actions)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return one draw a role from the policy at the role's temperature.

        Args:
            situation: Its frame, the frame before, its admissible actions, and the recommendation if any.
            roles: Each draws for itself.
            seed: Of this step; each role's draw is derived from it and the role's name.

        Raises:
            CapabilityError: There is no frame.
        """
        frame = situation.observation.frame
        if frame is None:
            raise CapabilityError(
                "The imitator looks at frames, and there is none.",
                got=f"an observation of text at step {situation.step}",
                expected="an environment with the capability frames",
            )
        self._remember(situation)
        before = situation.history[-1][0].before.frame if situation.history else None
        logits = self.model.policy(frame[None], (frame if before is None else before)[None])[0]
        logits = self._adjusted(logits, situation, frame)
        proposals = []
        for role in roles:
            chances = tempered(logits, role.temperature)
            chosen = int(generator(seed, role.name).choice(len(chances), p=chances))
            proposals.append(Proposal(role, self.model.actions[chosen], float(chances[chosen])))
        return proposals

    def _remember(self, situation: Situation) -> None:
        if situation.history:
            last = situation.history[-1][0]
            before, after = last.before.frame, last.after.frame
            if before is not None and after is not None and last.action is not None:
                self._places.went(before, last.action, after)

    def _adjusted(self, logits: Floats, situation: Situation, frame: Frame) -> Floats:
        adjusted = self._places.weighed(frame, logits).copy()
        wanted = situation.guidance[0].action if situation.guidance else None
        for number, name in enumerate(self.model.actions):
            if name == wanted:
                adjusted[number] += HEED
        offered = situation.admissible_actions
        if offered is not None and any(name in offered for name in self.model.actions):
            adjusted[[name not in offered for name in self.model.actions]] = -np.inf
        return adjusted


def tempered(logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Return probabilities at a temperature; at 0 all weight is on the highest logit."""
    if temperature < _COLDEST:
        chances = np.zeros(len(logits))
        chances[int(np.argmax(logits))] = 1.0
        return chances
    scaled = logits.astype(np.float64) / temperature
    chances = np.exp(scaled - scaled.max())
    return np.asarray(chances / chances.sum())
