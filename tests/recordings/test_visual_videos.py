"""Videos of play on the screen: every size, rate, turn and fault that people's files have."""

from __future__ import annotations

import json
import mmap

import numpy as np
import pytest
from video_makers import picture, square_left, turn, write_video

from lookalike.core.errors import RecordingError, UsageError
from lookalike.recordings import read_recording, read_visual_video
from lookalike.recordings.visual_frames import VideoPictures

EVERY_PICTURE_ALONE = {"g": "1", "bf": "0"}


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Thirty pictures in an mp4."""
    return write_video(tmp_path_factory.mktemp("moving") / "play.mp4", [picture(i) for i in range(30)])


def _beside(video, lines, name="play.jsonl"):
    path = video.with_name(name)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mkv", "libx264", "yuv444p"),
    ],
)
def test_containers_and_codecs_give_the_same_small_frames(tmp_path, name, codec, pixels):
    path = write_video(tmp_path / name, [picture(i) for i in range(12)], codec=codec, pixels=pixels)
    demonstration = read_visual_video(path)
    assert demonstration.player_kind == "human"
    assert set(demonstration.trajectory.actions) == {None}
    frames = [seen.frame for seen in demonstration.trajectory.observations]
    assert len(frames) == 12
    for step, frame in enumerate(frames):
        assert frame.shape == (64, 64, 3)
        assert frame.dtype == np.uint8
        assert square_left(frame) == pytest.approx((20 + 2 * step) / 128, abs=0.03)
    assert np.diff(demonstration.trajectory.times) == pytest.approx([0.05] * 11, abs=0.011)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(64, 64, 64), (640, 360, 64), (98, 202, 32), (16, 16, 128)]
)
def test_pictures_of_any_size_become_frames_of_the_size_asked_for(tmp_path, width, height, size):
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = (200, 40, 40)
    image[height // 2 :] = (40, 40, 200)
    path = write_video(tmp_path / "a.mp4", [image] * 3)
    frame = read_visual_video(path, size=size).trajectory.observations[1].frame
    assert frame.shape == (size, size, 3)
    top, bottom = frame[: size // 4].mean(axis=(0, 1)), frame[-size // 4 :].mean(axis=(0, 1))
    assert top[0] - top[2] > 120
    assert bottom[2] - bottom[0] > 120


def test_a_rate_that_varies_is_followed_by_the_timestamps(tmp_path):
    times = [0, 20, 40, 60, 560, 580, 1500, 1520]
    path = write_video(tmp_path / "a.mp4", [picture(4 * i) for i in range(8)], times_ms=times)
    assert read_visual_video(path).trajectory.times == pytest.approx([t / 1000 for t in times], abs=0.002)
    sampled = list(VideoPictures(path, sample_fps=10))
    assert [round(frame.time_s, 3) for frame in sampled] == [round(0.1 * i, 3) for i in range(16)]
    shown = [round((square_left(frame.frame) * 128 - 20) / 8) for frame in sampled]
    assert shown == [0, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_turned_back(tmp_path, degrees):
    """The camera lay on its side: the file's pictures are turned, and a matrix says how to show them."""
    upright = [picture(i, width=128, height=128) for i in range(5)]
    lying = [np.rot90(image, k=degrees // 90).copy() for image in upright]  # counter-clockwise
    path = turn(write_video(tmp_path / "a.mp4", lying), degrees)
    plain = write_video(tmp_path / "b.mp4", upright)
    found, wanted = read_visual_video(path), read_visual_video(plain)
    assert "turned by" in found.provenance.note
    for one, other in zip(found.trajectory.observations, wanted.trajectory.observations, strict=True):
        assert np.abs(one.frame.astype(int) - other.frame).mean() < 4


@pytest.mark.parametrize("bars", ["above and below", "left and right", "all around"])
def test_black_bars_are_cut_away_and_said(tmp_path, bars):
    down, across = ("left" not in bars) * 32, ("above" not in bars) * 24
    pictures = [np.pad(picture(i), ((down, down), (across, across), (0, 0))) for i in range(6)]
    path = write_video(tmp_path / "a.mp4", pictures)
    plain = read_visual_video(write_video(tmp_path / "b.mp4", [picture(i) for i in range(6)]))
    found = read_visual_video(path)
    assert "black bars cut away" in found.provenance.note
    for one, other in zip(found.trajectory.observations, plain.trajectory.observations, strict=True):
        assert np.abs(one.frame.astype(int) - other.frame).mean() < 8
    kept = read_visual_video(path, keep_bars=True)
    assert kept.trajectory.observations[0].frame[0, 0].max() < 20
    assert kept.id != found.id


def test_a_game_that_is_dark_at_one_side_keeps_it(tmp_path):
    pictures = [np.pad(picture(i), ((40, 0), (0, 30), (0, 0))) for i in range(4)]
    assert "bars" not in read_visual_video(write_video(tmp_path / "a.mp4", pictures)).provenance.note


def test_one_picture_is_no_play(tmp_path):
    path = write_video(tmp_path / "a.mp4", [picture(0)])
    with pytest.raises(RecordingError, match="single picture"):
        read_visual_video(path)


def test_damaged_pictures_in_the_middle_are_skipped_and_counted(tmp_path):
    import av

    path = write_video(tmp_path / "a.mkv", [picture(i) for i in range(30)], options=EVERY_PICTURE_ALONE)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for number in (10, 11, 19):
        at = data.index(packets[number])
        data = data[: at + 5] + bytes(len(packets[number]) - 5) + data[at + len(packets[number]) :]
    path.write_bytes(data)
    found = read_visual_video(path)
    assert "3 pictures could not be decoded" in found.provenance.note
    frames = [seen.frame for seen in found.trajectory.observations]
    assert len(frames) == 27
    assert square_left(frames[10]) == pytest.approx((20 + 2 * 12) / 128, abs=0.03)
    assert found.trajectory.times[10] == pytest.approx(0.6, abs=0.01)
    # With actions, each must keep its picture: the last good one stands in for those that are lost.
    log = _beside(path, [{"action": f"a{i}"} for i in range(29)], "a.jsonl")
    acted = read_visual_video(path, actions=log)
    assert acted.trajectory.actions == tuple(f"a{i}" for i in range(29))
    assert square_left(acted.trajectory.observations[11].frame) == pytest.approx(38 / 128, abs=0.03)
    assert square_left(acted.trajectory.observations[12].frame) == pytest.approx(44 / 128, abs=0.03)


def test_a_codec_that_is_missing_is_named(moving, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(moving.read_bytes().replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC"))
    with pytest.raises(RecordingError, match="decoder") as caught:
        read_visual_video(path)
    assert "libx264" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"no video at all, but text", b"GIF89a" + bytes(20)])
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(RecordingError):
        read_visual_video(path)


def test_sizes_and_rates_that_cannot_be_meant_are_refused(moving):
    for wrong in ({"size": 4}, {"size": 5000}, {"sample_fps": 0}, {"sample_fps": -1}):
        with pytest.raises(UsageError):
            read_visual_video(moving, **wrong)


def test_a_large_video_is_kept_in_a_file_and_reads_the_same(moving, monkeypatch):
    from lookalike.recordings import visual_video

    small = read_visual_video(moving)
    monkeypatch.setattr(visual_video, "IN_MEMORY_BYTES", 10_000)
    mapped = read_visual_video(moving)
    holder = mapped.trajectory.observations[0].frame
    while isinstance(holder, np.ndarray):
        holder = holder.base
    assert isinstance(holder, mmap.mmap)
    assert all(
        one == other
        for one, other in zip(small.trajectory.observations, mapped.trajectory.observations, strict=True)
    )
    monkeypatch.setattr(visual_video, "MAX_KEPT_BYTES", 64 * 64 * 3 * 20)
    with pytest.raises(RecordingError, match="too long"):
        read_visual_video(moving)


def test_actions_beside_the_video_are_read(tmp_path):
    video = write_video(tmp_path / "play.mp4", [picture(i) for i in range(10)])
    _beside(video, ["left", {"action": "right"}, {"action": 3}, *["up"] * 6])
    found = read_recording(video)
    assert found.provenance.reader == "visual-video"
    assert found.trajectory.actions == ("left", "right", "3", "up", "up", "up", "up", "up", "up")
    silent = read_visual_video(video, actions=False)
    assert set(silent.trajectory.actions) == {None}
    assert silent.id != found.id


def test_vpt_keys_and_doom_tics_become_names(tmp_path):
    video = write_video(tmp_path / "play.mp4", [picture(i) for i in range(5)])
    keys = {
        "keyboard": {"keys": ["key.keyboard.w", "key.keyboard.left.shift"]},
        "mouse": {"buttons": [0], "dx": -9},
    }
    idle = {"keyboard": {"keys": []}, "mouse": {"buttons": [], "dx": 0.5, "dy": 0}}
    tic = {"tic": 2, "forward": -50, "strafe": 24, "turn": 3, "attack": True, "use": False, "weapon": 3}
    _beside(
        video,
        [keys, idle, tic, {**tic, "forward": 0, "strafe": 0, "turn": 0, "attack": False, "weapon": None}],
    )
    assert read_visual_video(video).trajectory.actions == (
        "left shift + w + attack + turn left",
        "noop",
        "back + strafe right + turn left + attack + weapon 3",
        "noop",
    )


def test_actions_that_do_not_fit_the_video(tmp_path):
    video = write_video(tmp_path / "play.mp4", [picture(i % 20) for i in range(80)])
    log = _beside(video, ["left"] * 70)
    near = read_visual_video(video)
    assert len(near.trajectory) == 70
    assert "9 pictures after the last action left out" in near.provenance.note
    _beside(video, ["left"] * 90)
    assert "11 actions after the last picture left out" in read_visual_video(video).provenance.note
    _beside(video, ["left"] * 30)
    with pytest.raises(RecordingError, match="shorter than the video"):
        read_visual_video(video)
    assert len(read_visual_video(video, short_actions=True).trajectory) == 30
    _beside(video, ["left"] * 300)
    with pytest.raises(RecordingError, match="shorter than its actions"):
        read_visual_video(video)
    with pytest.raises(RecordingError, match="cannot be sampled"):
        read_visual_video(video, actions=log, sample_fps=5)


@pytest.mark.parametrize(
    "line", ["{", "[1, 2]", "null", '{"what": 1}', '{"action": null}', '{"action": true}']
)
def test_lines_that_are_no_actions_are_named(tmp_path, line):
    video = write_video(tmp_path / "play.mp4", [picture(i) for i in range(4)])
    video.with_suffix(".jsonl").write_text(f'"left"\n{line}\n"right"\n', encoding="utf-8")
    with pytest.raises(RecordingError, match="line 2"):
        read_visual_video(video)


def test_a_video_without_text_is_taken_for_a_game_and_a_terminal_for_a_terminal(moving, short):
    assert read_recording(moving).provenance.reader == "visual-video"
    assert read_recording(short).provenance.reader == "terminal-video"
    assert read_recording(short, kind="visual").provenance.reader == "visual-video"


def test_progress_is_told_to_its_end(moving):
    told = []
    read_visual_video(moving, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 5
