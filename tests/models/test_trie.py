"""The trie against brute force, with a made-up network whose probabilities are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lookalike.models.network import log_softmax
from lookalike.models.trie import EAGER_NODES, score_replies

VOCABULARY = 60


class Chain:
    """A made-up network: what follows depends on the whole path."""

    def __init__(self, seed: int = 0, sharpness: float = 1.0) -> None:
        self.seed = seed
        self.sharpness = sharpness
        self.paths: list[tuple[int, ...]] = []
        self.passes = 0
        self.first: NDArray[np.float32] | None = None

    def follows(self, path: tuple[int, ...]) -> NDArray[np.float32]:
        if not path and self.first is not None:
            return self.first
        random = np.random.default_rng([self.seed, *path])
        return log_softmax((random.normal(size=VOCABULARY) * self.sharpness).astype(np.float32))[0]

    def branch(self, tokens: list[int], parents: list[int]) -> NDArray[np.float32]:
        self.passes += 1
        for token, parent in zip(tokens, parents, strict=True):
            assert parent < len(self.paths)
            self.paths.append((*(self.paths[parent] if parent >= 0 else ()), token))
        return np.array([self.follows(path) for path in self.paths[-len(tokens) :]])

    def exact(self, replies: list[tuple[int, ...]]) -> NDArray[np.float64]:
        log_p = np.array(
            [sum(float(self.follows(r[:i])[t]) for i, t in enumerate(r)) for r in replies], dtype=np.float64
        )
        return log_p - np.logaddexp.reduce(log_p)


END = 0
REPLIES = [(5, END), (5, 6, END), (5, 6, 7, END), (5, 8, END), (9, END), (10, 11, END), (10, 12, 13, END)]


@pytest.mark.parametrize("seed", range(8))
def test_unpruned_is_exact(seed: int) -> None:
    network = Chain(seed)
    log_p, computed = score_replies(REPLIES, network.follows(()), network.branch)
    assert log_p == pytest.approx(network.exact(REPLIES), abs=1e-5)
    assert computed == len(network.paths) == 9
    assert np.exp(log_p).sum() == pytest.approx(1.0)


def test_end_of_line_tells_a_word_from_its_continuation() -> None:
    network = Chain(3)
    log_p, _ = score_replies([(5, END), (5, 6, END)], network.follows(()), network.branch)
    after = network.follows((5,))
    assert log_p[0] - log_p[1] == pytest.approx(
        float(after[END] - after[6] - network.follows((5, 6))[END]), abs=1e-5
    )


def test_a_branch_without_weight_is_not_computed_and_spread_evenly() -> None:
    network = Chain()
    first = np.full(VOCABULARY, -30.0, dtype=np.float32)
    first[5] = 0.0
    log_p, computed = score_replies([(5, END), (9, 1, END), (9, 2, END)], first, network.branch)
    assert [path[0] for path in network.paths] == [5]
    assert computed == 1
    assert log_p[1] == pytest.approx(log_p[2])
    assert np.exp(log_p[0]) > 0.999


def test_pruning_changes_no_probability_much() -> None:
    random = np.random.default_rng(1)
    replies = sorted(
        {(*map(int, random.integers(1, 20, size=random.integers(1, 4))), END) for _ in range(60)}
    )
    for seed in range(5):
        network = Chain(seed)
        first = network.follows(())
        first[10:] -= 20.0
        network.first = first
        log_p, computed = score_replies(replies, first, network.branch)
        assert computed < len({r[:i] for r in replies for i in range(1, len(r))})
        assert np.abs(np.exp(log_p) - np.exp(network.exact(replies))).max() < 0.02


def test_a_large_branch_is_computed_level_by_level() -> None:
    replies = [(5, i, END) for i in range(1, EAGER_NODES + 5)]
    network = Chain()
    log_p, _ = score_replies(replies, network.follows(()), network.branch)
    assert network.passes == 2
    assert log_p == pytest.approx(network.exact(replies), abs=0.02)


def test_one_reply_is_certain() -> None:
    log_p, _ = score_replies([(5, END)], Chain().follows(()), Chain().branch)
    assert log_p.tolist() == [0.0]
