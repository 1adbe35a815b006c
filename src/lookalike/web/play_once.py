"""One play on the screen, asked for on the command line: a page in the browser, a video in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from lookalike.core.errors import RecordingError, UsageError
from lookalike.environments.levels import has_levels, require_part
from lookalike.recordings.visual_actions import read_actions
from lookalike.web.recorder import AskedPlay, make_video
from lookalike.web.screen_play import waits_for_film
from lookalike.web.server import DEFAULT_PORT, Address, serve


def play_in_browser(
    environment: str,
    *,
    seed: int,
    out: Path,
    licence: str,
    port: int = DEFAULT_PORT,
    open_browser: bool = True,
    ready: Callable[[Address], None] = lambda _: None,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Let a person play in the browser, on this machine alone, and record it.

    Returns when the person has ended the play and its video is made, or when it is interrupted: what was
    played until then is filmed here.

    Args:
        environment: Environment id; one with frames.
        seed: What it begins with; a level that is kept for recordings.
        out: The video, .mp4; its actions go beside it.
        licence: Of the recording, SPDX.
        port: First port to try; 0 for any.
        open_browser: Open it.
        ready: Called when the page answers.
        progress: Called with the finished fraction while the video is made here.

    Returns:
        How many actions were played.

    Raises:
        UsageError: The video is no .mp4 or exists already, or the level is not one for recordings.
        RecordingError: Nothing was played, or the video cannot be made; the actions stay.
    """
    if out.suffix != ".mp4":
        raise UsageError("Plays on the screen are filmed as .mp4.", got=out.name, expected="NAME.mp4")
    log = out.with_suffix(".jsonl")
    for there in (out, log):
        if there.exists():
            raise UsageError(
                "There is a recording of that name already.", got=str(there), remedy="choose another --out"
            )
    if has_levels(environment):
        require_part((seed,), "recording")
    asked = AskedPlay(environment, seed, licence, log)
    with contextlib.suppress(KeyboardInterrupt):
        serve(out.parent, port=port, open_browser=open_browser, ready=ready, asked=asked)
    if not log.exists():
        raise RecordingError(
            "Nothing was played, so there is no video.",
            got="no actions",
            expected="at least one action before the play is ended",
            remedy="start again, and play in the page that opens",
        )
    if waits_for_film(log):
        make_video(log, progress, played=environment)
    return len(read_actions(log).actions)
