"""The loopback Gemini as a process of its own: prints its ports as one JSON line, ends when stdin closes."""

from __future__ import annotations

import argparse
import json
import os
import sys

from tests.servers.labels import Labeller
from tests.servers.loopback import LoopbackGemini


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--rest-port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--streams", type=int, default=100, help="most concurrent calls per gRPC connection")
    parser.add_argument("--labels", action="store_true", help="label texts instead of echoing them")
    options = parser.parse_args()
    with LoopbackGemini(
        script=Labeller() if options.labels else None,
        latency=options.latency, streams=options.streams, grpc_port=options.grpc_port, rest_port=options.rest_port
    ) as server:
        ports = {"grpc_port": server.grpc_endpoint.port, "rest_port": server.rest_endpoint.port, "pid": os.getpid()}
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
