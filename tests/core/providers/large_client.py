"""Asks questions whose answers are too large, many at once, in a process whose memory is then looked at.

    python -m tests.core.providers.large_client (grpc | rest | google-genai) HOST:PORT QUESTIONS

Prints one JSON object: the results of the large questions, by how many MiB the process had grown at most, and what
became of a small question afterwards.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.errors import ModelError
from core.ports import ChatModel, Prompt
from core.providers.gemini import GeminiModel
from core.providers.google_genai import GoogleGenaiModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings

PATIENCE = 50.0


def main(way: str, authority: str, questions: str) -> None:
    host, _, port = authority.rpartition(":")
    settings = Settings(api_key=Secret("k" * 39), endpoint=Endpoint(host, int(port), True))
    model: GeminiModel | GoogleGenaiModel
    if way == "google-genai":
        model = GoogleGenaiModel(settings)
    else:
        model = GeminiModel(Settings(api_key=settings.api_key, endpoint=settings.endpoint, transport=way))
    with ThreadPoolExecutor(int(questions)) as threads:
        together = threading.Barrier(int(questions))

        def ask_together(text: str) -> str:
            together.wait(PATIENCE)
            return ask(model, text)

        list(threads.map(ask_together, ["small"] * int(questions)))
        before = memory("VmRSS")
        told = list(threads.map(ask_together, ["large"] * int(questions)))
        grown = (memory("VmHWM") - before) / 1024
    print(json.dumps({"told": told, "grown": grown, "after": ask(model, "small")}))  # noqa: T201 - its only output
    model.close()


def ask(model: ChatModel, text: str) -> str:
    with Scope().child(timeout=PATIENCE) as scope:
        try:
            answer = model.generate(Prompt(text), scope)
        except ModelError as error:
            return f"{error.kind}: {error.detail}"
        return f"{len(answer.text)} characters"


def memory(name: str) -> int:
    """A figure of this process's in kB: VmRSS, or VmHWM, the most that it ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
