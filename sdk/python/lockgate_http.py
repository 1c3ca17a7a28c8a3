"""Requests over HTTP, sent by the host, and trying again. Part of `lockgate`, for worlds that import
`wasi:http`.

    page = lockgate_http.get_json("https://api.example/items", token=config["token"])

The host resolves the name, dials, speaks TLS, and lets through what the operator granted with
`--allow-net HOST:PORT`. Redirects are not followed. What is tried again: 408, 425, 429, 5xx, connections
that fail and answers that break off, after waits that grow, with jitter, and no sooner than
`Retry-After` says.
"""

import json
import random
import time
from datetime import timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from componentize_py_types import Err, Ok
from lockgate import Failure, warn
from wit_world.imports import outgoing_handler, streams
from wit_world.imports import wasi_http_types as http

MAX_BODY_BYTES = 32 << 20
"""The most that is read of an answer."""
EXCERPT_BYTES = 500
"""How much of the answer to a request that failed is kept for the failure's detail."""
CONNECT_TIME, FIRST_BYTE_TIME, SILENCE_TIME = 10.0, 60.0, 30.0
"""Seconds to connect, to the first byte of the answer, and between two."""
WHOLE_TIME = 900.0
"""Seconds from the request to the end of its answer."""
ATTEMPTS, FIRST_WAIT, LONGEST_WAIT, DEADLINE = 8, 0.5, 60.0, 600.0
"""Attempts in all; seconds of the first wait, which doubles; the longest; from the first to the last."""
LONGEST_RETRY_AFTER = 7 * 24 * 3600.0
"""More than this is taken for this."""
_CHUNK = 64 * 1024

_METHODS = {
    "GET": http.Method_Get,
    "POST": http.Method_Post,
    "PUT": http.Method_Put,
    "DELETE": http.Method_Delete,
    "PATCH": http.Method_Patch,
}
# What the host says and an operator can mend; the rest is worth another attempt, or a fault.
_CONFIG = {
    "HttpRequestDenied": "it is not granted: pass --allow-net {place} (in sync: "
    "--source-allow-net or --destination-allow-net)",
    "DestinationIpProhibited": "its name leads to a private address or to one of this machine: grant "
    "that very name or address with --allow-net ({place})",
    "TlsCertificateError": "the server's certificate is not trusted: an authority of your own is "
    "trusted with --tls-root FILE",
    "TlsProtocolError": "TLS failed",
    "TlsAlertReceived": "TLS failed",
    "ConnectionLimitReached": "a limit of the host was reached: --limit connections=…",
    "HttpResponseBodySize": "a limit of the host was reached: --limit http-body-bytes=…",
    "HttpResponseHeaderSectionSize": "a limit of the host was reached: --limit http-header-bytes=…",
}
_TRANSIENT = {
    "DnsError": "its name cannot be resolved: is it spelt right?",
    "DestinationNotFound": "its name cannot be resolved: is it spelt right?",
    "DnsTimeout": "connecting took too long",
    "ConnectionTimeout": "connecting took too long",
    "ConnectionReadTimeout": "waiting for the answer took too long",
    "ConnectionWriteTimeout": "sending the request took too long",
    "HttpResponseTimeout": "waiting for the answer took too long",
    "ConnectionRefused": "the connection was refused: is the port right, and the server running?",
    "ConnectionTerminated": "the connection failed",
    "DestinationUnavailable": "the connection failed",
    "DestinationIpUnroutable": "the connection failed",
    "HttpResponseIncomplete": "the answer broke off",
}
_HINTS = {
    401: " (unauthorized): is the token or password in the configuration right?",
    403: " (forbidden): what is configured may not read or write this",
    404: " (not found): is the URL in the configuration right?",
    429: " (too many requests)",
}


class Response:
    """An answer of any status."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        """The first header of this name, in any case; else None."""
        for known, value in self.headers:
            if known.lower() == name.lower():
                return value.decode("utf-8", "replace")
        return None


def is_retried(status):
    """Whether a request with this answer is sent again."""
    return status in (408, 425, 429) or 500 <= status <= 599


def retry_after(value, now):
    """Seconds that a `Retry-After` asks for, which is a number or a date; else None."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return min(max(date.timestamp() - now, 0.0), LONGEST_RETRY_AFTER)


def decide(attempt, elapsed, after, chance):
    """Seconds to wait after an attempt, the first being 1; None: give up."""
    if attempt >= ATTEMPTS:
        return None
    grown = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)
    wait = max(grown / 2 + grown / 2 * chance, after or 0.0)
    return None if elapsed + wait > DEADLINE else wait


def retry(what, operation):
    """Does `operation`, again where it raises a transient `Failure`. `what` names it in the log."""
    start, attempt = time.monotonic(), 0
    while True:
        attempt += 1
        try:
            return operation()
        except Failure as failure:
            if failure.kind.name != "TRANSIENT":
                raise
            elapsed = time.monotonic() - start
            wait = decide(attempt, elapsed, failure.retry_after, random.random())
            if wait is None:
                warn(f"{what}: giving up after {attempt} attempts")
                raise
            warn(
                f"{what}: {failure.message}; trying again in {wait:.1f} s "
                f"(attempt {attempt} of {ATTEMPTS})"
            )
            time.sleep(wait)


def get_json(url, token=None, what="reading"):
    """GETs a JSON value, trying again."""

    def once():
        headers = {"accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        response = success(request("GET", url, headers), "GET", url, secret=token)
        try:
            return json.loads(response.body)
        except ValueError as error:
            place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "UTF-8"
            raise Failure.system(f"{_name('GET', url)}: the answer is not JSON ({place})") from None

    return retry(what, once)


def success(response, method, url, secret=None):
    """The answer, if its status is 2xx; else a `Failure` of the kind that fits."""
    status = response.status
    if 200 <= status <= 299:
        return response
    text = response.body[:EXCERPT_BYTES].decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "[hidden]")
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    message = f"{_name(method, url)}: the answer was {status}{_HINTS.get(status, '')}"
    more = {"detail": f"the answer begins: {text}" if text else None}
    if is_retried(status):
        after = response.header("retry-after")
        wait = None if after is None else retry_after(after, time.time())
        raise Failure.transient(message, retry_after=wait, **more)
    if 300 <= status <= 399 or status in (401, 402, 403, 404, 407, 410, 451):
        raise Failure.config(message, **more)
    raise Failure.system(message, **more)


def request(method, url, headers=None, body=b""):
    """Sends one request and reads its whole answer, whatever its status."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Failure.config("a URL is not http:// or https:// with a host, or has a user in it")
    name = _name(method, url)
    place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    start = time.monotonic()
    try:
        outgoing = _prepare(method, parts, headers or {}, body)
        with outgoing_handler.handle(outgoing, _options()) as future:
            _send(outgoing.lockgate_body, body)
            with future.subscribe() as ready:
                ready.block()
            answer = future.get()
        if not isinstance(answer, Ok):
            raise Failure.system(f"{name}: the host gave no answer")
        if not isinstance(answer.value, Ok):
            raise _failure(answer.value.value, name, place)
        with answer.value.value as response:
            with response.headers() as fields:
                entries = fields.entries()
            status = response.status()
            with response.consume() as incoming, incoming.stream() as stream:
                return Response(status, entries, _receive(stream, name, place, start))
    except Err as error:
        raise _failure(error.value, name, place) from None


def _prepare(method, parts, headers, body):
    fields = http.Fields()
    for key, value in headers.items():
        try:
            fields.append(key.lower(), value.encode())
        except Err:
            raise Failure.config(f"the header `{key}` cannot be sent") from None
    if body or method not in ("GET", "DELETE"):
        fields.append("content-length", str(len(body)).encode())
    outgoing = http.OutgoingRequest(fields)
    outgoing.set_method(_METHODS[method]())
    scheme = http.Scheme_Https() if parts.scheme == "https" else http.Scheme_Http()
    outgoing.set_scheme(scheme)
    outgoing.set_authority(parts.netloc)
    query = f"?{parts.query}" if parts.query else ""
    outgoing.set_path_with_query((parts.path or "/") + query)
    outgoing.lockgate_body = outgoing.body()
    return outgoing


def _options():
    options = http.RequestOptions()
    options.set_connect_timeout(int(CONNECT_TIME * 1e9))
    options.set_first_byte_timeout(int(FIRST_BYTE_TIME * 1e9))
    options.set_between_bytes_timeout(int(SILENCE_TIME * 1e9))
    return options


def _send(outgoing, body):
    """What goes wrong on the way is said by the answer."""
    try:
        if body:
            with outgoing.write() as stream:
                for start in range(0, len(body), 4096):
                    stream.blocking_write_and_flush(body[start : start + 4096])
        http.OutgoingBody.finish(outgoing, None)
    except Err:
        pass


def _receive(stream, name, place, start):
    chunks, size = [], 0
    while True:
        if time.monotonic() - start > WHOLE_TIME:
            raise Failure.transient(f"{name}: reading the answer took too long")
        try:
            chunk = stream.blocking_read(_CHUNK)
        except Err as error:
            if isinstance(error.value, streams.StreamError_Closed):
                return b"".join(chunks)
            with error.value.value as inner:
                code = http.http_error_code(inner)
            raise _failure(code, name, place) from None
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Failure.system(f"{name}: the answer is larger than {MAX_BODY_BYTES} bytes")


def _failure(code, name, place):
    word = type(code).__name__.removeprefix("ErrorCode_")
    if word in _CONFIG:
        return Failure.config(f"{name}: {_CONFIG[word].format(place=place)}")
    if word in _TRANSIENT or code is None:
        return Failure.transient(f"{name}: {_TRANSIENT.get(word, 'the connection failed')}")
    return Failure.system(f"{name}: the host refused it ({word})")


def _name(method, url):
    """The request without its query, which may hold a secret."""
    return f"{method} {url.split('?')[0].split('#')[0]}"
