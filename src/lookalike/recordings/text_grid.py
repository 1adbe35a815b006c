"""Finds where the text stands in pictures of a terminal: background, line height, character width.

Nothing is assumed of the font, its size or the colours, but that the text stands on one background in
lines of one height, as it does in every terminal. Where characters have one width too, the grid knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lookalike.recordings.video_frames import Luma

Profile = NDArray[np.float64]

_LINE_HEIGHTS = (7.0, 80.0)
_WIDTH_TO_HEIGHT = (0.3, 0.8)
_MIN_CONTRAST = 30
_INVISIBLE_DRIFT = 0.5
"""Two periods are one when they differ by less than this, in pixels, over the whole picture."""
_GAP_TOLERANCE = 0.6
_WHOLE_TOLERANCE = 1.8
_EMPTY_ROW = 0.002
"""Less than this share of the most ink is none, between lines. Descenders are rare in texts of capitals."""
_EMPTY_COLUMN = 0.05
"""Likewise between characters, of which the widest touch."""
_LINE_GAP = 0.05
"""Between lines there is less ink than this share of the mean."""
_MIN_BACKGROUND_SHARE = 0.55


@dataclass(frozen=True)
class TextGrid:
    """Where lines and characters stand in the picture.

    Attributes:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        background: Luma behind the text, 0 to 255.
        contrast: Luma of the text minus background; negative for dark on light.
        top: Upper edge of the first line, in pixels; may be a little negative.
        line_height: In pixels, not always a whole number.
        rows: Number of lines.
        left: Left edge of the first character, likewise.
        cell_width: Width of a character; ``None`` where widths differ.
        columns: Number of characters in a line; 0 where widths differ.
    """

    height: int
    width: int
    background: int
    contrast: int
    top: float
    line_height: float
    rows: int
    left: float
    cell_width: float | None
    columns: int

    def ink(self, luma: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how much text colour each pixel has, 0 to 1."""
        ink = (luma.astype(np.float32) - self.background) / self.contrast
        return np.clip(ink, 0.0, 1.0)

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Pixel rows where lines begin, and where the last one ends: ``[rows + 1]``."""
        edges = np.round(self.top + self.line_height * np.arange(self.rows + 1)).astype(np.int64)
        return np.clip(edges, 0, self.height)

    @property
    def cell_shape(self) -> tuple[int, int]:
        """Height and width of a resampled character, in pixels; width 0 where widths differ."""
        return round(self.line_height), round(self.cell_width or 0.0)

    def cells(self, strip: NDArray[np.float32], row: int) -> NDArray[np.float32]:
        """Cut one line into characters of one size, at fractions of pixels where need be.

        Args:
            strip: Ink of the line, ``[bounds[row + 1] - bounds[row], W]``.
            row: Its number.

        Returns:
            ``[columns, *cell_shape]``.
        """
        high, wide = self.cell_shape
        offset = self.top + row * self.line_height - self.bounds[row]
        down = offset + (np.arange(high) + 0.5) * (self.line_height / high) - 0.5
        pitch = (self.cell_width or 0.0) / wide
        across = self.left + (np.arange(self.columns * wide) + 0.5) * pitch - 0.5
        lines = _interpolate(_interpolate(strip, down).T, across)
        return lines.reshape(self.columns, wide, high).transpose(0, 2, 1)


def find_grid(pictures: Sequence[Luma]) -> TextGrid | None:
    """Return the grid that the text in ``pictures`` stands on, or ``None`` where there is no text.

    Args:
        pictures: Some frames from different times, all of one size.
    """
    if not pictures:
        return None
    shape = pictures[0].shape
    stack = np.stack([picture for picture in pictures if picture.shape == shape])
    histogram = np.bincount(stack.reshape(-1), minlength=256)
    background = int(histogram.argmax())
    near = histogram[max(0, background - 10) : background + 11].sum() / histogram.sum()
    contrast = _contrast(histogram, background)
    if near < _MIN_BACKGROUND_SHARE or contrast is None:
        return None
    ink = np.clip((stack.astype(np.float32) - background) / contrast, 0.0, 1.0)
    ink[ink < 0.25] = 0.0
    down = ink.mean(axis=2).mean(axis=0).astype(np.float64)
    line_height = _period(down, *_LINE_HEIGHTS)
    if line_height is None:
        return None
    line_height = _sharpest(down, _smallest(down, line_height, _LINE_HEIGHTS[0]), line_height)
    top = _gap(down, line_height, _EMPTY_ROW)
    # A line whose upper third is outside the picture is no line.
    top -= line_height * np.floor((top + 0.35 * line_height) / line_height)
    rows = int((shape[0] - top + 0.35 * line_height) // line_height)
    across = ink.mean(axis=1).mean(axis=0).astype(np.float64)
    cell_width = _period(across, *(line_height * ratio for ratio in _WIDTH_TO_HEIGHT))
    left = _gap(across, cell_width, _EMPTY_COLUMN) if cell_width else 0.0
    columns = 0
    if cell_width is not None:
        if _gap_depth(across, cell_width) > 0.6:
            cell_width = None
        else:
            left -= cell_width * np.floor((left + 0.35 * cell_width) / cell_width)
            columns = int((shape[1] - left + 0.35 * cell_width) // cell_width)
    return TextGrid(
        shape[0],
        shape[1],
        background,
        contrast,
        float(top),
        line_height,
        rows,
        float(left),
        cell_width,
        columns,
    )


def _contrast(histogram: NDArray[np.int64], background: int) -> int | None:
    """Return the text's luma minus the background's, on the side where there is more ink."""
    levels = np.arange(256)
    best: int | None = None
    most = 0.0
    for sign in (1, -1):
        distance = (levels - background) * sign
        far = np.where(distance >= _MIN_CONTRAST, histogram, 0)
        weight = float((far * np.maximum(distance, 0)).sum())
        if weight > most and far.sum() >= 20:
            # Strokes are thin: most ink is half covered. The brightest tenth shows the full colour.
            order = np.argsort(-distance)
            reached = np.cumsum(far[order]) >= 0.1 * far.sum()
            most, best = weight, int(distance[order[int(reached.argmax())]]) * sign
    return best


def _period(profile: Profile, low: float, high: float) -> float | None:
    """Return the period of ``profile`` between ``low`` and ``high`` pixels, or ``None`` where it has none.

    The period whose first three harmonics hold the most energy; a multiple of the true one has the first
    harmonic only, a fraction lacks it.
    """
    high = min(high, len(profile) / 2)
    if high <= low or not profile.any():
        return None
    signal = profile - profile.mean()
    periods = 1 / np.arange(1 / high, 1 / low, 1 / (8 * len(profile)))
    best = float(periods[_comb(signal, periods).argmax()])
    return _refined(signal, best)


def _comb(signal: Profile, periods: Profile) -> Profile:
    """Return the energy in the first three harmonics of each period."""
    positions = np.arange(len(signal))
    total = np.zeros(len(periods))
    for harmonic in (1, 2, 3):
        turns = np.exp((-2j * np.pi * harmonic) * positions[None, :] / periods[:, None])
        total += np.abs(turns @ signal) ** 2
    return total


def _refined(profile: Profile, period: float) -> float:
    """Return the best period near ``period``: nearer than the profile's length can tell two apart."""
    step = period * period / (8 * len(profile))
    signal = profile - profile.mean()
    best = period
    for _ in range(2):
        periods = np.linspace(best - 2 * step, best + 2 * step, 41)
        best, step = float(periods[_comb(signal, periods).argmax()]), step / 10
    # An exact whole number is by far the most likely where the difference cannot be seen.
    whole = float(round(best))
    inked = np.flatnonzero(profile > profile.min())
    return whole if abs(best - whole) * np.ptp(inked) / best < _INVISIBLE_DRIFT else best


def _smallest(profile: Profile, period: float, low: float) -> float:
    """Return ``period`` or the smallest fraction of it, from ``low`` pixels, that has a gap in each line.

    Answers of one line, a blank line and a prompt in turn look like one line three times as high.
    """
    for parts in range(int(period / low), 1, -1):
        if _gap_depth(profile, period / parts) < _LINE_GAP:
            return period / parts
    return period


def _sharpest(profile: Profile, period: float, found: float) -> float:
    """Return the period near ``period`` at which the lines fall on each other best: the gap is widest.

    A few lines of text are too short a signal for an exact frequency; their edges are exact.

    Args:
        profile: Ink by row.
        period: Where to look.
        found: The period in the spectrum that it is a fraction of: how unsure it is depends on how often
            that one came, which in a recording of a few commands is seldom.
    """
    inked = np.flatnonzero(profile)
    lines = max(2.0, (inked[-1] - inked[0]) / found)
    unsure = min(0.06, 1.5 / lines**2) * period
    near = period + unsure * np.linspace(-1.0, 1.0, 101)
    whole = np.arange(np.ceil(near[0]), np.floor(near[-1]) + 1)
    candidates = np.concatenate([whole, near[np.argsort(np.abs(near - period))]])
    gaps = np.array([_empty_run(profile, candidate, _EMPTY_ROW)[0] for candidate in candidates])
    # Gaps are known to a fraction of a pixel, and less well where lines never fall between pixels. Within
    # that, a whole number is likeliest, then what the spectrum said.
    tolerance = np.where(np.arange(len(candidates)) < len(whole), _WHOLE_TOLERANCE, _GAP_TOLERANCE)
    return float(candidates[int((gaps > gaps.max() - tolerance).argmax())])


def _fold(profile: Profile, period: float, bins: int) -> Profile:
    """Return the mean of ``profile`` at each of ``bins`` phases."""
    centres = (np.arange(len(profile)) % period) / period * bins
    index = np.floor(centres).astype(int) % bins
    sums = np.bincount(index, profile, bins)
    counts = np.bincount(index, minlength=bins)
    known = counts > 0
    filled = np.interp(np.arange(bins), np.flatnonzero(known), sums[known] / counts[known], period=bins)
    return np.asarray(filled)


def _gap(profile: Profile, period: float, empty: float) -> float:
    """Return the phase in pixels of the middle of the emptiest stretch of ``profile``."""
    return _empty_run(profile, period, empty)[1]


def _empty_run(profile: Profile, period: float, empty_share: float) -> tuple[float, float]:
    """Return length and middle, in pixels, of the longest stretch of phases with little ink."""
    bins = max(4, round(period * 4))
    folded = _fold(profile, period, bins)
    empty = folded <= folded.min() + empty_share * (folded.max() - folded.min())
    start = int(np.flatnonzero(~empty)[0])
    length, middle, run = 0, 0.0, 0
    for i in range(start, start + bins + 1):
        if not empty[i % bins]:
            run = 0
            continue
        run += 1
        if run > length:
            length, middle = run, i - (run - 1) / 2
    # Bin b holds pixels whose upper edge lies in [b, b + 1) quarters.
    return length / bins * period, ((middle + 0.5) / bins * period) % period


def _gap_depth(profile: Profile, period: float) -> float:
    """Return how much ink the emptiest phase has, as a share of the mean."""
    # Finer bins than pixels would keep lines apart that should fall on each other.
    folded = _fold(profile, period, int(period))
    return float(folded.min() / folded.mean())


def _interpolate(values: NDArray[np.float32], positions: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return ``values`` along axis 0 at fractional ``positions``, the edges continued."""
    last = values.shape[0] - 1
    clipped = np.clip(positions, 0, last)
    lower = np.floor(clipped).astype(np.int64)
    upper = np.minimum(lower + 1, last)
    weight = (clipped - lower).astype(np.float32)[:, None]
    result: NDArray[np.float32] = values[lower] * (1 - weight) + values[upper] * weight
    return result
