"""RapidOCR's recogniser for single lines of text: where the lines stand is known already."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import ModelError
from lookalike.core.ids import hash_bytes
from lookalike.recordings.screen_tracker import ScreenLine
from lookalike.recordings.text_grid import TextGrid

_MARGIN = 4
_BATCH = 6
_lock = threading.Lock()
_loaded: list[Any] = []

# What the recogniser, trained on Chinese too, makes of plain characters.
_PLAIN = str.maketrans(
    "，。！？：；（）【】“”‘’｀＇＂—–－～《》〈〉›»＞＜…＊＋＝／＼｜＿＃％＆＠＄＾０１２３４５６７８９",
    ",.!?:;()[]\"\"''`'\"---~<><>>>><.*+=/\\|_#%&@$^0123456789",
)


class TextLine(NamedTuple):
    """A line of the screen, read.

    Attributes:
        text: With the blanks before it.
        first_s: When it appeared, in seconds.
        extensions: How often it grew by a few characters: it was typed.
        doubtful: Whether some of it could not be read for sure.
    """

    text: str
    first_s: float
    extensions: int
    doubtful: bool


class LineRecogniser:
    """Reads pictures of single lines; the network is loaded once a process, at first use."""

    def read(self, lines: Sequence[NDArray[np.float32]]) -> list[str]:
        """Return the text of each line.

        Args:
            lines: Ink of each line, 0 to 1, ``[H, W]``.
        """
        texts = [""] * len(lines)
        pictures = [
            (index, picture) for index, line in enumerate(lines) if (picture := _crop(line)) is not None
        ]
        # Narrow with narrow: a batch is padded to its widest line.
        pictures.sort(key=lambda item: item[1].shape[1])
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            for (index, _), text in zip(batch, _recognise([picture for _, picture in batch]), strict=True):
                texts[index] = text.translate(_PLAIN)
        return texts


def _crop(ink: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Return dark text on white around the ink, ``[H, W, 3]``; ``None`` for a blank line."""
    columns = np.flatnonzero(ink.max(axis=0) > 0.35) if ink.size else np.zeros(0)
    if not len(columns):
        return None
    left, right = max(0, int(columns[0]) - _MARGIN), int(columns[-1]) + 1 + _MARGIN
    grey = (255 - 255 * ink[:, left:right]).astype(np.uint8)
    grey = np.pad(grey, 2, constant_values=255)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _recognise(pictures: list[NDArray[np.uint8]]) -> list[str]:
    from rapidocr.ch_ppocr_rec import TextRecInput

    with _lock:
        if not _loaded:
            _loaded.append(_load())
        result = _loaded[0](TextRecInput(img=pictures, return_word_box=False))
    return [str(text) for text in result.txts]


def _load() -> Any:
    try:
        from rapidocr import RapidOCR

        engine: Any = RapidOCR(params={"Global.log_level": "warning", "Rec.rec_batch_num": _BATCH})
        return engine._load_rec_model()
    except Exception as error:  # RapidOCR raises bare exceptions of many kinds
        raise ModelError(
            "The text recogniser cannot be loaded.",
            got=error,
            expected="rapidocr with its bundled recognition model, and onnxruntime",
            remedy="install rapidocr and onnxruntime again",
        ) from error


class PlainReader:
    """Reads lines whose characters differ in width: every different line is recognised once."""

    def __init__(self, grid: TextGrid, recogniser: LineRecogniser) -> None:
        self.grid = grid
        self._recogniser = recogniser
        self._texts: dict[str, str] = {}
        self._lines: list[TextLine] = []
        self.strips_recognised = 0

    def add(self, lines: Sequence[ScreenLine]) -> None:
        """Read some more final lines."""
        keys = [_fingerprint(self.grid, line) for line in lines]
        new = {
            key: self.grid.ink(line.strip)
            for key, line in zip(keys, lines, strict=True)
            if key not in self._texts and line.strip is not None
        }
        self._texts.update(zip(new, self._recogniser.read(list(new.values())), strict=True))
        self.strips_recognised += sum(key != "" for key in new)
        self._lines += [
            TextLine(self._texts.get(key, ""), line.first_s, line.extensions, False)
            for key, line in zip(keys, lines, strict=True)
        ]

    def finish(self) -> list[TextLine]:
        """Return all lines in order."""
        return self._lines


def _fingerprint(grid: TextGrid, line: ScreenLine) -> str:
    """Return a hash of a line's picture that the codec's noise rarely changes; empty for blank lines."""
    if line.strip is None or not line.strip.size:
        return ""
    return hash_bytes(np.packbits(grid.ink(line.strip) > 0.5).tobytes())
