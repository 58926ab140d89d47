"""One measurement in an interpreter of its own: `python -m benchmarks.probe MODULE:FUNCTION JSON`."""

from __future__ import annotations

import json
import sys

from benchmarks.bench import call_probe


def main() -> int:
    name, given = sys.argv[1:]
    print(json.dumps(call_probe(name, json.loads(given))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
