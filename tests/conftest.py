"""What every test runs under."""

from __future__ import annotations

import os

from hypothesis import settings

# Tests fork for pseudo-terminals; gRPC's own fork handlers may wait for ever in a process that has served calls.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# The same examples on every run: a red test is red for its author, not for whoever runs the suite next.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
