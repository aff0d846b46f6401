"""The single place that sends requests to S3, and turns every failure into an error of the library.

The S3 behaviour that it relies on is described in Amazon's "Conditional writes" and the API reference of GetObject and
PutObject. Comments describe where other stores differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..errors import CorruptFileError, StorageError
from . import bodies, clients, ranges
from .calls import Call, answered
from .failures import Situation, is_known, is_refusal_of_credentials, translated
from .secrets import Hidden, Secret, secrets_of, shows, strip_tracebacks
from .version import Version, version_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

# An object encrypted with a customer's key can't be read without it
_READ_OPTIONS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "RequestPayer", "ExpectedBucketOwner")


class Read(NamedTuple):
    """An object that was read.

    Attributes:
        body: the body as it was sent.
        text: the body, uncompressed if it was gzip; `None` if it is damaged.
        version: the version of the object.
        date: when it was read, by the store's clock; `None` if the store doesn't report it.
    """

    body: bytes
    text: bytes | None
    version: Version
    date: datetime | None


class Requests:
    """The requests that concern one object.

    Args:
        bucket: the bucket's name, or an access point's ARN.
        key: the object's key.
        connect: returns the client for each request. It may change, for example after a fork.
        put_options: additional arguments for every PutObject.
        secrets: texts that must not be shown, besides the client's secrets.
        renew: called with a client whose credentials were refused; returns whether a new client may succeed.
    """

    def __init__(
        self,
        bucket: str,
        key: str,
        connect: Callable[[], S3Client],
        put_options: Mapping[str, Any] | None = None,
        *,
        secrets: Iterable[str] = (),
        renew: Callable[[S3Client], bool] = lambda _: False,
    ) -> None:
        self.address = {"Bucket": bucket, "Key": key}
        self._connect = connect
        self._renew = renew
        self.put_options = put_options = Hidden(put_options or {})
        self._secrets = Secret(tuple(secrets))
        read_options = {name: put_options[name] for name in _READ_OPTIONS if name in put_options}
        plain = {name: value for name, value in read_options.items() if not name.startswith("SSE")}
        self._options = {
            "GetObject": Hidden(read_options),
            "HeadObject": Hidden(read_options),
            "PutObject": Hidden({"ContentType": "application/json", **put_options}),
            "DeleteObject": Hidden(plain),
        }

    @property
    def uri(self) -> str:
        return "s3://{Bucket}/{Key}".format_map(self.address)

    def get(self, condition: Hidden, limit: int, permission: str | None = None) -> Read:
        """Read the object, if it isn't larger than the limit."""
        request = Hidden({**self._options["GetObject"], **self.address, **condition})
        return self._call("GetObject", lambda client: _read(client, request, limit), permission)

    def head(self) -> Mapping[str, Any]:
        return self._send("HeadObject", Hidden(), _has_etag)

    def put(self, upload: Hidden) -> Mapping[str, Any]:
        return self._send("PutObject", upload, _is_saved)

    def delete(self, condition: Hidden) -> None:
        self._send("DeleteObject", condition, _is_deleted)

    def head_bucket(self) -> None:
        self._call("HeadBucket", lambda client: client.head_bucket(Bucket=self.address["Bucket"]))

    def version_pages(self) -> Iterator[Mapping[str, Any]]:
        """The pages of a listing of all versions of keys with this one as a prefix. This key comes first."""
        prefix = {"Bucket": self.address["Bucket"], "Prefix": self.address["Key"]}
        markers: dict[str, str] = {}
        while True:
            page = self._call("ListObjectVersions", partial(_list_versions, {**prefix, **markers}))
            yield page
            following = {name: page[f"Next{name}"] for name in _MARKERS if page.get(f"Next{name}")}
            if not page.get("IsTruncated") or not following or following == markers:
                return
            markers = following

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """The objects whose keys begin with this one, as listed by S3."""
        request = {"Bucket": self.address["Bucket"], "Prefix": self.address["Key"]}
        while True:
            page = self._call("ListObjectsV2", partial(_list_objects, request))
            yield from page.get("Contents", ())
            if not page.get("NextContinuationToken"):
                return
            request = {**request, "ContinuationToken": page["NextContinuationToken"]}

    def _send(
        self, operation: str, arguments: Hidden, check: Callable[[Mapping[str, Any]], object]
    ) -> Mapping[str, Any]:
        request = Hidden({**self._options[operation], **self.address, **arguments})

        def act(client: Any) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = getattr(client, _METHODS[operation])(**request)
            check(answer)
            return answer

        return self._call(operation, act)

    def _call(self, operation: str, act: Callable[[Any], T], permission: str | None = None) -> T:
        """Send a request with the current client, and again with a new one if that may have valid credentials."""
        what = f"{operation} of {self.uri}"
        call = Call(what)
        try:
            return self._try(call, operation, act, permission)
        except StorageError:
            if not call.may_get_in:
                raise
        return self._try(Call(what), operation, act, permission)

    def _try(self, call: Call, operation: str, act: Callable[[Any], T], permission: str | None) -> T:
        """Turn exceptions into this library's errors.

        Not those that aren't an `Exception`, such as Ctrl-C, or that only a stand-in for a client can raise.
        """
        client, doing = None, "connecting"
        problem: Exception | None = None
        try:
            client = self._connect()
            doing = operation
            answer = call.run(client, act)
            clients.worked(client)
            return answer
        except Exception as error:  # botocore passes on exceptions of the libraries below it
            if clients.is_real(client) or client is None or is_known(error):
                problem = error
            else:
                raise
        try:
            secrets = Secret([*self._secrets.reveal(), *secrets_of(client)])
            situation = Situation(doing, self.address, permission, call.status, call.counts, secrets)
            hidden = shows(problem, secrets.reveal())
            strip_tracebacks(problem)
            raise self._noted(translated(problem, situation), client, call) from (None if hidden else problem)
        finally:
            del problem  # otherwise this frame and those of the exception would keep each other alive

    def _noted(self, failure: StorageError, client: Any, call: Call) -> StorageError:
        """Return the failure, after noting what it shows about the client's credentials."""
        if client is not None and (call.failed_to_sign or is_refusal_of_credentials(failure)):
            call.may_get_in = self._renew(client)
        elif failure.status in (304, 404, 412):
            clients.worked(client)
        return failure


_METHODS = {
    "HeadObject": "head_object",
    "PutObject": "put_object",
    "DeleteObject": "delete_object",
}
_MARKERS = ("KeyMarker", "VersionIdMarker")
_REQUEST_IDS = ("x-amz-request-id", "x-amz-id-2", "x-amzn-requestid")


def _list_versions(request: Mapping[str, str], client: Any) -> Mapping[str, Any]:
    page: Mapping[str, Any] = client.list_object_versions(**request)
    return page


def _list_objects(request: Mapping[str, str], client: Any) -> Mapping[str, Any]:
    page: Mapping[str, Any] = client.list_objects_v2(**request)
    return page


def _read(client: Any, request: Mapping[str, Any], limit: int) -> Read:
    answer = client.get_object(**request)
    answered(200)
    etag_of(answer)
    body = ranges.read(client, request, answer, limit)
    try:
        text = bodies.unpacked(body, limit)
    except CorruptFileError:
        return Read(body, None, version_of(answer, seen=True), _date_of(answer))
    return Read(body, text, version_of(answer, bodies.number_of(text), seen=True), _date_of(answer))


def _date_of(answer: Mapping[str, Any]) -> datetime | None:
    try:
        date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return date if date.tzinfo else None


def etag_of(answer: Mapping[str, Any]) -> str:
    etag: str = answer.get("ETag", "")
    if not etag:
        raise OSError("the answer has no ETag, so it doesn't come from an S3 store: check the endpoint")
    return etag


def _has_etag(answer: Mapping[str, Any]) -> None:
    etag_of(answer)


def _is_saved(answer: Mapping[str, Any]) -> None:
    """Raise an `OSError` if an answer doesn't confirm the operation, or doesn't come from an S3 store.

    The error page of a proxy, or the login page of a network, may have status 200, too.
    """
    etag_of(answer)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if headers.get("content-type", "").startswith("text/html") and headers.get("content-length") != "0":
        raise OSError(f"it was answered with a web page. {_CHECK}")


def _is_deleted(answer: Mapping[str, Any]) -> None:
    """The same for a DELETE. S3 answers with 204. Stores with another status show by other signs that they are S3."""
    metadata = answer.get("ResponseMetadata", {})
    status, headers = metadata.get("HTTPStatusCode", 204), metadata.get("HTTPHeaders", {})
    if status != 204 and headers.get("content-length") != "0" and not any(name in headers for name in _REQUEST_IDS):
        raise OSError(f"it was answered with {status}, but not as S3 does it. {_CHECK}")


_CHECK = "Check the endpoint, and any proxy in between"
