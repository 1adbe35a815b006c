"""Play for learned progress alone: what it likes beside the recordings, found by search, to learn against.

A network that ranks frames has seen recordings and random play, and says something of every other frame as
well. Play that is put together from whatever raises it most comes to frames that nobody showed it. Taken as
further negatives, like random play, they are ranked below the recordings after as many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.core.protocols import Environment
from lookalike.core.seeds import generator
from lookalike.experts.visual_data import UNKNOWN, Plays, as_video, held_actions, own_levels, pack
from lookalike.rewards.visual_network import Floats, Frames, fitted

TRIES, STRETCH = 10, 5
"""Stretches of play that are tried from every state, and steps of one."""

Potential = Callable[[Frames], Floats]


def climb_plays(
    environment: Environment,
    potential: Potential,
    names: tuple[str, ...],
    *,
    seed: int,
    steps: int,
    longest: int,
    levels: Sequence[int | None] = (),
    progress: Callable[[float], None] | None = None,
) -> Plays:
    """Play for learned progress in levels kept for recordings.

    From every state, stretches of random play are tried, and the one whose last frame is worth most is
    played, whatever the game says of it; one that ends the game is left out while another does not.

    Args:
        environment: With ``save_restore``; reset here, not closed. One that cannot go back gives no plays.
        potential: What frames, uint8 [N, 64, 64, 3], are worth, [N].
        names: The actions.
        seed: Of the draws.
        steps: Steps of the plays in all; ten times as many are tried.
        longest: Steps of one play at most.
        levels: Levels that recordings show; every second play is in one of them.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        The plays as a video would show them.
    """
    draw = generator(seed, environment.id, "climbing")
    chosen = own_levels(draw, levels)
    plays: list[NDArray[np.uint8]] = []
    done = 0
    while done < steps and "save_restore" in environment.capabilities:
        first = environment.reset(seed=next(chosen)).frame
        if first is None:
            break
        beginning, most = fitted(first[None])[0], min(longest, steps - done)
        climbed = _climb(environment, beginning, potential, names, draw=draw, longest=most)
        plays.append(np.stack(climbed))
        done += max(1, len(climbed) - 1)
        if progress is not None:
            progress(min(1.0, done / steps))
    packed = pack(plays, [np.full(len(one), UNKNOWN, np.int64) for one in plays], [False] * len(plays))
    if not len(packed):
        return packed
    return Plays(as_video(packed.frames), packed.starts, packed.stops, packed.actions, packed.ended)


def _climb(
    environment: Environment,
    first: Frames,
    potential: Potential,
    names: tuple[str, ...],
    *,
    draw: np.random.Generator,
    longest: int,
) -> list[Frames]:
    """Return the frames of one play."""
    frames: list[Frames] = [first]
    while len(frames) <= longest:
        saved = environment.save()
        tried: list[tuple[list[Frames], bytes, bool]] = []
        for _ in range(TRIES):
            environment.restore(saved)
            seen, over = _stretch(environment, names, draw)
            if seen:
                tried.append((seen, environment.save(), over))
        if not tried:
            break
        worth = potential(np.stack([seen[-1] for seen, _, _ in tried]))
        best = max(range(len(tried)), key=lambda number: (not tried[number][2], float(worth[number])))
        seen, after, over = tried[best]
        frames += seen
        if over:
            break
        environment.restore(after)
    return frames[: longest + 1]


def _stretch(
    environment: Environment, names: tuple[str, ...], draw: np.random.Generator
) -> tuple[list[Frames], bool]:
    """Play a stretch at random; return what is seen, and whether the game is over."""
    seen: list[Frames] = []
    held = held_actions(draw, len(names))
    for _, action in zip(range(STRETCH), held, strict=False):
        result = environment.step(names[action])
        if result.observation.frame is None:
            break
        seen.append(fitted(result.observation.frame[None])[0])
        if result.terminated or result.truncated:
            return seen, True
    return seen, False
