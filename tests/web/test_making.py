"""What is made in the pages: a recording by keyboard, a reward model, a run, a council with a person."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from web_server import start, stop

from lookalike.recordings import read_recording
from lookalike.store import open_log

WAYS = ("brief", "enter", "get lamp", "get keys", "out")


class Clicks:
    """Counts what a person would have to press besides the keys of the game."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.count = 0

    def __call__(self, role: str, name: str) -> None:
        self.page.get_by_role(role, name=name).first.click()
        self.count += 1


def play_a_game(page: Any, commands: tuple[str, ...]) -> None:
    """Type commands, each after the answer to the one before."""
    for number, command in enumerate(commands, start=1):
        page.keyboard.type(command)
        page.keyboard.press("Enter")
        page.wait_for_selector(f".terminal .typed:nth-of-type({number})")
        page.locator(f"[data-at=state]:has-text('{number} commands')").wait_for()


def test_a_strangers_path_from_an_empty_store_to_a_swarm(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        click = Clicks(page)
        page.goto(served.url)
        click("link", "Play a game")
        click("button", "Start the game")
        page.wait_for_selector(".terminal .said")
        assert "END OF A ROAD" in page.locator(".terminal").inner_text()
        play_a_game(page, WAYS)
        click("button", "End and save")
        page.get_by_text("5 commands are saved").wait_for()
        click("button", "Let the expert watch it")
        page.wait_for_url("**/reward-models/*")
        assert "Took the lamp" in page.locator("main").inner_text()
        click("link", "Let the swarm play under it")
        # A person would press the button now; a test has no time for a language model's plays.
        for name in ("solo", "swarm+expert"):
            page.locator(f"input[name=conditions][value='{name}']").uncheck()
        page.get_by_text("Controls and variations").click()
        page.locator("input[name=conditions][value='uniform+expert']").check()
        page.locator("input[name=goals][value='lit-with-rod']").uncheck()
        click("button", "Start the run")
        page.wait_for_url("**/runs/*")
        assert click.count == 6
        page.locator(".facts .status.finished").wait_for()
        assert page.locator("a.cell").count() == 2
        recording = read_recording(next((tmp_path / "recordings").glob("*.jsonl")))
        assert recording.trajectory.actions == WAYS
        assert recording.player_kind == "human"
        assert recording.environment == "colossal-cave"
        assert (tmp_path / "recordings" / "colossal-cave-1.mp4").stat().st_size > 1000
    finally:
        stop(served)


def test_a_person_is_a_member_and_the_run_records_who_was_right(
    page: Any, tmp_path: Path, recorded: Path
) -> None:
    (tmp_path / "model.yaml").write_bytes((recorded / "reward-model.yaml").read_bytes())
    served = start(tmp_path)
    try:
        page.goto(f"{served.url}start?environment=colossal-cave")
        page.select_option("#along-goal", "lamp")
        page.select_option("#along-members", "random")
        page.get_by_role("button", name="Take a seat").click()
        page.wait_for_url("**/councils/*")
        seen = page.locator("[data-at=state]")
        for number, command in enumerate(("brief", "enter", "get lamp")):
            page.get_by_text(f"Your turn: step {number},").wait_for()
            assert command in page.locator("[data-at=recommended]").inner_text()
            assert page.locator(".proposal").count() == (0 if number == 0 else 4), "the others' come after"
            page.locator("#command").fill(command)
            page.keyboard.press("Enter")
        seen.get_by_text("The goal was reached.").wait_for()
        assert page.locator(".proposal", has_text="you").locator(".badge", has_text="right").count() == 1
        page.get_by_role("link", name="who was right").click()
        page.locator("a.cell.won").first.click()
        row = page.locator("tr", has=page.get_by_role("rowheader", name="you", exact=True))
        assert row.locator("td").all_inner_texts()[:2] == ["3", "3"]
        assert "3 of 3" in row.inner_text()
    finally:
        stop(served)
    with open_log(tmp_path / "play-along-lamp") as log:
        (summary,) = log.runs()
        assert summary.status == "finished"
        steps = [e for e in log.events(summary.run_id) if e.kind == "step_taken"]
        assert [step.proposals[0].role for step in steps] == ["you"] * 3
        assert [step.proposals[0].action for step in steps] == ["brief", "enter", "get lamp"]
        assert log.configuration(summary.run_id)["conditions"][0]["player"] == "human"


def test_a_person_sits_down_in_a_run_that_goes_on(page: Any, tmp_path: Path, recorded: Path) -> None:
    served = start(tmp_path)
    main = "from lookalike.cli import main; main()"
    asked = "experiment run demo/colossal-cave --goals lamp,bird --seeds 400-1999 --run long"
    asked += f" --conditions uniform+expert --reward-model {recorded / 'reward-model.yaml'}"
    run = subprocess.Popen(
        [sys.executable, "-c", main, *asked.split(), "--out", str(tmp_path / "long")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        page.goto(served.url)
        page.get_by_role("link", name="long", exact=True).click()
        page.get_by_role("button", name="Take a seat").click()
        page.wait_for_url("**/councils/*")
        number = 0
        while page.get_by_role("link", name="who was right").count() == 0:
            mine = page.get_by_text(f"Your turn: step {number},")
            mine.or_(page.get_by_role("link", name="who was right")).first.wait_for()
            if mine.count():
                assert page.locator(".proposal").count() == (0 if number == 0 else 5), (
                    "the others' come after"
                )
                said = page.locator("[data-at=recommended]").inner_text().partition(": ")[2].partition(",")[0]
                page.locator("#command").fill(said or "look")
                page.keyboard.press("Enter")
                number += 1
        assert run.poll() is None, "the run goes on"
        page.get_by_role("link", name="who was right").click()
        row = page.locator("tr", has=page.get_by_role("rowheader", name="you", exact=True))
        assert row.locator("td").first.inner_text() == str(number)
        assert "uniform+expert+you" in page.locator("h1").inner_text()
        page.locator(".crumbs a").last.click()
        page.get_by_role("rowheader", name=re.compile(r"uniform\+expert\+you")).first.wait_for()
        run.terminate()
        assert run.wait(60) != 0
        page.locator(".facts .status.stopped").wait_for()
        assert not page.get_by_role("button", name="Take a seat").is_visible()
        key = page.url.partition("/runs/")[2].partition("?")[0]
        status, _, answer = served.ask(f"/api/runs/{key}/seat", method="POST", body={})
        assert status == 422
        assert b"Nobody can sit down" in answer
    finally:
        run.kill()
        run.wait()
        stop(served)


def test_who_goes_away_leaves_what_was_played(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        page.goto(f"{served.url}start?environment=colossal-cave")
        page.select_option("#along-members", "random")
        page.get_by_role("button", name="Take a seat").click()
        page.get_by_text("Your turn").wait_for()
        page.locator("#command").fill("<script>alert(1)</script>")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("words only").wait_for()
        page.get_by_role("button", name="Leave").click()
        page.get_by_text("You left").wait_for()
        page.goto(served.url)
        assert "the person left" in page.locator("main").inner_text()
        page.goto(f"{served.url}play")
        page.get_by_role("button", name="Start the game").click()
        page.wait_for_selector(".terminal .said")
        play_a_game(page, ("enter",))
    finally:
        stop(served)
    log = tmp_path / "recordings" / "colossal-cave-1.jsonl"
    assert read_recording(log).trajectory.actions == ("enter",)
    assert '"event":"end"' in log.read_text().splitlines()[-1]


def test_a_video_without_text_is_read_when_the_expert_watches(tmp_path: Path, recorded: Path) -> None:
    from lookalike.web.jobs import Job
    from lookalike.web.state import Dashboard
    from lookalike.web.watching import watch_recording

    (tmp_path / "bare.mp4").write_bytes((recorded / "recording.mp4").read_bytes())
    dashboard = Dashboard(tmp_path)
    try:
        (found,) = dashboard.library.recordings()
        job = Job("job-1", "Watching")
        words, address = watch_recording(dashboard, found, "colossal-cave", job)
        assert "milestones" in words
        assert address.startswith("/reward-models/")
        assert job.fraction == 1.0
        assert read_recording(tmp_path / "demonstration.jsonl").provenance.reader == "terminal-video"
    finally:
        dashboard.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"environment": "colossal-cave", "goals": ["lamp"], "conditions": ["nothing"], "seeds": "1"},
            "conditions",
        ),
        ({"environment": "colossal-cave", "goals": [], "conditions": ["random"], "seeds": "1"}, "goals"),
        (
            {"environment": "nowhere", "goals": ["lamp"], "conditions": ["random"], "seeds": "1"},
            "environment",
        ),
        (
            {"environment": "colossal-cave", "goals": ["lamp"], "conditions": ["random"], "seeds": "1-9999"},
            "seeds",
        ),
        (
            {"environment": "colossal-cave", "goals": ["lamp"], "conditions": ["random"], "seeds": "x"},
            "Seeds",
        ),
        (
            {"environment": "colossal-cave", "goals": ["lamp"], "conditions": ["swarm+expert"], "seeds": "1"},
            "reward model",
        ),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused_with_a_reason(served: Any, body: Any, words: str) -> None:
    status, _, answer = served.ask("/api/start", method="POST", body=body)
    assert status == 422
    assert words in answer.decode()


def test_a_game_in_the_page_bounds_what_it_takes(served: Any) -> None:
    ask = served.ask
    assert ask("/api/games", method="POST", body={"environment": "nowhere"})[0] == 422
    assert ask("/api/games", method="POST", body={"environment": "colossal-cave", "seed": -1})[0] == 422
    assert ask("/api/games", method="POST", body={"environment": "colossal-cave", "licence": "<b>"})[0] == 422
    assert ask("/api/games/nothing/command", method="POST", body={"command": "look"})[0] == 422
    began = time.monotonic()
    assert ask("/api/games", method="POST", body={"environment": "x" * 70_000})[0] == 413
    assert time.monotonic() - began < 5
