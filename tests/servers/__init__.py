"""Servers of the tests: a Gemini on the loopback interface that answers, and fails, as scripted."""

from tests.servers.loopback import LoopbackGemini
from tests.servers.records import SeenRequest

__all__ = ["LoopbackGemini", "SeenRequest"]
