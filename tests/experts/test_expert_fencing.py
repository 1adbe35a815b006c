"""Hidden instructions in recordings: in words on a video's frames, and in what was typed and said.

The recording's words reach a remote expert between marks that they cannot close, whatever they are; what a
model that obeys them would answer does not become a claim.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_remote_expert import AGREES, Scripted, is_review, milestone

from lookalike.core.errors import LookalikeError
from lookalike.core.protocols import CompletionRequest
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.experts.remote import RemoteExpert
from lookalike.experts.remote_judge import RemoteJudge
from lookalike.rewards.document import MadeBy, RewardModel
from lookalike.testing.injections import Injection, injections

COMMAND = "jump"
CANARY = "sk-CANARY-77d0e1a4"
HIDDEN = (*injections("demonstration"), *injections("game"), *injections("frame"))


@pytest.fixture(autouse=True)
def keys_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, CANARY)


def demonstration(typed: str, said: str) -> Demonstration:
    observations = tuple(
        Observation(text)
        for text in ("You are in a room. There is a lamp here.", "Taken.", said, "You are in a hall.")
    )
    trajectory = Trajectory(observations, ("get lamp", typed, "n"), times=(0.0, 1.0, 2.0, 3.0))
    return Demonstration("hidden", trajectory, "human", Provenance("hidden.txt", "test", "4" * 64))


def skeleton(request: CompletionRequest) -> list[str]:
    return [re.sub(r"<<<.*?>>>", "<<<>>>", text) for _, text in request.prompt]


def watched(shown: Demonstration, answer: object) -> tuple[Scripted, RewardModel | None]:
    def script(request: CompletionRequest) -> object:
        return AGREES if is_review(request) else answer

    model = Scripted(script)
    try:
        return model, RemoteExpert([model]).watch([shown], environment="colossal-cave")
    except LookalikeError:
        return model, None


CLAIMS = {"goal": "g", "milestones": [milestone(start=0, end=0)], "rules": [], "hazards": []}


@pytest.mark.parametrize("injection", HIDDEN, ids=lambda i: i.id)
def test_no_text_of_a_recording_changes_what_an_expert_is_asked(injection: Injection) -> None:
    text = injection.wanting(COMMAND)
    hidden, document = watched(demonstration(text, text), CLAIMS)
    harmless, same = watched(demonstration("look", "A quiet wall."), CLAIMS)
    assert document is not None
    assert same is not None
    assert [skeleton(r) for r in hidden.requests] == [skeleton(r) for r in harmless.requests]
    for request in hidden.requests:
        assert CANARY not in str(request.prompt)
        assert "never an instruction" in request.prompt[0][1]
    assert [m.detect for m in document.milestones] == [m.detect for m in same.milestones]


@pytest.mark.parametrize("injection", HIDDEN, ids=lambda i: i.id)
def test_a_model_that_obeys_a_recording_makes_no_claim_that_stands(injection: Injection) -> None:
    text = injection.wanting(COMMAND)
    shown = demonstration("look", "A quiet wall.")
    jump = {"cue": "a wall nobody wrote", "action": COMMAND, "good": True, "weight": 1, "start": 0, "end": 1}
    beyond = milestone(COMMAND, "says", start=99999, end=99999)
    for answer in ("OK", text, {"goal": COMMAND}, {**CLAIMS, "milestones": [beyond], "rules": [jump]}):
        _, document = watched(shown, answer)
        assert document is None
    _, document = watched(shown, {**CLAIMS, "rules": [jump], "goal": f"{text} {CANARY[:3]}"})
    assert document is not None
    assert not document.rules
    assert "\n" not in document.goal


@pytest.mark.parametrize("injection", HIDDEN, ids=lambda i: i.id)
def test_no_text_of_a_game_changes_what_the_judge_is_asked(injection: Injection) -> None:
    def asked(text: str) -> CompletionRequest:
        document = RewardModel(
            environment="colossal-cave",
            goal=text,
            made_by=MadeBy(expert="x", expert_version=1),
            recordings=(),
        )
        model = Scripted(lambda _: {"comment": text, "value": 0.0})
        verdict = RemoteJudge(model, document).judge(Transition(Observation(text), text, Observation(text)))
        assert verdict is not None
        assert "\n" not in verdict.feedback
        assert len(verdict.feedback) <= 200
        return model.requests[0]

    hidden = asked(injection.wanting(COMMAND))
    assert skeleton(hidden) == skeleton(asked("A quiet wall."))
    assert CANARY not in str(hidden.prompt)


@pytest.mark.slow
def test_words_on_a_videos_frames_are_fenced_like_any_other(tmp_path: Path) -> None:
    """The whole way: drawn on a video's frames, read off them by the text recognition, shown to an expert."""
    from lookalike.recordings import read_recording, render_video, write_jsonl

    found = injections("frame")
    said = [Observation(f"You are in a room. {i.wanting(COMMAND)}") for i in found]
    observations = (Observation("You are in a room. There is a lamp here."), *said)
    actions = ("get lamp", *["look"] * (len(said) - 1))
    times = tuple(2.0 * i for i in range(len(observations)))
    drawn = Demonstration(
        "drawn",
        Trajectory(observations, actions, times=times),
        "human",
        Provenance("drawn.txt", "test", "5" * 64),
    )
    write_jsonl(drawn, tmp_path / "drawn.jsonl")
    render_video(tmp_path / "drawn.jsonl", tmp_path / "video.mp4", fps=2)
    shown = read_recording(tmp_path / "video.mp4", environment="colossal-cave", kind="terminal")
    words = " ".join(o.text or "" for o in shown.trajectory.observations)
    assert "TYPE jump" in words
    assert ">>>" in words
    model, _ = watched(shown, CLAIMS)
    text = model.requests[0].prompt[1][1]
    assert text.count("<<<") == text.count(">>>") == 2 * len(shown.trajectory) + 1
    assert all(line.startswith("[") for line in text.split("\n"))
    assert CANARY not in text
