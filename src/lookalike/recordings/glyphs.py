"""Reads the lines of a terminal by learning its font from the recording itself.

A general text recogniser is slow (0.1 s a line) and unsure about single characters, blanks and letters
whose capitals look alike. But a terminal shows the same few dozen character shapes thousands of times.
So the shapes are clustered, the recogniser reads lines only until every shape has been named a few times
(some dozens of lines), each shape takes the name it was given most often, and all lines are spelled from
the shapes. Nothing of the game is known here: the recording corrects itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.recordings.line_recogniser import LineRecogniser, TextLine
from lookalike.recordings.screen_tracker import ScreenLine
from lookalike.recordings.text_grid import TextGrid

_INK = 0.35
"""A cell with no pixel above this ink is blank."""
_CURSOR = 0.5
"""A cell with more mean ink than this is the cursor's block."""
_ALIKE = 0.18
"""Two cells show one character when no 2 x 2 square of theirs differs by more than this mean ink.

Measured over fonts of 10 to 28 pixels, H.264 and VP9: one character 0.02 to 0.30, different ones 0.19
(O and D at 6 pixels' width) to 0.77. A shape split in two costs a few more words to recognise; two
characters taken for one would be an error.
"""
_VOTES_WANTED = 4
_WORDS_A_STRIP = 8
_CELLS_A_STRIP = 36
_STRIPS_AT_ONCE = 6
_MAX_SHAPES = 4_000
_CANDIDATES = 4
_SAME_SHAPE_BOTH_CASES = "cosvwxzup"
_DIGIT_AS_LETTER = {"0": "OoQ", "1": "lI", "5": "S", "8": "B"}
_LETTER_AS_DIGIT = {"O": "0", "o": "0", "l": "1", "I": "1", "S": "5", "B": "8"}
_X_HEIGHT = "aenrmgq"
_CAPITALS = "ABDEFGHLMNQRT"


Word = tuple[int, ...]


class _SpelledLine(NamedTuple):
    """A line as numbers of shapes, -1 for blanks, still without letters; and what the tracker knew."""

    shapes: tuple[int, ...]
    first_s: float
    extensions: int


@dataclass
class _Shape:
    """One character shape: its picture, and the names it was given."""

    picture: NDArray[np.float32]
    seen: int = 0
    votes: Counter[str] = field(default_factory=Counter)


class GlyphReader:
    """Learns the shapes of a monospaced font and spells lines with them."""

    def __init__(self, grid: TextGrid, recogniser: LineRecogniser) -> None:
        self.grid = grid
        self._recogniser = recogniser
        self._shapes: list[_Shape] = []
        self._pictures = np.zeros((64, *grid.cell_shape), np.float32)
        self._coarse = _coarse(self._pictures)
        self._known = 0
        self._asked: set[Word] = set()
        self._spelled: list[_SpelledLine] = []
        self.strips_recognised = 0

    def add(self, lines: Sequence[ScreenLine]) -> None:
        """Spell some more final lines, and learn from them what is not known yet."""
        words: dict[Word, NDArray[np.float32]] = {}
        for line in lines:
            shapes: tuple[int, ...] = ()
            if line.strip is not None and line.strip.size:
                cells = self.grid.cells(self.grid.ink(line.strip), line.row)
                shapes = self._spell(cells)
                for start, word in split_words(shapes):
                    words.setdefault(word, cells[start : start + len(word)])
            self._spelled.append(_SpelledLine(shapes, line.first_s, line.extensions))
        self._learn(words)

    def finish(self) -> list[TextLine]:
        """Return all lines in order, every one spelled with what was learnt from the whole recording."""
        names, doubtful = self._names(), self._doubtful()
        return [
            TextLine(
                "".join(" " if number < 0 else names[number] for number in line.shapes),
                line.first_s,
                line.extensions,
                not doubtful.isdisjoint(line.shapes),
            )
            for line in self._spelled
        ]

    def _names(self) -> list[str]:
        """Return the name of every shape, by number; U+FFFD where none was ever given."""
        names = [shape.votes.most_common(1)[0][0] if shape.votes else "\ufffd" for shape in self._shapes]
        return self._by_height(self._by_neighbours(names))

    def _by_neighbours(self, names: list[str]) -> list[str]:
        """Settle digits and letters of one shape by what stands beside them in the recording's words."""
        beside: list[Counter[str]] = [Counter() for _ in names]
        for line in self._spelled:
            for _, word in split_words(line.shapes):
                for left, right in pairwise(word):
                    beside[left][_class(names[right])] += 1
                    beside[right][_class(names[left])] += 1
        settled = list(names)
        for number, (name, counts) in enumerate(zip(names, beside, strict=True)):
            if name in _DIGIT_AS_LETTER and counts["letter"] > 2 * counts["digit"]:
                votes = self._shapes[number].votes
                settled[number] = max(_DIGIT_AS_LETTER[name], key=lambda letter: votes[letter])
            elif name in _LETTER_AS_DIGIT and counts["digit"] > 2 * counts["letter"]:
                settled[number] = _LETTER_AS_DIGIT[name]
        return settled

    def _doubtful(self) -> set[int]:
        """Return the shapes whose name rests on no vote, or on votes that disagree."""
        return {
            number
            for number, shape in enumerate(self._shapes)
            if not shape.votes or shape.votes.most_common(1)[0][1] < 0.7 * sum(shape.votes.values())
        }

    def _spell(self, cells: NDArray[np.float32]) -> tuple[int, ...]:
        """Return the shape in each column, -1 for blanks; unseen shapes are added."""
        # Wide letters reach over the edge of their neighbour's cell.
        inked = (cells[:, :, 1:-1].max(axis=(1, 2)) > _INK) & (cells.mean(axis=(1, 2)) < _CURSOR)
        columns = np.flatnonzero(inked)
        self._known = len(self._shapes)
        shapes = [-1] * (int(columns[-1]) + 1 if len(columns) else 0)
        for column, near in zip(columns, self._nearest(cells[columns]), strict=True):
            shapes[int(column)] = self._shape(cells[column], near)
        return tuple(shapes)

    def _nearest(self, cells: NDArray[np.float32]) -> list[list[int]]:
        """Return, for each cell, the shapes worth a closer look: the nearest few in plain distance."""
        coarse = _coarse(cells)
        known = self._coarse[: len(self._shapes)]
        # Too small for several threads, which a matrix product would start.
        product = np.einsum("nd,kd->nk", coarse, known, optimize=False)
        near: list[list[int]] = np.argsort((known**2).sum(axis=1) - 2 * product, axis=1)[
            :, :_CANDIDATES
        ].tolist()
        return near

    def _shape(self, cell: NDArray[np.float32], near: list[int]) -> int:
        """Return the number of the shape that ``cell`` shows, a new one where it is like none."""
        # Shapes that this very line has added were not among the candidates.
        near = [*near, *range(self._known, len(self._shapes))]
        if near:
            difference = np.abs(_box(self._pictures[near] - cell)).max(axis=(1, 2))
            best = int(difference.argmin())
            if difference[best] < _ALIKE or len(self._shapes) >= _MAX_SHAPES:
                self._shapes[near[best]].seen += 1
                return near[best]
        self._shapes.append(_Shape(cell.copy(), 1))
        if len(self._shapes) > len(self._pictures):
            self._pictures = np.concatenate([self._pictures, np.zeros_like(self._pictures)])
            self._coarse = np.concatenate([self._coarse, np.zeros_like(self._coarse)])
        self._pictures[len(self._shapes) - 1] = cell
        self._coarse[len(self._shapes) - 1] = _coarse(cell[None])[0]
        return len(self._shapes) - 1

    def _learn(self, words: dict[Word, NDArray[np.float32]]) -> None:
        """Have words recognised until every shape in them has enough votes, or no word is left to ask."""
        while strips := self._strips(words):
            texts = self._recogniser.read([_picture([words[word] for word in strip]) for strip in strips])
            self.strips_recognised += len(strips)
            for strip, text in zip(strips, texts, strict=True):
                self._asked.update(strip)
                for number, character in _align(strip, text):
                    self._shapes[number].votes[character] += 1

    def _strips(self, words: dict[Word, NDArray[np.float32]]) -> list[list[Word]]:
        """Return the words that teach most, some side by side in each strip."""
        votes = [sum(shape.votes.values()) for shape in self._shapes]
        wanted = {n: _VOTES_WANTED - count for n, count in enumerate(votes) if count < _VOTES_WANTED}
        useful = [word for word in words if word not in self._asked and not wanted.keys().isdisjoint(word)]
        useful.sort(key=lambda word: (-len(wanted.keys() & set(word)) / (len(word) + 2), word))
        strips: list[list[Word]] = []
        for word in useful:
            if wanted.keys().isdisjoint(word):
                continue
            for number in set(word) & wanted.keys():
                wanted[number] -= 1
                if not wanted[number]:
                    del wanted[number]
            cells = sum(len(other) + 2 for other in strips[-1]) + len(word) if strips else 0
            if not strips or len(strips[-1]) >= _WORDS_A_STRIP or cells > _CELLS_A_STRIP:
                if len(strips) >= _STRIPS_AT_ONCE:
                    break
                strips.append([])
            strips[-1].append(word)
        return strips

    def _by_height(self, names: list[str]) -> list[str]:
        """Settle the case of letters whose capitals have the same shape, by their height."""
        tops: dict[str, list[int]] = {"small": [], "capital": []}
        for shape, name in zip(self._shapes, names, strict=True):
            group = "small" if name in _X_HEIGHT else "capital" if name in _CAPITALS else None
            if group:
                tops[group].append(_top(shape.picture))
        if not tops["small"] or not tops["capital"]:
            return names
        small, capital = float(np.median(tops["small"])), float(np.median(tops["capital"]))
        if small - capital < 1.5:
            return names
        return [
            (
                name.lower()
                if abs(_top(shape.picture) - small) < abs(_top(shape.picture) - capital)
                else name.upper()
            )
            if name.lower() in _SAME_SHAPE_BOTH_CASES
            else name
            for shape, name in zip(self._shapes, names, strict=True)
        ]


def split_words(shapes: Sequence[int]) -> list[tuple[int, Word]]:
    """Return the words of a spelled line, each with the column it starts at."""
    words: list[tuple[int, Word]] = []
    start = 0
    for column in range(len(shapes) + 1):
        if column == len(shapes) or shapes[column] < 0:
            if column > start:
                words.append((start, tuple(shapes[start:column])))
            start = column + 1
    return words


def _picture(words: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Set words side by side, two blank characters between them: ink ``[H, W]``."""
    parts: list[NDArray[np.float32]] = []
    for cells in words:
        count, high, wide = cells.shape
        parts.append(cells.transpose(1, 0, 2).reshape(high, count * wide))
        parts.append(np.zeros((high, 2 * wide), np.float32))
    return np.concatenate(parts[:-1], axis=1)


def _align(words: Sequence[Word], text: str) -> list[tuple[int, str]]:
    """Pair shapes with the characters they were read as, where the counts leave no doubt."""
    read = text.split()
    if len(words) == len(read):
        pairs = [(word, other) for word, other in zip(words, read, strict=True) if len(word) == len(other)]
    elif sum(map(len, words)) == sum(map(len, read)):
        pairs = [(tuple(number for word in words for number in word), "".join(read))]
    else:
        pairs = []
    return [
        (number, character) for word, other in pairs for number, character in zip(word, other, strict=True)
    ]


def _class(name: str) -> str:
    """Return ``letter``, ``digit`` or ``sign``; a shape that may be both is a sign."""
    if name in _DIGIT_AS_LETTER or name in _LETTER_AS_DIGIT:
        return "sign"
    return "letter" if name.isalpha() else "digit" if name.isdigit() else "sign"


def _top(picture: NDArray[np.float32]) -> int:
    """Return the first pixel row of a shape that has ink."""
    return int(np.flatnonzero(picture.max(axis=1) > _INK)[0])


def _box(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over every 2 x 2 square of each picture in ``[N, H, W]``."""
    rows = difference[:, :-1] + difference[:, 1:]
    return np.asarray((rows[:, :, :-1] + rows[:, :, 1:]) / 4, np.float32)


def _coarse(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums of about 2 x 2 pixels of each picture ``[N, H, W]`` as ``[N, D]``."""
    count, high, wide = pictures.shape
    rows = np.add.reduceat(pictures, np.arange(0, high, 2), axis=1)
    blocks = np.add.reduceat(rows, np.arange(0, wide, 2), axis=2).astype(np.float32)
    return blocks.reshape(count, ((high + 1) // 2) * ((wide + 1) // 2))
