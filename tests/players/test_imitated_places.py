"""What an imitator remembers: places that come back, ways back, and that nothing changes where none does."""

from __future__ import annotations

import numpy as np

from lookalike.players.places import Places

ACTIONS = ("left", "noop", "right", "up")
LOGITS = np.array([0.0, 0.0, 2.0, 0.5], np.float32)


def screen(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, np.uint8)


def test_a_screen_never_seen_keeps_the_policys_word():
    places = Places(ACTIONS)
    for number in range(5):
        np.testing.assert_array_equal(places.weighed(screen(number), LOGITS), LOGITS)
        places.went(screen(number), "right", screen(number + 1))


def test_what_changes_nothing_loses_weight_until_something_else_is_tried():
    places, chosen = Places(ACTIONS), []
    for _ in range(6):
        action = ACTIONS[int(np.argmax(places.weighed(screen(0), LOGITS)))]
        chosen.append(action)
        places.went(screen(0), action, screen(0))
    assert chosen[0] == "right"
    assert len(set(chosen)) > 1


def test_out_of_a_dead_end_the_way_leads_back_to_what_was_left_untried():
    places = Places(ACTIONS)
    fork = np.array([-9.0, -9.0, 2.0, 1.9], np.float32)
    end = np.array([-9.0, -9.0, 2.0, -9.0], np.float32)
    back = np.array([-2.0, -9.0, 2.0, -9.0], np.float32)
    # right and left undo each other, as it happened between two other screens
    places.weighed(screen(8), fork)
    places.went(screen(8), "right", screen(9))
    places.weighed(screen(9), fork)
    places.went(screen(9), "left", screen(8))
    places.weighed(screen(0), fork)
    places.went(screen(0), "right", screen(1))
    places.weighed(screen(1), back)
    for _ in range(6):
        places.went(screen(1), "right", screen(1))
    weighed = places.weighed(screen(1), back)
    assert ACTIONS[int(np.argmax(weighed))] == "left"
    places.went(screen(1), "left", screen(0))
    assert ACTIONS[int(np.argmax(places.weighed(screen(0), fork)))] == "up"
    np.testing.assert_array_equal(places.weighed(screen(5), end), end)


def test_actions_of_another_game_are_passed_over():
    places = Places(ACTIONS)
    places.went(screen(0), "fire", screen(1))
    np.testing.assert_array_equal(places.weighed(screen(0), LOGITS), LOGITS)
