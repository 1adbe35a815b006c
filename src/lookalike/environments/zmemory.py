"""Reading a Z-machine's memory by the standard: header, globals, objects, their names.

Jericho knows a score and a world only for the releases it was built with. The Z-machine Standards Document
1.1 (sections 1, 3, 11 and 12) fixes where any story keeps its globals and objects, so these can be read for
every story. Facts for goals come from here; admissible actions never do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lookalike.core.errors import GameError

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    " \n0123456789.,!?_#'\"/\\-:()",
)
_MIN_STORY_BYTES = 64
_MAX_NAME_WORDS = 128


class StoryMemory:
    """One moment of a story's memory.

    Args:
        story: The story file's bytes.
        dynamic: The machine's dynamic memory now (the story's first bytes, as changed by play); empty for
            the story as it starts.

    Raises:
        GameError: ``story`` is no Z-machine story of version 3 to 8.
    """

    def __init__(self, story: bytes, dynamic: bytes = b"") -> None:
        if len(story) < _MIN_STORY_BYTES or story[0] not in (3, 4, 5, 7, 8):
            raise GameError(
                "This is no Z-machine story file.",
                got=f"{len(story)} bytes, version byte {story[0] if story else 'missing'}",
                expected="a file that starts with its version, 3, 4, 5, 7 or 8",
                remedy="Give the path of a .z3, .z4, .z5, .z7 or .z8 file.",
            )
        self._memory = dynamic + story[len(dynamic) :]
        self.version = story[0]

    @property
    def release(self) -> int:
        """Release number."""
        return self._word(0x02)

    @property
    def serial(self) -> str:
        """Serial number, six characters, usually a date."""
        return self._memory[0x12:0x18].decode("ascii", errors="replace")

    @property
    def shows_score(self) -> bool:
        """Whether the status line shows a score (version 3 stories that are not timed)."""
        return self.version == 3 and not self._memory[1] & 0b10

    def verify(self) -> None:
        """Check the story's length and checksum by its header (early stories have neither and pass).

        Raises:
            GameError: The file is cut short or damaged.
        """
        unit = 2 if self.version == 3 else 4 if self.version < 6 else 8
        length = self._word(0x1A) * unit
        if length == 0:
            return
        whole = length <= len(self._memory)
        if not whole or sum(self._memory[0x40:length]) & 0xFFFF != self._word(0x1C):
            raise GameError(
                "This story file is damaged.",
                got=f"{len(self._memory)} bytes{'' if not whole else ' with a wrong checksum'}",
                expected=f"{length} bytes with checksum {self._word(0x1C):#06x}, as its header says",
                remedy="Get the file again.",
            )

    def global_variable(self, number: int) -> int:
        """Return a global variable as a signed number; in version 3: 0 place, 1 score, 2 moves."""
        value: int = struct.unpack_from(">h", self._memory, self._word(0x0C) + 2 * number)[0]
        return value

    def name(self, number: int) -> str:
        """Return an object's short name; empty for object 0."""
        if number == 0:
            return ""
        table = self._word(self._entry(number) + (7 if self.version == 3 else 12))
        return self._text(table + 1, self._memory[table])

    def parent(self, number: int) -> int:
        """Return the object that holds this one; 0 for none."""
        return self._relative(number, 0)

    def contents(self, number: int) -> Iterator[int]:
        """Yield the objects directly inside one, in the story's order."""
        child, seen = self._relative(number, 2), set[int]()
        while child and child not in seen:
            seen.add(child)
            yield child
            child = self._relative(child, 1)

    def objects(self) -> range:
        """Return all object numbers: the table ends where the first property table begins."""
        first = self._entry(1)
        size = 9 if self.version == 3 else 14
        end, number = len(self._memory), 1
        while first + number * size <= end and number < 0xFFFF:
            end = min(end, self._word(self._entry(number) + (7 if self.version == 3 else 12)))
            number += 1
        return range(1, number)

    def find(self, name: str) -> int | None:
        """Return the first object of that short name, or ``None``."""
        return next((number for number in self.objects() if self.name(number) == name), None)

    def _word(self, address: int) -> int:
        return self._memory[address] << 8 | self._memory[address + 1]

    def _entry(self, number: int) -> int:
        defaults, size = (31, 9) if self.version == 3 else (63, 14)
        return self._word(0x0A) + 2 * defaults + (number - 1) * size

    def _relative(self, number: int, which: int) -> int:
        if number == 0:
            return 0
        if self.version == 3:
            return self._memory[self._entry(number) + 4 + which]
        return self._word(self._entry(number) + 6 + 2 * which)

    def _text(self, address: int, words: int, depth: int = 0) -> str:
        codes: list[int] = []
        for index in range(min(words, _MAX_NAME_WORDS)):
            word = self._word(address + 2 * index)
            codes += (word >> 10 & 31, word >> 5 & 31, word & 31)
            if word & 0x8000:
                break
        return self._decode(codes, depth)

    def _decode(self, codes: list[int], depth: int) -> str:
        out: list[str] = []
        alphabet, position = 0, 0
        while position < len(codes):
            code = codes[position]
            position += 1
            if code in (1, 2, 3) and position < len(codes):
                if depth == 0:
                    entry = self._word(0x18) + 2 * (32 * (code - 1) + codes[position])
                    out.append(self._text(2 * self._word(entry), _MAX_NAME_WORDS, depth + 1))
                position += 1
                alphabet = 0
            elif code in (4, 5):
                alphabet = code - 3
            elif alphabet == 2 and code == 6:
                if position + 1 < len(codes):
                    out.append(chr(codes[position] << 5 | codes[position + 1]))
                position, alphabet = position + 2, 0
            else:
                out.append(" " if code == 0 else _ALPHABETS[alphabet][code - 6] if code > 5 else "")
                alphabet = 0
        return "".join(out)
