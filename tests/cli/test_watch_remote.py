"""``lookalike watch --expert remote``: from a recording over a real protocol to a reward model on disk."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from loopback import Asked, Loopback, Said, chat_answer

KEY = "sk-canary-0c5fe1a9"
CLAIMS = {
    "goal": "Get the lamp.",
    "milestones": [
        {
            "name": "the lamp",
            "description": "Has the lamp.",
            "kind": "acquisition",
            "noticed_by": "holds",
            "what": "lamp",
            "value": 0.7,
            "start": 2,
            "end": 2,
        },
        {
            "name": "the crown",
            "description": "Has the crown.",
            "kind": "acquisition",
            "noticed_by": "holds",
            "what": "crown",
            "value": 1,
            "start": 700,
            "end": 701,
        },
    ],
    "rules": [],
    "hazards": [],
}
REVIEW = {"if_wrong": "No lamp.", "seen": "The lamp is taken.", "supported": True, "agreement": 0.9}


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
    monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME_KEY", KEY)


def answers(wrap: Callable[[str], Any]) -> Callable[[Asked], Said]:
    def answer(asked: Asked) -> Said:
        return Said(wrap(json.dumps(REVIEW if '"supported"' in asked.raw.decode() else CLAIMS)))

    return answer


def entry(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.yaml").write_text(f"models:\n  home: {{{text}, key: HOME_KEY}}\n")


def test_a_reward_model_is_written_once_paid_and_asked_for_again_from_the_cache(
    call: Any, play_log: Path, tmp_path: Path
) -> None:
    with Loopback(answers(chat_answer)) as server:
        price = "price: {input: 1, output: 2}, capabilities: {json_schema: true}"
        entry(tmp_path, f"back_end: openai, model: m, base_url: '{server.url}/v1', {price}")
        out = tmp_path / "model.yaml"
        words = ("watch", play_log, "--environment", "colossal-cave", "--out", out, "--expert", "remote")
        result = call(*words, "--model", "home")
        assert result.exit_code == 0, result.output
        assert "dropped: Milestone 'the crown'" in result.stdout
        assert "2 calls (0 from the cache)" in result.stdout
        assert "cost 0.00" in result.stdout
        asked = len(server.posts())
        again = json.loads(call(*words[:-1], "remote:home", "--json").stdout)
        assert len(server.posts()) == asked == 2
    assert again["usage"]["cached_calls"] == 2
    assert len(again["dropped"]) == 1
    from lookalike.rewards import load_reward_model

    model = load_reward_model(out)
    assert [m.detect.holds for m in model.milestones] == ["lamp"]
    assert model.milestones[0].agreement is not None
    assert KEY not in out.read_text() + result.output
    shown = call("rewards", "show", out)
    assert shown.exit_code == 0
    assert "agreed 0.90 ± 0.00 of 1" in " ".join(shown.stdout.split())
    assert "dropped: Milestone 'the crown'" in shown.stdout
    schema = server.posts()[0].body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("reply", True)


def test_a_video_goes_whole_to_a_service_that_takes_videos(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from test_remote_google import reply_body

    from lookalike.recordings.video_writer import VideoWriter

    video = tmp_path / "silent.mp4"
    with VideoWriter(video, width=128, height=128, fps=8) as writer:
        for index in range(24):
            frame = np.zeros((128, 128, 3), np.uint8)
            frame[index * 4 : index * 4 + 32, 20:90] = (250, 40, 40)
            writer.add(frame)
    claims = json.loads(json.dumps(CLAIMS))
    claims["milestones"][0] |= {"noticed_by": "says", "what": "the red block is down", "start": 1, "end": 2.5}

    def answer(asked: Asked) -> Said:
        review = '"supported"' in asked.raw.decode()
        return Said(reply_body(json.dumps(REVIEW if review else claims)))

    with Loopback(answer) as server:
        entry(tmp_path, f"back_end: google, model: gemini-2.5-flash, base_url: '{server.url}'")
        words = ("watch", video, "--environment", "procgen:maze", "--out", tmp_path / "model.yaml")
        result = call(*words, "--expert", "remote", "--model", "home", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    parts = [p for c in server.posts()[0].body["contents"] for p in c["parts"] if "inlineData" in p]
    (sent,) = [p["inlineData"] for p in parts]
    assert (sent.get("mimeType") or sent.get("mime_type")) == "video/mp4"
    found = base64.b64decode(sent["data"] + "==", altchars=b"-_" if "_" in sent["data"] else None)
    assert found == video.read_bytes()
    assert "the crown" in result.stdout  # the video has no such second
    text = (tmp_path / "model.yaml").read_text()
    assert "start_s: 1.0" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--expert", "remote"), "needs a model"),
        (("--expert", "remote", "--model", "embedded"), "does not declare the capability 'json_schema'"),
        (("--expert", "remote", "--model", "hoem"), "There is no language model called 'hoem'"),
        (("--expert", "remoat"), "did you mean 'remote'"),
        (("--model", "home"), "asks no models"),
        (("--expert", "remote", "--model", "keyless"), "export NO_SUCH_KEY"),
    ],
)
def test_what_cannot_work_is_refused_before_the_recording_is_read(
    call: Any, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    (tmp_path / "models.yaml").write_text(
        "models: {keyless: {back_end: openai, model: m, key: NO_SUCH_KEY}}\n", encoding="utf-8"
    )
    missing = tmp_path / "no-such-recording.mp4"
    result = call("watch", missing, "--environment", "colossal-cave", "--out", tmp_path / "m.yaml", *words)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert not (tmp_path / "m.yaml").exists()
