"""LeRobot and Minari: their own tools' view of an export, and datasets read back as demonstrations."""

from __future__ import annotations

import json
from pathlib import Path

import av
import minari
import numpy as np
import polars as pl
import pytest
from export_runs import CAVE, FRAMED, Runs, SilentTinyEnvironment, play
from minari.dataset.minari_storage import MinariStorage

from lookalike.core.errors import RecordingError
from lookalike.core.types import Observation, Trajectory
from lookalike.recordings import read_recording, read_recordings
from lookalike.recordings.export import EXPORT_FORMATS, export_run
from lookalike.recordings.export.open_dataset import open_dataset
from lookalike.store import EpisodeStarted, EventLog, FileStore, StepTaken

MOST_OFF = 3.0
"""Mean difference of a picture from the one that was written to mp4, of 255."""


def logged_trajectories(runs: Runs, run: str) -> list[Trajectory]:
    """Return what was played in the council's episodes, straight from the events."""
    found: dict[str, list] = {}
    for event in runs.log.events(run):
        if isinstance(event, EpisodeStarted | StepTaken) and event.episode.condition != "worlds":
            found.setdefault(str(event.episode), []).append(event)
    trajectories = []
    for started, *steps in found.values():
        texts = [started.first_observation, *(s.next_observation for s in steps)]
        names = [started.first_frame, *(s.next_frame for s in steps)]
        frames = [runs.files.get_frame(name) if name else None for name in names]
        seen = tuple(Observation(text, frame) for text, frame in zip(texts, frames, strict=True))
        trajectories.append(
            Trajectory(seen, tuple(s.decision for s in steps), tuple(s.env_reward for s in steps))
        )
    return trajectories


def off(a: Trajectory, b: Trajectory) -> float:
    """Return the largest mean difference of two trajectories' pictures."""
    return max(
        np.abs(x.frame.astype(int) - y.frame.astype(int)).mean()
        for x, y in zip(a.observations, b.observations, strict=True)
    )


@pytest.mark.parametrize("run", [CAVE, FRAMED])
@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_what_is_read_back_is_what_was_played(runs: Runs, tmp_path: Path, run: str, name: str) -> None:
    export_run(runs.log, run, format=name, out=tmp_path / "out", files=runs.files, licence="CC0-1.0")
    dataset = open_dataset(tmp_path / "out")
    demonstrations = list(read_recordings(tmp_path / "out"))
    assert len(demonstrations) == len(dataset)
    played = logged_trajectories(runs, run)
    for index, truth in enumerate(played):
        found = dataset.trajectory(index).trajectory
        assert found.actions == truth.actions == demonstrations[index].trajectory.actions
        assert found.rewards == truth.rewards
        assert [o.text for o in found.observations] == [o.text for o in truth.observations]
        if run == FRAMED and name == "lerobot":
            assert 0 < off(found, truth) < MOST_OFF
            assert found.observations[-1] == truth.observations[-1]
        else:
            assert found.observations == truth.observations
    first = demonstrations[0]
    assert first.environment == {CAVE: "colossal-cave", FRAMED: "tiny-framed"}[run]
    assert first.started_with == 1
    assert first.player_kind == "agent"
    assert first.outcome.startswith("goal not reached")
    assert first.provenance.licence == ("unknown" if name == "jsonl" else "CC0-1.0")
    assert "condition random" in first.provenance.note
    assert len({d.id for d in demonstrations}) == len(demonstrations)
    worlds = [d for d in demonstrations if "world " in d.provenance.note]
    assert bool(worlds) == (run == FRAMED)


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_equal_runs_are_equal_evidence(runs: Runs, tmp_path: Path, name: str) -> None:
    ids = []
    for out in (tmp_path / "a", tmp_path / "b"):
        export_run(runs.log, CAVE, format=name, out=out / "same", files=runs.files)
        ids.append([d.id for d in read_recordings(out / "same")])
    assert ids[0] == ids[1]


def test_a_dataset_of_several_episodes_wants_one_named(runs: Runs, tmp_path: Path) -> None:
    export_run(runs.log, CAVE, format="minari", out=tmp_path / "cave-v0")
    with pytest.raises(RecordingError, match="several episodes") as caught:
        read_recording(tmp_path / "cave-v0")
    assert "read_recordings" in str(caught.value.remedy)
    one = read_recording(
        tmp_path / "cave-v0", episode=1, environment="other", player_kind="scripted", licence="MIT"
    )
    assert (one.environment, one.player_kind, one.provenance.licence) == ("other", "scripted", "MIT")
    assert one.trajectory.actions == logged_trajectories(runs, CAVE)[1].actions
    assert read_recording(tmp_path / "cave-v0/data/main_data.hdf5", episode=1).trajectory.actions == (
        one.trajectory.actions
    )
    for wrong in (-1, 2):
        with pytest.raises(RecordingError, match="no such episode"):
            read_recording(tmp_path / "cave-v0", episode=wrong)
    text = tmp_path / "play.txt"
    text.write_text("A ROOM.\n\n> look\n\nA ROOM.\n")
    with pytest.raises(RecordingError, match="Only a dataset"):
        read_recording(text, episode=0)
    assert len(list(read_recordings(text))) == 1


def test_minari_itself_reads_the_export(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    for run in (CAVE, FRAMED):
        export_run(runs.log, run, format="minari", out=tmp_path / f"{run}-v0", files=runs.files)
    assert set(minari.list_local_datasets()) == {"cave-v0", "framed-v0"}
    cave = minari.load_dataset("cave-v0")
    assert (cave.total_episodes, cave.total_steps) == (2, 40)
    for episode, truth in zip(cave, logged_trajectories(runs, CAVE), strict=True):
        assert tuple(episode.actions) == truth.actions
        assert episode.observations == [o.text for o in truth.observations]
        assert all(cave.observation_space.contains(text) for text in episode.observations)
        assert all(cave.action_space.contains(action) for action in episode.actions)
        assert tuple(episode.rewards) == truth.rewards
        assert not episode.terminations.any()
        assert episode.truncations.tolist() == [False] * 19 + [True]
    framed = minari.load_dataset("framed-v0")
    truth = logged_trajectories(runs, FRAMED)[0]
    episode = framed[0]
    assert np.array_equal(episode.observations["frame"], [o.frame for o in truth.observations])
    assert framed.observation_space["frame"].contains(episode.observations["frame"][0])
    assert episode.infos["goal_reached"].shape == (31,)
    about = next(iter(framed.storage.get_episode_metadata([2])))
    assert about["seed"] == 4
    assert about["lookalike"]["condition"] == "worlds"
    assert framed.storage.metadata["lookalike.run_id"] == FRAMED


def test_lerobots_files_are_where_and_what_the_format_says(runs: Runs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = export_run(runs.log, FRAMED, format="lerobot", out=out, files=runs.files)
    info = json.loads((out / "meta/info.json").read_text())
    rows = pl.read_parquet(out / "data/chunk-000/file-000.parquet")
    episodes = pl.read_parquet(out / "meta/episodes/chunk-000/file-000.parquet")
    assert info["codebase_version"] == "v3.0"
    assert info["total_frames"] == len(rows) == report.steps
    assert info["total_episodes"] == len(episodes)
    assert info["splits"] == {"train": f"0:{len(episodes)}"}
    assert info["features"]["action"] == {"dtype": "string", "shape": [1], "names": None}
    assert set(rows.columns) == {n for n, f in info["features"].items() if f["dtype"] != "video"}
    assert rows["index"].to_list() == list(range(len(rows)))
    assert np.allclose(rows["timestamp"], rows["frame_index"] / info["fps"], atol=1e-6)
    assert rows.schema["timestamp"] == pl.Float32
    for row in episodes.iter_rows(named=True):
        mine = rows.filter(pl.col("episode_index") == row["episode_index"])
        assert len(mine) == row["length"] == row["dataset_to_index"] - row["dataset_from_index"]
        assert mine["index"][0] == row["dataset_from_index"]
        assert row["tasks"] == ["door"]
        key = "videos/observation.images.screen"
        assert (
            round((row[f"{key}/to_timestamp"] - row[f"{key}/from_timestamp"]) * info["fps"]) == row["length"]
        )
        assert row["stats/next.reward/mean"][0] == pytest.approx(mine["next.reward"].mean())
    tasks = pl.read_parquet(out / "meta/tasks.parquet")
    assert tasks.to_dicts() == [{"task_index": 0, "task": "door"}]
    with av.open(str(out / "videos/observation.images.screen/chunk-000/file-000.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.height, stream.width, stream.frames) == (16, 28, len(rows))
        assert float(stream.average_rate) == info["fps"]
    stats = json.loads((out / "meta/stats.json").read_text())
    screen = (
        np.array([runs.files.get_frame(n) for n in _shown(runs)], dtype=np.float64)
        .transpose(3, 0, 1, 2)
        .reshape(3, -1)
        / 255
    )
    assert np.allclose(np.ravel(stats["observation.images.screen"]["mean"]), screen.mean(1))
    assert np.allclose(np.ravel(stats["observation.images.screen"]["std"]), screen.std(1))
    assert np.shape(stats["observation.images.screen"]["max"]) == (3, 1, 1)
    assert stats["next.reward"]["std"][0] == pytest.approx(rows["next.reward"].std(ddof=0))
    assert stats["index"]["count"] == [len(rows)]


def _shown(runs: Runs) -> list[str]:
    """Return the pictures that steps were decided on, as the tables have them."""
    from lookalike.recordings.export.tracks import episodes_of, survey

    facts = survey(runs.log, FRAMED, None)
    tracks = (track for episode in episodes_of(runs.log, FRAMED, facts) for track in episode.tracks)
    return [name for track in tracks for name in track.frames[:-1]]


@pytest.fixture
def silent(tmp_path: Path) -> Runs:
    """A run of pictures alone, of an odd size."""
    log, files = EventLog(tmp_path / "silent.sqlite"), FileStore(tmp_path / "silent-files")
    log.start_run("silent", {"environment": "tiny-silent"}, package_version="0.1.0")
    for seed in (0, 1):
        play(SilentTinyEnvironment(), lambda e: log.append("silent", [e]), seed=seed, files=files)
    return Runs(log, files)


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_pictures_without_texts_of_an_odd_size(silent: Runs, tmp_path: Path, name: str) -> None:
    export_run(silent.log, "silent", format=name, out=tmp_path / "out", files=silent.files)
    for demonstration, truth in zip(
        read_recordings(tmp_path / "out"), logged_trajectories(silent, "silent"), strict=True
    ):
        found = demonstration.trajectory
        assert found.actions == truth.actions
        assert all(o.text is None for o in found.observations)
        assert found.observations[0].frame.shape == (15, 27, 3)
        assert off(found, truth) < MOST_OFF if name == "lerobot" else off(found, truth) == 0


def test_formats_without_room_for_mixed_sizes_say_so(runs: Runs, tmp_path: Path) -> None:
    log, files = EventLog(tmp_path / "mixed.sqlite"), FileStore(tmp_path / "files")
    log.start_run("mixed", {}, package_version="0.1.0")
    events: list = []
    play(SilentTinyEnvironment(), events.append, seed=0, files=files)
    small = files.put_frame(np.zeros((8, 8, 3), dtype=np.uint8))
    events[7] = events[7].model_copy(update={"next_frame": small})
    log.append("mixed", events)
    for name in ("lerobot", "minari"):
        with pytest.raises(RecordingError, match="different sizes") as caught:
            export_run(log, "mixed", format=name, out=tmp_path / name, files=files)
        assert "parquet" in str(caught.value.remedy)
        assert not (tmp_path / name).exists()
    export_run(log, "mixed", format="parquet", out=tmp_path / "tables", files=files)
    found = open_dataset(tmp_path / "tables").trajectory(0).trajectory
    assert {o.frame.shape for o in found.observations} == {(15, 27, 3), (8, 8, 3)}
    events = [e.model_copy(update={"next_frame": None}) if i == 7 else e for i, e in enumerate(events)]
    log.start_run("holes", {}, package_version="0.1.0")
    log.append("holes", events)
    for name in ("lerobot", "minari"):
        with pytest.raises(RecordingError, match="some have none"):
            export_run(log, "holes", format=name, out=tmp_path / name, files=files)


def test_datasets_that_minari_wrote_itself(tmp_path: Path) -> None:
    """JPEG pictures in a dictionary beside a text and a number; discrete actions."""
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    frames = np.zeros((6, 40, 48, 3), dtype=np.uint8)
    for i in range(6):
        frames[i, :, 8 * i : 8 * i + 8] = 255
    observation = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (40, 48, 3), np.uint8),
            "mission": spaces.Text(32),
            "direction": spaces.Discrete(4),
        }
    )
    storage = MinariStorage.new(
        tmp_path / "data",
        observation_space=observation,
        action_space=spaces.Discrete(7),
    )
    storage.update_metadata({"dataset_id": "maze/human-v0", "minari_version": minari.__version__})
    storage.update_episodes(
        [
            EpisodeBuffer(
                id=0,
                seed=11,
                observations={
                    "image": list(frames),
                    "mission": ["get the key"] * 6,
                    "direction": [0, 1, 2, 3, 0, 1],
                },
                actions=[1, 2, 3, 4, 5],
                rewards=[0.0, 0.0, 0.0, 0.0, 0.5],
                terminations=[False] * 4 + [True],
                truncations=[False] * 5,
                infos={},
            )
        ]
    )
    found = read_recording(tmp_path)
    assert found.trajectory.actions == ("1", "2", "3", "4", "5")
    assert found.trajectory.rewards[-1] == 0.5
    assert [o.text for o in found.trajectory.observations] == ["get the key"] * 6
    for seen, truth in zip(found.trajectory.observations, frames, strict=True):
        assert np.abs(seen.frame.astype(int) - truth).mean() < MOST_OFF
    assert (found.player_kind, found.started_with) == ("human", 11)


def test_states_and_actions_that_are_vectors_become_texts(tmp_path: Path) -> None:
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    box = spaces.Box(-1, 1, (2,), np.float32)
    storage = MinariStorage.new(tmp_path / "d", observation_space=box, action_space=box)
    storage.update_episodes(
        [
            EpisodeBuffer(
                id=0,
                observations=[np.array([i / 3, 0.5], np.float32) for i in range(4)],
                actions=[np.array([0.1, -0.25], np.float32)] * 3,
                rewards=[1.0, 2.0, 3.0],
                terminations=[False] * 3,
                truncations=[False] * 3,
                infos={},
            )
        ]
    )
    found = read_recording(tmp_path / "d").trajectory
    assert [o.text for o in found.observations] == [
        "[0.0,0.5]",
        "[0.333333,0.5]",
        "[0.666667,0.5]",
        "[1.0,0.5]",
    ]
    assert found.actions == ("[0.1,-0.25]",) * 3


def test_a_lerobot_dataset_that_is_not_ours(runs: Runs, tmp_path: Path) -> None:
    """Without our notes nobody says what the last action led to; rows keep their times."""
    out = tmp_path / "out"
    export_run(runs.log, FRAMED, format="lerobot", out=out, files=runs.files)
    (out / "meta/lookalike.json").unlink()
    dataset = open_dataset(out)
    truth = logged_trajectories(runs, FRAMED)[1]
    found = dataset.trajectory(1).trajectory
    assert found.actions == truth.actions[:-1]
    assert [o.text for o in found.observations] == [o.text for o in truth.observations[:-1]]
    assert found.times[:3] == pytest.approx((0.0, 0.1, 0.2))
    demonstration = read_recording(out, episode=1)
    assert "last action is left out" in demonstration.provenance.note
    assert demonstration.player_kind == "human"
    assert off(found, Trajectory(truth.observations[:-1], truth.actions[:-1])) < MOST_OFF
