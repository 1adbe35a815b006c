"""The vocabulary every room shares: types, protocols, ids, seeds and errors. No input or output."""

from lookalike.core.errors import LookalikeError
from lookalike.core.seeds import derive_seed
from lookalike.core.types import (
    Capability,
    Decision,
    Demonstration,
    Evidence,
    Goal,
    Handicaps,
    Observation,
    Outcome,
    Predicate,
    Proposal,
    Provenance,
    Recollection,
    Role,
    Situation,
    Trajectory,
    Transition,
    Usage,
    Verdict,
)

__all__ = [
    "Capability",
    "Decision",
    "Demonstration",
    "Evidence",
    "Goal",
    "Handicaps",
    "LookalikeError",
    "Observation",
    "Outcome",
    "Predicate",
    "Proposal",
    "Provenance",
    "Recollection",
    "Role",
    "Situation",
    "Trajectory",
    "Transition",
    "Usage",
    "Verdict",
    "derive_seed",
]
