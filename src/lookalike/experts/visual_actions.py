"""Inverse dynamics: what was done between two frames, learned from the swarm's own random play.

The labels it gives to a silent video are probabilities. Where actions do the same (a jump in the air, a
step against a wall) they are spread over those actions, and the policy that is cloned from them learns that
it does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.seeds import derive_seed, generator
from lookalike.experts.visual_data import UNKNOWN, Plays
from lookalike.experts.visual_training import Feed, train
from lookalike.rewards.visual_network import Floats, build_network, require_torch

HELD_OUT_SHARE = 0.1
"""Share of the random plays that are not learned from, so that the accuracy says something."""


@dataclass(frozen=True)
class LearnedActions:
    """An inverse-dynamics network and how good it is on random play that it has not seen.

    Attributes:
        network: See ``rewards.visual_network``.
        accuracy: Share of held-out random steps whose action was named exactly, in [0, 1].
        by_action: The same for each action that occurs.
        held_out: How many steps that is.
    """

    network: Any
    accuracy: float
    by_action: dict[str, float]
    held_out: int


def learn_actions(
    plays: Plays,
    names: tuple[str, ...],
    *,
    seed: int,
    steps: int,
    batch: int,
    recovered: tuple[Plays, Floats] | None = None,
    progress: Callable[[float], None] | None = None,
) -> LearnedActions:
    """Learn to name the action between two frames.

    Args:
        plays: Own random play, with actions.
        names: The actions' names.
        recovered: Recordings with labels that were recovered by trying, to learn from as well.
        seed: Of the network's beginning, the batches and which plays are held out.
        steps: Updates.
        batch: Frames of an update.
        progress: Called with the finished fraction, 0 to 1.
    """
    torch = require_torch()
    torch.manual_seed(derive_seed(seed, "actions network"))
    network = build_network("actions", len(names))
    known = np.nonzero(plays.actions != UNKNOWN)[0]
    play = np.searchsorted(plays.starts, known, side="right") - 1
    order = generator(seed, "held out").permutation(len(plays))
    held = np.isin(play, order[: max(1, int(HELD_OUT_SHARE * len(plays)))])
    learned, tested = known[~held], known[held]
    feed = Feed("actions", plays, seed=derive_seed(seed, "actions feed"))
    entropy = torch.nn.functional.cross_entropy
    watched, labels = recovered if recovered is not None else (plays, np.zeros((0, len(names)), np.float32))
    sure = np.nonzero(telling(labels))[0]
    other = Feed("actions", watched, seed=derive_seed(seed, "recovered feed"))

    def loss_of(draw: np.random.Generator) -> Any:
        mixed = len(sure) > batch
        indices = learned[draw.integers(len(learned), size=batch // 2 if mixed else batch)]
        taken = torch.from_numpy(plays.actions[indices])
        if not mixed:
            return entropy(network(feed(indices)), taken)
        chosen = sure[draw.integers(len(sure), size=batch // 2)]
        answers = network(torch.cat([feed(indices), other(chosen)]))  # normalised together
        told = any_of(answers[len(indices) :], torch.from_numpy(labels[chosen]))
        return entropy(answers[: len(indices)], taken) + told

    train(network, loss_of, steps=steps, seed=derive_seed(seed, "actions"), progress=progress)
    guessed = _asked(network, feed, tested).argmax(axis=1)
    right = guessed == plays.actions[tested]
    by_action = {
        name: float(right[plays.actions[tested] == number].mean())
        for number, name in enumerate(names)
        if (plays.actions[tested] == number).any()
    }
    return LearnedActions(network, float(right.mean()) if len(right) else 0.0, by_action, len(tested))


def label_plays(network: Any, plays: Plays) -> Floats:
    """Return each frame's action as probabilities, [F, actions]; a play's last frame has none (zeros)."""
    feed = Feed("actions", plays, seed=0)
    logits = _asked(network, feed, np.arange(len(plays.frames)))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    labels = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    labels[plays.stops - 1] = 0.0
    return np.asarray(labels)


def agreement_with(labels: Floats, tried: Floats, indices: NDArray[np.int64]) -> tuple[float | None, int]:
    """Compare a network's labels with those by trying, on steps where not all actions do the same.

    Args:
        labels: What the network says, [F, actions].
        tried: What ``visual_trying`` recovered, [F, actions], above 0 for each action that leads there.
        indices: Frames that are compared.

    Returns:
        The share of those steps whose likeliest action is one that leads there, in [0, 1], ``None`` where
        there are no such steps; and how many steps that is.
    """
    found = tried[indices] > 0
    told = found.any(axis=1) & ~found.all(axis=1)
    if not told.any():
        return None, 0
    named = labels[indices].argmax(axis=1)
    right = found[np.arange(len(indices)), named][told]
    return float(right.mean()), int(told.sum())


def learn_policy(
    plays: Plays,
    labels: Floats,
    *,
    seed: int,
    steps: int,
    batch: int,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Clone a policy from labelled recordings.

    Args:
        plays: The recordings.
        labels: What :func:`label_plays` says of them.
        seed: Of the network's beginning and the batches.
        steps: Updates.
        batch: Frames of an update.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        The network.
    """
    torch = require_torch()
    torch.manual_seed(derive_seed(seed, "policy network"))
    network = build_network("policy", labels.shape[1])
    known = np.nonzero(telling(labels))[0]
    if not len(known):
        return network.eval()
    feed = Feed("policy", plays, seed=derive_seed(seed, "policy feed"))

    def loss_of(draw: np.random.Generator) -> Any:
        indices = known[draw.integers(len(known), size=batch)]
        return any_of(network(feed(indices)), torch.from_numpy(labels[indices]))

    train(network, loss_of, steps=steps, seed=derive_seed(seed, "policy"), progress=progress)
    return network


def telling(labels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which steps' labels say something, bool [F]: known, and not all actions do the same."""
    return np.asarray((labels.sum(axis=1) > 0) & (labels.min(axis=1) < labels.max(axis=1)))


def any_of(logits: Any, labels: Any) -> Any:
    """Return the loss of naming none of the labelled actions; which of them does not matter.

    Args:
        logits: Tensor [N, actions].
        labels: Tensor [N, actions], at least one above 0 in each row; the likeliest counts in full.
    """
    torch = require_torch()
    weights = (labels / labels.max(dim=1, keepdim=True).values).clamp_min(1e-6)
    return -torch.logsumexp(logits.log_softmax(dim=1) + weights.log(), dim=1).mean()


def _asked(network: Any, feed: Feed, indices: NDArray[np.int64]) -> Floats:
    torch = require_torch()
    with torch.inference_mode():
        parts = [network(feed(part, vary=False)).numpy() for part in _parts(indices)]
    if not parts:
        return np.zeros((0, network[-1].out_features), np.float32)
    return np.concatenate(parts).astype(np.float32)


def _parts(indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [indices[start : start + 256] for start in range(0, len(indices), 256)]
