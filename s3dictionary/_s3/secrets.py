"""Hides secrets: keys, tokens, customers' encryption keys, passwords in addresses."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

T = TypeVar("T")

SECRET_OPTIONS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
SECRET_PUT_OPTIONS = frozenset({"SSECustomerKey", "SSECustomerKeyMD5", "CopySourceSSECustomerKey"})

_LOGIN = r"""(?<=//)[^/\s@'"]*@|[^\s/@:'"=]+:[^\s/@'"]+@"""
_HIDDEN = "***"
_SHORTEST = 5
"""Fewest characters of a secret: shorter ones, as in tests, would occur in ordinary words."""


class Secret(Generic[T]):
    """Holds a value that tracebacks, debuggers and logs don't show."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> Any:
        return Secret, (None,)


class Hidden(dict[str, Any]):
    """Arguments, some of them secret. Only their names are shown."""

    def __repr__(self) -> str:
        return f"<hidden: {', '.join(map(str, self))}>"


def without_passwords(text: str) -> str:
    """A text without the passwords in the addresses that it mentions."""
    return re.sub(_LOGIN, f"{_HIDDEN}@", text)


def url_without_password(url: str) -> str:
    """An address without `user:password@`, and without its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return without_passwords(url)
    return without_passwords(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")))


def has_password(url: str) -> bool:
    return "@" in url and re.search(_LOGIN, url) is not None


def censored(text: str, secrets: Iterable[str]) -> str:
    """A text without secrets, in plain form or in common encodings."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, _HIDDEN)
    return without_passwords(text)


def shows(error: BaseException, secrets: Iterable[str]) -> bool:
    """Whether an exception, or one that led to it, contains a secret."""
    secrets = list(secrets)
    text = "\n".join(_texts(error))
    return censored(text, secrets) != text


def _texts(error: BaseException) -> Iterator[str]:
    for each in chain_of(error):
        with suppress(Exception):  # an object that can't be inspected shows nothing
            yield f"{each!r} {each.args!r} {vars(each)!r}"
        with suppress(Exception):
            yield str(each)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it, each once."""
    seen: dict[int, BaseException] = {}
    ahead: list[BaseException | None] = [error]
    while ahead:
        each = ahead.pop()
        if each is not None and id(each) not in seen:
            seen[id(each)] = each
            ahead += [each.__cause__, each.__context__]
    yield from seen.values()


def strip_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an exception, because the variables of the frames hold signed requests and bodies."""
    for each in chain_of(error):
        each.__traceback__ = None


def secrets_in(*options: Mapping[str, Any]) -> Iterator[str]:
    """The secrets in arguments of `boto3.client` and of PutObject."""
    for each in options:
        for name, value in each.items():
            if name in SECRET_OPTIONS | SECRET_PUT_OPTIONS and name != "aws_access_key_id":
                yield from _strings(value)
        yield from secrets_in_url(each.get("endpoint_url"))
        yield from _in_config(each.get("config"))


def secrets_of(client: Any) -> Iterator[str]:
    """The secrets of a client. Reads them without refreshing credentials."""
    signer = getattr(client, "_request_signer", None)
    held = getattr(getattr(signer, "_credentials", None), "__dict__", {})
    for name in ("secret_key", "token", "_secret_key", "_token"):
        yield from _strings(held.get(name))
    meta = getattr(client, "meta", None)
    yield from secrets_in_url(getattr(meta, "endpoint_url", None))
    yield from _in_config(getattr(meta, "config", None))


def secrets_in_url(url: Any) -> Iterator[str]:
    if not isinstance(url, str):
        return
    user, at, _ = url.rpartition("//")[2].partition("/")[0].rpartition("@")
    if at:
        yield from _strings(user.partition(":")[2])
    yield from _strings(url.partition("?")[2])
    yield from (value for item in url.partition("?")[2].split("&") for value in _strings(item.partition("=")[2]))


def _in_config(config: Any) -> Iterator[str]:
    proxies = getattr(config, "proxies", None)
    for url in (proxies or {}).values() if isinstance(proxies, dict) else ():
        yield from secrets_in_url(url)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        if len(value.strip()) >= _SHORTEST:
            yield value.strip()
    elif isinstance(value, (list, tuple, set, frozenset, dict)):
        for item in value:
            yield from _strings(item)


def _forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    bare = base64.b64encode(raw).decode().rstrip("=")
    return [secret, repr(secret)[1:-1], quote(raw), bare[:-1] if len(bare) > 6 else bare]
