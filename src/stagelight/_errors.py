"""The errors that stagelight raises.

::

    StagelightError
    └── ConfigurationError   (also a ValueError)

They are raised while a program wires itself up, never while an event flows.
"""

from __future__ import annotations


class StagelightError(Exception):
    """Base of every error that stagelight raises."""

    __module__ = "stagelight"


class ConfigurationError(StagelightError, ValueError):
    """Something was wired or configured wrongly; the text names it and the fix."""

    __module__ = "stagelight"
