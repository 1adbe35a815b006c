"""Shipped for people who write their own parts: conformance suites and stand-ins, unused in production."""

from lookalike.testing.environments import (
    DyingEnvironment,
    Fault,
    FramedTinyEnvironment,
    HangingEnvironment,
    LeakingEnvironment,
    MalformedEnvironment,
    NoisyTinyEnvironment,
    TinyEnvironment,
    make_faulty,
)

__all__ = [
    "DyingEnvironment",
    "Fault",
    "FramedTinyEnvironment",
    "HangingEnvironment",
    "LeakingEnvironment",
    "MalformedEnvironment",
    "NoisyTinyEnvironment",
    "TinyEnvironment",
    "make_faulty",
]
