"""People's videos of Doom (Freedoom's demos), with their true inputs: what silent videos of people give.

Each of the four videos is left out once. The visual expert watches the other three without their inputs and
plays at random in the level of the one that is left out, a tic an action. Then, on the video it has not seen:

- the keys that inverse dynamics name are compared with those the person held, over all tics on which the
  person held any;
- the learned progress of the person is compared with that of a random player in the same level (VOC, and
  how often the person is ahead after as many tics);
- VOC is taken again with the status bar frozen, and with nothing but the status bar moving.

The videos are not shipped; without them nothing is measured. ``python -m benchmarks.freedoom_people FOLDER``
also keeps the reward models there, with their evidence frames.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_EFFORT = float(os.environ.get("LOOKALIKE_FREEDOOM_EFFORT", "0.6"))
_RANDOM_PLAYS = 6
_BAR = 54
"""First row, of 64, of the status bar (32 of 240 pixels, and one row more)."""


def measure() -> list[dict[str, Any]]:
    """Return a row a video, and the means; a row that says why where nothing was measured."""
    with tempfile.TemporaryDirectory() as folder:
        return measured(Path(folder))


def measured(out: Path) -> list[dict[str, Any]]:
    """Measure, and leave the reward models in a folder."""
    from lookalike.recordings.freedoom import DEMOS, freedoom_folder

    if freedoom_folder() is None:
        return [_row("freedoom_people", None, "", "not measured: the videos are not here")]
    found = [_left_out(number, out) for number in range(len(DEMOS))]
    keys = _together([one["keys"] for one in found])
    rows = [
        _row(
            f"freedoom_{DEMOS[number].name}",
            round(one["named"], 3),
            "of non-idle tics",
            f"a key the person holds is named ({one['tics']} tics; exactly all of them: {one['exact']:.2f}; "
            f"always saying forward: {one['forward']:.2f}); VOC of the person {one['voc']:.2f}, of "
            f"random play {one['voc_random']:.2f}, with the status bar frozen {one['voc_frozen']:.2f}, "
            f"with only it moving {one['voc_alone']:.2f}, the person ahead in {one['pairwise']:.2f} of "
            f"pairs; frames {one['distance']:.1f} times as far from own play as usual; "
            f"{one['stages']} stages",
        )
        for number, one in enumerate(found)
    ]
    mean = {what: float(np.mean([one[what] for one in found])) for what in ("named", "exact", "forward")}
    gap = float(np.mean([one["voc"] - one["voc_random"] for one in found]))
    pairs = float(np.mean([one["pairwise"] for one in found]))
    rows.append(
        _row(
            "freedoom_people",
            round(mean["named"], 3),
            "of non-idle tics",
            f"mean of {len(found)} videos; exactly {mean['exact']:.2f}; "
            f"always forward {mean['forward']:.2f}; VOC gap {gap:.2f}, pairwise {pairs:.2f}; "
            "by key (held / found where held / right where named): "
            + "; ".join(f"{k} {h:.2f} / {r:.2f} / {p:.2f}" for k, (h, r, p) in keys.items()),
        )
    )
    return rows


def _left_out(number: int, out: Path) -> dict[str, Any]:
    """Watch all videos but one, and look at that one."""
    from lookalike.environments import make_environment
    from lookalike.environments.vizdoom_adapter import parse_keys
    from lookalike.experts.visual import Effort, EmbeddedVisualExpert
    from lookalike.experts.visual_data import play_at_random, watched_plays
    from lookalike.experts.visual_progress import compare, voc
    from lookalike.recordings.freedoom import DEMOS, read_freedoom_demo
    from lookalike.rewards import save_reward_model
    from lookalike.rewards.visual_scorer import load_visual

    demo = DEMOS[number]
    print(f"  {demo.name} is left out ...", file=sys.stderr, flush=True)
    others = [read_freedoom_demo(one.name, with_actions=False) for one in DEMOS if one != demo]
    expert = EmbeddedVisualExpert(effort=Effort().times(_EFFORT), seed=number)
    environment = f"{demo.environment}-tic"
    document = expert.watch(others, environment=environment, folder=out / f"without-{demo.name}")
    save_reward_model(document, out / f"without-{demo.name}.yaml")
    networks, report = load_visual(document, out), expert.report
    assert report is not None
    truth = read_freedoom_demo(demo.name)
    person = watched_plays([truth])
    true_keys = [set(parse_keys(action or "noop") or ()) for action in truth.trajectory.actions]
    named = networks.recovered(person.frames).argmax(axis=1)[: len(true_keys)]
    named_keys = [set(parse_keys(networks.actions[n]) or ()) for n in named]
    game = make_environment(environment)
    try:
        longest = int(person.lengths[0])
        random, _ = play_at_random(
            game, seed=1_000 + number, steps=_RANDOM_PLAYS * (longest - 1), longest=longest - 1
        )
    finally:
        game.close()
    figures = compare(
        person,
        networks.progress(person.frames).potential,
        random,
        networks.progress(random.frames).potential,
    )
    frozen, alone = person.frames.copy(), np.repeat(person.frames[:1], len(person.frames), axis=0)
    frozen[:, _BAR:], alone[:, _BAR:] = person.frames[0, _BAR:], person.frames[:, _BAR:]
    busy = [n for n, keys in enumerate(true_keys) if keys]
    return {
        "tics": len(busy),
        "named": float(np.mean([bool(true_keys[n] & named_keys[n]) for n in busy])),
        "exact": float(np.mean([true_keys[n] == named_keys[n] for n in busy])),
        "forward": float(np.mean(["forward" in true_keys[n] for n in busy])),
        "keys": (true_keys, named_keys),
        "voc": figures.voc_good,
        "voc_random": figures.voc_bad,
        "voc_frozen": voc(networks.progress(frozen).potential),
        "voc_alone": voc(networks.progress(alone).potential),
        "pairwise": figures.pairwise,
        "distance": report.distance,
        "stages": len(document.milestones),
    }


def _together(videos: Sequence[tuple[list[set[str]], list[set[str]]]]) -> dict[str, tuple[float, ...]]:
    """Return for each key: share of tics on which it is held, found where held, right where named."""
    from lookalike.environments.vizdoom_adapter import KEYS

    true = [keys for video, _ in videos for keys in video]
    named = [keys for _, video in videos for keys in video]
    found: dict[str, tuple[float, ...]] = {}
    for key in KEYS:
        held = np.array([key in keys for keys in true])
        said = np.array([key in keys for keys in named])
        both = float((held & said).sum())
        found[key] = (float(held.mean()), both / max(1, held.sum()), both / max(1, said.sum()))
    return found


def _row(name: str, value: float | None, unit: str, detail: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "target": None, "met": None, "detail": detail}


if __name__ == "__main__":
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="freedoom-"))
    kept.mkdir(parents=True, exist_ok=True)
    for one in measured(kept):
        print(one, flush=True)
