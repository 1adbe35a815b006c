"""What the swarm remembers: every observation, action, reward and outcome, and by whom it was made.

Recall is by exact state first, then by similarity: states that share rare words. A state is the text's
sentences without capitals, line breaks and punctuation, so that wrapping does not matter.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from lookalike.core.types import Recollection
from lookalike.rewards.text import content_words, read_text

_RARE_WORDS = 6
_STATES_PER_WORD = 64
_MIN_SIMILARITY = 0.5


@dataclass(frozen=True)
class Entry:
    """One remembered step.

    Attributes:
        observation: Text before; ``outcome``: text after.
        action: What was played.
        reward: Verdict value in [-1, 1], or ``None`` where none was given.
        members: Roles that had proposed the action.
        provenance: Where it comes from, e.g. ``"seed 3 attempt 0 step 12 by t0.6+t1.0"``.
    """

    observation: str
    action: str
    reward: float | None
    outcome: str
    members: tuple[str, ...]
    provenance: str


@dataclass
class _State:
    words: frozenset[str]
    entries: dict[str, list[Entry]] = field(default_factory=dict)


class SwarmMemory:
    """Memory of one swarm, shared by its members unless ``shared`` is false.

    Args:
        shared: Whether a member recalls what others' proposals earned. If not, it recalls only steps whose
            action it had proposed itself (the control "no shared memory").
    """

    def __init__(self, *, shared: bool = True) -> None:
        self.shared = shared
        self._states: dict[str, _State] = {}
        self._by_word: dict[str, list[str]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def remember(self, entry: Entry) -> None:
        """Keep a step."""
        key = state_key(entry.observation)
        state = self._states.get(key)
        if state is None:
            words = frozenset().union(*(content_words(s) for s in read_text(entry.observation).sentences))
            state = self._states[key] = _State(words)
            for word in words:
                self._by_word.setdefault(word, []).append(key)
        state.entries.setdefault(entry.action, []).append(entry)
        self._size += 1

    def recall(
        self, observation: str, *, limit: int = 3, member: str | None = None
    ) -> tuple[Recollection, ...]:
        """Return what is worth remembering here, the most relevant last.

        Of the very same state: the best and the worst action tried. Where room is left, the best rewarded
        action of the most similar states.

        Args:
            observation: Text seen now.
            limit: Most recollections returned.
            member: Who asks; matters only where memory is not shared.
        """
        if limit <= 0:
            return ()
        key = state_key(observation)
        own = None if self.shared else member
        exact = self._best_and_worst(key, 1.0, own)
        if len(exact) >= limit:
            return tuple(exact[-limit:])
        similar: list[Recollection] = []
        for score, other in self._similar(key, observation):
            found = self._best_and_worst(other, score, own)
            if found and (found[-1].reward or 0.0) > 0.0:
                similar.append(found[-1])
            if len(similar) + len(exact) >= limit:
                break
        return (*reversed(similar), *exact)

    def value(self, observation: str, action: str, *, member: str | None = None) -> float | None:
        """Return the mean reward an action earned in this very state, or ``None`` where it was not tried."""
        state = self._states.get(state_key(observation))
        if state is None:
            return None
        own = None if self.shared else member
        rewards = [
            e.reward
            for e in state.entries.get(action, ())
            if e.reward is not None and (own is None or own in e.members)
        ]
        return sum(rewards) / len(rewards) if rewards else None

    def _best_and_worst(self, key: str, score: float, own: str | None) -> list[Recollection]:
        """Return the best action of a state last, and before it the worst where it was punished."""
        state = self._states.get(key)
        if state is None:
            return []
        newest: list[Entry] = []
        for entries in state.entries.values():
            mine = entries if own is None else [e for e in entries if own in e.members]
            if mine:
                newest.append(mine[-1])
        newest.sort(key=lambda e: (e.reward or 0.0, e.action))
        if not newest:
            return []
        chosen = [newest[-1]]
        if len(newest) > 1 and (newest[0].reward or 0.0) < 0.0:
            chosen.insert(0, newest[0])
        return [
            Recollection(e.observation, e.action, e.reward, e.outcome, "member", e.provenance, score)
            for e in chosen
        ]

    def _similar(self, key: str, observation: str) -> list[tuple[float, str]]:
        """Return other states that share rare words, the most similar first."""
        state = self._states.get(key)
        words = (
            state.words
            if state is not None
            else frozenset().union(*(content_words(s) for s in read_text(observation).sentences))
        )
        known: Collection[str] = sorted(
            (w for w in words if w in self._by_word), key=lambda w: (len(self._by_word[w]), w)
        )
        candidates: dict[str, None] = {}
        for word in list(known)[:_RARE_WORDS]:
            candidates.update(dict.fromkeys(self._by_word[word][-_STATES_PER_WORD:]))
        candidates.pop(key, None)
        scored = []
        n = len(words)
        for other in candidates:
            theirs = self._states[other].words
            m = len(theirs)
            if m > 2 * n or n > 2 * m:
                continue  # the smaller cannot be half of the union
            shared = len(words & theirs)
            similarity = shared / (n + m - shared)
            if similarity >= _MIN_SIMILARITY:
                scored.append((round(similarity, 6), other))
        scored.sort(key=lambda item: (-item[0], item[1]))
        return scored


def state_key(observation: str) -> str:
    """Return what makes two observations the same state: their sentences' keys."""
    return "\n".join(read_text(observation).sentences)
