"""``lookalike models``, and what ``doctor`` says about keys and models; against a server on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from loopback import Asked, Loopback, Said, chat_answer, models_answer, openai_error

KEY = "sk-canary-59c1e07b4d"


def answer(asked: Asked) -> Said:
    if asked.path.endswith("/models"):
        return Said(models_answer("m", "n"))
    if asked.headers.get("authorization") != f"Bearer {KEY}":
        return openai_error(f"Incorrect API key: {asked.headers.get('authorization')}", 401)
    if asked.body["model"] != "m":
        return openai_error("no such model", 404, code="model_not_found")
    if "response_format" in asked.body:
        enum = "go north" in asked.raw.decode()
        return Said(chat_answer('{"reply": "go north"}' if enum else '{"answer": 2}'))
    return Said(chat_answer(["yes"] * asked.body.get("n", 1)))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with Loopback(answer) as found:
        entry = f"back_end: openai, base_url: '{found.url}/v1', key: HOME_KEY"
        more = "capabilities: {n: true, json_schema: true, images: 2}, price: {input: 1, output: 2}"
        (tmp_path / "models.yaml").write_text(
            f"models:\n  home: {{{entry}, model: m, {more}}}\n"
            f"  typo: {{{entry}, model: mm}}\n  keyless: {{{entry[:-8]}NO_SUCH_KEY, model: m}}\n"
        )
        monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
        monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
        monkeypatch.setenv("HOME_KEY", KEY)
        yield found


def test_list_names_the_entries_and_sends_nothing(call: Any, server: Loopback) -> None:
    found = {m["name"]: m for m in json.loads(call("models", "list", "--json").stdout)}
    assert {"embedded", "home", "typo", "keyless"} <= set(found)
    assert found["home"]["present"]
    assert not found["keyless"]["present"]
    assert "export NO_SUCH_KEY" in found["keyless"]["remedy"]
    assert KEY not in call("models", "list").output
    assert not server.asked


def test_check_makes_one_tiny_call_a_capability_with_latency_and_price(call: Any, server: Loopback) -> None:
    result = call("models", "check", "home", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    checks = {c["capability"]: c for c in found["checks"]}
    assert all(checks[c]["works"] for c in ("text", "temperature", "json_schema", "n", "images"))
    assert checks["video"]["works"] is None
    assert all(c["seconds"] > 0 and c["usage"]["cost"] > 0 for c in checks.values() if c["works"])
    assert found["usage"]["calls"] <= 10
    assert all(asked.body.get("max_tokens", 0) <= 200 for asked in server.posts())
    table = call("models", "check", "home").output
    assert "cost, USD" in table
    assert "not declared" in table
    assert KEY not in table + result.output


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("typo", "did you mean 'm'"),
        ("keyless", "export NO_SUCH_KEY"),
        ("hoem", "did you mean 'home'"),
    ],
)
def test_check_says_what_to_do_where_nothing_works(call: Any, server: Loopback, name: str, says: str) -> None:
    result = call("models", "check", name)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_a_wrong_key_is_said_and_never_shown(
    call: Any, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME_KEY", "sk-wrong-77aa88bb99")
    result = call("models", "check", "home")
    assert result.exit_code == 2
    assert "does not accept the key" in " ".join(result.output.split())
    assert "77aa88bb99" not in result.output


def test_doctor_says_which_keys_are_set_and_never_their_values(
    call: Any, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    result = call("doctor", "--json")
    checks = {c["name"]: c for c in json.loads(result.stdout)}
    assert checks["key openai"] == {
        "name": "key openai",
        "status": "ok",
        "found": "OPENAI_API_KEY is set",
        "remedy": "",
    }
    assert "export ANTHROPIC_API_KEY" in checks["key anthropic"]["remedy"]
    assert checks["extra remote"]["status"] == "ok"
    assert checks["model home"]["status"] == "ok"
    assert checks["model keyless"]["status"] == "optional"
    assert checks["game colossal-cave"]["status"] == "ok"
    assert checks["price file"]["status"] == "optional"
    assert KEY not in result.output + call("doctor").output
    assert not server.asked


def test_doctor_says_where_a_settings_file_is_wrong(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.yaml").write_text("models: {home: {back_end: opnai, model: m}}\n")
    (tmp_path / "prices.yaml").write_text("models: {home: {input: -1, output: 2}}\n")
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
    monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
    checks = {c["name"]: c for c in json.loads(call("doctor", "--json").stdout)}
    assert "models.home.back_end" in checks["own models"]["found"]
    assert checks["price file"]["status"] == "missing"


def test_a_model_without_what_a_run_needs_is_refused_before_it_starts(
    call: Any, server: Loopback, tmp_path: Path
) -> None:
    (tmp_path / "models.yaml").write_text(
        "models:\n  calm: {back_end: openai, model: m, "
        f"base_url: '{server.url}/v1', capabilities: {{max_temperature: 1}}}}\n"
    )
    words = ("demo/colossal-cave", "--conditions", "swarm", "--seeds", "1000", "--model", "calm")
    result = call("experiment", "run", *words, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "no temperature above 1" in result.output
    assert "give the swarm temperatures up to 1" in result.output
    assert not server.asked
    assert not (tmp_path / "run" / "recording").exists()


def test_a_price_file_without_this_model_is_said_and_no_limit_of_money_is_taken(
    call: Any, server: Loopback, tmp_path: Path
) -> None:
    (tmp_path / "models.yaml").write_text(
        f"models:\n  homes: {{back_end: openai, model: m, key: HOME_KEY, base_url: '{server.url}/v1'}}\n"
    )
    (tmp_path / "prices.yaml").write_text("models: {home: {input: 1, output: 2}}\n")
    said = " ".join(call("models", "check", "homes").output.split())
    assert "The price of this model is not known" in said
    assert "Did you mean its entry 'home'?" in said
    assert "0.000000" not in said  # unknown is not nothing
    asked = len(server.asked)
    words = ("demo/colossal-cave", "--conditions", "solo", "--seeds", "1000", "--model", "homes")
    result = call("experiment", "run", *words, "--out", tmp_path / "run", "--limit", "cost=2.50")
    assert result.exit_code == 2
    assert "A budget of money needs a price" in result.output
    assert len(server.asked) == asked
