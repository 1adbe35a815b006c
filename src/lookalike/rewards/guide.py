"""Follows the plan through an episode and says what to do next.

The recording is one way through the game, and the world rarely goes along: things are refused, stolen or
missing, or somebody has to be fought first. The guide keeps the belief and the next waypoint, and chooses
between going on, going back for what is missing, and leaving a waypoint out.
"""

from __future__ import annotations

from collections import Counter

from lookalike.core.types import Observation
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.belief import Followed
from lookalike.rewards.errands import REFUSALS_PER_WAYPOINT, Errands
from lookalike.rewards.joining import Joining, things_of, where_to_join
from lookalike.rewards.plan import Plan, Waypoint
from lookalike.rewards.recovery import stock
from lookalike.rewards.text import FIGHT_VERBS, Reading, is_look, read_text, split_action

_TRIES_PER_WAYPOINT = 2
_BLOWS_PER_FIGHT = 60
_PATIENCE = 120
_DARK_WAITS = 80
_ROUNDS = 6

_TAKE_STOCK = "inventory"
_THREATS = FIGHT_VERBS | {"throw"}


class Guide(Errands):
    """One episode on the way through a plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._tries = 0
        self._refusals = 0
        self._stalls = 0
        self._spent = 0
        self._waited = 0
        self._left_out: set[int] = set()
        self._doubtful = False
        self._offered: frozenset[str] | None = None
        self._worn: Counter[tuple[str | None, str]] = Counter()
        self._joining = Joining()

    def start(self, reading: Reading) -> None:
        """Begin at an episode's first reply."""
        self._reading = reading
        self.belief.start(reading)
        if self.options.join:
            self._joining.start(self.plan, self.belief, reading)
        self._skip_what_needs_no_doing()

    @property
    def cursor(self) -> int:
        """How many waypoints are behind."""
        return self._next

    @property
    def first_try(self) -> bool:
        """Whether the next waypoint's command was not played yet: only the first try pays."""
        return self._tries == 0

    def follow(self, action: str, after: Reading) -> Followed:
        """Take in a command and its reply."""
        before, self._reading = self._reading, after
        self._offered = None
        unseen = after.anchor is None or (after.titled and (after.failure or is_look(action)))
        self._dark = after.dark or (self._dark and unseen and not after.setback)
        seen = self.belief.follow(action, after)
        self._caution.follow(action, before, after, seen)
        self._waited = self._waited + 1 if self._dark else 0
        self._lying = {*after.lying} if seen.place != seen.origin else self._lying | after.lying
        if seen.taken is not None:
            self._lying.discard(seen.taken.split()[-1])
        if self._patrols:
            self.recovery.patrolled += 1
        self._used[action] += 1
        if self._joining.open:
            self._join(action, after)
        if self.options.recover:
            if action == _TAKE_STOCK and not after.failure:
                self.belief.take_stock(stock(after, self._spelling(after)))
            self._doubtful = after.robbed and after.setback is None and action != _TAKE_STOCK
            self.recovery.follow(self.plan.store, self.belief, seen, after)
        return seen

    def _join(self, action: str, after: Reading) -> None:
        """Find out where the plan stands, and go on from there as soon as nothing more can be found out."""
        self._joining.follow(action, after)
        if action == _TAKE_STOCK and not after.failure:
            words = stock(after, self._spelling(after))
            self.belief.held = {t for t in things_of(self.plan) if t.split()[-1] in words}
        if self._joining.wants(self.plan, self.belief):
            return
        self._joining.open = False
        store, at_home = self.plan.store, self.belief.place == self.plan.store.home
        there = frozenset(
            self._spelling(after)[w] for w in after.lying | self._lying if w in self._spelling(after)
        )
        lying = frozenset(there | after.lying | self._lying) if at_home else None
        self._next = where_to_join(self.plan, self.belief.place, self.belief.held, lying)
        self._tries = self._refusals = self._stalls = self._spent = 0
        if lying is not None:
            self.recovery.stored |= {t for t in store.due if t.split()[-1] in lying}

    def _spelling(self, reading: Reading) -> dict[str, str]:
        words = {word for sentence in reading.sentences for word in sentence.split()}
        environment = self.plan.model.environment
        return {word: canonical_action(environment, f"get {word}").split()[-1] for word in words}

    def distance(self, place: str | None, target: Waypoint | None) -> int | None:
        """Return the number of moves from a place to a waypoint; ``None`` where no way is known.

        The way the person went counts before any shorter one: it is the one that is known to be open then.
        """
        if target is None or place is None:
            return None
        if self.options.legs and (left := target.leg.get(place)) is not None and self._open(left[1]):
            return left[0]
        distance = self.belief.places.distance
        known = distance(place, target.at)
        if known is None and self.options.legs:
            ways = [
                d + left[0]
                for p, left in target.leg.items()
                if p != target.at and (d := distance(place, p)) is not None
            ]
            return min(ways, default=None)
        return known

    def note_admissible(self, offered: set[str]) -> None:
        """Go past waypoints of this place whose action the environment does not offer here."""
        self._offered = frozenset(offered)
        while (target := self.waypoint) is not None and target.at == self.belief.place:
            if self._spelt(target.do) in offered or self._reading.questions or self.rules(self._reading):
                break  # it can be done, or something else comes first (a question, the dark, a fight)
            if self._missing_here(self._reading) and self._stalls < REFUSALS_PER_WAYPOINT:
                self._stalls += 1
                break  # what it needs lies here
            self._pass(None)
            self._skip_what_needs_no_doing()

    def _spelt(self, action: str) -> str:
        """Return the offered command that is meant by a shorter one: ``get knife``, where one knife is."""
        if self._offered is None or action in self._offered or " " not in action:
            return action
        verb, noun = action.split(maxsplit=1)[0], action.rsplit(maxsplit=1)[-1]
        meant = [o for o in self._offered if o.split()[0] == verb and o.split()[-1] == noun]
        return meant[0] if len(meant) == 1 else action

    def meant(self, action: str) -> str:
        """Return the next waypoint's command where ``action`` is only another spelling of it."""
        target = self.waypoint
        if target is not None and target.at == self.belief.place and self._spelt(target.do) == action:
            return target.do
        return action

    def recommend(self, observation: Observation) -> list[str]:
        """Return actions worth doing here, best first; empty where the document does not help."""
        reading = read_text(observation.text or "")
        rules = self._good_rules(reading)
        if reading.help_offered:
            return ["no"]
        if reading.questions and rules:
            return rules
        if self._doubtful and not rules:
            return [_TAKE_STOCK]
        if self._dark and self.options.recover and (dark := self._in_the_dark(rules)):
            return dark
        if self._joining.open and not rules and (moves := self._joining.wants(self.plan, self.belief)):
            return moves
        errand = self._errand(reading)
        missing = self._missing_here(reading) + self._too_much(reading)
        target, place = self.waypoint, self.belief.place
        moves = self._search() or errand
        if not moves and target is not None and place is not None:
            moves = [target.do] if place == target.at else self._way(place, target)
        if self._caution.waiting and target is not None and place is not None and not self.belief.lost:
            moves = self._round_about(place, target)
        fights = [action for action in rules if split_action(action)[0] in _THREATS]
        if fights and any(self._open(move) for move in moves[:1]) and self._leaves_enemies(reading):
            rules = [action for action in rules if action not in fights]
        wanted = [*rules, *missing, *self._reopen(moves), *moves]
        if not wanted and self.options.explore:
            wanted = self._explore()
        return [self._spelt(action) for action in dict.fromkeys(wanted)]

    def _leaves_enemies(self, reading: Reading) -> bool:
        """Return whether to go on rather than fight: always (``evade``), or where that costs less."""
        if self.options.evade or self.plan.learnt is None:
            return self.options.evade
        danger = self._caution.danger(self.plan.learnt, reading)
        here = self.belief.place
        return danger is not None and self._caution.better_left(danger, self.plan, self._next, here)

    def _round_about(self, place: str, target: Waypoint) -> list[str]:
        """Return a move that leads away from the waypoint and round to it: who stands still meets nobody."""
        if place != target.at:
            return self._way(place, target)
        on = [w.leg[place][1] for w in self.plan.waypoints[self._next + 1 :] if place in w.leg]
        return [*on[:1], "look"]

    def _in_the_dark(self, rules: list[str]) -> list[str]:
        """Return what made light in the recording; what to do while nothing does and the light is in hand.

        Moving in the dark is dangerous, and what the person waited for may still come.
        """
        companions = self.plan.companions
        in_hand = bool(companions & self.belief.held)
        kindle = [action for action in self.plan.kindle if not self.refused.get(action)]
        if kindle and (in_hand or not companions):
            return kindle
        if not rules and in_hand and self._waited < _DARK_WAITS:
            return [_TAKE_STOCK]
        return []

    def _way(self, place: str, target: Waypoint) -> list[str]:
        """Return the moves towards a waypoint: the person's own from here, then the shortest."""
        places, left = self.belief.places, target.leg.get(place)
        shortest = places.next_moves(place, target.at)
        if self.options.legs and place not in target.leg and (move := self._trail(place)) is not None:
            return [move, *shortest]
        if self.options.legs and left is not None and self._open(left[1]):
            return [left[1], *shortest]
        if not shortest and self.options.legs:
            if left is not None:
                return [left[1]]
            ways = [(n, moves) for p, (n, _) in target.leg.items() if (moves := places.next_moves(place, p))]
            return min(ways, default=(0, []))[1]
        return shortest

    def _trail(self, place: str) -> str | None:
        """Return the person's next move here on the way to a waypoint that was just left out."""
        index = self._next - 1
        while index in self._left_out:
            left = self.plan.waypoints[index].leg.get(place)
            if left is not None:
                return left[1] if self._open(left[1]) else None
            index -= 1
        return None

    def _good_rules(self, reading: Reading) -> list[str]:
        return [rule.action for rule in self.rules(reading) if rule.polarity * rule.weight > 0]

    def advance(
        self, target: Waypoint | None, at_waypoint: bool, after: Reading, action: str, seen: Followed
    ) -> None:
        """Move along the plan: what was done is behind, what cannot be done is left out."""
        self._retried.add(action)
        if seen.taken is not None:
            self._put_down.discard(seen.taken)
        if seen.place != seen.origin:
            self.refused.clear()
            self._retried.clear()
        if after.setback is not None:
            self._searched, self._around = set(), None
        self._note_refusal(action, after, seen)
        cursor = self._next
        if target is not None and at_waypoint:
            self._work(target, after, action)
        self._spent += not (self._caution.waiting or _bides(target, action, after, seen))
        if seen.place != seen.origin and not (self._patrols or self._caution.waiting):
            self._worn[seen.origin, action] += 1
        worn = self._worn[seen.origin, action] > _ROUNDS and not _nearer(target, seen)
        if self._next == cursor and target is not None and (worn or self._spent > _PATIENCE):
            self._pass(None)
        self._skip_what_needs_no_doing()

    def _note_refusal(self, action: str, after: Reading, seen: Followed) -> None:
        """Remember a command that was refused or not understood, or a move that did not move."""
        if after.asks_which:
            self.refused[action] = self.refused.get(action, 0) + 1
        elif after.failure:
            self.refused[action] = self.refused.get(action, 0) + 1
            self._drop_closed_way(seen.origin, action)
        elif (action in self.plan.kindle and self._dark) or (
            seen.place == seen.origin and action in self.plan.moves - set(self.plan.kindle)
        ):
            self.refused[action] = self.refused.get(action, 0) + 1
            if seen.origin is not None and (seen.origin, action) not in self.belief.places.edges:
                self.belief.places.remove_edge(seen.origin, action)

    def _work(self, target: Waypoint, after: Reading, action: str) -> None:
        """Take in that the waypoint's command was played at its place."""
        if target.refused:
            self.refused.pop(action, None)
            self._pass(target)
        elif target.fights and self.options.fights:
            self._strike(target, after)
        elif after.full_hands and self._spare(target):
            self.refused.pop(action, None)  # with something put down it can be taken
        elif after.absent and self._waits_for_thief(target):
            self.refused.pop(action, None)  # it will be here when he has come
        elif after.failure:
            self._refusals += REFUSALS_PER_WAYPOINT if after.absent else 1
        else:
            self._tries += 1
            if self._accomplished(target, after) or self._tries >= _TRIES_PER_WAYPOINT:
                self._pass(target)
        if target is self.waypoint and self._refusals >= REFUSALS_PER_WAYPOINT:
            self._pass(None)

    def _waits_for_thief(self, target: Waypoint) -> bool:
        learnt = self.plan.learnt
        return learnt is not None and self._caution.waits_for_thief(learnt, self.plan, target, self.belief)

    def _accomplished(self, target: Waypoint, after: Reading) -> bool:
        milestone = self.plan.by_id.get(target.milestone or "")
        says = milestone.detect.says if milestone is not None else None
        return says is None or says in after.sentences or bool(after.questions)

    def _strike(self, target: Waypoint, after: Reading) -> None:
        """Go on after a blow: until the enemy is dead or not here, or the weapon is gone for good."""
        self._tries += 1
        disarmed = any(thing not in self.belief.held for thing in target.holding if thing in target.do)
        if (
            after.beaten
            or (after.absent and not disarmed)
            or self._tries >= _BLOWS_PER_FIGHT
            or after.questions
        ):
            while (following := self.waypoint) is not None and (following.at, following.do) == (
                target.at,
                target.do,
            ):
                self._pass(following)
        elif after.failure:
            self._refusals += 1

    def _drop_closed_way(self, origin: str | None, action: str) -> None:
        """Forget a move that was refused again and again: the way is closed in this episode."""
        known = (origin, action) in self.belief.places.edges
        if origin is not None and self.refused[action] >= (2 * REFUSALS_PER_WAYPOINT if known else 1):
            self.belief.places.remove_edge(origin, action)

    def _pass(self, accomplished: Waypoint | None) -> None:
        if accomplished is None:
            self._left_out.add(self._next)
        elif accomplished.leaves:
            self._put_down.add(accomplished.leaves)
        self._next += 1
        self._tries = self._refusals = self._stalls = self._spent = 0
        self._worn.clear()

    def _skip_what_needs_no_doing(self) -> None:
        """Go past waypoints whose effect is there already, or that nothing leads to from here."""
        while (target := self.waypoint) is not None:
            held = self.belief.held
            have = target.gets in held and target.gets not in target.holding
            gone = target.leaves is not None and target.leaves in target.holding and target.leaves not in held
            if not (have or gone or self._told_before(target) or self._unreachable(target)):
                break
            self._pass(None)

    def _told_before(self, target: Waypoint) -> bool:
        """Tell that a place's description says already what the waypoint's command would bring about.

        A bridge that is there: to do it again could undo it.
        """
        if self._tries or not self.options.join or self.belief.place != target.at:
            return False
        milestone = self.plan.by_id.get(target.milestone or "")
        says = milestone.detect.says if milestone is not None else None
        return says is not None and says in self._reading.sentences and self._reading.anchor is not None

    def _unreachable(self, target: Waypoint) -> bool:
        place = self.belief.place
        if place is None or place not in self.plan.places.places or self._dark:
            return False
        return self.distance(place, target) is None


def _nearer(target: Waypoint | None, seen: Followed) -> bool:
    """Tell that the step came nearer to a waypoint on the person's own way."""
    if target is None or seen.origin is None or seen.place is None:
        return False
    left, before = target.leg.get(seen.place), target.leg.get(seen.origin)
    return before is not None and (seen.place == target.at or (left is not None and left[0] < before[0]))


def _bides(target: Waypoint | None, action: str, after: Reading, seen: Followed) -> bool:
    """Tell that the person's own move was played, was not refused and led nowhere: it takes its time."""
    if target is None or seen.origin is None or after.failure or seen.place != seen.origin:
        return False
    return target.leg.get(seen.origin, (0, ""))[1] == action
