"""Models behind an API: one back end a protocol, one scheduler for all calls.

Nothing here is imported until a remote model is asked for: its libraries (the optional extra ``remote``)
take seconds to load.
"""
