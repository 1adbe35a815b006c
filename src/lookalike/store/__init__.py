"""The event log and the response cache: what a run leaves behind, and what it never pays for twice."""

from lookalike.store.events import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    Measured,
    ProposalRecord,
    RecollectionRecord,
    RunFinished,
    RunStarted,
    StepTaken,
    UsageRecord,
    VerdictRecord,
    canonical_bytes,
    parse_event,
    usage_of,
)
from lookalike.store.log import EventLog, RunSummary
from lookalike.store.response_cache import SqliteResponseCache

__all__ = [
    "EpisodeFailed",
    "EpisodeFinished",
    "EpisodeKey",
    "EpisodeStarted",
    "Event",
    "EventLog",
    "Measured",
    "ProposalRecord",
    "RecollectionRecord",
    "RunFinished",
    "RunStarted",
    "RunSummary",
    "SqliteResponseCache",
    "StepTaken",
    "UsageRecord",
    "VerdictRecord",
    "canonical_bytes",
    "parse_event",
    "usage_of",
]
