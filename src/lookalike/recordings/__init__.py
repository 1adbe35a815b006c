"""Files people leave behind: made here, and read here as demonstrations."""

from lookalike.recordings.commands import ShippedPlay, read_commands, shipped_play, shipped_play_path
from lookalike.recordings.frames_recorder import RecordedFrames, record_frames
from lookalike.recordings.jsonl import write_jsonl
from lookalike.recordings.reader import read_recording, read_recordings
from lookalike.recordings.recorder import Pace, Recorded, record_person, record_replay, render_video
from lookalike.recordings.terminal import TerminalLook
from lookalike.recordings.text_safety import normalise_whitespace
from lookalike.recordings.visual_frames import VideoPictures
from lookalike.recordings.visual_video import read_visual_video

__all__ = [
    "Pace",
    "Recorded",
    "RecordedFrames",
    "ShippedPlay",
    "TerminalLook",
    "VideoPictures",
    "normalise_whitespace",
    "read_commands",
    "read_recording",
    "read_recordings",
    "read_visual_video",
    "record_frames",
    "record_person",
    "record_replay",
    "render_video",
    "shipped_play",
    "shipped_play_path",
    "write_jsonl",
]
