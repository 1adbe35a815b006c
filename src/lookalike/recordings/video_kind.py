"""Tells whether a video shows a terminal, to be read as text, or a game on the screen, to be looked at.

A few pictures are asked: do they have lines of characters of one width, as terminals do? Where they have
lines but no common width, the text recogniser decides: it finds letters in the bricks of a maze too, but no
sentences.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from lookalike.recordings.line_recogniser import LineRecogniser
from lookalike.recordings.text_grid import TextGrid, find_grid
from lookalike.recordings.video_frames import Luma, sample_frames

_SAMPLES = 24  # as the terminal reader takes, so that it finds the same grid
_LOOKED_AT = 2
_LINES = 4
_LEAST_COLUMNS, _LEAST_ROWS = 20, 3
_LEAST_LINE = 20  # characters of the longest line
_LEAST_WIDTH = 160  # pixels that such a line needs to be legible


def shows_text(path: Path) -> bool:
    """Return whether a video is one of a terminal.

    Raises:
        RecordingError: It cannot be read.
    """
    samples = sample_frames(path, _SAMPLES)
    if not samples:
        return False
    grid = find_grid(samples)
    if grid is None or grid.width < _LEAST_WIDTH:
        return False
    if grid.cell_width is not None and grid.columns >= _LEAST_COLUMNS and grid.rows >= _LEAST_ROWS:
        return True
    chosen = [samples[len(samples) * (2 * i + 1) // (2 * _LOOKED_AT)] for i in range(_LOOKED_AT)]
    strips = [strip for luma in chosen for strip in _strips(grid, luma)]
    texts = LineRecogniser().read([grid.ink(strip) for strip in strips])
    signs = sum(not character.isspace() for text in texts for character in text)
    letters = sum(character.isalpha() and character.isascii() for text in texts for character in text)
    return max(map(len, texts), default=0) >= _LEAST_LINE and letters >= 0.7 * signs


def _strips(grid: TextGrid, luma: Luma) -> list[Luma]:
    """Return the fullest lines of a picture."""
    if luma.shape != (grid.height, grid.width):
        return []
    edges = [round(grid.top + row * grid.line_height) for row in range(grid.rows + 1)]
    strips = [luma[max(0, one) : two] for one, two in itertools.pairwise(edges) if two > one]
    strips.sort(key=lambda strip: -float(grid.ink(strip).mean()))
    return strips[:_LINES]
