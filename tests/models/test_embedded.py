"""The real embedded model: one distribution, any temperature, the same answer whatever came before."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lookalike.core.errors import ModelError
from lookalike.core.protocols import Completion, CompletionRequest, LanguageModel
from lookalike.models.embedded import EmbeddedModel
from lookalike.models.network import BLOCK, CONTEXT, log_softmax

pytestmark = pytest.mark.model

HERE = "you are inside a building, a well house for a large spring. there is a shiny brass lamp nearby."
PROMPT = f"Commands are one or two words.\n{HERE}\n> get lamp\nReward: +0.50\n{HERE}\n>"
LONG = "you are in a maze of twisty little passages, all alike. " * 12 + "\n> n\n" + PROMPT
REPLIES = ("get lamp", "get keys", "get", "n", "north", "go out", "xyzzy", "inventory", "get lamp post")


class Memory:
    """A ResponseCache in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.kept[key] = value


def ask(temperature: float, seed: int, prompt: str = PROMPT, **options: object) -> CompletionRequest:
    return CompletionRequest(prompt, temperature, seed, **{"allowed_replies": REPLIES, **options})  # type: ignore[arg-type]


def said(completions: list[Completion]) -> list[tuple[str, float | None]]:
    return [(c.text, c.probability) for c in completions]


def test_it_imitates_a_rewarded_example(embedded: EmbeddedModel) -> None:
    model: LanguageModel = embedded
    assert model.style == "transcript"
    shares = embedded.distribution(PROMPT, REPLIES)
    assert max(shares, key=shares.__getitem__) == "get lamp"
    assert shares["get lamp"] > 0.7
    assert sum(shares.values()) == pytest.approx(1.0)


def test_the_trie_agrees_with_one_reply_at_a_time(embedded: EmbeddedModel) -> None:
    """Probabilities from the tree-shaped pass equal those of plain causal passes over whole texts."""
    network = embedded.network()
    expected = []
    for reply in REPLIES:
        start = len(network.encode(PROMPT))
        tokens = network.encode(f"{PROMPT} {reply}\n")
        assert tokens[:start] == network.encode(PROMPT), "a reply must not merge with the prompt"
        total = 0.0
        for i in range(start, len(tokens)):
            total += float(network.prefill(tokens[:i])[tokens[i]])
        expected.append(total)
    exact = np.exp(np.array(expected) - np.logaddexp.reduce(expected))
    found = embedded.distribution(PROMPT, REPLIES)
    assert [found[reply] for reply in REPLIES] == pytest.approx(exact, abs=0.01)


def test_eight_roles_cost_one_computation(embedded: EmbeddedModel) -> None:
    solo = embedded.complete([ask(1.0, 0)])[0].usage
    eight = [c.usage for c in embedded.complete([ask(0.2 * i, i) for i in range(8)])]
    assert sum(u.computed_tokens for u in eight) == solo.computed_tokens
    assert [u.calls for u in eight] == [1] * 8
    assert all(u.prompt_tokens == solo.prompt_tokens for u in eight)
    assert sum(u.cached_calls for u in eight) == 0


def test_temperature_orders_the_spread(embedded: EmbeddedModel) -> None:
    zero, low, high = embedded.complete([ask(0.0, 1), ask(0.3, 1), ask(1.0, 1)])
    assert zero.text == "get lamp"
    assert zero.probability == 1.0
    assert low.probability is not None
    assert high.probability is not None
    draws = embedded.complete([ask(3.0, seed) for seed in range(40)])
    assert len({c.text for c in draws}) > 2
    assert embedded.complete([ask(3.0, 7)])[0].text == draws[7].text


@pytest.mark.parametrize("prompt", [PROMPT, LONG])
def test_warm_and_cold_give_equal_bytes(embedded: EmbeddedModel, prompt: str) -> None:
    """Whatever was asked before: blocks from the cache, another batch, another prompt, free text."""
    network = embedded.network()
    request, free = ask(1.3, 5, prompt), ask(1.0, 3, prompt, allowed_replies=None)
    network.forget()
    cold = said(embedded.complete([request, free]))
    cold_shares = embedded.distribution(prompt, REPLIES)
    embedded.complete([ask(1.0, i, "Quite another text.\n>", allowed_replies=None) for i in range(3)])
    embedded.distribution(prompt[: len(prompt) // 2], ("n", "s"))
    together = embedded.complete([ask(1.0, i, prompt, allowed_replies=None) for i in range(6)] + [request])
    warm = said(embedded.complete([request, free]))
    assert warm == cold
    assert said(together[-1:]) == cold[:1]
    assert said(together[3:4]) == cold[1:]
    assert embedded.distribution(prompt, tuple(reversed(REPLIES))) == cold_shares


def test_a_common_beginning_is_computed_once(embedded: EmbeddedModel) -> None:
    network = embedded.network()
    network.forget()
    before = network.computed_tokens
    embedded.distribution(LONG, REPLIES)
    first, before = network.computed_tokens - before, network.computed_tokens
    embedded.distribution(LONG + " look\nok\n>", REPLIES)
    assert network.computed_tokens - before <= first - 2 * BLOCK


def test_rows_of_a_step_do_not_depend_on_each_other(embedded: EmbeddedModel) -> None:
    network = embedded.network()
    tokens = network.encode(PROMPT)
    network.prefill(tokens)
    network.keep_prompt()
    options = network.encode(" get lamp go north")
    alone = []
    for token in options:
        network.restart()
        alone.append(network.step([token], [0], len(tokens))[0])
    network.restart()
    together = network.step(options[::-1], [0] * len(options), len(tokens))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_free_text_ends_with_the_line(embedded: EmbeddedModel) -> None:
    completions = embedded.complete([ask(1.0, i, allowed_replies=None, max_tokens=6) for i in range(6)])
    for completion in completions:
        assert "\n" not in completion.text
        assert completion.text == completion.text.strip()
        assert 1 <= completion.usage.completion_tokens <= 6
        assert 0 < (completion.probability or 0) <= 1
    assert embedded.complete([ask(0.0, 1, allowed_replies=None)])[0].text == "get lamp"


def test_every_temperature_and_seed_comes_from_one_cached_distribution(embedded: EmbeddedModel) -> None:
    cache = Memory()
    model = EmbeddedModel(cache=cache)
    model._network = embedded.network()
    first = model.complete([ask(1.0, 1), ask(0.4, 2)])
    assert len(cache.kept) == 1
    stored = json.loads(next(iter(cache.kept.values())))
    assert all(round(v, 3) == v for v in stored["log_p"])
    model._network = None
    again = model.complete([ask(1.0, 1), ask(0.4, 2), ask(2.0, 9)])
    assert model._network is None, "a cached answer must not load the network"
    assert said(again[:2]) == said(first)
    assert [c.usage.cached_calls for c in again] == [1, 1, 1]
    assert sum(c.usage.computed_tokens for c in again) == 0


def test_free_text_is_cached_by_temperature_and_seed(embedded: EmbeddedModel) -> None:
    cache = Memory()
    model = EmbeddedModel(cache=cache)
    model._network = embedded.network()
    first = model.complete([ask(1.0, 1, allowed_replies=None), ask(1.0, 2, allowed_replies=None)])
    assert len(cache.kept) == 2
    again = model.complete([ask(1.0, i, allowed_replies=None) for i in (3, 2, 1)])
    assert said([again[2], again[1]]) == said(first)
    assert [c.usage.cached_calls for c in again] == [0, 1, 1]


def test_two_models_agree(embedded: EmbeddedModel) -> None:
    other = EmbeddedModel()
    assert other.fingerprint == embedded.fingerprint
    assert other.distribution(LONG, REPLIES) == embedded.distribution(LONG, REPLIES)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask(1.0, 1, allowed_replies=()), "0 replies"),
        (ask(1.0, 1, allowed_replies=("n", " ")), "list of allowed replies"),
        (ask(1.0, 1, allowed_replies=("a\nb",)), "list of allowed replies"),
        (ask(1.0, 1, allowed_replies=tuple(map(str, range(600)))), "600 replies"),
        (ask(-1.0, 1), "temperature"),
        (ask(float("nan"), 1), "temperature"),
        (ask(1.0, -1), "seed"),
        (ask(1.0, 1, prompt=""), "empty prompt"),
        (ask(1.0, 1, prompt=(("user", "hi"),)), "chat messages"),  # type: ignore[arg-type]
        (ask(1.0, 1, prompt="word " * (CONTEXT + 1)), "tokens"),
        (ask(1.0, 1, prompt="word " * (CONTEXT + 1), allowed_replies=None), "does not fit"),
    ],
)
def test_requests_that_cannot_be_meant(
    embedded: EmbeddedModel, request_: CompletionRequest, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        embedded.complete([request_])


def test_log_softmax_normalises() -> None:
    rows = log_softmax(np.array([[1.0, 2.0, 3.0], [900.0, 0.0, 0.0]], dtype=np.float32))
    assert np.exp(rows).sum(axis=1) == pytest.approx([1.0, 1.0])
