"""What a text game's reply says: sentences, the place it describes, failures, setbacks, questions, score.

Nothing here knows a particular game: only the conventions that interactive fiction shares (a room is
described as "You are in …" or under a heading, a refused command is answered "You can't …").
All comparison is on *keys*: a sentence in lower case, letters and digits only, so that line wrapping,
capitals and punctuation (which is what reading from a picture gets wrong first) do not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

_MAX_CHARS = 20_000
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')]*\s+")
_NOT_WORD = re.compile(r"[^a-z0-9 ]+")
_STATUS = re.compile(r"^\s*(?P<title>\S.*?)\s{2,}Score:\s*(?P<score>-?\d+)\s*$", re.IGNORECASE)
_HEADING = re.compile(r"^[A-Z][A-Za-z0-9'\-]*( (?:[A-Z][A-Za-z0-9'\-]*|of|the|in|to|and|with|a))*$")
_PLACE = re.compile(
    r"^at your feet is\b|^(?:youre|you are|this is|you have) (?:now )?"
    r"(?:in|at|on|inside|standing|walking|crawling|following|within|outside|by|near|facing|under|above|below"
    r"|behind|beside|between|a|an|the|wandering|crawled|walked)\b|^dead end\b|\bpitch (?:dark|black)\b"
)
_FAILURE = re.compile(
    r"^(?:i dont|i do not|you cant|you cannot|i cant|i see no|i can only|there is no way|there isnt|theres no"
    r"|nothing happens|you arent|youre not|you are not|please answer|sorry|you dont|that doesnt|it is beyond"
    r"|what\b|with what|you have no|nothing to|dont be|thats not|that isnt|you cant be serious|i am unsure"
    r"|you havent|i beg your pardon|you used the word|that sentence|it is too dark|its too dark|youll have to"
    r"|you must|the .{1,40} (?:is|are) (?:locked|closed|already)|it is already|your load is too heavy"
    r"|.{0,60}\bblocks your way|i dont know the word|you cant see any|you cant go|the only exits|it wont"
    r"|its not|something youre carrying|(?:some|an?) [a-z ]{3,40} (?:prevents|stops|bars) )"
)
_SETBACK = re.compile(
    r"\byou (?:have died|are dead|fell into a pit)|gotten? yourself killed|broke every bone"
    r"|\byou(?:re| are) dead\b|\bkills? you\b|\bit gets you\b|you have been killed|slits? your throat"
    r"|\bburned to a cinder\b|\bdevoured?\b.*\bgrue\b|\bknocks you out\b|\byou clumsy oaf\b|have drowned"
)
_DROPPED = re.compile(
    r"\b(?:drops?|falls?|fell|clatters?) (?:from your \w+ )?(?:in)?to the (?:ground|floor)\b"
    r"|\b(?:slips?|falls?|knocked|flies|flips?)\b.{0,40}\b(?:out of|from) your (?:hands?|grip|grasp)\b"
)
_ROBBED = re.compile(
    r"\b(?:booty|robs?|robbed|stolen|steals?|stole|snatch(?:es|ed)|relieved you|abstracted|pickpockets?)\b"
    r"|\byour (?:possessions?|valuables)\b|\bsuddenly notice that\b"
)
_DARK = re.compile(r"\bpitch (?:dark|black)\b|\bin the dark\b(?! ?room)|\bdark place\b|\btoo dark\b")
_OUT_OF_LIGHT = re.compile(r"\bout of power\b|\bno source of light\b")
_BEATEN = re.compile(
    r"\bdies\b|\b(?:floor|falls|drops) dead\b|\bis (?:dead|slain)\b|\blast breath\b|\bcarcass\b"
    r"|\b(?:vanquished|slain|killed) (?:a|an|the)\b|\bbody vanishes\b"
)
_HELP_OFFERED = re.compile(
    r"\b(?:need|want|like) (?:some |a little |any )?(?:help|the hint|a hint|advice)\b|\bcost you\b"
)
_ABSENT = re.compile(r"\bsee no\b|\bcant see any\b|\bisnt here\b|\bdont have\b|\barent carrying\b")
_FULL = re.compile(
    r"\bcarry anything more\b|\bload is too heavy\b|\bcarrying too (?:much|many)\b|\bholding too many\b"
    r"|\bcarrying (?:wont|will not) fit\b"
)
_LOOKS = frozenset({"look", "l", "inventory", "inven", "i", "score", "diagnose", "help", "info"})
# fmt: off
STOPWORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "here", "in",
    "into", "is", "it", "its", "near", "nearby", "no", "not", "now", "of", "on", "one", "or", "out",
    "over", "some", "that", "the", "there", "this", "to", "very", "was", "which", "with", "you",
    "your", "youre",
})
# fmt: on
GET_VERBS = frozenset({"get", "take", "carry", "catch", "grab", "pick", "steal"})
FIGHT_VERBS = frozenset({"kill", "attack", "fight", "hit", "slay", "stab", "strike"})
DROP_VERBS = frozenset({"drop", "throw", "release", "free", "put", "discard", "leave", "give", "insert"})


@dataclass(frozen=True)
class Reading:
    """One reply, read.

    Attributes:
        sentences: Keys of all sentences, in order (without a status line).
        questions: Keys of the questions asked, where the reply ends with one and so waits for an answer.
        anchor: Key that names the place described: the heading, or the sentence that says where one is;
            ``None`` where no place is described.
        description: Content words of the place's paragraph.
        lead: Keys of the sentences before the anchor: what happened on the way.
        titled: The anchor is a status line's title, which is always the same for a place.
        failure: The command was refused.
        setback: Key of the sentence that tells of a death or worse, or ``None``.
        score: The score a status line shows, or ``None``.
    """

    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    anchor: str | None
    description: frozenset[str]
    lead: tuple[str, ...]
    titled: bool
    failure: bool
    setback: str | None
    score: int | None

    @cached_property
    def lying(self) -> frozenset[str]:
        """Words of the sentences that say what lies here ("There is a little axe here")."""
        found = [
            s
            for s in self.sentences[1 if self.failure else 0 :]
            if (s.startswith(("there is", "there are", "lying")) or " here" in s or "nearby" in s)
            and " your " not in s  # "too high up for your lamp to show it" tells of a lamp in hand
        ]
        return frozenset(word for s in found for word in s.split())

    @cached_property
    def dropped(self) -> frozenset[str]:
        """Words of the sentences that say that something fell out of the hand."""
        return frozenset(word for s in self.sentences if _DROPPED.search(s) for word in s.split())

    @cached_property
    def robbed(self) -> bool:
        """Somebody took, or may have taken, what is carried."""
        return any(_ROBBED.search(s) for s in self.sentences)

    @cached_property
    def help_offered(self) -> bool:
        """It is asked whether help is wanted, which costs points in games of this kind."""
        return bool(self.questions) and any(_HELP_OFFERED.search(s) for s in self.sentences[-2:])

    @property
    def asks_which(self) -> bool:
        """It is asked which of several things was meant: the same command would ask the same again."""
        return bool(self.questions) and self.questions[-1].startswith("which ")

    @cached_property
    def dark(self) -> bool:
        """There is no light."""
        if any(_DARK.search(s) for s in self.sentences):
            return True
        return self.anchor is None and any(_OUT_OF_LIGHT.search(s) for s in self.sentences)

    @cached_property
    def beaten(self) -> bool:
        """An enemy is dead."""
        return any(_BEATEN.search(s) for s in self.sentences)

    @property
    def unmoved(self) -> bool:
        """The status line names a place and the text does not describe it: one has not moved."""
        return self.titled and self.anchor not in self.sentences

    @cached_property
    def absent(self) -> bool:
        """The command was refused because its object is not here."""
        return self.failure and bool(_ABSENT.search(self.sentences[0]))

    @cached_property
    def full_hands(self) -> bool:
        """The command was refused because too much is carried."""
        return self.failure and bool(_FULL.search(self.sentences[0]))

    @property
    def cues(self) -> tuple[str, ...]:
        """Sentences that can be cues for an action: all but the one that names the place."""
        return tuple(s for s in self.sentences if s != self.anchor)


def key(text: str) -> str:
    """Return the comparison key of a sentence: lower case, letters and digits, single spaces."""
    return " ".join(_NOT_WORD.sub(" ", text.lower().replace("'", "").replace("’", "")).split())


def content_words(sentence_key: str) -> frozenset[str]:
    """Return the words of a key that carry meaning, as crude stems: no plural s, five letters at most."""
    return frozenset(word.rstrip("s")[:5] for word in sentence_key.split() if word not in STOPWORDS)


@lru_cache(maxsize=65_536)
def normalise_action(action: str) -> str:
    """Return a command in comparison form: lower case, single spaces, bounded to 120 characters."""
    return key(action[:200])[:120]


@lru_cache(maxsize=65_536)
def split_action(action: str) -> tuple[str, str]:
    """Split a command into verb and object ("" where there is none): ``get the lamp`` -> get, lamp."""
    words = [w for w in normalise_action(action).split() if w not in {"the", "a", "an"}]
    if not words:
        return "", ""
    if words[:2] == ["pick", "up"]:
        words = ["get", *words[2:]]
    stop = next(
        (i for i, w in enumerate(words) if i and w in {"with", "in", "on", "to", "at", "from"}), len(words)
    )
    return words[0], " ".join(words[1:stop])


def is_look(action: str) -> bool:
    """Return whether a command only asks for information."""
    return split_action(action)[0] in _LOOKS


@lru_cache(maxsize=32_768)
def read_text(text: str) -> Reading:
    """Read a game's reply.

    Args:
        text: The observation's text; only the first 20,000 characters count.
    """
    text = text[:_MAX_CHARS]
    score, title, body = _status_line(text)
    sentences: list[str] = []
    questions: list[str] = []
    paragraphs: list[tuple[int, int]] = []
    for paragraph in _PARAGRAPH.split(body):
        begin = len(sentences)
        lines = paragraph.strip().split("\n")
        first = lines[0].strip()
        heading = len(lines) > 1 and len(first) < 40 and not first.isupper() and _HEADING.match(first)
        pieces = (
            [lines[0], *_SENTENCE.split(" ".join(lines[1:]))] if heading else _SENTENCE.split(" ".join(lines))
        )
        for piece in pieces:
            sentence = key(piece)
            if sentence:
                sentences.append(sentence)
                if piece.rstrip(" \"')").endswith("?") or sentence.startswith("please answer"):
                    questions.append(sentence)
        paragraphs.append((begin, len(sentences)))
    asked = bool(questions) and sentences[-1] == questions[-1]
    index = _anchor_index(sentences, title)
    anchor = title if title is not None else (sentences[index] if index is not None else None)
    return Reading(
        sentences=tuple(sentences),
        questions=tuple(questions) if asked else (),
        anchor=anchor,
        description=_description(sentences, paragraphs, index, anchor),
        lead=tuple(sentences[:index]) if index is not None else (() if title else tuple(sentences)),
        titled=title is not None,
        failure=bool(sentences) and not asked and bool(_FAILURE.match(sentences[0])),
        setback=next((s for s in sentences if _SETBACK.search(s)), None),
        score=score,
    )


def _status_line(text: str) -> tuple[int | None, str | None, str]:
    first, _, rest = text.lstrip("\n").partition("\n")
    match = _STATUS.match(first)
    if match is None:
        return None, None, text
    return int(match["score"]), key(match["title"]), rest


def _anchor_index(sentences: list[str], title: str | None) -> int | None:
    """Find the sentence that says where one is; the last such, because events come first."""
    if title is not None:
        return next((i for i, s in enumerate(sentences) if s == title), None)
    found = [i for i, s in enumerate(sentences) if _PLACE.search(s)]
    return found[-1] if found else None


def _description(
    sentences: list[str], paragraphs: list[tuple[int, int]], index: int | None, anchor: str | None
) -> frozenset[str]:
    if index is None:
        return content_words(anchor) if anchor else frozenset()
    start, end = next(p for p in paragraphs if p[0] <= index < p[1])
    return frozenset().union(*(content_words(s) for s in sentences[max(start, index) : end]))
