"""Exporting a run as lines and tables: complete, whole or not at all, and honest about what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from export_runs import CAVE, FRAMED, Runs, play

from lookalike.core.errors import RecordingError, StoreError, UnknownNameError, UsageError
from lookalike.recordings import read_recordings
from lookalike.recordings.export import EXPORT_FORMATS, export_run, import_run
from lookalike.recordings.export.open_dataset import open_dataset
from lookalike.store import (
    EpisodeFailed,
    EpisodeKey,
    EpisodeStarted,
    EventLog,
    FileStore,
    StepTaken,
)
from lookalike.testing.environments import TinyEnvironment


@pytest.mark.parametrize("run", [CAVE, FRAMED])
def test_lines_come_back_as_the_same_run(runs: Runs, tmp_path: Path, run: str) -> None:
    report = export_run(runs.log, run, format="jsonl", out=tmp_path / "run.jsonl", files=runs.files)
    assert report.not_held == ()
    files = FileStore(tmp_path / "files")
    with EventLog(tmp_path / "fresh.sqlite") as fresh:
        assert import_run(tmp_path / "run.jsonl", fresh, files=files) == run
        assert list(fresh.events(run))[1:] == list(runs.log.events(run))[1:]
        assert fresh.play_digest(run) == runs.log.play_digest(run)
        fresh.verify(run)
        again = export_run(fresh, run, format="jsonl", out=tmp_path / "again.jsonl", files=files)
    assert (again.episodes, again.steps) == (report.episodes, report.steps)
    names = {e.next_frame for e in runs.log.events(run) if isinstance(e, StepTaken)} - {None}
    assert bool(names) == (run == FRAMED)
    for name in names:
        assert np.array_equal(files.get_frame(name), runs.files.get_frame(name))


def test_every_event_is_one_line(runs: Runs, tmp_path: Path) -> None:
    export_run(runs.log, CAVE, format="jsonl", out=tmp_path / "run.jsonl")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "run.jsonl").open()]
    assert kinds == ["export_started", *(e.kind for e in runs.log.events(CAVE)), "export_ended"]


def test_a_run_is_imported_under_another_name_but_not_over_another_run(runs: Runs, tmp_path: Path) -> None:
    export_run(runs.log, CAVE, format="jsonl", out=tmp_path / "run.jsonl")
    with EventLog(tmp_path / "fresh.sqlite") as fresh:
        assert import_run(tmp_path / "run.jsonl", fresh, run_id="other") == "other"
        assert fresh.play_digest("other") == runs.log.play_digest(CAVE)
        with pytest.raises(StoreError, match="already"):
            import_run(tmp_path / "run.jsonl", fresh, run_id="other")


def test_a_damaged_line_file_imports_nothing(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    export_run(runs.log, FRAMED, format="jsonl", out=path, files=runs.files)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    step = next(i for i, line in enumerate(lines) if b'"step_taken"' in line)
    picture = next(i for i, line in enumerate(lines) if b'"frame"' in line[:20])
    damages = {
        "cut": b"".join(lines[:-1]),
        "half": whole[: len(whole) // 2],
        "missing": b"".join(lines[:step] + lines[step + 1 :]),
        "edited": whole.replace(b'"env_reward":0.0', b'"env_reward":5.0', 1),
        "swapped": b"".join([*lines[:step], lines[step + 1], lines[step], *lines[step + 2 :]]),
        "picture": b"".join(
            [
                *lines[:picture],
                lines[picture].replace(b'"png":"iVBOR', b'"png":"iVBOS'),
                *lines[picture + 1 :],
            ]
        ),
        "more": whole + b"{}\n",
        "newer": whole.replace(b'"version":1', b'"version":99', 1),
        "foreign": b'{"kind":"x"}\n' + b"".join(lines[1:]),
        "no JSON": whole.replace(b'{"kind":"step_taken"', b'{"kind:"step_taken"', 1),
    }
    with EventLog(tmp_path / "fresh.sqlite") as fresh:
        for name, data in damages.items():
            path.write_bytes(data)
            assert data != whole, name
            with pytest.raises(RecordingError):
                import_run(path, fresh, files=FileStore(tmp_path / "files"))
            assert fresh.runs() == [], name
    assert not (tmp_path / "files").exists()


def test_tables_hold_every_step_proposal_and_episode(runs: Runs, tmp_path: Path) -> None:
    report = export_run(runs.log, FRAMED, format="parquet", out=tmp_path / "out", files=runs.files)
    steps = pl.read_parquet(tmp_path / "out/steps.parquet")
    proposals = pl.read_parquet(tmp_path / "out/proposals.parquet")
    episodes = pl.read_parquet(tmp_path / "out/episodes.parquet")
    logged = [e for e in runs.log.events(FRAMED) if isinstance(e, StepTaken)]
    assert len(steps) == len(logged) == report.steps
    assert len(proposals) == sum(len(e.proposals) for e in logged)
    assert len(episodes) == report.episodes == 3
    by_place = {(r["seed"], r["step"], r["world"]): r for r in steps.iter_rows(named=True)}
    for event in logged:
        row = by_place[event.episode.seed, event.step, event.world]
        assert row["action"] == event.decision
        assert row["next_observation"] == event.next_observation
        assert row["verdict"] == (event.verdict.value if event.verdict else None)
        assert row["votes"] == event.votes
        assert row["calls"] == event.usage.calls
        assert row["next_frame"] == event.next_frame
    assert steps.schema["terminated"] == pl.Boolean
    assert steps.schema["env_reward"] == pl.Float64
    assert steps.schema["step"] == pl.Int32
    ends = runs.log.finished_episodes(FRAMED)
    for row in episodes.iter_rows(named=True):
        key = EpisodeKey(**{name: row[name] for name in ("condition", "goal", "seed", "attempt")})
        assert (row["success"], row["score"]) == (ends[key].success, ends[key].score)
        assert tuple(row["rewards"]) == ends[key].rewards
    metadata = pl.read_parquet_metadata(tmp_path / "out/steps.parquet")
    assert metadata["lookalike.run_id"] == FRAMED
    assert json.loads(metadata["lookalike.configuration"]) == {"environment": "tiny-framed"}
    assert any("incidents" in item for item in report.not_held)


def test_without_the_files_the_report_says_that_pictures_are_missing(runs: Runs, tmp_path: Path) -> None:
    for name in EXPORT_FORMATS:
        report = export_run(runs.log, FRAMED, format=name, out=tmp_path / name)
        assert any(item.startswith("pictures") for item in report.not_held), name
        assert open_dataset(tmp_path / name).trajectory(0).trajectory.observations[0].frame is None


def test_a_world_that_went_on_from_another_branch_begins_a_trajectory(runs: Runs, tmp_path: Path) -> None:
    """No exported step leads somewhere else than where the next one was decided on."""
    export_run(runs.log, FRAMED, format="parquet", out=tmp_path / "out", files=runs.files)
    steps = pl.read_parquet(tmp_path / "out/steps.parquet")
    assert set(steps["world"].drop_nulls()) == {"t0.2", "t0.6", "t1"}
    assert steps["part"].max() >= 1
    for _, group in steps.group_by("trajectory"):
        rows = group.sort("step")
        assert rows["next_observation"][:-1].to_list() == rows["observation"][1:].to_list()
        assert rows["next_frame"][:-1].to_list() == rows["frame"][1:].to_list()
    begun = steps.filter(pl.col("part") > 0).group_by("trajectory").first()
    assert begun["frame"].null_count() == 0
    # The picture is the one that belongs to the text, from whichever world it came.
    shown = dict(zip(steps["next_observation"], steps["next_frame"], strict=True))
    plain = begun.filter(pl.col("observation").str.starts_with("You are in room"))
    assert len(plain)
    for row in plain.iter_rows(named=True):
        assert row["frame"] == shown[row["observation"]]


def test_episodes_can_be_chosen(runs: Runs, tmp_path: Path) -> None:
    key = EpisodeKey(condition="random", goal="door", seed=1)
    for name in EXPORT_FORMATS:
        out = tmp_path / name
        report = export_run(runs.log, FRAMED, format=name, out=out, files=runs.files, episodes=[key])
        assert report.episodes == 1
        assert any("not asked for" in item for item in report.not_held)
        assert [d.started_with for d in read_recordings(out)] == [2]
    unknown = EpisodeKey(condition="random", goal="door", seed=77)
    with pytest.raises(StoreError, match="no such episode"):
        export_run(runs.log, FRAMED, format="parquet", out=tmp_path / "x", episodes=[unknown])
    with pytest.raises(UsageError, match="cannot be meant"):
        export_run(runs.log, FRAMED, format="parquet", out=tmp_path / "x", episodes="ended")


@pytest.fixture
def troubled(tmp_path: Path) -> EventLog:
    """A run with a whole episode, one that was killed and started again, one that failed, and one begun."""
    log = EventLog(tmp_path / "troubled.sqlite")
    log.start_run("run", {"environment": "tiny"}, package_version="0.1.0")
    events: list = []
    play(TinyEnvironment(), events.append, seed=0)
    log.append("run", events)
    events.clear()
    play(TinyEnvironment(), events.append, seed=1)
    log.append("run", events[:5])
    log.append("run", events)
    failed = EpisodeKey(condition="random", goal="door", seed=2)
    log.append("run", [EpisodeStarted(episode=failed, environment_seed=3, first_observation="Here.")])
    log.append("run", [EpisodeFailed(episode=failed, failure="EnvironmentHungError: no answer")])
    events.clear()
    play(TinyEnvironment(), events.append, seed=4)
    log.append("run", events[:4])
    return log


def test_episodes_that_were_broken_off_failed_or_have_not_ended(troubled: EventLog, tmp_path: Path) -> None:
    report = export_run(troubled, "run", format="parquet", out=tmp_path / "out")
    episodes = pl.read_parquet(tmp_path / "out/episodes.parquet").sort("seed")
    assert episodes["ended"].to_list() == ["finished", "finished", "failed", None]
    assert episodes["success"].to_list()[2] is False
    assert report.episodes == 4
    steps = pl.read_parquet(tmp_path / "out/steps.parquet")
    assert steps.filter(pl.col("seed") == 1)["step"].to_list() == list(range(30))
    assert len(steps.filter(pl.col("seed") == 4)) == 3
    finished = export_run(troubled, "run", format="minari", out=tmp_path / "ended-v0", episodes="finished")
    assert finished.episodes == 3
    assert any("1 episodes without a step" in item for item in finished.not_held)
    demonstrations = list(read_recordings(tmp_path / "out"))
    assert [d.started_with for d in demonstrations] == [1, 2, 5]
    export_run(troubled, "run", format="jsonl", out=tmp_path / "run.jsonl")
    with EventLog(tmp_path / "fresh.sqlite") as fresh:
        import_run(tmp_path / "run.jsonl", fresh)
        key = EpisodeKey(condition="random", goal="door", seed=1)
        old = list(troubled.events("run", episode=key, superseded=True))
        assert list(fresh.events("run", episode=key, superseded=True)) == old
        assert fresh.play_digest("run") == troubled.play_digest("run")


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_an_existing_target_is_refused_and_stays(runs: Runs, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("file", "folder", "link"):
        with pytest.raises(RecordingError, match="exists already") as caught:
            export_run(runs.log, CAVE, format=name, out=tmp_path / taken)
        assert caught.value.remedy
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "link"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_nothing_is_left_behind_when_it_breaks(runs: Runs, tmp_path: Path, name: str) -> None:
    """A picture is missing half way through; nothing under any name remains."""
    files = FileStore(tmp_path / "files")
    wanted = [e.next_frame for e in runs.log.events(FRAMED) if isinstance(e, StepTaken)]
    for digest in dict.fromkeys(wanted[:10]):
        files.put(runs.files.get(digest), ".png")
    first = next(e for e in runs.log.events(FRAMED) if isinstance(e, EpisodeStarted))
    files.put(runs.files.get(first.first_frame), ".png")
    with pytest.raises(StoreError, match="missing"):
        export_run(runs.log, FRAMED, format=name, out=tmp_path / "out", files=files)
    assert [p.name for p in tmp_path.iterdir()] == ["files"]


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_target_that_cannot_be_written_says_so(runs: Runs, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RecordingError, match="could not be written") as caught:
        export_run(runs.log, CAVE, format=name, out=tmp_path / "file" / "out")
    assert caught.value.remedy


def test_a_run_or_format_that_there_is_not(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="lerobto"):
        export_run(runs.log, CAVE, format="lerobto", out=tmp_path / "x")
    with pytest.raises(StoreError, match="no run"):
        export_run(runs.log, "nothing", format="jsonl", out=tmp_path / "x")
    with EventLog(tmp_path / "empty.sqlite") as log:
        log.start_run("empty", {}, package_version="0.1.0")
        for name in ("lerobot", "minari"):
            with pytest.raises(RecordingError, match="no step"):
                export_run(log, "empty", format=name, out=tmp_path / name)
        for name in ("jsonl", "parquet"):
            assert export_run(log, "empty", format=name, out=tmp_path / name).episodes == 0


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_progress_is_told_to_the_end(runs: Runs, tmp_path: Path, name: str) -> None:
    told: list[tuple[int, int, str]] = []
    export_run(runs.log, CAVE, format=name, out=tmp_path / "x", progress=lambda *now: told.append(now))
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_a_missing_library_is_named_with_its_remedy(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for module in ("h5py", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("parquet", "lerobot", "minari"):
        with pytest.raises(RecordingError, match="not installed") as caught:
            export_run(runs.log, CAVE, format=name, out=tmp_path / name)
        assert "lookalike[export]" in str(caught.value.remedy)
    assert list(tmp_path.iterdir()) == []
