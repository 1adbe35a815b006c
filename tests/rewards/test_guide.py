"""The guide on small documents: what it does when the world differs from the recording."""

from __future__ import annotations

from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.experts import make_expert
from lookalike.rewards import RewardModel, RewardModelScorer

HALL, CAVE, DEN = "You are in a hall.", "You are in a cave.", "You are in a dark den of thieves."


def watched(*steps: tuple[str, str], start: str = HALL) -> RewardModel:
    """Write the reward model of one play: commands and replies."""
    texts = [start, *(reply for _, reply in steps)]
    path = Trajectory(tuple(Observation(t) for t in texts), tuple(action for action, _ in steps))
    note = Provenance("play.txt", "test", "0" * 64)
    return make_expert().watch([Demonstration("play", path, "human", note)], environment="test/none")


class Player:
    """Plays against a scorer, reply by reply."""

    def __init__(self, model: RewardModel, start: str = HALL) -> None:
        self.scorer, self.seen = RewardModelScorer(model), Observation(start)
        self.scorer.start(self.seen)

    def wants(self) -> str | None:
        return next(iter(self.scorer.recommend(self.seen)), None)

    def does(self, action: str, reply: str) -> float:
        after = Observation(reply)
        verdict = self.scorer.score(Transition(self.seen, action, after))
        self.seen = after
        return verdict.value


def fight() -> RewardModel:
    return watched(
        ("get sword", "Taken."),
        ("n", CAVE + "\n\nThere is an ogre here."),
        ("kill ogre with sword", "The ogre dies at once."),
        ("get gem", "Taken."),
    )


def at_the_ogre(model: RewardModel) -> Player:
    player = Player(model)
    player.does("get sword", "Taken.")
    player.does("n", CAVE + "\n\nThere is an ogre here.")
    return player


def test_an_attack_is_repeated_until_the_enemy_is_dead() -> None:
    player = at_the_ogre(fight())
    for _ in range(8):
        assert player.wants() == "kill ogre with sword"
        player.does("kill ogre with sword", "The ogre dodges.")
    player.does("kill ogre with sword", "A good stroke. The ogre dies.")
    assert player.wants() == "get gem"


def test_without_that_option_it_is_given_up() -> None:
    model = fight()
    without = model.model_copy(update={"following": model.following.model_copy(update={"fights": False})})
    player = at_the_ogre(without)
    for _ in range(3):
        player.does("kill ogre with sword", "The ogre dodges.")
    assert player.wants() == "get gem"


def test_blows_do_not_pay_again_and_again() -> None:
    player = at_the_ogre(fight())
    earned = [player.does("kill ogre with sword", "The ogre dodges.") for _ in range(20)]
    assert sum(earned[1:]) <= 0


def test_a_weapon_that_fell_is_picked_up() -> None:
    player = at_the_ogre(fight())
    player.does("kill ogre with sword", "The blow makes your sword clatter to the floor, out of your hand.")
    player.does("kill ogre with sword", "You don't have the sword!")
    assert player.wants() == "get sword"


def test_what_is_not_here_does_not_lie_here() -> None:
    player = Player(fight())
    player.does("get sword", "You can't see any sword here!")
    assert player.wants() != "get sword" or player.scorer.waypoint is not None
    player.does("get sword", "You can't see any sword here!")
    assert player.wants() == "n"


def test_help_that_costs_points_is_declined() -> None:
    model = watched(
        ("get lamp", "Taken."), ("open door", "Are you sure?"), ("yes", "The door opens."), ("n", CAVE)
    )
    player = Player(model)
    player.does("get lamp", "I can help you here, but it will cost you 3 points. Do you want the hint?")
    assert player.wants() == "no"


def test_the_persons_way_counts_before_a_shorter_one() -> None:
    rooms = [f"You are in room number {n} of the palace." for n in ("one", "two", "three")]
    steps = (("e", rooms[0]), ("n", rooms[1]), ("w", rooms[2]), ("s", CAVE), ("get gem", "Taken."))
    player = Player(watched(*steps))
    for action, reply in steps:
        assert player.wants() == action
        player.does(action, reply)


def test_a_blocked_way_is_tried_where_trying_it_mattered() -> None:
    model = watched(
        ("get bear", "Taken."),
        ("n", CAVE),
        ("e", "You can't: a guard steps out and blocks your way."),
        ("drop bear", "The bear chases the guard away."),
        ("e", DEN),
        ("get gem", "Taken."),
    )
    tried = [s.do for p in model.pathways for s in p.steps if s.refused]
    assert tried == ["e"]
    player = Player(model)
    player.does("get bear", "Taken.")
    player.does("n", CAVE)
    assert player.wants() == "e"
    player.does("e", "You can't: a guard steps out and blocks your way.")
    assert player.wants() == "drop bear"


def treasures() -> RewardModel:
    """Three things brought home, one of them found again where a thief had brought it."""
    return watched(
        ("n", CAVE),
        ("get ruby", "Taken."),
        ("get pearl", "Taken."),
        ("e", DEN + "\n\nThere is a pearl here. There is a crown here."),
        ("get pearl", "Taken."),
        ("get crown", "Taken."),
        ("w", CAVE),
        ("s", HALL),
        ("drop ruby", "Dropped."),
        ("drop pearl", "Dropped."),
        ("drop crown", "Dropped."),
        ("get map", "Taken."),
    )


def test_stolen_things_are_looked_for_where_the_person_found_such_things() -> None:
    player = Player(treasures())
    done = ("n", CAVE), ("get ruby", "Taken."), ("get pearl", "Taken."), ("e", DEN), ("get pearl", "Taken.")
    for action, reply in (*done, ("get crown", "Taken."), ("w", CAVE)):
        player.does(action, reply)
    player.does("s", HALL + "\n\nA thief snatches your valuables and runs.")
    assert player.wants() == "inventory"
    player.does("inventory", "You are carrying a crown.")
    for action, reply in (("drop crown", "Dropped."), ("get map", "Taken.")):
        assert player.wants() == action
        player.does(action, reply)
    assert player.wants() == "n"
    player.does("n", CAVE)
    assert player.wants() == "e"
    player.does("e", DEN + "\n\nThere is a ruby here. There is a pearl here.")
    assert player.wants() in {"get ruby", "get pearl"}


def test_with_nothing_known_something_untried_is_tried() -> None:
    model = watched(
        ("n", CAVE), ("s", HALL), ("n", CAVE), ("e", DEN), ("n", "You are in a loft."), ("get gem", "Taken.")
    )
    player = Player(model, start="You are on an island nobody told of.")
    assert player.wants() is not None
