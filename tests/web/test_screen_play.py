"""Games played in the page by keys: every kind of environment, written down as it is played, filmed after."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_server import start, stop, until

from lookalike.core.errors import LookalikeError, RecordingError, UnknownNameError, UsageError
from lookalike.environments import make_environment
from lookalike.recordings import read_recording
from lookalike.store import open_log
from lookalike.web import screen_play
from lookalike.web.library import Library
from lookalike.web.recorder import Games, make_video

needs_procgen = pytest.mark.skipif(
    importlib.util.find_spec("procgen") is None, reason="Procgen is not installed (make visual)"
)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    found = Library(tmp_path)
    yield found
    found.close()


@pytest.fixture
def games(library: Library) -> Iterator[Games]:
    found = Games(library)
    yield found
    found.close()


def test_every_action_has_keys_of_its_own() -> None:
    directions = ("left", "left up", "up", "right up", "right", "noop", "fire", "throw slanting up")
    found = screen_play.keys_for(directions)
    assert found["left"] == ["ArrowLeft"]
    assert found["left up"] == ["ArrowLeft", "ArrowUp"]
    assert found["fire"] == [" "]
    doom = ("forward", "forward + turn left", "turn left + attack", "strafe left", "use", "noop")
    assert screen_play.keys_for(doom)["forward + turn left"] == ["ArrowUp", "ArrowLeft"]
    strange = (*(f"thing {i}" for i in range(20)), "left", "turn left")
    for actions in (directions, doom, strange):
        keys = screen_play.keys_for(actions)
        assert set(keys) == set(actions)
        assert len({tuple(sorted(held)) for held in keys.values()}) == len(actions)


@pytest.mark.parametrize(
    "environment",
    [
        "colossal-cave",
        "zork1",
        "procgen:maze",
        "minigrid:BabyAI-GoToLocal-v0",
        "vizdoom:freedoom1-e1m4",
        "gymnasium:CartPole-v1",
    ],
)
def test_any_environment_is_played_recorded_and_read_again(games: Games, environment: str) -> None:
    try:
        make_environment(environment, isolated=False).close()
    except UnknownNameError:
        raise
    except LookalikeError as error:
        pytest.skip(f"{environment}: {error.what}")
    game = games.start(environment, seed=3, licence="CC0-1.0")
    chosen = game.actions()[:2] * 2
    assert chosen, "every one of these says what can be done"
    for action in chosen:
        games.command(game.key, action)
    state = game.state()
    assert (state["frame"] is not None) == game.on_screen
    games.finish(game.key)
    video = make_video(game.log.path, lambda _: None, played=environment)
    assert video.stat().st_size > 500
    read = read_recording(game.log.path)
    assert read.trajectory.actions == chosen
    assert read.player_kind == "human"
    assert read.environment == environment
    assert read.started_with == 3
    if game.on_screen:
        assert read.trajectory.observations[0].frame is not None


@needs_procgen
def test_a_screen_game_takes_only_its_actions_and_only_levels_for_recordings(games: Games) -> None:
    with pytest.raises(UsageError, match="level"):
        games.start("procgen:maze", seed=10_000, licence="CC0-1.0")
    game = games.start("procgen:maze", seed=1, licence="CC0-1.0")
    with pytest.raises(UsageError, match="no such action"):
        games.command(game.key, "open sesame")
    assert games.finish(game.key).log.path.exists() is False, "nothing was played"


@needs_procgen
def test_a_play_that_was_cut_off_is_filmed_later(library: Library, tmp_path: Path) -> None:
    games = Games(library)
    game = games.start("procgen:coinrun", seed=4, licence="CC0-1.0")
    for _ in range(6):
        games.command(game.key, "right")
    # The server dies here: nobody closes the log.
    game.environment.close()
    library.forget()
    (found,) = library.recordings()
    assert screen_play.waits_for_film(found.path)
    screen_play.film(found.path, lambda _: None)
    assert read_recording(found.path).trajectory.actions == ("right",) * 6
    library.forget()
    assert [f.path.suffix for f in library.recordings()] == [".mp4"]


def test_a_file_cannot_name_code_to_be_loaded(tmp_path: Path) -> None:
    log = tmp_path / "strange.jsonl"
    header = {
        "format": "lookalike-frame-actions",
        "version": 1,
        "environment": "gymnasium:antigravity:Nothing-v0",
        "seed": 1,
    }
    log.write_text(json.dumps(header) + '\n{"action": "left"}\n')
    with pytest.raises(RecordingError, match="file's word"):
        screen_play.film(log, lambda _: None)


@needs_procgen
def test_a_screen_game_is_played_by_keys_and_saved(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        page.goto(f"{served.url}play")
        page.select_option("#environment", "procgen:maze")
        page.get_by_role("button", name="Start the game").click()
        state = page.locator("[data-at=state]")
        state.get_by_text("0 actions").wait_for()
        for number, key in enumerate(("ArrowRight", "ArrowUp", "."), start=1):
            page.keyboard.press(key)
            state.get_by_text(f"{number} actions").wait_for()
        page.keyboard.press("z")  # no key of this game
        page.get_by_role("button", name=re.compile("^left")).click()
        state.get_by_text("4 actions").wait_for()
        until(page, "document.querySelector('[data-at=frame]').naturalWidth === 512")
        page.select_option("#pace", "66")
        page.keyboard.down("ArrowRight")
        state.get_by_text(re.compile(r"^(?:[7-9]|\d\d+) actions|over after")).wait_for()
        page.keyboard.up("ArrowRight")
        page.get_by_role("button", name="End and save").click()
        page.get_by_text("are saved as procgen-maze-1.jsonl").wait_for()
        page.locator("[data-do=see][href*='/recordings/']").wait_for()
        page.get_by_role("button", name="Let the expert watch it").click()
        # It learns for minutes, in a process of its own; here it is enough that it begins and can be stopped.
        page.get_by_text("Watching procgen-maze-1.mp4").wait_for()
        jobs = (f"/api/jobs/job-{number}" for number in (2, 3, 4))
        watching = next(job for job in jobs if "Watching" in served.get(job))
        while not json.loads(served.get(watching))["command"]:
            page.wait_for_timeout(50)
        assert "--expert embedded-visual" in json.loads(served.get(watching))["command"]
        served.ask(f"{watching}/stop", method="POST", body={})
        page.locator(".saved .bad-ink").wait_for()
        page.goto(f"{served.url}recordings")
        page.get_by_role("link", name="recordings/procgen-maze-1.mp4").click()
        page.locator(".turns > li").first.wait_for()
        assert page.locator(".turns > li").count() >= 7
        assert "right" in page.locator(".turns > li").first.inner_text()
    finally:
        stop(served)
    actions = read_recording(tmp_path / "recordings" / "procgen-maze-1.mp4").trajectory.actions
    assert actions[:4] == ("right", "up", "noop", "left")
    assert set(actions[4:]) <= {"right", "noop"}


@needs_procgen
def test_a_person_sits_in_a_council_over_pictures(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        page.goto(f"{served.url}start?environment=procgen:maze")
        page.get_by_role("button", name="Take a seat").click()
        for number in range(2):
            page.get_by_text(f"Your turn: step {number},").wait_for()
            page.get_by_role("button", name="right", exact=True).click()
        page.get_by_text("Your turn: step 2,").wait_for()
        page.locator("[data-at=frame][src*=frame]").wait_for()
        page.get_by_role("button", name="Leave").click()
        page.get_by_text("You left").wait_for()
        page.get_by_role("link", name="who was right").click()
        page.get_by_role("link", name=re.compile("broken off")).click()
        page.wait_for_selector("#replay[data-shown='1']")
        page.locator("[data-at=observation] img").wait_for()
        page.locator("[data-at=next] img").wait_for()
    finally:
        stop(served)
    with open_log(tmp_path / "play-along-complete") as log:
        (summary,) = log.runs()
        steps = [e for e in log.events(summary.run_id) if e.kind == "step_taken"]
        assert [step.proposals[0].action for step in steps] == ["right", "right"]
        assert all(step.next_frame for step in steps)
