"""Builds and runs the real collector, Jaeger, Prometheus and Alertmanager.

Without containers, on loopback, with the configuration files of this repository. The
command is `tools/stack`; the tests use the classes. Standard library only.
"""

from __future__ import annotations

from .build import Unavailable, build, find
from .ports import Ports, free_port
from .server import Server, get, get_json
from .stack import ROOT, Stack

__all__ = [
    "ROOT",
    "Ports",
    "Server",
    "Stack",
    "Unavailable",
    "build",
    "find",
    "free_port",
    "get",
    "get_json",
]
