"""What every test runs under."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every run: a red test is red for its author, not for whoever runs the suite next.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
