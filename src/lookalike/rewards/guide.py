"""Follows the plan through an episode and says what to do next.

The recording is one way through the game, and the world rarely goes along: things are refused, stolen or
missing, or somebody has to be fought first. The guide keeps the belief and the next waypoint, and chooses
between going on, going back for what is missing, and leaving a waypoint out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lookalike.core.types import Observation
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.belief import Belief, Followed
from lookalike.rewards.document import ANY_QUESTION, Rule
from lookalike.rewards.places import GUESSED
from lookalike.rewards.plan import Plan, Waypoint
from lookalike.rewards.recovery import PATROL_MOVES, Recovery, moves_to_any, stock
from lookalike.rewards.text import FIGHT_VERBS, Reading, is_look, read_text, split_action

REFUSALS_PER_WAYPOINT = 2
_TRIES_PER_WAYPOINT = 2
_BLOWS_PER_FIGHT = 60
_PATIENCE = 120
_DARK_WAITS = 80
_ROUNDS = 6

_TAKE_STOCK = "inventory"
_THREATS = FIGHT_VERBS | {"throw"}
_NEAR = 2
_COMMON_MOVE = 3
_NO_TEXT = read_text("")


class Guide:
    """One episode on the way through a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.options = plan.model.following
        self.belief = Belief(plan.places.copy())
        self.refused: dict[str, int] = {}
        self.recovery = Recovery()
        self._next = 0
        self._tries = 0
        self._refusals = 0
        self._stalls = 0
        self._spent = 0
        self._waited = 0
        self._retried: set[str] = set()
        self._put_down: set[str] = set()
        self._left_out: set[int] = set()
        self._searched: set[str] = set()
        self._around: list[str] | None = None
        self._reading = _NO_TEXT
        self._doubtful = False
        self._dark = False
        self._offered: frozenset[str] | None = None
        self._lying: set[str] = set()
        self._worn: Counter[tuple[str | None, str]] = Counter()
        self._patrols = False

    def start(self, reading: Reading) -> None:
        """Begin at an episode's first reply."""
        self._reading = reading
        self.belief.start(reading)
        self._skip_what_needs_no_doing()

    @property
    def cursor(self) -> int:
        """How many waypoints are behind."""
        return self._next

    @property
    def first_try(self) -> bool:
        """Whether the next waypoint's command was not played yet: only the first try pays."""
        return self._tries == 0

    @property
    def waypoint(self) -> Waypoint | None:
        """What the recording did next and this episode has not."""
        return self.plan.waypoints[self._next] if self._next < len(self.plan.waypoints) else None

    def follow(self, action: str, after: Reading) -> Followed:
        """Take in a command and its reply."""
        self._reading = after
        self._offered = None
        unseen = after.anchor is None or (after.titled and (after.failure or is_look(action)))
        self._dark = after.dark or (self._dark and unseen and not after.setback)
        seen = self.belief.follow(action, after)
        self._waited = self._waited + 1 if self._dark else 0
        self._lying = {*after.lying} if seen.place != seen.origin else self._lying | after.lying
        if seen.taken is not None:
            self._lying.discard(seen.taken.split()[-1])
        if self._patrols:
            self.recovery.patrolled += 1
        if self.options.recover:
            if action == _TAKE_STOCK and not after.failure:
                self.belief.take_stock(stock(after, self._spelling(after)))
            self._doubtful = after.robbed and after.setback is None and action != _TAKE_STOCK
            self.recovery.follow(self.plan.store, self.belief, seen, after)
        return seen

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
        errand = self._errand(reading)
        missing = self._missing_here(reading) + self._too_much(reading)
        target, place = self.waypoint, self.belief.place
        moves = self._search() or errand
        if not moves and target is not None and place is not None:
            moves = [target.do] if place == target.at else self._way(place, target)
        fights = [action for action in rules if split_action(action)[0] in _THREATS]
        if self.options.evade and fights and any(self._open(move) for move in moves[:1]):
            rules = [action for action in rules if action not in fights]
        wanted = [*rules, *missing, *self._reopen(moves), *moves]
        if not wanted and self.options.explore:
            wanted = self._explore()
        return [self._spelt(action) for action in dict.fromkeys(wanted)]

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

    def _open(self, action: str) -> bool:
        return self.refused.get(action, 0) < REFUSALS_PER_WAYPOINT

    def _errand(self, reading: Reading) -> list[str]:
        """Return what to do about things that should be home, or in hand, and are not.

        What was stolen and is needed now is fetched at once, where the person had found such things by now;
        the rest when the person's last visit home is over.
        """
        store, belief, recovery, target = self.plan.store, self.belief, self.recovery, self.waypoint
        if not self.options.recover or store.home is None or belief.place is None or reading.setback:
            return []
        overdue = recovery.overdue(store, belief, self._next)
        if overdue and belief.place == store.home:
            return [self.plan.waypoints[store.due[thing]].do for thing in overdue]
        missing = recovery.missing(store, belief, self._next)
        late = target is None or self._next > store.last_visit
        if not late:
            known = any(index < self._next for index in store.lairs)
            missing = [t for t in missing if known and t in belief.lost and target and t in target.holding]
        if missing and not self._missing_here(reading):
            recovery.checked.add(belief.place)
        moves: list[str] = []
        if missing:
            moves = moves_to_any(belief, recovery.hiding_places(store, missing, self._next))
        if not moves and late and overdue:
            moves = moves_to_any(belief, [store.home])
        self._patrols = not moves and late and bool(missing) and recovery.patrolled < PATROL_MOVES
        if self._patrols:
            moves = self._patrol()
        return moves

    def _patrol(self) -> list[str]:
        """Return a move to the neighbouring place that was not visited for longest, of those visited at all.

        What was never seen can be a trap, or come later in the plan.
        """
        here, visits = self.belief.place, self.recovery.visits
        edges = self.belief.places.edges.items()
        ways = [(visits[end], a) for (p, a), end in edges if p == here and visits.get(end, 0)]
        return [action for _, action in sorted(ways) if self._open(action)][:1]

    def _explore(self) -> list[str]:
        """Return moves not tried here yet, the most common of the game first; then the least visited way."""
        here, places = self.belief.place, self.belief.places
        common = Counter(action for _, action in places.edges)
        untried = [
            action
            for action, number in sorted(common.items(), key=lambda item: (-item[1], item[0]))
            if number >= _COMMON_MOVE
            and self.refused.get(action, 0) == 0
            and (
                here is None or ((here, action) not in places.edges and (here, action) not in places.refuted)
            )
        ]
        return untried or self._patrol() or ["look"]

    def _good_rules(self, reading: Reading) -> list[str]:
        return [rule.action for rule in self.rules(reading) if rule.polarity * rule.weight > 0]

    def cued(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen."""
        if not self.plan.rules:
            return []
        if reading.questions:
            asked = [rule for sentence in reading.questions for rule in self.plan.rules_for(sentence)]
            ends_the_game = any(word in reading.questions[-1].split() for word in ("quit", "restart"))
            return asked or ([] if ends_the_game else list(self.plan.rules.get(ANY_QUESTION, ())))
        found = [rule for sentence in reading.sentences for rule in self.plan.rules_for(sentence)]
        return [*found, *self.plan.lights] if self._dark and self.options.recover else found

    def rules(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen and whose object is at hand."""
        held = self.belief.held
        return [
            rule
            for rule in self.cued(reading)
            if (rule.requires is None or rule.requires in held) and not self.refused.get(rule.action)
        ]

    def _missing_here(self, reading: Reading) -> list[str]:
        """Return commands that take what should be at hand and lies here.

        The person held it at this point of the recording, or a rule needs it, or it belongs home by now. What
        the plan itself put down stays, unless a rule's cue is seen now.
        """
        held, lost, here = self.belief.held, self.belief.lost, self.belief.place
        words = reading.lying | self._lying
        tools = {rule.requires for rule in self.plan.model.rules if rule.requires} - self._put_down
        wanted = {thing: f"get {thing}" for thing in sorted(tools)}
        wanted |= {r.requires: f"get {r.requires}" for r in self.cued(reading) if r.requires}
        if self.waypoint is not None:
            wanted |= {thing: f"get {thing}" for thing in sorted(self.waypoint.holding)}
        wanted |= {t: f"get {t}" for t in sorted(lost) if self._of_use(t)}
        if self.options.recover and here != self.plan.store.home:
            missing = self.recovery.missing(self.plan.store, self.belief, self._next)
            wanted |= {thing: f"get {thing}" for thing in missing}
        return [
            do
            for thing, do in wanted.items()
            if thing not in held
            and (thing.split()[-1] in words or (here is not None and lost.get(thing) == here))
            and not self.refused.get(do)
        ]

    def _of_use(self, thing: str) -> bool:
        """Tell whether the plan still uses a thing: it is always in hand, or a waypoint ahead is about it."""
        return thing in self.plan.companions or self.plan.store.needed.get(thing, -1) >= self._next

    def _search(self) -> list[str]:
        """Return moves towards what a setback took away and the plan needs.

        First around where one came to (the places known from the episode's beginning that are near), then
        where it happened. Each place is searched once.
        """
        target, belief = self.waypoint, self.belief
        if target is None or belief.place is None or not belief.lost:
            return []
        wanted = target.holding | (self.plan.companions - self._put_down)
        needed = [thing for thing in sorted(belief.lost) if thing in wanted and self._of_use(thing)]
        if self._reading.setback is not None:
            return []
        self._searched.add(belief.place)
        if not needed:
            return []
        if self._around is None:
            here, distance = belief.place, belief.places.distance
            self._around = [p for p in belief.visited if (d := distance(here, p)) and d % GUESSED <= _NEAR]
        scenes = [place for thing in needed if (place := belief.lost[thing])]
        for place in dict.fromkeys([*self._around, *scenes]):
            if place not in self._searched and (moves := belief.places.next_moves(belief.place, place)):
                return moves
        return []

    def _reopen(self, moves: Sequence[str]) -> list[str]:
        """Return what the person did at this place earlier, when the way on is refused now.

        A trap door that fell shut is opened again, a bridge made again. Each is tried once a stay.
        """
        place = self.belief.place
        if not any(self.refused.get(move) for move in moves):
            return []
        done = [w for w in self.plan.waypoints[: self._next] if w.at == place and not (w.gets or w.leaves)]
        return [w.do for w in reversed(done) if w.do not in self.refused and w.do not in self._retried]

    def _too_much(self, reading: Reading) -> list[str]:
        """Return commands that put down what the person did not carry here, when the hands are full."""
        target = self.waypoint
        if target is None or not reading.full_hands:
            return []
        return [f"drop {thing}" for thing in self._spare(target) if not self.refused.get(f"drop {thing}")]

    def _spare(self, target: Waypoint) -> list[str]:
        """Return what may be put down here: what the person did not carry, or put down here or never used."""
        held, here = self.belief.held, self.belief.place
        spare = sorted(held - target.holding)
        if not self.options.recover:
            return spare
        ahead = self.plan.waypoints[self._next :]
        for thing in sorted(held & target.holding):
            use = next((w for w in ahead if thing in w.holding and _uses(w, thing)), None)
            if (use is None and thing not in self.plan.companions) or (
                use is not None and use.leaves == thing and use.at == here
            ):
                spare.append(thing)
        return [thing for thing in spare if thing not in self.plan.store.due]

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
        self._spent += 1
        if seen.place != seen.origin and not self._patrols:
            self._worn[seen.origin, action] += 1
        worn = self._worn[seen.origin, action] > _ROUNDS
        if self._next == cursor and target is not None and (worn or self._spent > _PATIENCE):
            self._pass(None)
        self._skip_what_needs_no_doing()

    def _note_refusal(self, action: str, after: Reading, seen: Followed) -> None:
        """Remember a command that was refused, or a move that did not move."""
        if after.failure:
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
        elif after.failure:
            self._refusals += REFUSALS_PER_WAYPOINT if after.absent else 1
        else:
            self._tries += 1
            if self._accomplished(target, after) or self._tries >= _TRIES_PER_WAYPOINT:
                self._pass(target)
        if target is self.waypoint and self._refusals >= REFUSALS_PER_WAYPOINT:
            self._pass(None)

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
            if not (have or gone or self._unreachable(target)):
                break
            self._pass(None)

    def _unreachable(self, target: Waypoint) -> bool:
        place = self.belief.place
        if place is None or place not in self.plan.places.places or self._dark:
            return False
        return self.distance(place, target) is None


def _uses(waypoint: Waypoint, thing: str) -> bool:
    return thing == waypoint.leaves or set(thing.split()) <= set(waypoint.do.split())
