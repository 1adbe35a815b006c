"""What is fetched, taken, put down or looked for on the way: the errands beside the plan.

The guide says which waypoint is next. This says what is missing for it and where that may be, what lies here
and is of use, what the hands have no room for, and where to look when nothing is known to help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lookalike.rewards.belief import Belief
from lookalike.rewards.caution import Caution
from lookalike.rewards.document import ANY_QUESTION, Rule
from lookalike.rewards.places import GUESSED
from lookalike.rewards.plan import Plan, Waypoint
from lookalike.rewards.recovery import PATROL_MOVES, Recovery, moves_to_any
from lookalike.rewards.text import Reading, read_text

REFUSALS_PER_WAYPOINT = 2
_NEAR = 2
_COMMON_MOVE = 3
_NO_TEXT = read_text("")


class Errands:
    """What an episode believes and remembers, and the errands that follow from it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.options = plan.model.following
        self.belief = Belief(plan.places.copy())
        self.refused: dict[str, int] = {}
        self.recovery = Recovery()
        self._next = 0
        self._reading = _NO_TEXT
        self._dark = False
        self._retried: set[str] = set()
        self._put_down: set[str] = set()
        self._searched: set[str] = set()
        self._around: list[str] | None = None
        self._lying: set[str] = set()
        self._patrols = False
        self._caution = Caution()
        self._used: Counter[str] = Counter()

    @property
    def waypoint(self) -> Waypoint | None:
        """What the recording did next and this episode has not."""
        return self.plan.waypoints[self._next] if self._next < len(self.plan.waypoints) else None

    def _open(self, action: str) -> bool:
        return self.refused.get(action, 0) < REFUSALS_PER_WAYPOINT

    def rules(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen and whose object is at hand."""
        held = self.belief.held
        return [
            rule
            for rule in self.cued(reading)
            if (rule.requires is None or rule.requires in held) and not self.refused.get(rule.action)
        ]

    def cued(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen."""
        if not self.plan.rules:
            return []
        if reading.questions:
            asked = [rule for sentence in reading.questions for rule in self.plan.rules_for(sentence)]
            ends_the_game = any(word in reading.questions[-1].split() for word in ("quit", "restart"))
            return asked or ([] if ends_the_game else list(self.plan.rules.get(ANY_QUESTION, ())))
        told = reading.sentences if self.plan.learnt is None else self._caution.told(reading)
        found = [rule for sentence in told for rule in self.plan.rules_for(sentence)]
        return [*found, *self.plan.lights] if self._dark and self.options.recover else found

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
        """Return moves not tried here yet, the most common of the game first; then the least visited way.

        Where nobody was before, the one used least so far: in a forest always east leads nowhere.
        """
        here, places = self.belief.place, self.belief.places
        common = Counter(action for _, action in places.edges)
        used = self._used if here not in self.plan.places.places else Counter[str]()
        untried = [
            action
            for action, number in sorted(common.items(), key=lambda i: (used[i[0]], -i[1], i[0]))
            if number >= _COMMON_MOVE
            and self.refused.get(action, 0) == 0
            and (
                here is None or ((here, action) not in places.edges and (here, action) not in places.refuted)
            )
        ]
        return untried or self._patrol() or ["look"]

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


def _uses(waypoint: Waypoint, thing: str) -> bool:
    return thing == waypoint.leaves or set(thing.split()) <= set(waypoint.do.split())
