"""Where the player is, told from the text alone, and what is believed to be in hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.environments import make_environment
from lookalike.rewards.belief import Belief
from lookalike.rewards.places import GUESSED, Place, PlaceMap
from lookalike.rewards.text import read_text

HALL = "You are in a splendid hall thirty feet high. The walls are frozen rivers of orange stone."
MAZE = "You are in a maze of twisty little passages, all alike."


def walk(places: PlaceMap, *moves: tuple[str | None, str]) -> list[str | None]:
    """Locate one reply after the other; each move is (action, reply)."""
    here: str | None = None
    found = []
    for action, text in moves:
        here = places.locate(read_text(text), here, action)
        found.append(here)
    return found


def line(*names: str, back: bool = False) -> PlaceMap:
    """Return places in a row, each leading east to the next, and back west where asked."""
    places = PlaceMap()
    for name in names:
        places.add(Place(name, [name], frozenset({name})))
    for a, b in itertools.pairwise(names):
        places.add_edge(a, "e", b)
        if back:
            places.add_edge(b, "w", a)
    return places


# --- recognising places


def test_a_long_and_a_short_wording_are_one_place() -> None:
    places = PlaceMap()
    first, road, again = walk(
        places, (None, HALL), ("n", "You are on a road."), ("s", "You're in splendid hall.")
    )
    assert first == again != road
    assert places.edges == {(first, "n"): road, (road, "s"): first}
    assert len(places.places) == 2


def test_the_real_game_describes_in_short_what_it_described_at_length() -> None:
    game = make_environment("colossal-cave", isolated=False)
    belief = Belief(PlaceMap())
    belief.start(read_text(game.reset(seed=5).text or ""))
    road = belief.place
    trail = []
    for action in ("enter", "out", "enter", "out", "s", "n", "look", "enter", "get lamp", "inventory"):
        belief.follow(action, read_text(game.step(action).observation.text or ""))
        trail.append(belief.place)
    house, valley = trail[0], trail[4]
    assert trail == [house, road, house, road, valley, road, road, house, house, house]
    assert len({road, house, valley}) == 3
    assert belief.held == {"lamp"}
    assert list(belief.visited) == [road, house, valley]


def test_a_maze_is_told_apart_by_the_moves() -> None:
    places = line("start", "end")
    start = "You are at the start of the maze."
    entered = [(None, start), ("e", MAZE), ("e", MAZE), ("e", MAZE)]
    home, *rooms = walk(places, *entered)
    assert len(set(rooms)) == 3
    assert all(places.places[r or ""].ambiguous for r in rooms)
    assert walk(places, *entered) == [home, *rooms]  # the same moves lead to the same rooms
    n = len(places.places)
    assert walk(places, *entered)[-1] == rooms[-1]
    assert len(places.places) == n


def test_a_mazes_wording_without_a_known_move_is_nowhere() -> None:
    places = line("start", "end")
    walk(places, (None, "You are at the start of it."), ("e", MAZE), ("e", MAZE))
    assert places.locate(read_text(MAZE), None, None) is None
    assert places.locate(read_text(MAZE), None, "s") is None


def test_dropping_and_looking_in_a_maze_stays() -> None:
    places = line("start", "end")
    *_, room = walk(places, (None, "You are at the start of it."), ("e", MAZE), ("e", MAZE))
    for action in ("look", "drop lamp", "get lamp"):
        assert places.locate(read_text("Ok.\n\n" + MAZE), room, action) == room


def test_a_title_always_names_the_same_place() -> None:
    def titled(title: str, body: str = "It is a room.") -> str:
        return f"{title}          Score: 0\n{title}\n{body}"

    places = PlaceMap()
    kitchen, attic, again, stays = walk(
        places,
        (None, titled("Kitchen")),
        ("u", titled("Attic", "This is the attic.")),
        ("d", titled("Kitchen", "Another text than before.")),
        ("open sack", titled("Kitchen", "Opening the sack reveals a lunch.")),
    )
    assert (kitchen, attic, again, stays) == ("kitchen", "attic", "kitchen", "kitchen")
    assert places.edges == {("kitchen", "u"): "attic", ("attic", "d"): "kitchen"}


def test_a_refused_move_leads_nowhere() -> None:
    places = PlaceMap()
    hall, still = walk(places, (None, HALL), ("n", "There is no way to go that direction.\n\n" + HALL))
    assert hall == still
    assert places.edges == {}


def test_a_reply_without_a_place_stays() -> None:
    places = PlaceMap()
    hall, still = walk(places, (None, HALL), ("swing rod", "A bridge now spans the fissure."))
    assert hall == still


def test_an_unknown_reply_at_the_start_is_nowhere() -> None:
    assert PlaceMap().locate(read_text("Ok."), None, None) is None
    assert PlaceMap().locate(read_text(""), None, None) is None


def test_the_recording_is_followed_the_same_way_twice(walk2) -> None:
    trails = []
    for _ in range(2):
        belief = Belief(PlaceMap())
        belief.start(read_text(walk2.trajectory.observations[0].text or ""))
        trail = [belief.place]
        for step in walk2.trajectory.transitions():
            belief.follow(step.action or "", read_text(step.after.text or ""))
            trail.append(belief.place)
        trails.append(trail)
    assert trails[0] == trails[1]
    assert None not in trails[0]


def test_a_believed_place_is_one_room_of_the_game(walk2) -> None:
    game = make_environment("colossal-cave", isolated=False)
    belief = Belief(PlaceMap())
    belief.start(read_text(game.reset(seed=2).text or ""))
    rooms: dict[str, set[int]] = {}
    for action in walk2.trajectory.actions:
        result = game.step(action or "")
        belief.follow(action or "", read_text(result.observation.text or ""))
        if "dark" not in (belief.place or ""):
            # Once the dragon is dead, its half of the canyon (121) and the other (120) are one room.
            room = game.facts()["place"]
            rooms.setdefault(belief.place or "", set()).add(121 if room == 120 else room)
    assert all(len(numbers) == 1 for numbers in rooms.values()), rooms
    assert len(rooms) > 30


# --- ways


def test_distances_and_next_moves() -> None:
    places = line("a", "b", "c", "d")
    assert [places.distance(x, "d") for x in "abcd"] == [3, 2, 1, 0]
    assert places.next_moves("a", "d") == ["e"]
    assert places.next_moves("d", "d") == []
    assert places.distance("a", "nowhere") is None
    assert places.next_moves("a", "nowhere") == []


def test_ways_back_are_guessed_and_count_as_longer() -> None:
    places = line("a", "b", "c")
    assert places.distance("c", "a") == GUESSED + 2
    assert places.next_moves("c", "a") == ["w"]
    places.add_edge("c", "jump", "a")
    assert places.distance("c", "a") == 1
    assert places.next_moves("c", "a") == ["jump"]


def test_a_guess_that_was_refuted_is_not_made_again() -> None:
    places = line("a", "b", "c")
    places.remove_edge("c", "w")
    assert places.distance("c", "a") is None
    assert places.next_moves("c", "a") == []
    assert places.distance("b", "a") == GUESSED + 1


def test_a_known_move_can_be_removed_and_learnt_again() -> None:
    places = line("a", "b", "c", back=True)
    assert places.distance("a", "c") == 2
    places.remove_edge("a", "e")
    assert places.distance("a", "c") == GUESSED + 2 or places.distance("a", "c") is None
    assert ("a", "e") not in places.edges
    places.add_edge("a", "e", "b")
    assert places.distance("a", "c") == 2


def test_a_guess_never_replaces_what_is_known() -> None:
    places = line("a", "b")
    places.add(Place("trap", ["trap"], frozenset()))
    places.add_edge("b", "w", "trap")
    assert places.next_moves("b", "a") == []


def test_a_copy_is_independent() -> None:
    places = line("a", "b", "c")
    places.distance("a", "c")
    copy = places.copy()
    assert copy.edges == places.edges
    assert copy.places == places.places
    copy.remove_edge("a", "e")
    copy.places["b"].anchors.append("another wording")
    walk(copy, (None, HALL))
    assert places.distance("a", "c") == 2
    assert places.places["b"].anchors == ["b"]
    assert not places.refuted
    assert len(places.places) == 3
    assert len(copy.places) == 4


# --- twins


def test_twins_are_joined() -> None:
    places = PlaceMap()
    long = Place(
        "long", ["you are in a splendid hall thirty feet high"], frozenset({"splen", "hall", "thirt"})
    )
    short = Place("short", ["youre in splendid hall"], frozenset({"splen", "hall"}))
    for place in (long, short, Place("road", ["you are on a road"], frozenset({"road"}))):
        places.add(place)
    places.add_edge("road", "n", "long")
    places.add_edge("long", "s", "road")
    places.add_edge("short", "s", "road")
    assert places.merge_twins() == {"short": "long"}
    assert set(places.places) == {"long", "road"}
    assert places.edges == {("road", "n"): "long", ("long", "s"): "road"}
    assert places.locate(read_text("You're in splendid hall."), "road", "n") == "long"
    assert places.merge_twins() == {}


@pytest.mark.parametrize("why", ["contradicting moves", "adjacent", "no shared word", "no shared move"])
def test_what_are_no_twins(why) -> None:
    places = PlaceMap()
    words = frozenset({"cave"}) if why == "no shared word" else frozenset({"splen", "hall"})
    places.add(Place("long", ["you are in a splendid hall"], words))
    places.add(Place("short", ["youre in splendid hall"], frozenset({"splen", "hall"})))
    for name in ("road", "river"):
        places.add(Place(name, [f"you are on a {name}"], frozenset({name})))
    if why != "no shared move":
        places.add_edge("long", "s", "road")
    places.add_edge("short", "s", "river" if why == "contradicting moves" else "road")
    if why == "adjacent":
        places.add_edge("long", "n", "short")
    assert places.merge_twins() == {}


# --- what is in hand


def followed(*steps: tuple[str, str], start: str = HALL) -> Belief:
    belief = Belief(PlaceMap())
    belief.start(read_text(start))
    for action, reply in steps:
        belief.follow(action, read_text(reply))
    return belief


def test_taking_and_putting_down() -> None:
    belief = followed(("get lamp", "OK"), ("take the rod", "Taken."), ("drop lamp", "OK"))
    assert belief.held == {"rod"}


def test_what_was_refused_is_not_held() -> None:
    belief = followed(("get lamp", "I see no lamp here."), ("get bird", "You can't catch it."))
    assert belief.held == set()


def test_a_question_is_no_taking() -> None:
    assert followed(("get lamp", "Which lamp do you mean?")).held == set()


def test_dropping_all() -> None:
    assert followed(("get lamp", "OK"), ("get rod", "OK"), ("drop all", "OK")).held == set()


def test_what_lies_here_is_not_in_hand() -> None:
    belief = followed(("get lamp", "OK"), ("n", "You are on a road.\n\nThere is a shiny brass lamp nearby."))
    assert belief.held == set()


def test_a_setback_loses_what_was_held_where_it_happened() -> None:
    belief = followed(("get lamp", "OK"), ("n", "You fell into a pit and broke every bone in your body!"))
    assert belief.held == set()
    assert belief.lost == {"lamp": belief.place}
    belief.follow("get lamp", read_text("OK"))
    assert belief.lost == {}


def test_what_turns_out_to_be_missing_is_lost() -> None:
    belief = followed(("get sword", "Taken."), ("kill troll", "You don't have the sword."))
    assert belief.held == set()
    assert belief.lost == {"sword": belief.place}


def test_start_forgets_the_last_episode() -> None:
    belief = followed(("get lamp", "OK"), ("n", "You are on a road."))
    belief.start(read_text(HALL))
    assert (belief.held, belief.lost) == (set(), {})
    assert list(belief.visited) == [belief.place]


REPLIES = st.sampled_from(
    [HALL, MAZE, "You are on a road.", "You're in splendid hall.", "OK", "I see no lamp here.", "",
     "You are dead.", "There is a lamp here.", "Do you want to?", "Kitchen      Score: 3\nKitchen\nA room.",
     "There is no way to go that direction.", "It is now pitch dark."]
)  # fmt: skip
ACTIONS = st.sampled_from(
    ["n", "s", "get lamp", "drop lamp", "drop all", "look", "", "throw axe at", "xyzzy"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ACTIONS, REPLIES), max_size=25))
def test_any_play_can_be_followed(steps) -> None:
    belief = followed(*steps)
    places = belief.places
    assert belief.place is None or belief.place in places.places
    assert all(a in places.places and b in places.places for (a, _), b in places.edges.items())
    assert not belief.held & set(belief.lost)
    for origin in places.places:
        for target in places.places:
            distance = places.distance(origin, target)
            assert (distance == 0) == (origin == target)
            assert bool(places.next_moves(origin, target)) == (distance not in (0, None))
