"""What the pages are made of: places in a long log, figures, drawings, verdicts, videos, the mailed page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from lookalike.core.errors import LookalikeError, StoreError, UsageError
from lookalike.core.types import Usage
from lookalike.experiments.collect import collect
from lookalike.experiments.resolved import resolve_again
from lookalike.rewards import load_reward_model
from lookalike.rewards.document import Detect, Milestone, Span
from lookalike.store import (
    EpisodeFinished,
    EpisodeKey,
    EpisodePaused,
    EpisodeStarted,
    StepTaken,
    open_log,
)
from lookalike.store.browse import STRIDE, Browser
from lookalike.web import evidence, media, plots, replay, shown
from lookalike.web.export import find_run, write_run_page
from lookalike.web.figures import FigureBook
from lookalike.web.graph import layout
from lookalike.web.library import FoundRun, Library
from lookalike.web.pages_rewards import differences
from lookalike.web.verdicts import Rescorer, load

KEY = EpisodeKey(condition="random", goal="lamp", seed=1)


def step(number: int, *, key: EpisodeKey = KEY, world: str | None = None, text: str = "") -> StepTaken:
    return StepTaken(
        episode=key,
        step=number,
        world=world,
        observation=text,
        proposals=(),
        by="majority",
        votes={},
        decision="look",
        next_observation="",
    )


def started(log: Any, run_id: str = "run") -> None:
    log.start_run(run_id, {"x": run_id}, package_version="0")


# Parts of a long log


def test_any_part_of_an_episode_is_read_as_the_whole_log_has_it(tmp_path: Path) -> None:
    other = EpisodeKey(condition="random", goal="lamp", seed=2)
    with open_log(tmp_path / "events.sqlite") as log:
        started(log)
        log.append("run", [EpisodeStarted(episode=k, environment_seed=1) for k in (KEY, other)])
        for number in range(3 * STRIDE):
            log.append("run", [step(number), step(number, key=other)])
        whole = list(log.events("run", episode=KEY))
        browser = Browser(log)
        assert browser.count("run", 0) == len(whole) == 3 * STRIDE + 1
        for place in (0, 1, STRIDE - 1, STRIDE, 2 * STRIDE + 7, 3 * STRIDE):
            assert browser.page("run", 0, start=place, limit=5) == whole[place : place + 5]
        assert browser.page("run", 0, start=len(whole), limit=5) == []
        log.append("run", [step(3 * STRIDE), step(3 * STRIDE + 1)])
        assert browser.count("run", 0) == len(whole) + 2
        assert browser.page("run", 0, start=len(whole) + 1, limit=9)[0].step == 3 * STRIDE + 1
        assert browser.place_of_step("run", 0, STRIDE + 3) == STRIDE + 4
        assert browser.place_of_step("run", 0, 10 * STRIDE) is None


def test_a_step_is_found_among_incidents_and_worlds(tmp_path: Path) -> None:
    with open_log(tmp_path / "events.sqlite") as log:
        started(log)
        log.append("run", [EpisodeStarted(episode=KEY, environment_seed=1)])
        for number in range(200):
            log.append("run", [step(number, world="a"), step(number, world="b")])
            if number % 50 == 20:
                log.append("run", [EpisodePaused(episode=KEY, step=number, reason="calls")])
        browser = Browser(log)
        found = browser.place_of_step("run", 0, 171, "b")
        assert found is not None
        (event,) = browser.page("run", 0, start=found, limit=1)
        assert (event.step, event.world) == (171, "b")


def test_an_episode_that_was_started_again_begins_there(tmp_path: Path) -> None:
    with open_log(tmp_path / "events.sqlite") as log:
        started(log)
        browser = Browser(log)
        log.append("run", [EpisodeStarted(episode=KEY, environment_seed=1), step(0), step(1)])
        assert browser.count("run", 0) == 3
        log.append("run", [EpisodeStarted(episode=KEY, environment_seed=1), step(0)])
        assert browser.count("run", 0) == 2
        assert [e.kind for e in browser.page("run", 0, start=0, limit=9)] == ["episode_started", "step_taken"]


def test_very_large_events_end_a_page_early(tmp_path: Path) -> None:
    with open_log(tmp_path / "events.sqlite") as log:
        started(log)
        log.append("run", [EpisodeStarted(episode=KEY, environment_seed=1)])
        log.append("run", [step(i, text="x" * 1_500_000) for i in range(5)])
        browser = Browser(log)
        assert len(browser.page("run", 0, start=1, limit=5)) == 2
        assert len(browser.page("run", 0, start=5, limit=5)) == 1


def test_ends_are_read_once(run: FoundRun) -> None:
    ends, after = run.browser.ends_since(run.run_id)
    assert len(ends) == 4
    assert run.browser.ends_since(run.run_id, after) == ([], after)
    with pytest.raises(StoreError):
        run.browser.episode(run.run_id, 99)


# Figures and drawings


def test_the_page_has_the_figures_of_the_results_file(run: FoundRun) -> None:
    figures = FigureBook().of(run)
    configuration = run.log.configuration(run.run_id)
    asked = resolve_again(configuration)
    whole = collect(asked, run.log, run.run_id, document=None, watched=None, described=configuration)
    assert figures.result is not None
    assert figures.result.rows == whole.rows
    assert figures.result.paired == whole.paired
    assert figures.result.episodes == whole.episodes
    assert (figures.done, figures.planned) == (4, 4)


def test_figures_follow_a_run_that_grows(tmp_path: Path, run: FoundRun) -> None:
    configuration = run.log.configuration(run.run_id)
    folder = tmp_path / "growing"
    folder.mkdir()
    events = list(run.log.events(run.run_id))[1:]
    with open_log(folder / "events.sqlite") as log:
        log.start_run("growing", configuration, package_version="0")
        library = Library(tmp_path)
        book = FigureBook()
        seen = []
        for event in events:
            log.append("growing", [event])
            if event.kind in {"episode_finished", "episode_started"}:
                (found,) = library.runs()
                figures = book.of(found)
                seen.append((figures.done, len(figures.playing)))
        library.close()
    assert seen == [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0)]


def test_a_run_whose_experiment_is_not_known_is_shown_without_a_table(tmp_path: Path) -> None:
    with open_log(tmp_path / "events.sqlite") as log:
        asked = {"experiment": "nobody/knows", "seeds": [1], "goals": ["lamp"], "conditions": []}
        log.start_run("strange", asked, package_version="0")
        log.append("strange", [EpisodeStarted(episode=KEY, environment_seed=1), step(0)])
    library = Library(tmp_path)
    (found,) = library.runs()
    figures = FigureBook().of(found)
    library.close()
    assert figures.result is None
    assert "no experiment" in (figures.trouble or "")
    assert figures.playing[0].events == 2


def test_drawings_say_in_words_what_they_show_and_escape_names(run: FoundRun) -> None:
    result = FigureBook().of(run).result
    assert result is not None
    named = tuple(r.model_copy(update={"condition": f"<b>{r.condition}"}) for r in result.rows)
    drawings = plots.draw(result.model_copy(update={"rows": named}), embedded=True)
    assert [d.name for d in drawings] == ["success", "complexity", "calls", "cost", "reward"]
    success = str(drawings[0].svg)
    assert "<b>" not in success
    assert "&lt;b&gt;random" in success
    assert re.search(r"95% interval \[", success)
    assert " style=" not in success
    assert drawings[3].svg is None
    assert drawings[3].caption == "The local model costs nothing."


def test_milestones_stand_behind_what_they_come_after() -> None:
    def milestone(name: str, *after: str) -> Milestone:
        span = Span(recording="r", start=0, end=0)
        return Milestone(
            id=name,
            description=name,
            kind="event",
            detect=Detect(says=name),
            value=0.1,
            after=after,
            evidence=span,
        )

    graph = layout(
        [milestone("d", "b", "c"), milestone("a"), milestone("b", "a"), milestone("c", "a", "nobody")]
    )
    x = {node.milestone.id: node.x for node in graph.nodes}
    assert x["a"] < x["b"] == x["c"] < x["d"]
    assert len(graph.edges) == 4
    circle = layout([milestone("a", "b"), milestone("b", "a")])
    assert len(circle.nodes) == 2
    chain = [milestone("m0"), *(milestone(f"m{i}", f"m{i - 1}") for i in range(1, 3000))]
    assert layout(chain).height > 10_000
    assert layout([]).nodes == ()


# The replay


def test_a_page_of_steps_has_everything_that_led_to_them(run: FoundRun) -> None:
    number = next(e.number for e in run.browser.episodes(run.run_id) if e.key.condition == "uniform+expert")
    first, second = replay.items(run, number, start=0)[:2]
    assert first["kind"] == "start"
    assert "END OF A ROAD" in first["observation"]
    assert len(second["proposals"]) == 4
    assert all(p["verdict"] is not None for p in second["proposals"])
    assert second["recollections"][0]["source"] == "expert"
    assert replay.items(run, number, start=10_000) == []
    drawn = replay.outline(run, number)
    last = [e for e in run.log.events(run.run_id) if isinstance(e, EpisodeFinished)]
    total = next(sum(e.rewards) for e in last if e.episode.condition == "uniform+expert")
    assert drawn["curve"][-1][1] == pytest.approx(total, abs=1e-3)


def test_members_are_counted_by_who_was_right(run: FoundRun) -> None:
    number = next(e.number for e in run.browser.episodes(run.run_id) if e.key.condition == "uniform+expert")
    members = replay.who_was_right(run, number)
    assert [m["role"] for m in members] == ["t0.2", "t0.6", "t1", "t1.4"]
    steps = [e for e in run.log.events(run.run_id) if e.kind == "step_taken"]
    mine = [s for s in steps if str(s.episode) == str(run.browser.episode(run.run_id, number).key)]
    assert sum(m["dissents"] for m in members) == sum(len(s.dissent) for s in mine)
    assert all(m["best"] <= m["judged"] for m in members)


# Reward models


def test_verdicts_with_all_parts_on_are_the_stored_ones(run: FoundRun, played: Path) -> None:
    model = load_reward_model(played / "short" / "reward-model.yaml")
    rescorer = Rescorer()
    for entry in run.browser.episodes(run.run_id):
        if entry.key.condition != "uniform+expert":
            continue
        found = rescorer.verdicts(run, entry.number, model, [])
        assert found["note"] is None
        assert [s["now"] for s in found["steps"]] == [s["stored"] for s in found["steps"]]
        less = rescorer.verdicts(run, entry.number, model, ["refused", "progress"])
        assert less["changed"] > 0
        assert all(n not in {"refused", "progress"} for s in less["steps"] for n, _ in s["components"])
    with pytest.raises(LookalikeError):
        rescorer.verdicts(run, 0, model, ["milestone:nothing"])


def test_a_game_that_answers_otherwise_now_is_noted(run: FoundRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from lookalike.web import verdicts

    def missing(_: str) -> Any:
        raise LookalikeError("The game is gone.")

    monkeypatch.setattr(verdicts, "make_environment", missing)
    number = next(e.number for e in run.browser.episodes(run.run_id) if e.key.condition == "uniform+expert")
    played = load(run, number)
    assert played.note == "Computed without what the game offered: The game is gone."
    assert set(played.offered) == {None}


def test_documents_are_compared_part_by_part(recorded: Path) -> None:
    model = load_reward_model(recorded / "reward-model.yaml")
    assert differences(model, model) == []
    other = model.without(["milestone:get-lamp"]).reweighted("setback", -0.5)
    found = {d["name"]: d for d in differences(model, other)}
    assert found["milestone:get-lamp"]["kind"] == "removed"
    assert found["setback"]["fields"] == [("weight", "-1.0", "-0.5")]
    assert {d["kind"] for d in differences(other, model)} >= {"added"}
    later = next(d for d in found.values() if d["fields"] and d["fields"][0][0] == "after")
    assert later["fields"] == [("after", "get-lamp", "")], "lists are told by what the other has not"


def test_evidence_leads_to_the_video_it_was_read_off(library: Library, played: Path) -> None:
    (document,) = [f for f in library.reward_models() if f.name == "short/reward-model.yaml"]
    (source,) = evidence.sources(library, document, library.document(document))
    assert source.recording is not None
    assert source.recording.path == played / "short" / "recording" / "recording.mp4"
    assert source.video
    assert not source.changed


# Videos


def test_ranges_of_a_video_are_its_bytes(recorded: Path) -> None:
    path = recorded / "recording.mp4"
    data = path.read_bytes()

    def answer(asked: str | None) -> tuple[int, dict[str, str]]:
        response = media.video_response(path, asked)
        return response.status_code, dict(response.headers)

    assert answer(None)[0] == 200
    status, headers = answer("bytes=10-19")
    assert (status, headers["content-length"]) == (206, "10")
    assert headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert answer("bytes=-5")[1]["content-range"] == f"bytes {len(data) - 5}-{len(data) - 1}/{len(data)}"
    assert answer("bytes=0-99999999999")[1]["content-length"] == str(len(data))
    assert answer("bytes=x-y")[0] == 200
    with pytest.raises(HTTPException):
        answer(f"bytes={len(data)}-")
    assert b"".join(media._pieces(path, 10, 19)) == data[10:20]


def test_a_picture_is_the_one_shown_at_that_time(recorded: Path) -> None:
    path = recorded / "recording.mp4"
    first, later = media.frame_at(path, 0.0), media.frame_at(path, 30.0)
    assert first.startswith(b"\xff\xd8")
    assert first != later
    assert media.frame_at(path, 1e6) == media.frame_at(path, 1e6 + 1)
    with pytest.raises(LookalikeError, match="cannot be read"):
        media.frame_at(recorded / "recording.jsonl", 0.0)


# Text


def test_text_is_bounded_and_loses_what_could_drive_a_terminal() -> None:
    assert shown.text("a\x1b[31mb\u202ec\n") == "a\ufffd[31mb\ufffdc\n"
    assert shown.text("x" * 30, 10) == "xxxxxxxxxx … (20 more characters)"
    assert shown.line("a\nb\u2028c\x00") == "a b c\ufffd"
    assert len(shown.line("é" * 1_000_000)) == shown.LONGEST_LINE
    assert shown.text("日本語 ß\u200d") == "日本語 ß\ufffd"
    assert shown.clock(125.7) == "2:05"


def test_an_unknown_cost_is_never_called_zero() -> None:
    assert shown.cost(Usage(calls=3, cost=0.25), embedded=False) == "0.2500"
    assert "not known" in shown.cost(Usage(calls=3, unpriced_calls=2), embedded=False)
    assert "at least 0.1000" in shown.cost(Usage(calls=3, cost=0.1, unpriced_calls=1), embedded=False)


# The mailed page


def test_a_page_to_mail_needs_nothing_else_and_keeps_its_bound(
    library: Library, run: FoundRun, tmp_path: Path
) -> None:
    written = write_run_page(library, run, tmp_path / "run.html")
    text = written.path.read_text()
    assert written.episodes == 4  # of two conditions a success and a failure each
    assert written.size < 500_000
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)
    assert 'http-equiv="Content-Security-Policy"' in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert all(episode["divergence"] >= 1 for episode in data["episodes"])
    small = write_run_page(library, run, tmp_path / "small.html", max_bytes=written.size - 1000)
    assert small.size <= written.size - 1000
    assert small.left_out >= 1
    one = write_run_page(library, run, tmp_path / "one.html", episodes=[2])
    assert one.episodes == 1
    with pytest.raises(UsageError):
        write_run_page(library, run, tmp_path / "none.html", episodes=[99])


def test_a_run_is_found_by_name_or_folder(library: Library, run: FoundRun, played: Path) -> None:
    assert find_run(library, "short").key == run.key
    assert find_run(library, str(played)).key == run.key
    with pytest.raises(UsageError, match="no run"):
        find_run(library, "nothing")
