"""Commands for a story nobody wrote a table for: its dictionary's words, where the text names them.

A parser's dictionary is public (every interpreter can list it) but does not say which words are nouns in
later versions, so a noun here is a dictionary word that is neither verb, direction nor preposition.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from lookalike.environments.commands import fold


@dataclass(frozen=True)
class DictionaryWords:
    """A story's words, by use.

    Attributes:
        nouns: As the dictionary has them, cut to ``width`` letters.
        alone: Complete commands, directions included.
        verbs_in_view: Verbs for things in view.
        verbs_carried: Verbs for things carried.
        width: Letters of a word the parser reads.
    """

    nouns: frozenset[str]
    alone: tuple[str, ...]
    verbs_in_view: tuple[str, ...]
    verbs_carried: tuple[str, ...]
    width: int


@functools.cache
def _rules() -> dict[str, Any]:
    source = resources.files("lookalike.environments") / "data" / "commands" / "dictionary.yaml"
    data: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return data


def usable_words(dictionary: Iterable[Any]) -> DictionaryWords:
    """Sort a story's dictionary (Jericho's ``DictionaryWord`` entries) by use."""
    rules, entries = _rules(), list(dictionary)
    width = max((len(entry.word) for entry in entries), default=6)
    known = {entry.word for entry in entries}

    def of(words: Iterable[str]) -> tuple[str, ...]:
        return tuple(word for word in words if word[:width] in known)

    ways = [of(spellings)[:1] for spellings in rules["directions"]]
    alone = (*(way for found in ways for way in found), *of(rules["alone"]))
    spellings = [word for words in rules["directions"] for word in words]
    short = {word[:width] for word in (*alone, *spellings, *rules["not_nouns"])}
    marked = {entry.word for entry in entries if entry.is_noun}
    others = {
        entry.word
        for entry in entries
        if not (entry.is_verb or entry.is_prep or entry.is_dir or entry.is_special or entry.is_meta)
    }
    return DictionaryWords(
        nouns=frozenset(word for word in (marked or others) - short if len(word) > 1 and word.isalpha()),
        alone=alone,
        verbs_in_view=of(rules["with_noun_in_view"]),
        verbs_carried=of(rules["with_noun_carried"]),
        width=width,
    )


@dataclass
class DictionaryBeliefs:
    """Which nouns the text has named of late, and which are carried by its replies.

    Attributes:
        words: The story's words.
        named: Nouns as the text spells them, latest last.
        carried: Nouns believed carried, in the order taken.
    """

    words: DictionaryWords
    named: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)

    def read(self, command: str | None, reply: str) -> None:
        """Take in a command and what the story said to it (``None`` for the opening text)."""
        for word in re.findall(r"[a-z]+", reply.lower()):
            if word[: self.words.width] in self.words.nouns:
                if word in self.named:
                    self.named.remove(word)
                self.named.append(word)
        del self.named[: -_rules()["most_nouns"]]
        verb, _, noun = (command or "").partition(" ")
        text = fold(reply)
        if verb in ("get", "take") and noun and re.search(_rules()["taken"], text):
            if noun not in self.carried:
                self.carried.append(noun)
        elif verb == "drop" and noun in self.carried and re.search(_rules()["dropped"], text):
            self.carried.remove(noun)

    def commands(self) -> tuple[str, ...]:
        """Return the commands worth offering now, sorted, each once."""
        in_view = [noun for noun in self.named if noun not in self.carried]
        offered = set(self.words.alone)
        offered.update(f"{verb} {noun}" for verb in self.words.verbs_in_view for noun in in_view)
        offered.update(f"{verb} {noun}" for verb in self.words.verbs_carried for noun in self.carried)
        return tuple(sorted(offered))

    def to_json(self) -> dict[str, Any]:
        """Return the beliefs as plain JSON values."""
        return {"named": list(self.named), "carried": list(self.carried)}

    @classmethod
    def from_json(cls, words: DictionaryWords, data: Mapping[str, Any]) -> DictionaryBeliefs:
        """Rebuild beliefs from :meth:`to_json`."""
        return cls(words, [str(one) for one in data["named"]], [str(one) for one in data["carried"]])
