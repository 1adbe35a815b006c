"""Shipped for people who write their own parts: conformance suites and small stand-ins. Production never imports it."""
