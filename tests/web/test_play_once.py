"""``lookalike record`` of a game on the screen: a page in the browser, a video and its actions in the end."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from web_server import PATIENCE_MS, Served

from lookalike.recordings import read_recording

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("procgen") is None, reason="Procgen is not installed (make visual)"
)

MAIN = "from lookalike.cli import main; main()"


def record(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "record", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def opened(process: subprocess.Popen[str]) -> Served:
    """Wait until the page answers."""
    assert process.stderr is not None
    words = ""
    while (found := re.search(r"Play at (http://\S+?:(\d+)/play)", words)) is None:
        line = process.stderr.readline()
        assert line, f"the page did not open: {words}"
        words += line
    return Served(process, found[1], int(found[2]), words)


def say(served: Served, path: str, **body: Any) -> Any:
    status, _, answer = served.ask(path, method="POST", body=body)
    assert status == 200, answer
    return json.loads(answer)


def ended(process: subprocess.Popen[str]) -> str:
    out, trouble = process.communicate(timeout=PATIENCE_MS / 1000)
    assert process.returncode == 0, trouble
    return out


def test_a_play_in_the_page_becomes_the_video_that_was_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "mine.mp4"
    arguments = ["--seed", "4", "--licence", "CC0-1.0", "--no-browser", "--port", "0", "--json"]
    process = record("procgen:maze", "--out", str(out), *arguments)
    page = opened(process)
    shown = page.get("/play")
    assert "procgen:maze" in shown
    assert "mine.mp4" in shown
    assert 'value="4"' in shown
    game = say(page, "/api/games", environment="procgen:maze", seed=4, licence="CC0-1.0")["key"]
    for action in ("right", "up", "right"):
        say(page, f"/api/games/{game}/command", command=action)
    say(page, f"/api/games/{game}/finish")
    assert json.loads(ended(process)) == {"video": str(out), "log": str(tmp_path / "mine.jsonl"), "steps": 3}
    read = read_recording(out)
    assert read.trajectory.actions == ("right", "up", "right")
    assert (read.player_kind, read.environment, read.started_with) == ("human", "procgen:maze", 4)


def test_an_interrupted_play_is_kept_and_filmed(tmp_path: Path) -> None:
    out = tmp_path / "mine.mp4"
    process = record("procgen:maze", "--out", str(out), "--seed", "4", "--no-browser", "--port", "0")
    page = opened(process)
    game = say(page, "/api/games", environment="procgen:maze", seed=4)["key"]
    say(page, f"/api/games/{game}/command", command="right")
    process.send_signal(signal.SIGINT)
    assert "1 action(s)" in ended(process)
    assert read_recording(out).trajectory.actions == ("right",)


def test_actions_of_a_file_are_filmed(tmp_path: Path) -> None:
    script, out = tmp_path / "script.txt", tmp_path / "scripted.mp4"
    script.write_text("right\nup\n")
    assert "2 action(s)" in ended(record("procgen:maze", "--out", str(out), "--replay", str(script)))
    read = read_recording(out)
    assert read.trajectory.actions == ("right", "up")
    assert read.player_kind == "scripted"


@pytest.mark.parametrize(
    ("name", "seed", "words"),
    [
        ("play.webm", "4", "filmed as .mp4"),
        ("play.mp4", "10000", "level"),
        ("there.mp4", "4", "of that name already"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_anybody_plays(
    tmp_path: Path, name: str, seed: str, words: str
) -> None:
    (tmp_path / "there.jsonl").write_text("somebody's\n")
    process = record(
        "procgen:maze", "--out", str(tmp_path / name), "--seed", seed, "--no-browser", "--port", "0"
    )
    _, trouble = process.communicate(timeout=PATIENCE_MS / 1000)
    assert process.returncode != 0
    assert words in trouble
    assert (tmp_path / "there.jsonl").read_text() == "somebody's\n"
