"""A pool of gRPC channels: many calls at once, few on each connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.scope import Scope
from core.settings import Endpoint

__all__ = ["LARGEST_MESSAGE", "Channel", "ChannelPool", "open_channel"]

LARGEST_MESSAGE: Final = 8 << 20  # bytes of one answer
_CONNECT_MS: Final = 4000
# Front ends allow about 100 calls at once on a connection and queue the rest without a word.
_MOST_CALLS_PER_CHANNEL: Final = 90
_MOST_CHANNELS: Final = 12  # enough for MAX_WORKERS at its upper bound


class Channel:
    """One gRPC channel and the calls that may run on it. in_flight belongs to the pool that made it."""

    __slots__ = ("calls", "grpc_channel", "in_flight")

    def __init__(self, grpc_channel: Any) -> None:
        self.grpc_channel = grpc_channel
        self.in_flight = 0
        # Method name → the callable that starts it, made once: making one costs as much as a small call.
        self.calls: dict[str, Any] = {}

    def call(self, method: str) -> Any:
        """What starts a call of that method: bytes in, bytes out."""
        started = self.calls.get(method)
        if started is None:
            started = self.calls[method] = self.grpc_channel.unary_unary(method)
        return started


class ChannelPool:
    """Hands out the least busy channel and opens another when all are near their limit. Thread-safe.

    At most most_calls run on a channel at once; with most_channels open and full, acquire() waits.
    """

    def __init__(
        self,
        opener: Callable[[], Any],
        *,
        most_calls: int = _MOST_CALLS_PER_CHANNEL,
        most_channels: int = _MOST_CHANNELS,
    ) -> None:
        self._opener = opener
        self._most_calls = most_calls
        self._most_channels = most_channels
        # Guards the two lists, their channels' in_flight, _waiting and _closed; held by each method for a look
        # through the lists, and while a channel is made, which connects nothing.
        self._changed = threading.Condition(threading.Lock())
        self._channels: list[Channel] = []
        self._retired: list[Channel] = []
        self._waiting = 0
        self._closed = False

    @property
    def channels(self) -> int:
        """How many channels are open."""
        with self._changed:
            return len(self._channels)

    def acquire(self, scope: Scope) -> Channel:
        """A channel with room for one more call; to be given back by release() when that call has ended.

        Raises ModelError after close(), ScopeError if the scope ends first.
        """
        with self._changed:
            channel = self._take()
            if channel is None:
                channel = self._wait(scope)
            idle = self._sweep() if self._retired else []
        for retired in idle:
            retired.grpc_channel.close()
        return channel

    def retire(self, channel: Channel) -> None:
        """Take no more calls on the channel; its connection is closed when the last of them has ended."""
        with self._changed:
            if channel in self._channels:
                self._channels.remove(channel)
                self._retired.append(channel)
                self._changed.notify_all()

    def release(self, channel: Channel) -> None:
        with self._changed:
            channel.in_flight -= 1
            if self._waiting:
                self._changed.notify()

    def close(self) -> None:
        """End the calls in flight and close the connections. Idempotent."""
        with self._changed:
            self._closed = True
            channels = self._channels + self._retired
            self._channels, self._retired = [], []
            self._changed.notify_all()
        for channel in channels:
            channel.grpc_channel.close()

    def _sweep(self) -> list[Channel]:
        """The retired channels that nobody uses any more; closed by acquire() and not by gRPC's own threads."""
        idle = [channel for channel in self._retired if channel.in_flight == 0]
        self._retired = [channel for channel in self._retired if channel.in_flight > 0]
        return idle

    def _wait(self, scope: Scope) -> Channel:
        taken: list[Channel] = []

        def take() -> bool:
            channel = self._take()
            if channel is not None:
                taken.append(channel)
            return channel is not None

        self._waiting += 1
        try:
            scope.wait_for(self._changed, take)
        except BaseException:
            self._changed.notify()  # the notice that woke this thread may have been meant for another
            raise
        finally:
            self._waiting -= 1
        return taken[0]

    def _take(self) -> Channel | None:
        if self._closed:
            raise ModelError(ErrorKind.UNAVAILABLE, tr("連線已關閉"))
        best: Channel | None = None
        for channel in self._channels:
            if best is None or channel.in_flight < best.in_flight:
                best = channel
        if best is None or best.in_flight >= self._most_calls:
            if len(self._channels) >= self._most_channels:
                return None
            best = Channel(self._opener())
            self._channels.append(best)
        best.in_flight += 1
        return best


def open_channel(grpc: Any, endpoint: Endpoint) -> Any:
    """A channel of its own connection, which connects on its first call and reconnects within a second."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),  # or all channels would share one connection
        # No retry policy may come in by DNS. gRPC's own re-sending stays on: it concerns only calls that the
        # server refused unread because its count of open streams lags behind, and so nothing is asked twice.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),  # in gRPC's words; it bounds one attempt to connect
        ("grpc.dns_ares_query_timeout", _CONNECT_MS),
    ]
    if endpoint.plaintext:
        return grpc.insecure_channel(endpoint.authority, options=[*options, ("grpc.enable_http_proxy", 0)])
    return grpc.secure_channel(endpoint.authority, grpc.ssl_channel_credentials(), options=options)
