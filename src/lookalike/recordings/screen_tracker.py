"""Follows the lines of a terminal through a video: which are new, which scrolled, which are being typed.

Comparing pictures is all that happens here; no line is read. A line leaves the tracker once: when it
scrolled off the screen, when the screen was cleared, or at the end of the video. By then it is final.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.recordings.text_grid import TextGrid
from lookalike.recordings.video_frames import Luma

_CHANGED = 0.3
"""A pixel has changed when it changed by this share of the contrast; noise of the codec stays below."""
_CHANGED_PIXELS = 3
"""A line has changed when this many of its pixels have. A full stop has four."""
_SAME = 0.05
"""Two pictures of one line differ by less than this mean ink in every half cell."""
_INKED = 0.012
"""A line whose half cells all have less mean ink than this is blank. A hyphen has three times as much."""
_FAINT = 0.15
"""Ink below this is the codec's."""


@dataclass
class ScreenLine:
    """A line of the transcript, as a picture.

    Attributes:
        row: Where on the screen the picture was taken.
        strip: Luma, ``[line height, W]``; ``None`` for a blank line.
        first_s: When it appeared, in seconds.
        changed_s: When it last changed.
        extensions: How often it grew to the right by a few characters: it was typed.
    """

    row: int
    strip: Luma | None
    first_s: float
    changed_s: float
    extensions: int = 0


_SHORTENED = 3.0
_REPLACED = 4.0


class ScreenTracker:
    """Turns frames into final lines, in the order in which they were printed."""

    def __init__(self, grid: TextGrid) -> None:
        self.grid = grid
        self._threshold = max(6, round(_CHANGED * abs(grid.contrast)))
        self._previous: Luma | None = None
        self._features = np.zeros((grid.rows, 1), np.float32)
        self._lines: list[ScreenLine] = []
        step = grid.cell_width or grid.line_height / 2
        edges = np.round(np.arange(grid.left % step - step, grid.width, step / 2)).astype(np.int64)
        self._steps = np.unique(np.clip(edges, 0, grid.width - 1))

    def see(self, luma: Luma, time_s: float) -> list[ScreenLine]:
        """Take the next frame in; return the lines that became final with it."""
        previous = self._previous
        if previous is not None and np.array_equal(previous, luma):
            return []
        changed = self._changed_rows(previous, luma)
        final: list[ScreenLine] = []
        if changed.any():
            final = self._update(luma, changed, time_s)
        # Codecs sharpen a still picture over the next frames: the last view of a line is the best.
        self._previous = luma.copy()
        return final

    def finish(self) -> list[ScreenLine]:
        """Return the lines that are still on the screen."""
        self._keep_pictures()
        lines = self._lines
        while lines and lines[-1].strip is None:
            lines = lines[:-1]
        self._lines = []
        return lines

    def _changed_rows(self, previous: Luma | None, luma: Luma) -> NDArray[np.bool_]:
        if previous is None:
            return np.ones(self.grid.rows, np.bool_)
        difference = np.maximum(previous, luma) - np.minimum(previous, luma)
        counts = np.count_nonzero(difference > self._threshold, axis=1)
        starts = np.minimum(self.grid.bounds[:-1], self.grid.height - 1)
        return np.asarray(np.add.reduceat(counts, starts) >= _CHANGED_PIXELS)

    def _update(self, luma: Luma, changed: NDArray[np.bool_], time_s: float) -> list[ScreenLine]:
        rows = self.grid.rows
        features = self._row_features(luma, changed)
        self._keep_pictures()
        inked = features.max(axis=1) > _INKED
        final: list[ScreenLine] = []
        scrolled = self._scroll(features, inked) if self._lines else 0
        if scrolled:
            final, self._lines = self._lines[:scrolled], self._lines[scrolled:]
            moved = np.zeros_like(self._features)
            moved[: rows - scrolled] = self._features[scrolled:]
            changed = np.abs(moved - features).max(axis=1) > _SAME
            if scrolled == rows:
                changed[:] = True
            self._features = moved
            for row, line in enumerate(self._lines):
                line.row = row
        last_inked = int(np.flatnonzero(inked)[-1]) if inked.any() else -1
        for row in range(max(last_inked + 1, len(self._lines))):
            if row >= len(self._lines):
                self._lines.append(ScreenLine(row, None, time_s, time_s))
            line = self._lines[row]
            if changed[row]:
                self._edit(line, self._features[row], features[row], time_s)
            if inked[row]:
                # The pixels follow with the next change; until then, that there are some is enough.
                line.strip = _NO_PIXELS if line.strip is None else line.strip
            else:
                line.strip = None
        self._features = features
        return final

    def _edit(
        self, line: ScreenLine, before: NDArray[np.float32], after: NDArray[np.float32], time_s: float
    ) -> None:
        line.changed_s = time_s
        if line.strip is None:
            line.first_s = time_s
            return
        different = np.flatnonzero(np.abs(before - after) > _SAME)
        end_before = np.flatnonzero(before > _INKED)
        if len(different) and len(end_before) and different[0] >= end_before[-1] - 2 and len(different) <= 12:
            line.extensions += 1

    def _keep_pictures(self) -> None:
        """Cut the lines' pictures out of the last frame that showed them."""
        if self._previous is None:
            return
        bounds = self.grid.bounds
        for line in self._lines:
            if line.strip is not None:
                line.strip = self._previous[bounds[line.row] : bounds[line.row + 1]].copy()

    def _row_features(self, luma: Luma, changed: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the mean ink of every half cell, ``[rows, half cells]``; unchanged rows are not redone."""
        features = np.zeros((self.grid.rows, len(self._steps)), np.float32)
        bounds = self.grid.bounds
        widths = np.diff(np.append(self._steps, self.grid.width))
        for row in range(self.grid.rows):
            if not changed[row] and self._features.shape == features.shape:
                features[row] = self._features[row]
                continue
            ink = self.grid.ink(luma[bounds[row] : bounds[row + 1]])
            ink[ink < _FAINT] = 0.0
            features[row] = np.add.reduceat(ink.mean(axis=0), self._steps) / widths
        return features

    def _scroll(self, features: NDArray[np.float32], inked: NDArray[np.bool_]) -> int:
        """Return by how many lines the text moved up; all of them where nothing of it is left."""
        rows = self.grid.rows
        before = self._features
        inked_before = before.max(axis=1) > _INKED
        if not inked_before.any():
            return 0
        same = np.abs(before[:, None, :] - features[None, :, :]).max(axis=2) <= _SAME
        typed_row = int(np.flatnonzero(inked_before)[-1])
        blank = ~inked_before[:, None] & ~inked[None, :]
        worth = np.where(blank, 0.1, np.where(same, 1.0, -5.0))
        best, best_score = rows, 0.0
        for shift in range(typed_row + 1):
            score = float(np.trace(worth[:typed_row], offset=-shift))
            if same[typed_row, typed_row - shift]:
                score += 1.0
            elif score > best_score:
                score -= self._cursor_line_cost(before[typed_row], features[typed_row - shift])
            if score > best_score + 1e-6:
                best, best_score = shift, score
        if best_score <= 0.0:
            kept = self._cursor_line_cost(before[typed_row], features[typed_row]) < _REPLACED
            return 0 if kept else len(self._lines)
        return best or self._repeated(features, inked, same, typed_row)

    def _repeated(
        self,
        features: NDArray[np.float32],
        inked: NDArray[np.bool_],
        same: NDArray[np.bool_],
        typed_row: int,
    ) -> int:
        """Return the shift where the screen shows one command and its answer again and again.

        Then the picture before and after the next one differ in the last line only: the command is gone
        and there is a fresh prompt, as if it had been deleted. It was sent: the line stands one period up.
        """
        inked_before = self._features.max(axis=1) > _INKED
        beyond = inked[typed_row + 1 :].any() or not inked[typed_row]
        if typed_row < self.grid.rows // 2 or same[typed_row, typed_row] or beyond:
            return 0
        for shift in range(1, typed_row // 2 + 1):
            rows = np.arange(shift, typed_row)
            stands = same[rows, rows - shift] & (inked_before[rows] == inked[rows - shift])
            sent, fresh = features[typed_row - shift], features[typed_row]
            end = int(np.flatnonzero(sent > _INKED)[-1]) + 1 if inked[typed_row - shift] else 0
            # The cursor's edge may lie within the last half cell.
            typed = (np.abs(self._features[typed_row] - sent)[: end - 1] <= _SAME).all()
            gone = (np.abs(fresh - sent)[:end] > _SAME).any()
            if stands.all() and end and typed and gone and int(np.flatnonzero(fresh > _INKED)[-1]) < end:
                return shift
        return 0

    @staticmethod
    def _cursor_line_cost(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
        """Return how unlikely it is that the line with the cursor became ``after``.

        A last character, and the cursor leaving, are expected. A line that became shorter was rarely
        deleted: more often the same screen was printed once more, and this is the next prompt.
        """
        end = int(np.flatnonzero(before > _INKED)[-1])
        after_inked = np.flatnonzero(after > _INKED)
        start = max(0, end - 5)
        if len(after_inked) and after_inked[-1] >= start and (np.abs(before - after)[:start] <= _SAME).all():
            return 0.0 if after_inked[-1] >= end - 2 else _SHORTENED
        start = int(after_inked[-1]) - 1 if len(after_inked) else 0
        shortened = start > 0 and (np.abs(before - after)[: max(0, start - 1)] <= _SAME).all()
        return _SHORTENED if shortened else _REPLACED


_NO_PIXELS: Luma = np.zeros((0, 0), np.uint8)
