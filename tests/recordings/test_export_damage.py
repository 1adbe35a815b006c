"""Texts with odd characters survive every format; datasets that are damaged or lie are refused."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_runs import FRAMED, Runs
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.core.errors import LookalikeError, RecordingError
from lookalike.recordings import read_recording, read_recordings
from lookalike.recordings.export import EXPORT_FORMATS, dataset, export_run, import_run, minari_probe
from lookalike.recordings.export.open_dataset import open_dataset
from lookalike.store import (
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    EventLog,
    ProposalRecord,
    StepTaken,
    VerdictRecord,
)

ODD = (
    "",
    "\0",
    "a\0b",
    "\n\n",
    "\r\n\t",
    "🦊🏳️‍🌈",
    "\u202eabc",
    "é́",
    "\x1b[31mred",
    "\\u0000",
    '"}',
    "\ud7ff\ue000",
    "𝔸",
)
TEXTS = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))


def write_play(log: EventLog, texts: list[str], actions: list[str | None], *, run: str = "odd") -> None:
    """Log an episode of these texts (N + 1) and actions (N)."""
    key = EpisodeKey(condition=texts[0][:20], goal="g/%", seed=0)
    events: list[Any] = [EpisodeStarted(episode=key, environment_seed=7, first_observation=texts[0])]
    for step, action in enumerate(actions):
        proposal = ProposalRecord(role="r", action=action, reply=texts[step], rationale=texts[step])
        verdict = VerdictRecord(value=0.5, components={texts[step]: 0.5}, feedback=texts[step])
        events.append(
            StepTaken(
                episode=key,
                step=step,
                observation=texts[step],
                proposals=(proposal,),
                by="majority",
                votes={} if action is None else {action: 1.0},
                decision=action,
                next_observation=texts[step + 1],
                env_reward=step / 3,
                verdict=verdict,
            )
        )
    ended = {"success": False, "steps": len(actions), "interactions": 0, "score": None}
    events.append(EpisodeFinished(episode=key, terminated=False, truncated=True, **ended))
    log.start_run(run, {"environment": "odd", "text": texts[-1]}, package_version="0.1.0")
    log.append(run, events)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_text_survives_every_format(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    texts = data.draw(st.lists(TEXTS, min_size=count + 1, max_size=count + 1))
    actions = data.draw(st.lists(st.one_of(st.none(), TEXTS), min_size=count, max_size=count))
    with tempfile.TemporaryDirectory() as name, EventLog(Path(name) / "log.sqlite") as log:
        folder = Path(name)
        write_play(log, texts, actions)
        for format_ in EXPORT_FORMATS:
            if format_ == "minari":
                continue  # its reader starts a process: the cases below have it
            report = export_run(log, "odd", format=format_, out=folder / format_)
            found = open_dataset(folder / format_).trajectory(0).trajectory
            assert [o.text for o in found.observations] == texts, format_
            assert found.actions == tuple(actions), format_
            assert found.rewards == tuple(i / 3 for i in range(count))
            assert not any("NUL" in item for item in report.not_held)
        with EventLog(folder / "fresh.sqlite") as fresh:
            import_run(folder / "jsonl", fresh)
            assert fresh.play_digest("odd") == log.play_digest("odd")


@pytest.mark.parametrize("format_", EXPORT_FORMATS)
def test_odd_texts_and_a_line_of_a_megabyte(tmp_path: Path, format_: str) -> None:
    texts = [*ODD, "x" * 1_000_000, "end"]
    actions: list[str | None] = [*ODD, None]
    with EventLog(tmp_path / "log.sqlite") as log:
        write_play(log, texts, actions)
        report = export_run(log, "odd", format=format_, out=tmp_path / "out")
    nul = sum(text.count("\0") for text in texts) + sum((a or "").count("\0") for a in actions)
    said = [item for item in report.not_held if "NUL" in item]
    assert bool(said) == (format_ == "minari")
    found = open_dataset(tmp_path / "out").trajectory(0).trajectory
    if format_ == "minari":
        assert str(nul) in said[0]
        texts = [text.replace("\0", "␀") for text in texts]
        actions = [action and action.replace("\0", "␀") for action in actions]
    assert [o.text for o in found.observations] == texts
    assert found.actions == tuple(actions)
    shown = read_recording(tmp_path / "out").trajectory
    assert all("\x1b" not in o.text and "\0" not in o.text for o in shown.observations)
    assert max(len(line) for o in shown.observations for line in o.text.split("\n")) <= 4000


@pytest.fixture(scope="module")
def exports(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One export in each format that is a folder."""
    folder = tmp_path_factory.mktemp("exports")
    for name in ("parquet", "lerobot", "minari"):
        export_run(runs.log, FRAMED, format=name, out=folder / name, files=runs.files)
    return folder


def edit_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


INFO, EPISODES = "meta/info.json", "meta/episodes/chunk-000/file-000.parquet"
ROWS, VIDEO = "data/chunk-000/file-000.parquet", "videos/observation.images.screen/chunk-000/file-000.mp4"
LEROBOT_LIES: dict[str, Callable[[Path], Any]] = {
    "old version": lambda p: edit_json(p / INFO, lambda i: i.update(codebase_version="v2.1")),
    "another file's rows": lambda p: edit_json(
        p / INFO, lambda i: i.update(data_path="../../secret.parquet")
    ),
    "a template that asks": lambda p: edit_json(p / INFO, lambda i: i.update(video_path="{0.__class__}")),
    "a feature up the tree": lambda p: edit_json(
        p / INFO, lambda i: i["features"].update({"../x": {"dtype": "video"}})
    ),
    "features as a list": lambda p: edit_json(p / INFO, lambda i: i.update(features=[1])),
    "no frame rate": lambda p: edit_json(p / INFO, lambda i: i.update(fps=0)),
    "deep JSON": lambda p: (p / INFO).write_text("[" * 100_000),
    "info cut off": lambda p: (p / INFO).write_bytes((p / INFO).read_bytes()[:-9]),
    "no episodes": lambda p: (p / EPISODES).unlink(),
    "episodes cut off": lambda p: (p / EPISODES).write_bytes((p / EPISODES).read_bytes()[:-9]),
    "rows cut off": lambda p: (p / ROWS).write_bytes((p / ROWS).read_bytes()[:400]),
    "rows missing": lambda p: edit_table(p / ROWS, lambda t: t.slice(1)),
    "longer than it is": lambda p: edit_table(
        p / EPISODES, lambda t: column(t, "length", pa.array([10**8] * len(t)))
    ),
    "a chunk below zero": lambda p: edit_table(
        p / EPISODES, lambda t: column(t, "data/chunk_index", pa.array([-1] * len(t)))
    ),
    "video cut off": lambda p: (p / VIDEO).write_bytes((p / VIDEO).read_bytes()[:3000]),
    "no video": lambda p: (p / VIDEO).unlink(),
    "actions that are records": lambda p: edit_table(
        p / ROWS, lambda t: column(t, "action", pa.array([{"a": b"x"}] * len(t)))
    ),
}
STEPS = "steps.parquet"
TABLE_LIES: dict[str, Callable[[Path], Any]] = {
    "steps cut off": lambda p: (p / STEPS).write_bytes((p / STEPS).read_bytes()[:-40]),
    "no episodes": lambda p: (p / "episodes.parquet").unlink(),
    "numbers for texts": lambda p: edit_table(
        p / STEPS, lambda t: column(t, "action", pa.array(range(len(t))))
    ),
    "steps backwards": lambda p: edit_table(p / STEPS, lambda t: t.take(list(range(len(t)))[::-1])),
    "steps unknown": lambda p: edit_table(
        p / STEPS, lambda t: column(t, "step", pa.nulls(len(t), pa.int32()))
    ),
    "a column missing": lambda p: edit_table(p / STEPS, lambda t: t.drop_columns(["observation"])),
    "not ours": lambda p: edit_table(p / STEPS, lambda t: t.replace_schema_metadata({})),
    "another picture": lambda p: edit_table(
        p / "frames.parquet", lambda t: column(t, "png", pa.array([b"\x89PNG"] * len(t)))
    ),
}


@pytest.mark.parametrize(
    ("name", "lie"),
    [("lerobot", lie) for lie in LEROBOT_LIES] + [("parquet", lie) for lie in TABLE_LIES],
)
def test_a_dataset_that_lies_is_refused(exports: Path, tmp_path: Path, name: str, lie: str) -> None:
    shutil.copytree(exports / name, tmp_path / name)
    (
        {
            **LEROBOT_LIES,
        }
        if name == "lerobot"
        else TABLE_LIES
    )[lie](tmp_path / name)
    with pytest.raises(RecordingError) as caught:
        list(read_recordings(tmp_path / name))
    assert caught.value.got is not None
    assert caught.value.expected
    assert caught.value.remedy


def test_rewriting_a_table_alone_is_no_lie(exports: Path, tmp_path: Path) -> None:
    """What the lies above are refused for is what they change."""
    for name, table in (("lerobot", ROWS), ("lerobot", EPISODES), ("parquet", STEPS)):
        folder = tmp_path / table.replace("/", "-")
        shutil.copytree(exports / name, folder)
        edit_table(folder / table, lambda t: t)
        assert len(list(read_recordings(folder))) == len(list(read_recordings(exports / name)))


def minari_lies() -> dict[str, Callable[[h5py.File, Path], Any]]:
    def replace(group: str, name: str, make: Callable[[Any], Any]) -> Callable[[h5py.File, Path], Any]:
        def change(file: h5py.File, folder: Path) -> None:
            del file[group][name]
            make((file[group], name, folder))

        return change

    def external(where: Any) -> None:
        group, name, folder = where
        with h5py.File(folder / "other.hdf5", "w") as other:
            other["x"] = np.zeros(30)
        group[name] = h5py.ExternalLink("other.hdf5", "/x")

    def raw(where: Any) -> None:
        group, name, folder = where
        (folder / "secret").write_bytes(b"\1" * 240)
        group.create_dataset(name, (30,), "f8", external=[(str(folder / "secret"), 0, 240)])

    def virtual(where: Any) -> None:
        group, name, folder = where
        layout = h5py.VirtualLayout((30,), "f8")
        layout[:] = h5py.VirtualSource(str(folder / "other.hdf5"), "x", shape=(30,))
        group.create_virtual_dataset(name, layout)

    first = "episode_0"
    return {
        "external link": replace(first, "rewards", external),
        "external storage": replace(first, "rewards", raw),
        "virtual storage": replace(first, "rewards", virtual),
        "soft link": replace(
            first, "rewards", lambda w: w[0].__setitem__(w[1], h5py.SoftLink("/episode_1/rewards"))
        ),
        "no rewards": replace(first, "rewards", lambda w: None),
        "a group for numbers": replace(first, "rewards", lambda w: w[0].create_group(w[1])),
        "texts for numbers": replace(first, "rewards", lambda w: w[0].create_dataset(w[1], data=["a"] * 30)),
        "actions too few": replace(first, "actions", lambda w: w[0].create_dataset(w[1], data=["a"] * 3)),
        "a terabyte of zeros": replace(
            first, "rewards", lambda w: w[0].create_dataset(w[1], (10**11,), "f8", chunks=(1024,))
        ),
        "a terabyte of pictures": replace(
            f"{first}/observations",
            "frame",
            lambda w: w[0].create_dataset(w[1], (31, 10**5, 10**5, 3), "u1", chunks=(1, 64, 64, 3)),
        ),
        "episode missing": lambda file, _: file.move(first, "episode_77"),
    }


@pytest.mark.parametrize("lie", sorted(minari_lies()))
def test_a_minari_file_that_lies_is_refused(exports: Path, tmp_path: Path, lie: str) -> None:
    shutil.copytree(exports / "minari", tmp_path / "minari")
    with h5py.File(tmp_path / "minari/data/main_data.hdf5", "a") as file:
        minari_lies()[lie](file, tmp_path / "minari/data")
    with pytest.raises(RecordingError) as caught:
        read_recording(tmp_path / "minari", episode=0)
    assert caught.value.remedy


def test_minari_in_another_format_or_cut_off(exports: Path, tmp_path: Path) -> None:
    folder = tmp_path / "minari"
    shutil.copytree(exports / "minari", folder)
    edit_json(folder / "data/metadata.json", lambda m: m.update(data_format="arrow"))
    with pytest.raises(RecordingError, match="not stored as HDF5"):
        read_recording(folder)
    edit_json(folder / "data/metadata.json", lambda m: m.update(data_format="hdf5"))
    data = (folder / "data/main_data.hdf5").read_bytes()
    (folder / "data/main_data.hdf5").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match="damaged"):
        read_recording(folder)


def test_a_library_that_hangs_or_crashes_costs_a_process(
    exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_dataset(exports / "minari")
    found._probe._process.kill()
    with pytest.raises(RecordingError, match="damaged"):
        found.trajectory(0)
    monkeypatch.setattr(minari_probe, "BASE_LIMIT_S", 0.0)
    monkeypatch.setattr(minari_probe, "_BYTES_A_SECOND", 1e12)
    with pytest.raises(RecordingError, match="damaged") as caught:
        open_dataset(exports / "minari")
    assert "no end after" in str(caught.value.got)


def test_an_episode_that_is_too_large_is_named(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lookalike.recordings.export import lerobot_reader, step_frames, tables_reader

    monkeypatch.setattr(tables_reader, "MAX_TEXT_BYTES", 100)
    monkeypatch.setattr(step_frames, "MAX_FRAME_BYTES", 1000)
    for name in ("parquet", "lerobot"):
        with pytest.raises(RecordingError, match="too large"):
            read_recording(exports / name, episode=0)
    monkeypatch.setattr(step_frames, "MAX_FRAME_BYTES", 10**9)
    monkeypatch.setattr(lerobot_reader, "MAX_TEXT_BYTES", 100)
    with pytest.raises(RecordingError, match="too large"):
        read_recording(exports / "lerobot", episode=0)
    monkeypatch.setattr(dataset, "MAX_FILES", 2)
    with pytest.raises(RecordingError, match="damaged"):
        read_recording(exports / "lerobot", episode=0)


def test_bytes_changed_at_random_are_an_error_or_harmless(exports: Path, tmp_path: Path) -> None:
    """Whatever a broken copy does to a file, the answer is one of our errors or a reading."""
    drawn = random.Random(5)
    refused = 0
    for round_ in range(30):
        name = drawn.choice(("lerobot", "parquet"))
        folder = tmp_path / str(round_)
        shutil.copytree(exports / name, folder)
        path = drawn.choice(sorted(p for p in folder.rglob("*") if p.suffix in {".parquet", ".json", ".mp4"}))
        data = bytearray(path.read_bytes())
        for _ in range(drawn.choice((1, 5, 40))):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        path.write_bytes(data)
        try:
            list(read_recordings(folder))
        except LookalikeError:
            refused += 1
    assert 5 <= refused < 30


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no dataset that is known"):
        read_recording(tmp_path)
    with pytest.raises(RecordingError, match="does not exist"):
        list(read_recordings(tmp_path / "nothing"))
