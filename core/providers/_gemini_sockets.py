"""Sockets that keep a call's deadline and can be ended from another thread.

The timeouts of an HTTP library bound each read; a server that drips a byte now and then outlives them. These
sockets take the time left of the whole call before every operation instead.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Final

from core.errors import ErrorKind, ModelError, ScopeError
from core.language import tr
from core.providers._network_words import network_error
from core.scope import Scope

__all__ = ["GuardedSSLSocket", "GuardedSocket", "HttpCall", "connect", "current_call"]

_CONNECT_SECONDS: Final = 4.0
_local = threading.local()


class HttpCall:
    """One HTTP call: its scope, the socket in use, and what was found wrong with it.

    Belongs to the thread that makes the call; only abort() is called from others.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.failure: ModelError | None = None
        self.status = 0  # 0 until a whole response has been read
        self.content_type = ""
        self.body = b""
        # Guards _socket and _aborted; held by the calling thread around each change of socket, by abort() while
        # it shuts that socket down, which does not block.
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make this the thread's current call, ended by the scope's cancellation."""
        _local.call = self
        take_back = self.scope.on_cancel(self.abort)
        try:
            yield
        finally:
            take_back()
            with self._lock:
                self._socket = None  # back in the pool: a late abort() must not hit the next call on it
            _local.call = None

    def abort(self) -> None:
        """End the call's socket operation, present or next. Callable from any thread."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                # Past any SSLSocket override, which is not made for two threads; the reader sees an end of file.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def guard(self, used: socket.socket, most: float = math.inf) -> None:
        """Before every operation: note the socket, bound the operation by the call's deadline."""
        with self._lock:
            self._socket = used
            if self._aborted:
                raise ConnectionAbortedError("the call was cancelled")
        left = min(self.scope.remaining(), most)
        if left <= 0:
            raise TimeoutError("the call's deadline has passed")
        used.settimeout(None if math.isinf(left) else left)

    def fail(self, failure: ModelError) -> None:
        """Keep the first thing found wrong: libraries on the way up wrap and reword what is raised."""
        self.failure = self.failure or failure


def current_call() -> HttpCall:
    """The call that this thread is making."""
    call: HttpCall | None = getattr(_local, "call", None)
    if call is None:
        raise RuntimeError("no call is running in this thread")
    return call


class GuardedSocket(socket.socket):
    """A TCP socket that asks the thread's current call before it waits."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        current_call().guard(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        current_call().guard(self)
        super().sendall(*args, **kwargs)


class GuardedSSLSocket(ssl.SSLSocket):
    """The same over TLS, the handshake included."""

    def do_handshake(self, block: bool = False) -> None:
        call = current_call()
        try:
            call.guard(self, _CONNECT_SECONDS)
            super().do_handshake(block)
        except TimeoutError:
            call.fail(ModelError(ErrorKind.UNAVAILABLE, tr("連線逾時")))
            raise

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        current_call().guard(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        current_call().guard(self)
        super().sendall(*args, **kwargs)


def connect(host: str, port: int) -> socket.socket:
    """A connected socket, within a few seconds and the current call's deadline.

    Raises OSError, with the call's failure set, where nothing answers.
    """
    call = current_call()
    with call.scope.child(timeout=_CONNECT_SECONDS) as patience:
        problem: OSError = OSError("no addresses")
        try:
            for family, kind, protocol, _, address in _resolve(host, port, patience):
                try:
                    return _connect(call, patience, (family, kind, protocol), address)
                except OSError as error:
                    problem = error
        except ScopeError:  # first: a passed deadline is an OSError too, by way of TimeoutError
            problem = TimeoutError("timed out")
        except OSError as error:
            problem = error
    call.fail(network_error(ErrorKind.UNAVAILABLE, str(problem), host))
    raise problem


def _connect(call: HttpCall, patience: Scope, made: tuple[int, int, int], address: Any) -> socket.socket:
    connected = GuardedSocket(*made)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call.guard(connected, patience.remaining())
        connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


def _resolve(host: str, port: int, scope: Scope) -> list[Any]:
    """The host's addresses. The system's resolver knows no timeout, so it runs in a thread that may outlast us."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Guards found; held by the resolving thread to append, by this one to look.
    changed = threading.Condition()
    found: list[list[Any] | OSError] = []

    def look_up() -> None:
        result: list[Any] | OSError
        try:
            result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            result = error
        with changed:
            found.append(result)
            changed.notify_all()

    threading.Thread(target=look_up, name="gemini-resolve", daemon=True).start()
    with changed:
        scope.wait_for(changed, lambda: bool(found))
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
