"""Every page in a real browser, through the real server, over a real run."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from web_server import PATIENCE_MS, Served, start, stop, until

from lookalike.rewards import load_reward_model
from lookalike.store import open_log
from lookalike.web.library import FoundRun


def open_run(served: Served, page: Any) -> None:
    page.goto(served.url)
    page.get_by_role("link", name="short", exact=True).click()
    page.wait_for_selector("h1:has-text('short')")


def open_episode(served: Served, page: Any, cell: str = "a.cell.won") -> None:
    open_run(served, page)
    page.goto(f"{page.url}?condition=uniform%2Bexpert")
    page.locator(cell).first.click()
    page.wait_for_selector("#replay[data-shown]")


def test_a_run_is_listed_with_everything_a_reader_must_know(served: Served, page: Any) -> None:
    page.goto(served.url)
    row = page.locator("tr", has=page.get_by_role("link", name="short", exact=True))
    text = row.inner_text()
    assert "finished" in text
    assert "4 of 4 plays" in text
    assert "%" in text
    assert "actions listed" in text
    assert "none: no model asked" in text


def test_a_run_shows_its_table_plots_and_differences(served: Served, page: Any) -> None:
    open_run(served, page)
    assert page.get_by_role("rowheader", name=re.compile("uniform.expert")).count() >= 1
    drawings = page.locator("svg.plot")
    assert drawings.count() >= 3
    assert "95% interval" in drawings.first.get_attribute("aria-label")
    assert page.get_by_text("The same goals and seeds, compared").is_visible()
    assert "recommendation: yes" in page.locator(".handicaps").inner_text()
    page.select_option("#condition", "random")
    page.get_by_role("button", name="Show").click()
    assert page.locator("a.cell").count() == 2


def test_the_replay_steps_by_button_keyboard_and_slider(served: Served, page: Any) -> None:
    open_episode(served, page)
    page.get_by_role("button", name="To the start").click()
    page.wait_for_selector("#replay[data-shown='0']")
    assert "The game begins" in page.locator("[data-at=decision]").inner_text()
    page.get_by_role("button", name="One step on").click()
    page.wait_for_selector("#replay[data-shown='1']")
    assert page.locator(".proposal").count() == 4
    assert page.locator(".proposal.decided").count() >= 1
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#replay[data-shown='2']")
    page.keyboard.press("End")
    until(page, "document.querySelector('#replay').dataset.shown == document.querySelector('.scrub').max")
    assert "goal reached" in page.locator("[data-at=decision]").inner_text()
    page.keyboard.press("Home")
    page.wait_for_selector("#replay[data-shown='0']")
    page.keyboard.press(" ")
    page.wait_for_selector("#replay[data-shown='2']")
    page.keyboard.press(" ")
    page.locator(".scrub").fill("3")
    page.wait_for_selector("#replay[data-shown='3']")


def test_a_link_leads_to_the_exact_step(served: Served, page: Any) -> None:
    open_episode(served, page)
    address = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(f"{address}#step=1")
    page.wait_for_selector("#replay[data-shown='2']")
    assert page.locator(".place").inner_text().startswith("Step 1 ")
    assert page.get_by_role("link", name="Link to this step").get_attribute("href") == "#step=1"


def test_the_replay_jumps_to_the_first_divergence_from_the_recording(
    served: Served, page: Any, recorded: Path
) -> None:
    from lookalike.recordings import read_recording

    person = read_recording(recorded / "demonstration.jsonl").trajectory.actions
    open_episode(served, page, "a.cell")
    page.get_by_role("button", name="First divergence").click()
    until(page, "document.querySelector('.place').textContent.startsWith('Step')")
    step = int(re.match(r"Step (\d+)", page.locator(".place").inner_text())[1])
    decided = page.locator("[data-at=decision]").inner_text().split("\n")[0]
    last = "goal reached" in page.locator("[data-at=decision]").inner_text()
    assert last or person[step] not in decided


def test_a_switched_off_milestone_changes_the_verdicts_at_once(served: Served, page: Any) -> None:
    page.goto(f"{served.url}reward-models")
    page.get_by_role("link", name="short/reward-model.yaml", exact=True).click()
    page.wait_for_selector(".verdicts tbody tr")
    page.select_option("#try-episode", label="lamp, seed 301, uniform+expert")
    words = page.locator(".verdict-words")
    # Its sum is not that of the episode shown before.
    until(page, "document.querySelector('.verdict-words').textContent.includes('+0.40 stored')")
    stored, whole = re.findall(r"[+−][\d.]+", words.inner_text())[:2]
    assert stored == whole, "with all parts on, the verdicts are those that were stored"
    assert page.locator("tr.changed").count() == 0
    page.locator(".switch[data-component='milestone:get-lamp']").uncheck()
    page.wait_for_selector("tr.changed")
    assert "1 switched off" in words.inner_text()
    page.get_by_role("button", name="All on").click()
    until(page, "!document.querySelector('tr.changed')")


def test_evidence_plays_from_its_second(served: Served, page: Any) -> None:
    page.goto(f"{served.url}reward-models")
    page.get_by_role("link", name="short/reward-model.yaml", exact=True).click()
    button = page.locator("tr", has_text="Took the lamp").locator(".clip").first
    start_s = float(button.get_attribute("data-start"))
    assert start_s > 1
    state = """() => { const v = document.querySelector("#clip video");
        return v === null ? {} : {at: v.currentTime, ready: v.readyState, network: v.networkState}; }"""
    seen = []
    for _ in range(3):  # on a machine with much else to do the browser's own player stalls now and then
        button.click()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and page.evaluate(state).get("at", -1) < start_s:
            page.wait_for_timeout(100)
        seen.append(page.evaluate(state))
        if seen[-1].get("at", -1) >= start_s:
            break
        page.reload()
    assert seen[-1].get("at", -1) >= start_s, seen
    assert page.locator("#clip").is_visible()
    page.locator("#clip").get_by_role("button", name="Close").click()
    assert not page.locator("#clip").is_visible()


def test_differences_between_two_versions_are_named(served: Served, page: Any, played: Path) -> None:
    from lookalike.rewards import save_reward_model

    model = load_reward_model(played / "short" / "reward-model.yaml")
    changed = model.without(["milestone:get-lamp"]).reweighted("progress", 0.3)
    save_reward_model(changed, played / "changed.yaml")
    try:
        page.goto(f"{served.url}reward-models")
        page.get_by_role("link", name="short/reward-model.yaml", exact=True).click()
        page.select_option("#other", label="changed.yaml")
        page.get_by_role("button", name="Show differences").click()
        table = page.locator("main table").inner_text()
        assert "milestone:get-lamp" in table
        assert "removed" in table
        assert "0.3" in table
    finally:
        (played / "changed.yaml").unlink()


def test_a_page_shows_what_was_saved_the_moment_before(tmp_path: Path, recorded: Path) -> None:
    document = (recorded / "reward-model.yaml").read_bytes()
    (tmp_path / "first.yaml").write_bytes(document)
    served = start(tmp_path)
    try:
        first = re.search(r"/reward-models/[0-9a-f]{16}", served.get("/reward-models"))
        assert first is not None
        for number in range(3):  # each asked for within the second after the listing before
            (tmp_path / f"saved-{number}.yaml").write_bytes(document)
            assert f"saved-{number}.yaml" in served.get(first[0])
            (tmp_path / f"listed-{number}.yaml").write_bytes(document)
            assert f"listed-{number}.yaml" in served.get("/reward-models")
        (tmp_path / "saved-0.yaml").unlink()
        assert "saved-0.yaml" not in served.get(first[0])
        (tmp_path / "recordings").mkdir()
        (tmp_path / "recordings" / "play.txt").write_text("> look\n")
        assert "play.txt" in served.get("/recordings")
        (tmp_path / "fresh").mkdir()
        with open_log(tmp_path / "fresh") as log:
            log.start_run("fresh", {"experiment": "none"}, package_version="0")
            listing = served.get("/")
            assert ">fresh<" in listing
            run = re.search(r"/runs/[0-9a-f]{16}", listing)
            assert run is not None
            assert "cannot be computed" in served.get(run[0]), "a run that says nothing of itself is shown"
            assert served.get(first[0])
    finally:
        stop(served)


def test_a_recording_shows_video_and_text_side_by_side(served: Served, page: Any) -> None:
    page.goto(f"{served.url}recordings")
    page.get_by_role("link", name=re.compile("recording.mp4")).click()
    until(page, "document.querySelector('video')?.readyState >= 1")
    assert page.locator(".turns > li").count() == 17
    page.locator(".seek").nth(5).click()
    page.wait_for_selector("#step-5.now")
    page.wait_for_selector(".progress-plot .curve")
    until(page, "document.querySelector('[data-value=\"2\"]').textContent !== ''")


def test_a_video_that_the_browser_cannot_play_is_shown_picture_by_picture(
    served: Served, page: Any, played: Path, recorded: Path
) -> None:
    import av

    path = played / "recordings" / "old-codec.mp4"
    path.parent.mkdir(exist_ok=True)
    with av.open(str(recorded / "recording.mp4")) as source, av.open(str(path), "w") as target:
        shown_stream = source.streams.video[0]
        stream = target.add_stream("mpeg4", rate=10)  # MPEG-4 part 2: no browser plays it
        stream.width, stream.height = shown_stream.width // 4 * 2, shown_stream.height // 4 * 2
        for number, frame in enumerate(source.decode(video=0)):
            if number >= 60:
                break
            small = frame.reformat(stream.width, stream.height, "yuv420p")
            target.mux(stream.encode(small))
        target.mux(stream.encode())
    try:
        page.goto(f"{served.url}recordings")
        page.get_by_role("link", name=re.compile("old-codec")).click()
        page.wait_for_selector("[data-mode=frames]")
        until(page, "document.querySelector('.screen img').naturalWidth > 0")
        assert "cannot" in page.locator(".screen").inner_text()
        page.locator(".screen .scrub").fill("4")
        page.wait_for_selector(".screen img[data-time='4']")
    finally:
        path.unlink()


def test_a_run_is_followed_while_another_process_writes_it(played: Path, page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        page.goto(served.url)
        assert page.get_by_text("No runs yet").is_visible()
        main = "from lookalike.cli import main; main()"
        asked = (
            "experiment run demo/colossal-cave --goals lamp,bird --conditions random --seeds 400-439 --out"
        )
        run = subprocess.Popen(
            [sys.executable, "-c", main, *asked.split(), str(tmp_path / "growing")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        page.get_by_role("link", name="demo/colossal-cave").click()
        counts: set[str] = set()
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < deadline and "finished" not in page.locator(".facts .status").inner_text():
            counts.add(page.locator(".facts progress").get_attribute("value"))
            page.wait_for_timeout(200)
        assert run.wait(PATIENCE_MS / 1000) == 0
        page.wait_for_selector(".facts .status.finished")
        assert len(counts) >= 2
        assert page.locator(".facts progress").get_attribute("value") == "80"
        assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    finally:
        stop(served)


def test_an_episode_is_followed_while_another_process_writes_it(
    page: Any, tmp_path: Path, run: FoundRun
) -> None:
    number = next(e.number for e in run.browser.episodes(run.run_id) if e.key.condition == "uniform+expert")
    key = run.browser.episode(run.run_id, number).key
    events = list(run.log.events(run.run_id, episode=key))
    (tmp_path / "growing").mkdir()
    served = start(tmp_path)
    try:
        with open_log(tmp_path / "growing") as log, log.hold("growing"):
            log.start_run("growing", run.log.configuration(run.run_id), package_version="0")
            log.append("growing", events[:2])
            page.goto(served.url)
            page.get_by_role("link", name="growing", exact=True).click()
            page.goto(f"{page.url}?condition=uniform%2Bexpert")
            page.get_by_role("link", name=re.compile("going on")).click()
            page.wait_for_selector("#replay[data-shown='1']")
            log.append("growing", events[2:3])
            page.wait_for_selector("#replay[data-shown='2']")  # who looks at the last step sees the next one
            page.keyboard.press("Home")
            page.wait_for_selector("#replay[data-shown='0']")
            log.append("growing", events[3:])
            until(page, f"document.querySelector('.scrub').max === '{len(events) - 1}'")
            assert page.locator("#replay").get_attribute("data-shown") == "0", "who looks elsewhere stays"
    finally:
        stop(served)


@pytest.mark.parametrize("path", ["/runs/ffffffffffffffff", "/nowhere", "/reward-models/0", "/recordings/0"])
def test_what_is_not_there_is_said(served: Served, path: str) -> None:
    status, headers, body = served.ask(path)
    assert status == 404
    assert "text/html" in headers["content-type"]
    assert b"There is no such" in body
