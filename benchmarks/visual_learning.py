"""Learning from frames: what scoring costs beside decoding, and what an update of training costs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

SHIPPED_SECONDS = 240.0
_FRAMES, _UPDATES = 2_048, 8


def measure() -> list[dict[str, Any]]:
    """Return frames a second that progress is scored at, and the time that training a game takes."""
    try:
        return [_scoring(), _training()]
    except Exception as error:
        return [
            {
                "name": "visual_learning",
                "value": None,
                "unit": "",
                "target": None,
                "met": None,
                "detail": f"not measured: {error}",
            }
        ]


def _scoring() -> dict[str, Any]:
    from lookalike.rewards.visual_network import VisualModel, build_network

    networks = {name: build_network(name, 9) for name in ("progress", "base")}
    model = VisualModel("benchmark", tuple("abcdefghi"), networks)
    frames = np.random.default_rng(0).integers(0, 255, (_FRAMES, 64, 64, 3), np.uint8)
    model.progress(frames[:256])
    began = time.process_time()
    model.progress(frames)
    rate = _FRAMES / (time.process_time() - began)
    return {
        "name": "visual_scoring",
        "value": round(rate),
        "unit": "frames/s",
        "target": None,
        "met": None,
        "detail": f"progress of {_FRAMES} frames in batches of 256, by seconds of one core",
    }


def _training() -> dict[str, Any]:
    from lookalike.experts.visual import Effort
    from lookalike.experts.visual_data import pack
    from lookalike.experts.visual_training import Feed, train
    from lookalike.rewards.visual_network import VIEWS, build_network, require_torch

    torch, effort = require_torch(), Effort()
    draw = np.random.default_rng(0)
    plays = pack([draw.integers(0, 255, (500, 64, 64, 3), np.uint8)], [draw.integers(0, 9, 500)], [True])
    seconds = worked = 0.0
    for name, updates in (
        ("actions", effort.actions),
        ("progress", effort.progress),
        ("policy", effort.policy),
        ("preview", effort.preview),
        ("ends", effort.ends),
    ):
        assert name in VIEWS
        network, feed = build_network(name, 9), Feed(name, plays, seed=0)

        def loss_of(batches: np.random.Generator, network: Any = network, feed: Any = feed) -> Any:
            return torch.square(network(feed(batches.integers(500, size=effort.batch)))).mean()

        train(network, loss_of, steps=1, seed=0)
        began, working = time.perf_counter(), time.process_time()
        train(network, loss_of, steps=_UPDATES, seed=0)
        seconds += (time.perf_counter() - began) / _UPDATES * updates
        worked += (time.process_time() - working) / _UPDATES * updates
    return {
        "name": "visual_training",
        "value": round(seconds, 1),
        "unit": "s a game",
        "target": SHIPPED_SECONDS,
        "met": seconds <= SHIPPED_SECONDS,
        "detail": f"all updates of effort 1, from {_UPDATES} of each network; threads: "
        f"{torch.get_num_threads()} (OMP_NUM_THREADS), {worked:.0f} s of processor time",
    }
