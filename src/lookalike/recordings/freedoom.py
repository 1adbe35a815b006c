"""The Freedoom project's demos: people playing Doom levels, as video with their exact inputs.

They are not shipped. A folder that holds them is named by the environment variable ``LOOKALIKE_SHARED_DATA``
(with ``freedoom/`` in it), or stands as ``shared/data`` in or beside the checkout, or in a folder above the
working one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.types import Demonstration
from lookalike.recordings.visual_frames import DEFAULT_SIZE
from lookalike.recordings.visual_video import read_visual_video

SHARED_DATA = "LOOKALIKE_SHARED_DATA"
LICENCE = "BSD-3-Clause"


class FreedoomDemo(NamedTuple):
    """One of the demos.

    Attributes:
        name: Of its files.
        environment: The environment that has the same level.
        player: Who plays, as the Freedoom project names them.
    """

    name: str
    environment: str
    player: str


DEMOS = (
    FreedoomDemo("p1demo1", "vizdoom:freedoom1-e1m4", "Erick"),
    FreedoomDemo("p1demo3", "vizdoom:freedoom1-e3m3", "Chungy"),
    FreedoomDemo("p2demo1", "vizdoom:freedoom2-map15", "Erick"),
    FreedoomDemo("p2demo4", "vizdoom:freedoom2-map26", "Chungy"),
)


def freedoom_folder() -> Path | None:
    """Return the folder of the demos, or ``None`` where it is nowhere."""
    named = os.environ.get(SHARED_DATA)
    if named:
        roots = [Path(named)]
    else:
        source = Path(__file__).resolve().parents[3]  # the checkout, where this is one
        roots = [place / "shared" / "data" for place in (source, source.parent, *_above(Path.cwd()))]
    for root in roots:
        if (root / "freedoom" / f"{DEMOS[0].name}.mp4").is_file():
            return root / "freedoom"
    return None


def read_freedoom_demo(name: str, *, with_actions: bool = True, size: int = DEFAULT_SIZE) -> Demonstration:
    """Read one of the demos; action i is what was held while picture i was shown (a tic, 1/35 s).

    Args:
        name: As in :data:`DEMOS`.
        with_actions: Take the true inputs; without them the video is silent.
        size: Sides of the frames, in pixels.

    Raises:
        UnknownNameError: There is no such demo.
        UsageError: The folder is not here.
        RecordingError: A file is missing or damaged.
    """
    demos = {demo.name: demo for demo in DEMOS}
    if name not in demos:
        raise UnknownNameError("Freedoom demo", name, demos)
    folder = freedoom_folder()
    if folder is None:
        raise UsageError(
            "The Freedoom demos are not here.",
            expected=f"a folder freedoom/ with {name}.mp4 in it",
            remedy=f"Set {SHARED_DATA} to the folder that holds freedoom/.",
        )
    demo = demos[name]
    found = read_visual_video(
        folder / f"{name}.mp4",
        environment=demo.environment,
        licence=LICENCE,
        player_kind="human",
        size=size,
        actions=folder / f"{name}.actions.jsonl" if with_actions else False,
    )
    provenance = replace(found.provenance, note=f"{found.provenance.note}; played by {demo.player}")
    return replace(found, provenance=provenance)


def read_freedoom_demos(*, with_actions: bool = True, size: int = DEFAULT_SIZE) -> Iterator[Demonstration]:
    """Read all demos, one at a time (see :func:`read_freedoom_demo`)."""
    for demo in DEMOS:
        yield read_freedoom_demo(demo.name, with_actions=with_actions, size=size)


def _above(folder: Path) -> tuple[Path, ...]:
    return (folder, *folder.parents)
