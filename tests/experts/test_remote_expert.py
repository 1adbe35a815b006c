"""The remote expert: what it is shown, which claims stand, and what the document is worth afterwards.

The models here are scripted, and their replies are checked against the schema as the real back ends do it;
``tests/models`` has the back ends themselves, and ``tests/cli`` the whole way over a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jsonschema", reason="the extra 'remote' is not installed")

from lookalike.core.errors import CapabilityError, ModelError, RecordingError, UsageError
from lookalike.core.protocols import Completion, CompletionRequest, ModelCapabilities
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.environments import make_environment
from lookalike.experts import expert_names, make_expert
from lookalike.experts.remote import RemoteExpert
from lookalike.experts.remote_judge import JudgedScorer, RemoteJudge
from lookalike.experts.remote_showing import choose_changes, show_whole
from lookalike.models.remote.replies import schema_problem
from lookalike.recordings import shipped_play
from lookalike.rewards import RewardModel, RewardModelScorer, load_reward_model, save_reward_model
from lookalike.testing.scripted_model import ALL_CAPABILITIES, ScriptedModel

READS = replace(ALL_CAPABILITIES, images=0, video=False)
SEES = replace(ALL_CAPABILITIES, images=6, video=False)
AGREES = {"if_wrong": "No lamp.", "seen": "A lamp is taken.", "supported": True, "agreement": 0.9}


class Scripted(ScriptedModel):
    """A chat model whose replies are checked against the request's schema."""

    def __init__(
        self,
        script: Callable[[CompletionRequest], object],
        *,
        capabilities: ModelCapabilities = READS,
        name: str = "scripted",
    ) -> None:
        super().__init__(lambda _: "", style="chat", name=name, capabilities=capabilities)
        self.script = script

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        found = []
        for request, empty in zip(requests, super().complete(requests), strict=True):
            said = self.script(request)
            text = said if isinstance(said, str) else json.dumps(said)
            assert request.json_schema is not None
            found.append(replace(empty, text=text, problem=schema_problem(text, request.json_schema)))
        return found


def claim_of(said: str) -> str:
    """Return the claim that a second look is about, without its evidence."""
    return said.partition("The evidence:")[0]


def is_review(request: CompletionRequest) -> bool:
    return "supported" in dict(request.json_schema or {})["properties"]


def expert_of(
    *claims: dict[str, Any],
    review: dict[str, Any] | Callable[[str], dict[str, Any]] = AGREES,
    goal: str = "Get the treasure.",
    **more: Any,
) -> Scripted:
    """A model that claims these things, and says this about every claim."""

    def script(request: CompletionRequest) -> object:
        if is_review(request):
            return review(request.prompt[1][1]) if callable(review) else review
        listed: dict[str, Any] = {"goal": goal, "milestones": [], "rules": [], "hazards": []}
        for claim in claims:
            kind = "milestones" if "noticed_by" in claim else "rules" if "good" in claim else "hazards"
            listed[kind].append(claim)
        return listed

    return Scripted(script, **more)


def milestone(what: str = "lamp", noticed_by: str = "holds", **more: Any) -> dict[str, Any]:
    base = {"name": f"the {what}", "description": f"Has the {what}.", "kind": "acquisition", "value": 0.6}
    return {**base, "noticed_by": noticed_by, "what": what, "start": 2, "end": 2, **more}


@pytest.fixture(scope="module")
def walk() -> Demonstration:
    """The first 30 commands of a person's play of Colossal Cave; a second a step."""
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(2)
    commands = play.commands[:30]
    observations = [game.reset(seed=play.seed), *(game.step(c).observation for c in commands)]
    times = tuple(float(i) for i in range(len(observations)))
    trajectory = Trajectory(tuple(observations), commands, times=times)
    return Demonstration(
        "walk2", trajectory, "human", Provenance("walk2.txt", "test", "2" * 64, "Apache-2.0")
    )


def watch(model: Scripted | Sequence[Scripted], *demonstrations: Demonstration) -> RewardModel:
    models = [model] if isinstance(model, Scripted) else list(model)
    return RemoteExpert(models).watch(demonstrations, environment="colossal-cave")


def frames_only(count: int = 40) -> Demonstration:
    """A square that stands still for 20 pictures and then moves; half a second a picture."""
    observations = []
    for index in range(count):
        frame = np.zeros((64, 64, 3), np.uint8)
        at = max(0, index - 20)
        frame[at : at + 16, 8:40] = 255
        observations.append(Observation(None, frame))
    times = tuple(index / 2 for index in range(count))
    trajectory = Trajectory(tuple(observations), (None,) * (count - 1), times=times)
    return Demonstration("silent", trajectory, "human", Provenance("silent.mp4", "visual-video", "3" * 64))


def test_claims_become_the_document_and_the_document_pays(walk: Demonstration, tmp_path: Path) -> None:
    lamp_step = walk.trajectory.actions.index("get lamp")
    cue = "There is a shiny brass lamp nearby."
    model = watch(
        expert_of(
            milestone("lamp", start=lamp_step, end=lamp_step),
            milestone("Inside a building, a well house", "place", kind="visit", value=0.3, start=1, end=1),
            {"cue": cue, "action": "take lantern", "good": True, "weight": 0.5, "start": 2, "end": 3},
        ),
        walk,
    )
    assert [m.detect.key() for m in model.milestones] != []
    assert ("holds", "lamp") in [m.detect.key() for m in model.milestones]
    found = next(m for m in model.milestones if m.detect.holds)
    assert (found.value, found.evidence.start, found.evidence.start_s) == (0.6, lamp_step, float(lamp_step))
    assert found.agreement is not None
    assert (found.agreement.mean, found.agreement.spread, found.agreement.weak) == (0.9, 0.0, False)
    assert [r.action for r in model.rules] == ["get lamp"]
    assert model.made_by.expert == "remote"
    assert model.made_by.model == "scripted"
    assert model.recordings[0].content_hash == "2" * 64
    # The map and the way come from the recording, cut at the expert's milestones.
    assert "get lamp" in [s.do for p in model.pathways for s in p.steps]
    assert {p.to for p in model.pathways} <= {m.id for m in model.milestones}
    scorer = RewardModelScorer(model)
    scorer.start(walk.trajectory.observations[0])
    paid = [scorer.score(t).components for t in walk.trajectory.transitions()]
    assert paid[lamp_step][f"milestone:{found.id}"] == 0.6
    save_reward_model(model, tmp_path / "model.yaml")
    assert load_reward_model(tmp_path / "model.yaml") == model


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (milestone(start=5, end=99), "no steps 5 to 99"),
        (milestone(start=-1, end=2), "no steps -1 to 2"),
        (milestone(start=9, end=2), "runs backwards"),
        (milestone(start=1.5, end=2), "no steps 1.5 to 2"),
        (milestone("sceptre of doom"), "does not show"),
        (milestone("the dragon is asleep at last", "says"), "does not show"),
        (milestone(value=7), "value"),
        (milestone(name=""), "name"),
        (milestone(description="x" * 500), "description"),
        ({"cue": "A grue appears.", "action": "get lamp", "good": True, "weight": 1, "start": 0, "end": 1},
         "does not say"),
        ({"cue": "You are inside a building.", "action": "dance", "outcome": "Died.", "start": 0, "end": 1},
         "nobody typed"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_dropped_and_listed(
    walk: Demonstration, claim: dict[str, Any], why: str
) -> None:
    model = watch(expert_of(claim, milestone("cage", start=3, end=3)), walk)
    assert [m.detect.key() for m in model.milestones] == [("holds", "cage")]
    assert not model.rules
    assert not model.hazards
    (dropped,) = model.dropped
    assert why in dropped.reason
    assert dropped.expert == "scripted"
    with pytest.raises(RecordingError, match="stands"):
        watch(expert_of(claim), walk)


def test_the_second_pass_sees_the_claim_and_its_evidence_and_nothing_else(walk: Demonstration) -> None:
    def review(said: str) -> dict[str, Any]:
        return {**AGREES, "supported": "cage" not in claim_of(said), "agreement": 0.4}

    expert = expert_of(milestone("lamp"), milestone("cage", start=3, end=3), review=review)
    model = watch(expert, walk)
    assert [m.detect.holds for m in model.milestones] == ["lamp"]
    assert model.milestones[0].agreement is not None
    assert model.milestones[0].agreement.weak
    assert "0 of 1 found it supported" in model.dropped[0].reason
    first, *reviews = expert.requests
    assert len(reviews) == 2
    assert "[step 29" in first.prompt[1][1]
    for request in reviews:
        assert "[step 2," in request.prompt[1][1]
        assert "[step 9" not in request.prompt[1][1]
        assert "if_wrong" in request.prompt[0][1]


def test_several_experts_are_merged_with_mean_and_spread_and_weak_ones_flagged(walk: Demonstration) -> None:
    def sure(said: str) -> dict[str, Any]:
        return {**AGREES, "agreement": 1.0}

    def doubts(said: str) -> dict[str, Any]:
        return {**AGREES, "agreement": 0.2 if "cage" in claim_of(said) else 0.8}

    one = expert_of(milestone("lamp", value=0.4), review=sure, name="one")
    two = expert_of(
        milestone("lamp", value=0.8), milestone("cage", start=3, end=3), review=doubts, name="two"
    )
    broken = Scripted(lambda _: "{}", name="broken")
    told: list[str] = []
    expert = RemoteExpert([one, two, broken], notify=told.append)
    model = expert.watch([walk], environment="colossal-cave")
    by_thing = {m.detect.holds: m for m in model.milestones}
    lamp, keys = by_thing["lamp"].agreement, by_thing["cage"].agreement
    assert lamp is not None
    assert keys is not None
    assert (lamp.mean, lamp.spread, lamp.experts, lamp.claimed_by, lamp.weak) == (0.9, 0.1, 2, 2, False)
    assert (keys.mean, keys.spread, keys.experts, keys.claimed_by, keys.weak) == (0.6, 0.4, 2, 1, True)
    assert by_thing["lamp"].value == 0.6
    assert model.made_by.model == "one, two, broken"
    assert any("broken could not be used" in sentence for sentence in told)
    # Two claims, two passes, and the broken one asked once more each time.
    assert expert.usage.calls == 3 + 1 + 3 * 2 + 2
    with pytest.raises(ModelError, match="No expert could be used"):
        RemoteExpert([broken]).watch([walk], environment="colossal-cave")


def test_a_reply_with_extra_or_missing_fields_is_asked_for_again_with_the_reason(walk: Demonstration) -> None:
    replies = iter(["not JSON", {"goal": "x", "milestones": [milestone()], "rules": [], "hazards": []}])

    def script(request: CompletionRequest) -> object:
        return AGREES if is_review(request) else next(replies)

    expert = Scripted(script)
    assert watch(expert, walk).milestones
    assert "no JSON" in expert.requests[1].prompt[-1][1]
    for wrong in ({"goal": "x"}, {"goal": "x", "milestones": [], "rules": [], "hazards": [], "also": 1}):
        with pytest.raises(ModelError, match="No expert could be used"):
            watch(Scripted(lambda _, wrong=wrong: wrong), walk)


def test_pictures_are_chosen_where_the_picture_changes() -> None:
    frames = [o.frame for o in frames_only().trajectory.observations if o.frame is not None]
    chosen = choose_changes(frames, 6)
    assert chosen[0] == 0
    assert chosen[-1] == 39
    assert len(chosen) <= 6
    assert not [i for i in chosen if 0 < i <= 20]
    assert choose_changes([frames[0]] * 10, 6) == [0]
    assert choose_changes(frames, 1) in ([0], [39])
    assert choose_changes([], 6) == []


def test_a_silent_recording_is_watched_in_pictures_with_times_within_the_budget() -> None:
    shown = frames_only()
    claim = milestone("a square at the bottom", "says", kind="event", start=9.5, end=19.0)
    expert = expert_of(claim, milestone("x", "says", start=3, end=400), capabilities=SEES)
    model = watch(expert, shown)
    (first, *_) = expert.requests
    assert 2 <= len(first.images) <= 6
    assert "in seconds" in first.prompt[0][1]
    assert first.prompt[1][1].startswith("Images: 1 at step 0, 0.0 s; 2 at step")
    (found,) = model.milestones
    assert (found.evidence.start, found.evidence.end, found.evidence.start_s) == (19, 38, 9.5)
    assert "ends at 19.5 s" in model.dropped[0].reason
    assert all(1 <= len(review.images) <= 4 for review in expert.requests[1:])
    small = RemoteExpert([expert], budget_tokens=2_000)
    small.watch([shown], environment="procgen:maze")
    assert len(expert.requests[-2].images) == 2
    with pytest.raises(CapabilityError, match="neither video nor images") as caught:
        watch(expert_of(claim), shown)
    assert "vision model" in (caught.value.remedy or "")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lookalike.recordings.video_writer import VideoWriter

    path = tmp_path_factory.mktemp("video") / "silent.mp4"
    with VideoWriter(path, width=160, height=96, fps=4) as writer:
        for index in range(40):
            frame = np.zeros((96, 160, 3), np.uint8)
            frame[8:40, max(0, index - 20) * 4 : max(0, index - 20) * 4 + 60] = 255
            writer.add(frame)
    return path


def test_a_model_that_takes_videos_is_sent_the_file_and_others_pictures_of_it(video: Path) -> None:
    from lookalike.recordings import read_visual_video

    shown = read_visual_video(video, licence="CC0-1.0")
    whole = show_whole(shown, has=ALL_CAPABILITIES, video=video, budget_tokens=9_000)[0]
    assert whole.video is not None
    assert (whole.video.data, whole.video.media_type) == (video.read_bytes(), "video/mp4")
    assert not whole.pictures
    seen = show_whole(shown, has=SEES, video=video, budget_tokens=9_000)[0]
    assert seen.video is None
    assert 2 <= len(seen.pictures) <= 6
    assert [p.time_s for p in seen.pictures] == sorted(p.time_s or 0.0 for p in seen.pictures)
    assert not [p for p in seen.pictures if 0 < (p.time_s or 0) < 4.9]  # nothing moves there


def test_a_video_above_the_services_limit_is_sampled_and_that_is_said(video: Path) -> None:
    from lookalike.recordings import read_visual_video

    class Small(Scripted):
        def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if any(request.video is not None for request in requests):
                raise CapabilityError("A video is larger than the service takes.", got="9 GB")
            return super().complete(requests)

    inner = expert_of(milestone("x", "says", start=0, end=2), capabilities=ALL_CAPABILITIES)
    model = Small(inner.script, capabilities=ALL_CAPABILITIES)
    told: list[str] = []
    shown = read_visual_video(video, licence="CC0-1.0")
    expert = RemoteExpert([model], notify=told.append)
    expert.videos[shown.id] = video
    assert expert.watch([shown], environment="procgen:maze").milestones
    assert model.requests[0].images
    assert any("9 GB" in said and "sampled" in said for said in told)


def test_a_recording_longer_than_the_budget_is_watched_in_parts_and_that_is_said(walk: Demonstration) -> None:
    told: list[str] = []
    expert = expert_of(milestone("cage", start=3, end=3))
    RemoteExpert([expert], budget_tokens=500, notify=told.append).watch([walk], environment="colossal-cave")
    parts = [request for request in expert.requests if not is_review(request)]
    assert len(parts) > 1
    assert all(len(request.prompt[1][1]) <= 4 * 500 + 400 for request in parts)
    assert "[step 29" in parts[-1].prompt[1][1]
    assert "parts" in told[0]


def test_a_model_without_schemas_is_refused_before_anything_is_watched() -> None:
    with pytest.raises(CapabilityError, match="json_schema") as caught:
        RemoteExpert([expert_of(capabilities=ModelCapabilities())])
    assert "json_schema: true" in (caught.value.remedy or "")
    with pytest.raises(CapabilityError, match="json_schema"):
        make_expert("remote", models=["embedded"])
    with pytest.raises(ModelError, match="needs a model"):
        make_expert("remote")
    with pytest.raises(UsageError, match="asks no models"):
        make_expert("embedded-text", models=["embedded"])
    assert "remote" in expert_names()


# --- the same expert, live -------------------------------------------------------------------------------


def judging(*said: object, **more: Any) -> Scripted:
    replies = iter(said)
    return Scripted(lambda _: next(replies), **more)


def test_the_judge_speaks_where_the_document_is_silent_and_is_counted(walk: Demonstration) -> None:
    document = watch(expert_of(milestone("lamp")), walk)
    model = judging({"comment": "That\nwas  wise.", "value": 0.5}, {"comment": "No.", "value": -0.25})
    judge = RemoteJudge(model, document)
    scorer = JudgedScorer(RewardModelScorer(document), judge)
    scorer.start(walk.trajectory.observations[0])
    first = scorer.score(walk.trajectory.transitions()[0])
    assert judge.asked == (0 if "judge" not in first.components else 1)
    silent = Transition(walk.trajectory.observations[1], "wave", walk.trajectory.observations[1])
    verdict = scorer.copy().score(silent)
    assert verdict.components == {"judge": verdict.value}
    assert judge.take_usage().calls == judge.asked >= 1
    assert judge.take_usage().calls == 0
    said = model.requests[-1].prompt[1][1]
    assert "<<<wave>>>" in said
    assert "<<<Has the lamp.>>>" in said
    spoken = Transition(walk.trajectory.observations[1], "get lamp", Observation("Taken."))
    before = judge.asked
    assert "judge" not in scorer.score(spoken).components
    assert judge.asked == before


def test_a_verdict_that_cannot_be_meant_is_asked_for_once_more_and_then_there_is_none(
    walk: Demonstration,
) -> None:
    document = watch(expert_of(milestone("lamp")), walk)
    transition = walk.trajectory.transitions()[0]
    model = judging({"comment": "x", "value": 9}, {"comment": "Better.", "value": 1})
    found = RemoteJudge(model, document).judge(transition)
    assert found is not None
    assert (found.value, found.feedback) == (1.0, "Better.")
    assert "not between -1 and 1" in model.requests[1].prompt[1][1]
    judge = RemoteJudge(judging("nothing", "nothing"), document)
    assert judge.judge(transition) is None
    assert (judge.asked, judge.unanswered, judge.take_usage().calls) == (1, 1, 2)


def test_the_judge_sees_frames_where_there_is_nothing_to_read() -> None:
    document = watch(expert_of(milestone("x", "says", start=0, end=1), capabilities=SEES), frames_only())
    model = judging({"comment": "Closer.", "value": 0.1}, capabilities=SEES)
    RemoteJudge(model, document).judge(frames_only().trajectory.transitions()[25])
    assert len(model.requests[0].images) == 2
    assert "second image shows what was seen after" in model.requests[0].prompt[1][1]
