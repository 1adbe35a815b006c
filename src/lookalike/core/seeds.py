"""All randomness comes from here: a run's one seed, spread over its parts by ``numpy``'s SeedSequence.

Seeds are explicit integers, 0 is a seed, and the clock is never one.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *path: str | int, bits: int = 31) -> int:
    """Derive an independent seed for one part of a run.

    Args:
        seed: The run's seed, any integer >= 0.
        path: What the part is, e.g. ``("colossal-cave", "lamp", "swarm+expert", 3, "player")``. The same
            path always gives the same seed; different paths give unrelated ones.
        bits: Width of the result, 1 to 63. Games written in C often take 31.

    Returns:
        An integer in [1, 2**bits): never 0, because some engines read 0 as "take the clock".

    Raises:
        ValueError: ``seed`` is negative, or ``bits`` is out of range.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    if not 1 <= bits <= 63:
        raise ValueError(f"bits must be in 1..63, got {bits}")
    words = [int.from_bytes(hashlib.sha256(str(part).encode()).digest()[:4], "big") for part in path]
    state = np.random.SeedSequence(entropy=seed, spawn_key=tuple(words)).generate_state(2, np.uint32)
    value = (int(state[0]) << 32 | int(state[1])) & ((1 << bits) - 1)
    return value or 1


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return a PCG64 generator for one part of a run (see :func:`derive_seed`)."""
    return np.random.default_rng(derive_seed(seed, *path, bits=63))
