from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.core.errors import CapabilityError, ModelError, UnknownNameError, UsageError
from lookalike.core.protocols import CompletionRequest, Media, ModelCapabilities
from lookalike.core.types import Usage
from lookalike.models import make_model, model_names, model_status, require
from lookalike.models.prices import Price, load_prices, price_of, priced
from lookalike.models.remote.entries import load_models, resolve_entry
from lookalike.testing.scripted_model import ScriptedModel


def _models(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.yaml").write_text(text)


def _prices(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)


def test_a_name_is_one_line_of_configuration() -> None:
    entry = resolve_entry("openai:qwen3@http://127.0.0.1:8000/v1")
    assert (entry.model, entry.address, entry.key_variables) == ("qwen3", "http://127.0.0.1:8000/v1", ())
    vendor = resolve_entry("google:gemini-x")
    assert vendor.address.startswith("https://generativelanguage")
    assert vendor.key_variables == ("GOOGLE_API_KEY", "GEMINI_API_KEY")


def test_an_entry_of_the_file_is_a_name(tmp_path: Path) -> None:
    _models(
        tmp_path,
        "models:\n  home:\n    back_end: openai\n    model: qwen3\n    base_url: http://127.0.0.1:1/v1\n"
        "    server: vllm\n    concurrency: 16\n",
    )
    assert load_models()["home"].concurrency == 16
    assert "home" in model_names()
    assert model_status("home").present


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  h: {back_end: openai, model: m, base_ulr: x}", "base_url"),
        ("models:\n  h: {back_end: openai, model: m, capabilities: {imges: 3}}", "images"),
        ("modles: {}", "models"),
        ("models:\n  h: {back_end: opnai, model: m}", "openai"),
        ("models:\n  h: {back_end: openai, model: m, base_url: 'ftp://x'}", "address"),
        ("models:\n  h: {back_end: anthropic, model: m, style: transcript}", "transcript"),
        ("models:\n  embedded: {back_end: openai, model: m}", "embedded"),
        ("models: [", "YAML"),
        ("- 3", "dictionary"),
    ],
)
def test_a_mistake_in_the_models_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    _models(tmp_path, text)
    with pytest.raises(UsageError, match=said):
        load_models()


def test_a_key_in_the_models_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    _models(tmp_path, "models:\n  h: {back_end: openai, model: m, key: sk-proj-12345}")
    with pytest.raises(UsageError, match="never the key itself") as caught:
        load_models()
    assert "sk-proj" not in str(caught.value)


def test_no_key_says_which_variable() -> None:
    with pytest.raises(ModelError, match="export OPENAI_API_KEY"):
        make_model("openai:gpt-x")
    assert not model_status("openai:gpt-x").present


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    _models(tmp_path, "models:\n  home: {back_end: openai, model: m, base_url: 'http://127.0.0.1:1/v1'}")
    with pytest.raises(UnknownNameError, match="'home'"):
        make_model("hone")
    with pytest.raises(UnknownNameError, match="embedded"):
        make_model("embeded")
    with pytest.raises(UsageError, match="openai:MODEL"):
        make_model("openai:m@http")


PRICES = "models:\n  openai:m: {input: 2, cached_input: 0.5, output: 10}\n  home: {input: 0, output: 0}\n"


def test_a_price_is_per_million_tokens(tmp_path: Path) -> None:
    _prices(tmp_path, f"currency: EUR\n{PRICES}")
    price = price_of("openai:m")
    assert price is not None
    assert load_prices().currency == "EUR"
    cost = price.cost(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert cost == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)
    assert price_of("embedded") == Price(input=0, output=0)


def test_an_unknown_price_is_unknown_and_not_zero(tmp_path: Path) -> None:
    _prices(tmp_path, PRICES)
    assert price_of("openai:other") is None
    usage = priced(Usage(calls=1, prompt_tokens=10), None)
    assert (usage.cost, usage.unpriced_calls) == (0.0, 1)


def test_an_entry_brings_its_price_or_takes_its_models(tmp_path: Path) -> None:
    _prices(tmp_path, PRICES)
    _models(
        tmp_path,
        "models:\n  mine: {back_end: openai, model: m}\n"
        "  own: {back_end: openai, model: z, price: {input: 7, output: 8}}\n",
    )
    assert price_of("mine") == Price(input=2, cached_input=0.5, output=10)
    assert price_of("own") == Price(input=7, output=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  m: {input: 1, ouput: 2}", "'output'"),
        ("models:\n  m: {input: 1}", "models.m.output"),
        ("models:\n  m: {input: -1, output: 2}", "greater than or equal to 0"),
        ("models:\n  m: {input: .inf, output: 2}", "finite"),
        ("curency: USD", "'currency'"),
    ],
)
def test_a_mistake_in_the_price_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    _prices(tmp_path, text)
    with pytest.raises(UsageError, match=said):
        load_prices()


def test_what_a_model_does_not_declare_is_refused_before_the_run() -> None:
    model = ScriptedModel(["x"], capabilities=ModelCapabilities(max_temperature=1.0))
    require(model, temperatures=(0.2, 1.0))
    with pytest.raises(CapabilityError, match="no temperature above 1"):
        require(model, temperatures=(0.2, 1.4))
    for name in ("allowed_replies", "probabilities", "video", "json_schema", "seed", "n"):
        with pytest.raises(CapabilityError, match=f"'{name}'") as caught:
            require(model, **{name: True})
        assert caught.value.remedy
    with pytest.raises(CapabilityError, match="at most 0"):
        require(model, images=1)
    silent = ScriptedModel(["x"], capabilities=ModelCapabilities(max_temperature=None))
    require(silent, temperatures=(1.0,))
    with pytest.raises(CapabilityError, match="takes no temperature"):
        require(silent, temperatures=(0.2, 1.0))


@pytest.mark.model
def test_the_embedded_model_refuses_what_it_would_ignore(embedded) -> None:  # type: ignore[no-untyped-def]
    picture = Media(b"", "image/png")
    with pytest.raises(CapabilityError, match="images"):
        embedded.complete([CompletionRequest(">", 0.0, 0, images=(picture,))])
    with pytest.raises(CapabilityError, match="json_schema"):
        embedded.complete([CompletionRequest(">", 0.0, 0, json_schema={})])
    with pytest.raises(CapabilityError):
        require(embedded, video=True)
    require(embedded, temperatures=(0.2, 3.0), allowed_replies=True, probabilities=True, seed=True)
