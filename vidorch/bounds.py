"""What an option may be wherever it is given: as an argument, in a file, or in a variable of the environment."""

from __future__ import annotations

__all__ = ["MAX_WAIT", "ROUTES"]

ROUTES = ("cheapest", "fastest")
MAX_WAIT = 30 * 86_400.0
"""Seconds: the longest `timeout`."""
