"""Who proposes actions: a language model, a recording played back, chance, or a person."""

from lookalike.players.human import HumanPlayer
from lookalike.players.llm import LanguageModelPlayer
from lookalike.players.random_player import RandomPlayer
from lookalike.players.registry import make_player, player_names
from lookalike.players.replay import ReplayPlayer

__all__ = [
    "HumanPlayer",
    "LanguageModelPlayer",
    "RandomPlayer",
    "ReplayPlayer",
    "make_player",
    "player_names",
]
