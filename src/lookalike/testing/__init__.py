"""Shipped for people who write their own parts: conformance suites and stand-ins, unused in production."""
