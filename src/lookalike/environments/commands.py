"""Which commands to offer in a text game, from its words alone.

An admissible-action list can quietly hand a player the engine's hidden state. This one cannot: it sees
what the game printed and what the player typed, holds beliefs about what lies around and what is carried
(they can be wrong, as a person's can), and offers commands by a table in ``data/commands/``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

_READINGS_KEPT = 4096  # games repeat themselves; most texts have been read before


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
        fixture: The cue stays true of the place it was read at.
        only: For a command with ``{}``: ``"treasure"``, or the names of the objects it may be filled with.
    """

    do: str
    near: str | None
    held: str | None
    cue: re.Pattern[str] | None
    once: re.Pattern[str] | None
    flag: str | None
    unless: tuple[str, ...]
    fixture: bool
    only: str | tuple[str, ...]


@dataclass(frozen=True)
class CommandTable:
    """A game's table, compiled. The file's own comments say what each part means."""

    game: str
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
    title_line: bool
    taken: re.Pattern[str]
    missing: re.Pattern[str]
    laid_down: re.Pattern[str]
    gone: re.Pattern[str]

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
        if words:
            rest = [self.nouns.get(word, word) for word in words[1:]]
            phrase = " ".join([self.verbs.get(words[0], words[0]), *rest])
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
        game=game,
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
        title_line=bool(data.get("title_line", False)),
        taken=re.compile(data["replies_to"]["taken"]),
        missing=re.compile(data["replies_to"]["missing"]),
        laid_down=re.compile(data["replies_to"]["laid_down"]),
        gone=re.compile(data["replies_to"]["gone"]),
    )


def canonical_command(environment_id: str, command: str) -> str:
    """Return the one spelling an environment's table uses for a command, whatever its state.

    An environment without a table gets lower case and single blanks.
    """
    source = resources.files("lookalike.environments") / "data" / "commands" / f"{environment_id}.yaml"
    if "/" in environment_id or environment_id == "dictionary" or not source.is_file():
        return " ".join(command.lower().split())
    return load_command_table(environment_id).canonical(command)


def _object(name: str, entry: Mapping[str, Any]) -> CarriedObject:
    return CarriedObject(
        name, re.compile(entry["here"]), re.compile(entry["held"]), bool(entry.get("treasure", False))
    )


def _reply(entry: Mapping[str, str]) -> tuple[re.Pattern[str], str, str]:
    effect = next(effect for effect in ("lose", "hold", "drop") if effect in entry)
    return re.compile(entry["cue"]), effect, entry[effect]


def _rule(entry: Mapping[str, Any]) -> CommandRule:
    def pattern(key: str) -> re.Pattern[str] | None:
        return re.compile(entry[key]) if key in entry else None

    unless, only = entry.get("unless", []), entry.get("only", "")
    return CommandRule(
        do=entry["do"],
        near=entry.get("near"),
        held=entry.get("held"),
        cue=pattern("cue"),
        once=pattern("once"),
        flag=entry.get("flag"),
        unless=(unless,) if isinstance(unless, str) else tuple(unless),
        fixture=bool(entry.get("fixture", False)),
        only=only if isinstance(only, str) else tuple(only),
    )


@dataclass(frozen=True)
class _Reading:
    """What one text says by itself: everything that needs no memory, so that it can be kept.

    Attributes:
        text: The folded text.
        seen: Objects it shows.
        cues: Indices of rules whose ``cue`` it has.
        once: Indices of rules whose ``once`` it has.
        replies: (effect, object) pairs it reports.
        flags: (flag, value) pairs it switches.
    """

    text: str
    seen: frozenset[str]
    cues: frozenset[int]
    once: frozenset[int]
    replies: tuple[tuple[str, str], ...]
    flags: tuple[tuple[str, bool], ...]


@functools.lru_cache(maxsize=_READINGS_KEPT)
def _read(game: str, reply: str) -> _Reading:
    table, text = load_command_table(game), fold(reply)
    flags = []
    for name, (on, off) in table.flags.items():
        last_on, last_off = _last(on, text), _last(off, text)
        if last_on != last_off:
            flags.append((name, last_on > last_off))
    rules = list(enumerate(table.rules))
    return _Reading(
        text=text,
        seen=frozenset(name for name, thing in table.objects.items() if thing.here.search(text)),
        cues=frozenset(i for i, rule in rules if rule.cue is not None and rule.cue.search(text)),
        once=frozenset(i for i, rule in rules if rule.once is not None and rule.once.search(text)),
        replies=tuple((effect, what) for cue, effect, what in table.replies if cue.search(text)),
        flags=tuple(flags),
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
        cued: Indices of rules whose ``cue`` was said since the place was last described.
        place: Title of the present place, where the game shows one; else empty.
        fixtures: By place, the rules whose cue stays true there.
    """

    table: CommandTable
    here: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    set_flags: set[str] = field(default_factory=set)
    once_seen: set[int] = field(default_factory=set)
    cued: set[int] = field(default_factory=set)
    place: str = ""
    fixtures: dict[str, set[int]] = field(default_factory=dict)

    def canonical(self, command: str) -> str:
        """Return a command's one spelling, "get knife" completed to the one knife believed near."""
        typed = self.table.canonical(command)
        verb, _, noun = typed.partition(" ")
        if noun and " " not in noun and noun not in self.table.objects:
            near = [name for name in self.here | self.held if name.split()[-1] == noun]
            if len(near) == 1:
                return f"{verb} {near[0]}"
        return typed

    def read(self, command: str | None, reply: str) -> None:
        """Take in a command and what the game said to it (``None`` for the opening text)."""
        typed = self.canonical(command) if command is not None else "look"
        reading = _read(self.table.game, reply)
        if self._describes_anew(typed, reply):
            self.here.clear()
            self.cued.clear()
        self.cued |= reading.cues
        self._follow_own_command(typed, reading.text, reply)
        self._see(reading.seen)
        for effect, what in reading.replies:
            self._apply(effect, what)
        for name, value in reading.flags:
            (self.set_flags.add if value else self.set_flags.discard)(name)
        self.once_seen |= reading.once
        permanent = {index for index in self.cued if self.table.rules[index].fixture}
        if permanent:
            self.fixtures.setdefault(self.place, set()).update(permanent)

    def commands(self) -> tuple[str, ...]:
        """Return the commands worth offering now, sorted, each once."""
        offered = set(self.table.always)
        offered.update(f"get {name}" for name in self.here - self.held)
        offered.update(f"drop {name}" for name in self.held)
        for index, rule in enumerate(self.table.rules):
            if self._supports(index, rule):
                offered.update(self._filled(rule))
        return tuple(sorted(offered))

    def to_json(self) -> dict[str, Any]:
        """Return the beliefs as plain JSON values."""
        return {
            "here": sorted(self.here),
            "held": sorted(self.held),
            "flags": sorted(self.set_flags),
            "once": sorted(self.once_seen),
            "cued": sorted(self.cued),
            "place": self.place,
            "fixtures": {place: sorted(rules) for place, rules in sorted(self.fixtures.items())},
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
            set(data["cued"]),
            str(data["place"]),
            {str(place): set(rules) for place, rules in data["fixtures"].items()},
        )

    def _describes_anew(self, typed: str, reply: str) -> bool:
        """Tell whether the reply describes a place from scratch, and note which place it is."""
        if not self.table.title_line:
            return typed in self.table.moves
        title, _, body = reply.partition("\n")
        place = re.split(r"\s{2,}", title.strip())[0]
        anew = place != self.place or any(line.strip() == place for line in body.splitlines())
        self.place = place
        return anew

    def _follow_own_command(self, typed: str, text: str, reply: str) -> None:
        verb, _, rest = typed.partition(" ")
        noun = re.split(r" (?:in|on|from|to|with) ", rest)[0]
        objects, table = self.table.objects, self.table
        if typed == "inventory":
            self.held = {name for name, thing in objects.items() if thing.held.search(text)}
        elif noun == "all":
            self._follow_each_line(reply)
        elif noun not in objects:
            return
        elif table.missing.search(text):
            self.held.discard(noun)
            if verb == "get":
                self.here.discard(noun)
        elif verb == "get" and table.taken.search(text):
            self.held.add(noun)
            self.here.discard(noun)
        elif verb in ("drop", "throw", "put") and table.laid_down.search(text):
            self.held.discard(noun)
            if not table.gone.search(text):
                self.here.add(noun)

    def _follow_each_line(self, reply: str) -> None:
        """Follow "brass lantern: Taken." lines, the answer to a command about all."""
        for line in reply.upper().splitlines():
            what, _, result = line.partition(": ")
            for name, thing in self.table.objects.items():
                if not thing.held.search(what) and not thing.here.search(what):
                    continue
                if self.table.taken.search(result):
                    self.held.add(name)
                elif self.table.laid_down.search(result):
                    self.held.discard(name)
                    self.here.add(name)

    def _see(self, seen: frozenset[str]) -> None:
        for name in seen - self.here:
            if self.table.title_line and name in self.held:
                continue  # where rooms have titles, other replies may well name what is carried
            self.here.add(name)
            self.held.discard(name)

    def _apply(self, effect: str, what: str) -> None:
        if effect == "hold":
            self.held.add(what)
            self.here.discard(what)
        elif effect == "drop":
            self.held.discard(what)
            self.here.add(what)
        elif what == "everything":
            self.held.clear()
        elif what == "treasures":
            self.held = {name for name in self.held if not self.table.objects[name].treasure}
        else:
            self.held.discard(what)

    def _supports(self, index: int, rule: CommandRule) -> bool:
        known_here = rule.fixture and index in self.fixtures.get(self.place, ())
        return (
            (rule.near is None or rule.near in self.held or rule.near in self.here)
            and (rule.held is None or rule.held in self.held)
            and (rule.flag is None or rule.flag in self.set_flags)
            and not self.set_flags.intersection(rule.unless)
            and (rule.once is None or index in self.once_seen)
            and (rule.cue is None or known_here or index in self.cued)
        )

    def _filled(self, rule: CommandRule) -> list[str]:
        if "{}" not in rule.do:
            return [rule.do]
        return [
            rule.do.format(name)
            for name in self.held
            if (self.table.objects[name].treasure if rule.only == "treasure" else name in rule.only)
        ]


def _last(pattern: re.Pattern[str], text: str) -> int:
    position = -1
    for match in pattern.finditer(text):
        position = match.start()
    return position
