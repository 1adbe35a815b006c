"""LookALike: learn from watching people play.

The public names are re-exported here lazily, so that ``import lookalike`` stays fast.
"""

__version__ = "0.1.0"
