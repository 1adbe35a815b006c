"""How players decide together: the step loop, roles, the council, worlds and memory."""

from lookalike.swarm.config import DEFAULT_TEMPERATURES, SwarmConfig, roles_at
from lookalike.swarm.council import decide
from lookalike.swarm.loop import Episode
from lookalike.swarm.memory import Entry, SwarmMemory
from lookalike.swarm.search import SearchEpisode
from lookalike.swarm.setbacks import PatientPlayer, SetbackMemory
from lookalike.swarm.tree_search import TreeSearchEpisode
from lookalike.swarm.worlds import WorldsEpisode

__all__ = [
    "DEFAULT_TEMPERATURES",
    "Entry",
    "Episode",
    "PatientPlayer",
    "SearchEpisode",
    "SetbackMemory",
    "SwarmConfig",
    "SwarmMemory",
    "TreeSearchEpisode",
    "WorldsEpisode",
    "decide",
    "roles_at",
]
