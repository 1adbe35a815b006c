"""The event log and the response cache: what a run leaves behind, and what it never pays for twice."""

from lookalike.store.codec import canonical_bytes, parse_event
from lookalike.store.database import Holder
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
from lookalike.store.files import FileStore
from lookalike.store.garbage import GarbageReport
from lookalike.store.log import EventLog, open_log
from lookalike.store.response_cache import ResponseStore, open_response_cache
from lookalike.store.summary import RunSummary
from lookalike.store.verify import Problem, VerifyReport, verify_store

__all__ = [
    "EnvironmentRestarted",
    "EpisodeFailed",
    "EpisodeFinished",
    "EpisodeKey",
    "EpisodePaused",
    "EpisodeStarted",
    "Event",
    "EventLog",
    "FileStore",
    "GarbageReport",
    "Holder",
    "Measured",
    "Problem",
    "ProposalRecord",
    "RecollectionRecord",
    "ResponseStore",
    "RunFinished",
    "RunStarted",
    "RunSummary",
    "StepTaken",
    "UsageRecord",
    "VerdictRecord",
    "VerifyReport",
    "canonical_bytes",
    "is_incident",
    "open_log",
    "open_response_cache",
    "parse_event",
    "usage_of",
    "verify_store",
]
