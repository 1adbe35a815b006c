"""Which commands to offer in a text game, from its words alone.

An admissible-action list can quietly hand a player the engine's hidden state. This one cannot: it sees
what the game printed and what the player typed, holds beliefs about what lies around and what is carried
(they can be wrong, as a person's can), and offers commands by a table in ``data/commands/``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

_PLACE_TEXT_LIMIT = 8000  # characters remembered about the present place; a page is about 1500


@dataclass(frozen=True)
class CarriedObject:
    """Something that can be picked up.

    Attributes:
        name: The noun used in commands.
        here: Recognises it in a description.
        held: Recognises its line in an inventory.
        treasure: Whether a thief would take it.
    """

    name: str
    here: re.Pattern[str]
    held: re.Pattern[str]
    treasure: bool


@dataclass(frozen=True)
class CommandRule:
    """A command and the evidence it needs; every given part must hold.

    Attributes:
        do: The command.
        near: Object that must be held or in view.
        held: Object that must be held.
        cue: Must have been said since the place was last described.
        once: Must have been said at some time in the episode.
        flag: Flag that must be set.
        unless: Flags that must not be set.
    """

    do: str
    near: str | None
    held: str | None
    cue: re.Pattern[str] | None
    once: re.Pattern[str] | None
    flag: str | None
    unless: tuple[str, ...]


@dataclass(frozen=True)
class CommandTable:
    """A game's table, compiled. The file's own comments say what each part means."""

    always: tuple[str, ...]
    moves: frozenset[str]
    words: Mapping[str, str]
    verbs: Mapping[str, str]
    nouns: Mapping[str, str]
    phrases: Mapping[str, str]
    objects: Mapping[str, CarriedObject]
    flags: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]]
    replies: tuple[tuple[re.Pattern[str], str, str], ...]
    rules: tuple[CommandRule, ...]
    throw_treasures: re.Pattern[str]

    def canonical(self, command: str) -> str:
        """Return the one spelling this table uses for a command: lower case, single blanks, synonyms mapped.

        Unknown words pass through, so any command has a canonical form.
        """
        words = re.findall(r"\w+", command.lower())
        phrase = " ".join(words)
        if phrase in self.phrases:
            return self.phrases[phrase]
        if len(words) == 1:
            return self.words.get(phrase, phrase)
        if len(words) == 2:
            phrase = f"{self.verbs.get(words[0], words[0])} {self.nouns.get(words[1], words[1])}"
        return self.phrases.get(phrase, phrase)


def fold(text: str) -> str:
    """Return text upper-cased with runs of white space as one blank: line breaks carry no meaning."""
    return " ".join(text.upper().split())


@functools.cache
def load_command_table(game: str) -> CommandTable:
    """Read and compile the table of a game shipped in ``data/commands/``."""
    source = resources.files("lookalike.environments") / "data" / "commands" / f"{game}.yaml"
    data: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    synonyms = data["synonyms"]
    return CommandTable(
        always=tuple(data["always"]),
        moves=frozenset(data["moves"]),
        words=synonyms["words"],
        verbs=synonyms["verbs"],
        nouns=synonyms["nouns"],
        phrases=synonyms["phrases"],
        objects={name: _object(name, entry) for name, entry in data["objects"].items()},
        flags={
            name: (re.compile(entry["set"]), re.compile(entry["clear"]))
            for name, entry in data["flags"].items()
        },
        replies=tuple(_reply(entry) for entry in data["replies"]),
        rules=tuple(_rule(entry) for entry in data["commands"]),
        throw_treasures=re.compile(data["throw_treasures"]),
    )


def _object(name: str, entry: Mapping[str, Any]) -> CarriedObject:
    return CarriedObject(
        name, re.compile(entry["here"]), re.compile(entry["held"]), bool(entry.get("treasure", False))
    )


def _reply(entry: Mapping[str, str]) -> tuple[re.Pattern[str], str, str]:
    effect = "lose" if "lose" in entry else "hold"
    return re.compile(entry["cue"]), effect, entry[effect]


def _rule(entry: Mapping[str, Any]) -> CommandRule:
    def pattern(key: str) -> re.Pattern[str] | None:
        return re.compile(entry[key]) if key in entry else None

    unless = entry.get("unless", [])
    return CommandRule(
        do=entry["do"],
        near=entry.get("near"),
        held=entry.get("held"),
        cue=pattern("cue"),
        once=pattern("once"),
        flag=entry.get("flag"),
        unless=(unless,) if isinstance(unless, str) else tuple(unless),
    )


@dataclass
class TextBeliefs:
    """What a reader of the game's text may believe; updated by each command and reply.

    Attributes:
        table: The game's command table.
        here: Objects believed in view.
        held: Objects believed carried.
        set_flags: Flags believed set.
        once_seen: Indices of the table's rules whose ``once`` pattern was said in this episode.
        place_text: Folded text since the place was last described.
    """

    table: CommandTable
    here: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    set_flags: set[str] = field(default_factory=set)
    once_seen: set[int] = field(default_factory=set)
    place_text: str = ""

    def read(self, command: str | None, reply: str) -> None:
        """Take in a command and what the game said to it (``None`` for the opening text)."""
        text = fold(reply)
        typed = self.table.canonical(command) if command is not None else "look"
        if typed in self.table.moves:
            self.here.clear()
            self.place_text = text
        else:
            self.place_text = f"{self.place_text} {text}"[-_PLACE_TEXT_LIMIT:]
        self._follow_own_command(typed, text)
        self._see(text)
        self._apply_replies(text)
        self._switch_flags(text)
        for index, rule in enumerate(self.table.rules):
            if rule.once is not None and index not in self.once_seen and rule.once.search(text):
                self.once_seen.add(index)

    def commands(self) -> tuple[str, ...]:
        """Return the commands worth offering now, sorted, each once."""
        table = self.table
        offered = set(table.always)
        offered.update(f"get {name}" for name in self.here - self.held)
        offered.update(f"drop {name}" for name in self.held)
        if table.throw_treasures.search(self.place_text):
            offered.update(f"throw {name}" for name in self.held if table.objects[name].treasure)
        offered.update(rule.do for index, rule in enumerate(table.rules) if self._supports(index, rule))
        return tuple(sorted(offered))

    def to_json(self) -> dict[str, Any]:
        """Return the beliefs as plain JSON values."""
        return {
            "here": sorted(self.here),
            "held": sorted(self.held),
            "flags": sorted(self.set_flags),
            "once": sorted(self.once_seen),
            "place_text": self.place_text,
        }

    @classmethod
    def from_json(cls, table: CommandTable, data: Mapping[str, Any]) -> TextBeliefs:
        """Rebuild beliefs from :meth:`to_json`."""
        return cls(
            table,
            set(data["here"]),
            set(data["held"]),
            set(data["flags"]),
            set(data["once"]),
            str(data["place_text"]),
        )

    def _follow_own_command(self, typed: str, text: str) -> None:
        verb, _, noun = typed.partition(" ")
        if typed == "inventory":
            self.held = {name for name, thing in self.table.objects.items() if thing.held.search(text)}
            return
        if noun not in self.table.objects:
            return
        if re.search(r"^I SEE NO |AREN'T CARRYING IT", text):
            self.held.discard(noun)
            if verb == "get":
                self.here.discard(noun)
        elif verb == "get" and re.match(r"OK\b|YOU ARE ALREADY CARRYING", text):
            self.held.add(noun)
            self.here.discard(noun)
        elif verb in ("drop", "throw"):
            self.held.discard(noun)
            if "TROLL CATCHES" not in text:
                self.here.add(noun)

    def _see(self, text: str) -> None:
        for name, thing in self.table.objects.items():
            if name not in self.here and thing.here.search(text):
                self.here.add(name)
                self.held.discard(name)

    def _apply_replies(self, text: str) -> None:
        for pattern, effect, what in self.table.replies:
            if not pattern.search(text):
                continue
            if effect == "hold":
                self.held.add(what)
                self.here.discard(what)
            elif what == "everything":
                self.held.clear()
            elif what == "treasures":
                self.held = {name for name in self.held if not self.table.objects[name].treasure}
            else:
                self.held.discard(what)

    def _switch_flags(self, text: str) -> None:
        for name, (on, off) in self.table.flags.items():
            last_on, last_off = _last(on, text), _last(off, text)
            if last_on > last_off:
                self.set_flags.add(name)
            elif last_off > last_on:
                self.set_flags.discard(name)

    def _supports(self, index: int, rule: CommandRule) -> bool:
        near = self.held | self.here
        return (
            (rule.near is None or rule.near in near)
            and (rule.held is None or rule.held in self.held)
            and (rule.flag is None or rule.flag in self.set_flags)
            and not self.set_flags.intersection(rule.unless)
            and (rule.once is None or index in self.once_seen)
            and (rule.cue is None or rule.cue.search(self.place_text) is not None)
        )


def _last(pattern: re.Pattern[str], text: str) -> int:
    position = -1
    for match in pattern.finditer(text):
        position = match.start()
    return position


def merge_sorted(*groups: Sequence[str]) -> tuple[str, ...]:
    """Return all commands of the groups, sorted, each once."""
    return tuple(sorted({command for group in groups for command in group}))
