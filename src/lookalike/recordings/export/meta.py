"""What every export says about a run and its trajectories, in whatever place the format has for it."""

from __future__ import annotations

from typing import Any

from lookalike.core.ids import canonical_json
from lookalike.core.types import PlayerKind
from lookalike.recordings.export.tracks import EpisodeTracks, RunFacts, Track
from lookalike.store import EpisodeFailed, EpisodeFinished

EXPORT_VERSION = 1
"""Version of the names and meanings below."""


def run_metadata(run_id: str, facts: RunFacts, *, licence: str) -> dict[str, str]:
    """Return what is known of the whole run, as texts by name."""
    started = facts.started
    return {
        "lookalike.export_version": str(EXPORT_VERSION),
        "lookalike.run_id": run_id,
        "lookalike.environment": facts.environment or "",
        "lookalike.package_version": started.package_version,
        "lookalike.spec_hash": started.spec_hash,
        "lookalike.configuration": canonical_json(started.configuration),
        "lookalike.licence": licence,
    }


def player_kind(episode: EpisodeTracks, facts: RunFacts) -> PlayerKind:
    """Return who played: a blind replay is scripted, everything else in a run is an agent."""
    conditions = facts.started.configuration.get("conditions")
    replays = {"replay"}
    for entry in conditions if isinstance(conditions, list) else ():
        if isinstance(entry, dict) and entry.get("player") == "replay":
            replays.add(str(entry.get("name")))
    return "scripted" if episode.key.condition in replays else "agent"


def outcome_of(episode: EpisodeTracks) -> str:
    """Return how an episode ended, in a few words; empty where it has not."""
    ended = episode.ended
    if ended is None:
        return ""
    if isinstance(ended, EpisodeFailed):
        return f"failed: {ended.failure}"
    words = ["goal reached" if ended.success else "goal not reached"]
    if ended.score is not None:
        words.append(f"{ended.score:g} points")
    return ", ".join(words)


def track_metadata(facts: RunFacts, episode: EpisodeTracks, track: Track) -> dict[str, Any]:
    """Return what is known of a trajectory, JSON values by name.

    Every trajectory of every format has all of these names; ``None`` where there is nothing to say.
    """
    ended = episode.ended
    finished = ended if isinstance(ended, EpisodeFinished) else None
    return {
        "condition": episode.key.condition,
        "goal": episode.key.goal,
        "seed": episode.key.seed,
        "attempt": episode.key.attempt,
        "world": track.world,
        "part": track.part,
        "environment_seed": episode.started.environment_seed,
        "player_kind": player_kind(episode, facts),
        "outcome": outcome_of(episode) or None,
        "success": finished.success if finished else None,
        "score": finished.score if finished else None,
        "failure": ended.failure if isinstance(ended, EpisodeFailed) else None,
    }
