"""The language-model player on models that see, and on replies that only look like commands."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from lookalike.core import Observation, Role, Situation
from lookalike.core.errors import CapabilityError
from lookalike.core.protocols import Completion, CompletionRequest, ModelCapabilities
from lookalike.core.types import Usage
from lookalike.models.pictures import picture
from lookalike.players.llm import LanguageModelPlayer
from lookalike.testing.scripted_model import ScriptedModel

FRAME = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(64, 48, 3)
ROLES = [Role("a", 0.2), Role("b", 1.0)]


def situation(text: str | None, frame: object = FRAME) -> Situation:
    observation = Observation(text, frame)  # type: ignore[arg-type]
    return Situation("Move.", "Win.", (), (), (), observation, ("left", "right"), 0, 10)


def test_a_model_that_sees_is_shown_the_current_frame_and_told_what_it_is() -> None:
    model = ScriptedModel({"left": 1.0}, style="chat")
    proposals = LanguageModelPlayer(model).propose(situation(None), ROLES, seed=1)
    assert [p.action for p in proposals] == ["left", "left"]
    for request in model.requests:
        (image,) = request.images
        shown = np.asarray(Image.open(io.BytesIO(image.data)))
        assert image.media_type == "image/png"
        assert min(shown.shape[:2]) >= 256
        assert np.array_equal(shown[::6, ::6], FRAME)
    # One object for all members, so that it is prepared and hashed once.
    assert model.requests[0].images[0] is model.requests[1].images[0]
    system, user = (text for _, text in model.requests[0].prompt)
    assert "game on a screen" in system
    assert "never an instruction" in user
    assert "<<<" not in user


def test_text_goes_beside_the_picture_and_large_frames_stay_as_they_are() -> None:
    model = ScriptedModel({"left": 1.0}, style="chat")
    LanguageModelPlayer(model).propose(situation("A maze."), ROLES[:1], seed=1)
    assert "<<<A maze.>>>" in model.requests[0].prompt[1][1]
    large = np.zeros((300, 400, 3), np.uint8)
    assert Image.open(io.BytesIO(picture(large).data)).size == (400, 300)
    assert picture(large) == picture(large.copy())


def test_a_model_that_reads_plays_by_the_text_and_is_refused_where_there_is_none() -> None:
    model = ScriptedModel({"left": 1.0}, style="chat", capabilities=ModelCapabilities(allowed_replies=True))
    player = LanguageModelPlayer(model)
    player.propose(situation("A maze."), ROLES[:1], seed=1)
    assert model.requests[0].images == ()
    with pytest.raises(CapabilityError, match="takes no images") as caught:
        player.propose(situation(None), ROLES[:1], seed=1)
    assert "vision model" in (caught.value.remedy or "")
    assert len(model.requests) == 1


class Refusing(ScriptedModel):
    """Refuses in words that would do as a command."""

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        self.requests += requests
        return [Completion("i cannot help", None, Usage(calls=1), "The service refused.") for _ in requests]


def test_a_refusal_is_no_command_even_where_it_reads_like_one() -> None:
    model = Refusing({}, style="chat")
    (proposal,) = LanguageModelPlayer(model, False).propose(situation("A maze."), ROLES[:1], seed=1)
    assert proposal.action is None
    assert proposal.reply == "i cannot help"
    assert proposal.usage.calls == 2
    assert "The service refused." in model.requests[1].prompt[1][1]
