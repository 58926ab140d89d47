"""Other people's ways to ask 200 questions at once, each as its documentation shows it. Runs in a Python of its own.

python quota_peers.py PEER REST_PORT COUNT WORKERS prints one line of JSON: how many were answered rightly, the wall
seconds, and what the others failed with. Stands alone: nothing of this project is imported.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MODEL = "gemini-2.5-flash"
KEY = "benchmark-key"


def bare_sdk(base: str, queries: list[str], workers: int) -> list[Any]:
    """google-generativeai in a pool of threads, nothing else."""
    import google.generativeai as genai

    genai.configure(api_key=KEY, transport="rest", client_options={"api_endpoint": base})
    model = genai.GenerativeModel(MODEL)

    def one(query: str) -> Any:
        try:
            return model.generate_content(query, request_options={"timeout": 60, "retry": None}).text
        except Exception as error:  # noqa: BLE001 - a failure is a result here
            return error

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, queries))


def google_genai(base: str, queries: list[str], workers: int) -> list[Any]:
    """google-genai's asynchronous client under a semaphore, with its retries switched on as its documentation shows."""
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=base, timeout=60_000, retry_options=types.HttpRetryOptions(attempts=5))

    async def run() -> list[Any]:
        client = genai.Client(api_key=KEY, http_options=options)
        places = asyncio.Semaphore(workers)

        async def one(query: str) -> Any:
            async with places:
                answer = await client.aio.models.generate_content(model=MODEL, contents=query)
                return answer.text

        return await asyncio.gather(*map(one, queries), return_exceptions=True)

    return asyncio.run(run())


def langchain(base: str, queries: list[str], workers: int) -> list[Any]:
    """LangChain's batch() with its own defaults (six retries)."""
    from langchain_google_genai import ChatGoogleGenerativeAI

    model = ChatGoogleGenerativeAI(model=MODEL, api_key=KEY, base_url=base)
    answers = model.batch(queries, config={"max_concurrency": workers}, return_exceptions=True)
    return [answer if isinstance(answer, Exception) else answer.content for answer in answers]


def litellm(base: str, queries: list[str], workers: int) -> list[Any]:
    """LiteLLM's batch_completion with three retries, as its documentation shows."""
    import litellm as library

    library.suppress_debug_info = True
    messages = [[{"role": "user", "content": query}] for query in queries]
    answers = library.batch_completion(
        model=f"gemini/{MODEL}",
        messages=messages,
        api_key=KEY,
        api_base=f"{base}/v1beta/models/{MODEL}",
        max_workers=workers,
        num_retries=3,
    )
    return [answer if isinstance(answer, Exception) else answer.choices[0].message.content for answer in answers]


PEERS: dict[str, Callable[[str, list[str], int], list[Any]]] = {
    "sdk": bare_sdk,
    "genai": google_genai,
    "langchain": langchain,
    "litellm": litellm,
}


def main() -> None:
    peer, port, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    queries = [f"question {number}: what is the capital of the country?" for number in range(count)]
    ask = PEERS[peer]
    started = time.perf_counter()
    answers = ask(f"http://127.0.0.1:{port}", queries, workers)
    wall = time.perf_counter() - started
    right = sum(answer == f"echo:{query}" for answer, query in zip(answers, queries, strict=True))
    failures = collections.Counter(type(answer).__name__ for answer in answers if isinstance(answer, Exception))
    print(json.dumps({"answered": right, "wall_seconds": wall, "failures": dict(failures)}))


if __name__ == "__main__":
    main()
