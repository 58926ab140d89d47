"""Other people's ways to ask many questions at once, each as its documentation shows it. Runs in a Python of its own.

python quota_peers.py PEER REST_PORT COUNT WORKERS prints one line of JSON: how many were answered rightly, the wall
seconds, what the others failed with, and the versions. Stands alone: nothing of this project is imported. Imports,
the client and one call that opens the connection are not timed.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

MODEL = "gemini-2.5-flash"
KEY = "benchmark-key"
WARM_UP = "warm-up"  # the server's rule knows it, too
PACKAGES = {
    "sdk": ("google-generativeai",),
    "genai": ("google-genai",),
    "langchain": ("langchain-core", "langchain-google-genai"),
    "litellm": ("litellm",),
}
Ask = Callable[[list[str]], list[Any]]


def bare_sdk(base: str, workers: int) -> Ask:
    """google-generativeai in a pool of threads, nothing else; its defaults retry a 503 and no 429."""
    import google.generativeai as genai

    genai.configure(api_key=KEY, transport="rest", client_options={"api_endpoint": base})
    model = genai.GenerativeModel(MODEL)

    def one(query: str) -> Any:
        try:
            return model.generate_content(query).text
        except Exception as error:  # noqa: BLE001 - a failure is a result here
            return error

    def ask(queries: list[str]) -> list[Any]:
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, queries))

    return ask


def google_genai(base: str, workers: int) -> Ask:
    """google-genai's asynchronous client under a semaphore, its retries on with their documented defaults (5 attempts,
    from 1 s doubling to 60 s)."""
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=base, retry_options=types.HttpRetryOptions(attempts=5))
    client = genai.Client(api_key=KEY, http_options=options)
    loop = asyncio.new_event_loop()

    async def run(queries: list[str]) -> list[Any]:
        places = asyncio.Semaphore(workers)

        async def one(query: str) -> Any:
            async with places:
                answer = await client.aio.models.generate_content(model=MODEL, contents=query)
                return answer.text

        return await asyncio.gather(*map(one, queries), return_exceptions=True)

    return lambda queries: loop.run_until_complete(run(queries))


def langchain(base: str, workers: int) -> Ask:
    """LangChain's batch() with its own defaults (max_retries=6)."""
    from langchain_google_genai import ChatGoogleGenerativeAI

    model = ChatGoogleGenerativeAI(model=MODEL, api_key=KEY, base_url=base)

    def ask(queries: list[str]) -> list[Any]:
        answers = model.batch(queries, config={"max_concurrency": workers}, return_exceptions=True)
        return [answer if isinstance(answer, Exception) else answer.content for answer in answers]

    return ask


def litellm(base: str, workers: int) -> Ask:
    """LiteLLM's batch_completion with three retries, as its documentation shows."""
    import litellm as library

    library.suppress_debug_info = True

    def ask(queries: list[str]) -> list[Any]:
        answers = library.batch_completion(
            model=f"gemini/{MODEL}",
            messages=[[{"role": "user", "content": query}] for query in queries],
            api_key=KEY,
            api_base=f"{base}/v1beta/models/{MODEL}",
            max_workers=workers,
            num_retries=3,
        )
        return [answer if isinstance(answer, Exception) else answer.choices[0].message.content for answer in answers]

    return ask


PEERS: dict[str, Callable[[str, int], Ask]] = {
    "sdk": bare_sdk,
    "genai": google_genai,
    "langchain": langchain,
    "litellm": litellm,
}


def main() -> None:
    peer, port, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the network for prices as it is imported
    queries = [f"question {number}: what is the capital of the country?" for number in range(count)]
    ask = PEERS[peer](f"http://127.0.0.1:{port}", workers)
    (first,) = ask([WARM_UP])
    if first != f"echo:{WARM_UP}":
        raise SystemExit(f"the first call was not answered: {first!r}")
    started = time.perf_counter()
    answers = ask(queries)
    wall = time.perf_counter() - started
    right = sum(answer == f"echo:{query}" for answer, query in zip(answers, queries, strict=True))
    failures = collections.Counter(type(answer).__name__ for answer in answers if isinstance(answer, Exception))
    versions = [f"{name} {metadata.version(name)}" for name in PACKAGES[peer]]
    found = {"answered": right, "wall_seconds": wall, "failures": dict(failures), "versions": versions}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
