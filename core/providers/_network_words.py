"""What a network's trouble is called on the screen; the libraries' own words go to the log."""

from __future__ import annotations

import logging
import re
from typing import Final

from core.errors import ErrorKind, ModelError
from core.language import marked, tr

__all__ = ["chain_text", "network_error", "too_large"]

_log = logging.getLogger(__name__)
_HTTP_STATUS: Final = re.compile(r"with status: (\d{3})")
# The words of OpenSSL, the C library, gRPC, urllib3 and httpx, which all name the same few things. The first that
# fits counts: what stands lower also appears in the longer texts of what stands above.
_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        ("certificate has expired", marked("伺服器的憑證已過期")),
        (
            "hostname mismatch|ip address mismatch|not valid for|not in peer certificate",
            marked("伺服器的憑證不是這台主機的"),
        ),
        ("certificate.?verify.?fail", marked("伺服器的憑證不受信任")),
        ("proxy|tunnel", marked("代理伺服器沒有讓連線通過")),
        (
            "dns|name.?resolution|errors resolving|lookup failed|empty address|no addresses|getaddrinfo|"
            "name or service|nodename|no address associated",
            marked("找不到主機"),
        ),
        ("refused", marked("對方拒絕連線")),
        ("unreachable|no route", marked("網路到不了那裡")),
        ("handshake|ssl|tls|wrong.version", marked("無法建立安全連線 (TLS)")),
        ("timed? ?out|timeout", marked("連線逾時")),
    )
)


def network_error(kind: ErrorKind, raw: str, host: str = "") -> ModelError:
    """The error of a trouble that a library describes as raw (free of secrets): what is known of it in our words.

    host is said with it where a connection could not be made. The detail is empty where nothing more is known than
    the kind says anyway, as of a connection that broke.
    """
    _log.info("%s: %a", kind, raw)  # in ASCII: a server may have had a hand in it, and this goes to a terminal
    if kind is ErrorKind.RESET:
        return ModelError(kind)
    if kind is ErrorKind.BAD_RESPONSE:
        status, words = _HTTP_STATUS.search(raw), tr("收到的不是 Gemini 的訊息")
        return ModelError(kind, f"HTTP {status[1]}: {words}" if status else words)
    words = next((tr(words) for pattern, words in _WORDS if pattern.search(raw)), "")
    return ModelError(kind, f"{host}: {words}" if host and words else words)


def chain_text(error: BaseException) -> str:
    """The names of an error and of all beneath it, and what the innermost says.

    The texts of the outer ones hold addresses, in which any word may stand.
    """
    names = [type(error).__name__]
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
        names.append(type(error).__name__)
    return f"{' < '.join(names)}: {error}"


def too_large(most_bytes: int) -> ModelError:
    """The error of an answer that was given up, unread, at that size."""
    return ModelError(ErrorKind.TOO_LARGE, tr("超過 {megabytes} MB", megabytes=most_bytes >> 20))
