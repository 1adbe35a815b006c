"""The scripted model keeps a language model's contract."""

import pytest

from lookalike.core.errors import ModelError
from lookalike.core.protocols import CompletionRequest, LanguageModel
from lookalike.testing.scripted_model import ScriptedModel


def ask(seed: int = 1, temperature: float = 1.0, allowed: tuple[str, ...] | None = None) -> CompletionRequest:
    return CompletionRequest("a lamp\n>", temperature, seed, allowed)


def test_function_list_and_table() -> None:
    scripted: LanguageModel = ScriptedModel(lambda prompt: "get lamp" if "lamp" in prompt else "look")
    assert scripted.complete([ask()])[0].text == "get lamp"
    assert [c.text for c in ScriptedModel(["a", "b"]).complete([ask(), ask()])] == ["a", "b"]
    table = ScriptedModel({"n": 3.0, "s": 1.0, "w": 9.0})
    drawn = [table.complete([ask(seed, allowed=("n", "s"))])[0] for seed in range(400)]
    assert 0.68 < sum(c.text == "n" for c in drawn) / 400 < 0.82
    assert {round(c.probability or 0, 2) for c in drawn} == {0.75, 0.25}
    assert table.complete([ask(temperature=0)])[0].text == "w"
    assert drawn[0].usage.calls == 1


def test_running_out_is_an_error() -> None:
    model = ScriptedModel(["a"])
    with pytest.raises(ModelError, match="no reply left"):
        model.complete([ask(), ask()])
    with pytest.raises(ModelError, match="may say nothing"):
        ScriptedModel({"n": 1.0}).complete([ask(allowed=("s",))])


def test_fingerprints_follow_the_script() -> None:
    assert ScriptedModel(["a"]).fingerprint == ScriptedModel(["a"]).fingerprint
    assert ScriptedModel(["a"]).fingerprint != ScriptedModel({"a": 1.0}).fingerprint
