"""The google-generativeai SDK and what lies under it, loaded on first use and never at import."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from dataclasses import dataclass
from typing import Any

__all__ = ["Sdk", "load_sdk"]

# Held while the SDK is imported: catch_warnings changes global state and must not run twice at once.
_import_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Sdk:
    """The parts of the SDK that the provider works with. The message classes are the raw protobuf ones:
    building and reading them takes a fraction of the time of the SDK's own wrappers.
    """

    genai: Any
    grpc: Any
    api_exceptions: Any
    json_format: Any
    decode_error: Any
    request: Any
    response: Any
    schema: Any
    model_request: Any
    finish_names: dict[int, str]
    block_names: dict[int, str]

    @property
    def client_header(self) -> str:
        """How the SDK introduces itself to the service."""
        return f"genai-py/{self.genai.__version__} grpc/{self.grpc.__version__}"


def load_sdk() -> Sdk:
    """Import the SDK, once. Takes about half a second the first time."""
    with _import_lock:
        return _load()


@functools.cache
def _load() -> Sdk:
    # gRPC's C core writes every lost connection and every fork to stderr, which is the person's screen;
    # what matters of them arrives as the calls' errors. It reads this once, when it is first loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with warnings.catch_warnings():
        # At import the SDK announces that its support has ended, and its base library that Python 3.11's will:
        # both are the operator's business (docs, requirements), not a line on the person's screen.
        warnings.simplefilter("ignore", FutureWarning)
        import google.generativeai as genai
        import grpc
        from google.api_core import exceptions
        from google.protobuf import json_format
        from google.protobuf.message import DecodeError
    protos = genai.protos
    return Sdk(
        genai=genai,
        grpc=grpc,
        api_exceptions=exceptions,
        json_format=json_format,
        decode_error=DecodeError,
        request=protos.GenerateContentRequest.pb(),
        response=protos.GenerateContentResponse.pb(),
        schema=protos.Schema.pb(),
        model_request=protos.GetModelRequest.pb(),
        finish_names={int(member): member.name for member in protos.Candidate.FinishReason},
        block_names={int(member): member.name for member in protos.GenerateContentResponse.PromptFeedback.BlockReason},
    )
