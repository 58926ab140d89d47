"""What the program's exit code says."""

from __future__ import annotations

from typing import Final

__all__ = ["ERROR", "INTERRUPTED", "OK", "PARTIAL", "USAGE"]

OK: Final = 0  # everything was answered
ERROR: Final = 1
USAGE: Final = 2  # wrong arguments or settings
PARTIAL: Final = 3  # some of it was answered, or nothing could be
INTERRUPTED: Final = 130
