"""Where the model's service listens."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from core.errors import SettingsError
from core.language import tr

__all__ = ["Endpoint", "read_endpoint"]

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model's service listens. plaintext is True only for loopback addresses."""

    host: str
    port: int
    plaintext: bool

    @property
    def authority(self) -> str:
        """host:port, with brackets around an IPv6 host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.plaintext else 'https'}://{self.authority}"


def read_endpoint(text: str, name: str) -> Endpoint:
    """The address that the text gives. Raises SettingsError, which calls the setting name and shows none of the text:
    an address may hold a password.
    """
    has_scheme = "://" in text
    try:
        parts = urlsplit(text if has_scheme else f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _malformed(name) from None
    if parts.username is not None:
        raise SettingsError(tr("{name} 不能含有帳號或密碼", name=name))
    tail = (parts.path not in ("", "/"), parts.query, parts.fragment)
    # urlsplit drops line breaks and takes any other character for part of a host; a host has few.
    if not (text.isprintable() and _HOST.fullmatch(host)) or parts.scheme not in ("", "http", "https"):
        raise _malformed(name)
    if port == 0 or any(tail):
        raise _malformed(name)
    loopback = _is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise SettingsError(
            tr("{name} 用 http:// 會讓金鑰以明文傳送, 只有本機位址可以; 請改用 https://", name=name)
        )
    plaintext = parts.scheme == "http" or (not has_scheme and loopback)
    return Endpoint(host, port or (80 if plaintext else 443), plaintext)


def _malformed(name: str) -> SettingsError:
    return SettingsError(tr("{name} 的格式不對, 請給 主機:埠 或 https://主機:埠", name=name))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
