"""Keys, tokens and passwords never appear in errors, causes, variables, dicts, pickles or the log."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import S3Dict, S3DictError
from support.proxy import Answer, Reset
from support.servers import Site

SECRET = "canary-secret-key-1"
TOKEN = "canary-token-2"
PASSWORD = "canary-password-3"
CUSTOMER = "canary-customers-key-00000000004"
PROXY = "canary-proxy-5"
CANARIES = (SECRET, TOKEN, PASSWORD, CUSTOMER, PROXY)
ONCE = {"retries": {"total_max_attempts": 1}, "connect_timeout": 1, "read_timeout": 2}
DEAD = "http://127.0.0.1:9"


def made(s3: Site, *, name: str = "state.json", config: dict[str, Any] | None = None, **options: Any) -> S3Dict:
    keys = {"access_key_id": "id", "access_secret_key": SECRET, "aws_session_token": TOKEN}
    to = {"endpoint_url": s3.endpoint_url, "region_name": "us-east-1"}
    return S3Dict(s3.bucket, file_name=name, config=Config(**{**ONCE, **(config or {})}), **{**keys, **to, **options})


WAYS: dict[str, Callable[[Site], S3Dict]] = {
    "all goes well": made,
    "nobody is there": lambda s3: made(s3, endpoint_url=DEAD),
    "a slip in the arguments": lambda s3: made(s3, name=""),
    "an unknown argument": lambda s3: made(s3, secret_key=SECRET),
    "a line break in the token": lambda s3: made(s3, aws_session_token=TOKEN + "\n"),
    "a token that isn't Latin-1": lambda s3: made(s3, aws_session_token=TOKEN + "\u2028"),
    "a password in the endpoint": lambda s3: made(s3, endpoint_url=f"http://user:{PASSWORD}@127.0.0.1:9"),
    "a password in an endpoint without http": lambda s3: made(s3, endpoint_url=f"user:{PASSWORD}@127.0.0.1:9"),
    "a token in the endpoint": lambda s3: made(s3, endpoint_url=f"{DEAD}/?token={TOKEN}"),
    "a password in an address": lambda s3: S3Dict.from_uri(f"s3://user:{PASSWORD}@bucket/key"),
    "a proxy": lambda s3: made(
        s3, endpoint_url="http://s3.example.com", config={"proxies": {"http": f"http://u:{PROXY}@127.0.0.1:9"}}
    ),
    "a customer's key": lambda s3: made(s3, put_options={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER}),
    "a customer's key of another type": lambda s3: made(
        s3, put_options={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": [CUSTOMER]}
    ),
}


def looks(error: BaseException | None) -> Iterator[str]:
    """Everything that an exception shows: its text, its causes, and our variables in the tracebacks."""
    while error is not None:
        yield f"{error} {error!r} {error.args!r} {vars(error)!r}"
        for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
            if "s3dictionary" in frame.filename or "botocore" in frame.filename:
                yield repr(frame.locals)
        error = error.__cause__ or error.__context__


def seen(texts: Iterator[str]) -> list[str]:
    return [text for text in texts for canary in CANARIES if canary in text]


@pytest.mark.parametrize("fault", [None, Answer(403, "SignatureDoesNotMatch", f"not {TOKEN}"), Reset()], ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_secret_shows_nowhere(moto_s3: Site, caplog: pytest.LogCaptureFixture, way: str, fault: Any) -> None:
    """This holds whatever goes wrong, and when."""
    caplog.set_level(logging.DEBUG, "s3dictionary")
    shown: list[str] = []
    for moment in ("opening", "saving"):
        try:
            if fault is not None and moment == "opening":
                moto_s3.faults.append(fault)
            d = WAYS[way](moto_s3)
            shown += seen(iter([repr(d), repr(vars(d)), repr(vars(d._settings)), pickle.dumps(d).decode("latin-1")]))
            d["a"] = 1
            moto_s3.faults.extend([fault] if fault is not None else [])
            d.save()
        except (S3DictError, ValueError, TypeError) as error:
            shown += seen(looks(error))
            shown += seen(iter([pickle.dumps(error).decode("latin-1")]))
        moto_s3.faults.clear()
    assert shown == []
    assert seen(iter([caplog.text])) == []


def test_a_pickle_leaves_out_a_proxy_that_needs_a_password(moto_s3: Site) -> None:
    """It keeps proxies that need none."""
    proxies = {"https": f"http://u:{PROXY}@127.0.0.1:9", "ftp": "http://127.0.0.1:9"}
    pickled = pickle.dumps(made(moto_s3, config={"proxies": proxies}))
    assert PROXY.encode() not in pickled
    assert pickle.loads(pickled)._settings.client_options["config"].proxies == {"ftp": "http://127.0.0.1:9"}


def test_the_secret_key_can_be_had_by_its_name(moto_s3: Site) -> None:
    assert made(moto_s3).access_secret_key == SECRET
