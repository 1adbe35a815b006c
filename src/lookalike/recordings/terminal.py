"""Draws a text terminal, so that a play can be kept as a video that looks like what the player saw.

Nothing here knows what is shown: text comes in, pictures go out. The reader in ``terminal_video`` never
imports this module; it has to cope with terminals that were drawn by somebody else.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import UsageError

if TYPE_CHECKING:
    from PIL import ImageFont

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class TerminalLook:
    """What the terminal looks like.

    Attributes:
        columns: Characters in a line, 20 to 400.
        rows: Lines on the screen, 5 to 200.
        font_size: In pixels, 8 to 64.
        foreground: RGB of the text, 0 to 255 each.
        background: RGB behind it.
        margin: Pixels around the text.
        cursor: Whether a block stands where the next character goes.
        font: A monospaced TrueType file; ``None`` takes DejaVu Sans Mono from matplotlib's wheel.
        width: Width of the picture in pixels, scaled with the height; ``None`` for the natural size.
    """

    columns: int = 80
    rows: int = 24
    font_size: int = 16
    foreground: Colour = (220, 220, 210)
    background: Colour = (16, 18, 24)
    margin: int = 8
    cursor: bool = True
    font: Path | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        limits = {"columns": (20, 400), "rows": (5, 200), "font_size": (8, 64), "margin": (0, 200)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(
                    f"A terminal cannot be drawn with {name} = {value}.",
                    got=value,
                    expected=f"{low} to {high}",
                    remedy=f"choose another {name}",
                )


class TerminalScreen:
    """The text on a terminal: lines, a cursor at the end of the last one, and scrolling.

    Attributes:
        lines: What is visible, top first; at most ``rows`` lines of at most ``columns`` characters.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.lines: list[str] = [""]

    def put(self, character: str) -> None:
        """Type one character; at the right edge the line goes on below."""
        if len(self.lines[-1]) >= self.columns:
            self.new_line()
        self.lines[-1] += character

    def new_line(self) -> None:
        """Go to the next line, scrolling where the screen is full."""
        self.lines.append("")
        del self.lines[: -self.rows]

    def print(self, lines: list[str]) -> None:
        """Print whole lines (see :func:`wrap`), each ended by a new line."""
        for line in lines:
            self.lines[-1] = line
            self.new_line()


def wrap(text: str, columns: int) -> list[str]:
    """Return ``text`` as terminal lines: its own line breaks, and a break between words where needed."""
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= columns:
            lines.append(line)
        else:
            lines.extend(textwrap.wrap(line, columns, drop_whitespace=True) or [""])
    return lines


class TerminalPainter:
    """Paints a :class:`TerminalScreen`; only lines that changed are painted again.

    Attributes:
        width: Of the picture in pixels, even.
        height: Likewise.
    """

    def __init__(self, look: TerminalLook) -> None:
        self.look = look
        self._font = _load_font(look)
        ascent, descent = self._font.getmetrics()
        self._cell_height = ascent + descent
        self._cell_width = max(1, round(self._font.getlength("M")))
        natural = (look.columns * self._cell_width, look.rows * self._cell_height)
        self._canvas = np.empty(
            (_even(natural[1] + 2 * look.margin), _even(natural[0] + 2 * look.margin), 3), np.uint8
        )
        self._canvas[:] = look.background
        self._tiles: dict[str, NDArray[np.uint8]] = {}
        self._painted: list[tuple[str, bool]] = [("", False)] * look.rows
        height, width = self._canvas.shape[:2]
        self.width = width if look.width is None else _even(look.width)
        self.height = height if look.width is None else _even(round(height * self.width / width))

    def paint(self, screen: TerminalScreen) -> NDArray[np.uint8]:
        """Return the picture of ``screen``, uint8 ``[height, width, 3]``; a copy."""
        last = len(screen.lines) - 1
        for row in range(self.look.rows):
            text = screen.lines[row] if row <= last else ""
            state = (text, row == last and self.look.cursor)
            if self._painted[row] != state:
                self._paint_row(row, *state)
                self._painted[row] = state
        if (self.height, self.width) == self._canvas.shape[:2]:
            return self._canvas.copy()
        from PIL import Image

        scaled = Image.fromarray(self._canvas).resize((self.width, self.height), Image.Resampling.LANCZOS)
        return np.asarray(scaled)

    def _paint_row(self, row: int, text: str, cursor: bool) -> None:
        top = self.look.margin + row * self._cell_height
        band = self._canvas[top : top + self._cell_height]
        band[:] = self.look.background
        for column, character in enumerate(text[: self.look.columns]):
            if character != " ":
                left = self.look.margin + column * self._cell_width
                band[:, left : left + self._cell_width] = self._tile(character)
        if cursor and len(text) < self.look.columns:
            left = self.look.margin + len(text) * self._cell_width
            band[2:-2, left : left + self._cell_width - 1] = self.look.foreground

    def _tile(self, character: str) -> NDArray[np.uint8]:
        tile = self._tiles.get(character)
        if tile is None:
            from PIL import Image, ImageDraw

            picture = Image.new("RGB", (self._cell_width, self._cell_height), self.look.background)
            ImageDraw.Draw(picture).text((0, 0), character, font=self._font, fill=self.look.foreground)
            tile = self._tiles[character] = np.asarray(picture)
        return tile


def _load_font(look: TerminalLook) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    if look.font is not None:
        path = look.font
    else:
        import matplotlib

        path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    try:
        return ImageFont.truetype(str(path), look.font_size)
    except OSError as error:
        raise UsageError(
            "The terminal's font cannot be loaded.",
            got=f"{path}: {error}",
            expected="a TrueType file with a fixed character width",
            remedy="name another font, or none to take DejaVu Sans Mono",
        ) from error


def _even(length: int) -> int:
    """Round up to an even number, which 4:2:0 video needs."""
    return length + length % 2
