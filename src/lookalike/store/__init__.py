"""The event log and the response cache: what a run leaves behind, and what it never pays for twice."""

from lookalike.store.codec import canonical_bytes, parse_event
from lookalike.store.events import (
    EnvironmentRestarted,
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodePaused,
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
    is_incident,
    usage_of,
)
from lookalike.store.log import EventLog, RunSummary
from lookalike.store.response_cache import SqliteResponseCache

__all__ = [
    "EnvironmentRestarted",
    "EpisodeFailed",
    "EpisodeFinished",
    "EpisodeKey",
    "EpisodePaused",
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
    "is_incident",
    "parse_event",
    "usage_of",
]
