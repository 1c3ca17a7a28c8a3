"""Writes data connectors for Lockgate in Python.

A connector is one module with a class: `Source` to read rows from some system, `Destination` to write
them to one. `export_source` or `export_destination` puts it behind Lockgate's contract, and
componentize-py makes a component of it:

    import lockgate

    class Counter(lockgate.Source):
        spec = lockgate.Spec(
            name="source-counter",
            version="0.1.0",
            properties={"limit": {"type": "integer", "description": "The last number."}},
            required=["limit"],
        )

        def check(self, config):
            pass

        def discover(self, config):
            schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
            return [lockgate.Stream("numbers", schema, incremental=True)]

        def read(self, config, catalog, state, output):
            for index, configured in enumerate(catalog.streams):
                name = configured.descriptor.name
                if name != "numbers":
                    raise lockgate.Failure.config(f"there is no stream `{name}`")
                start = (state.stream(configured.descriptor) or {"last": 0})["last"]
                stream = output.stream(index)
                for number in range(start + 1, config["limit"] + 1):
                    stream.write({"number": number})
                stream.checkpoint({"last": max(start, config["limit"])})
                stream.complete()

    Source = lockgate.export_source(Counter)

A connector raises `Failure` to say who can mend what went wrong; any other exception is a fault of the
connector, and its traceback becomes the failure's detail. What the host raises is left to pass.
"""

import json
import traceback
from dataclasses import dataclass, field
from typing import Any, Iterator

from componentize_py_types import Err
from wit_world.imports import logging as _logging

try:
    # Its name where a world imports other `types` as well.
    from wit_world.imports import lockgate_connector_types as types
except ImportError:
    from wit_world.imports import types
try:
    from wit_world.imports import control as _control
except ImportError:
    _control = None
# A source has `output`, a destination `input`.
try:
    from wit_world.imports import output as _output
except ImportError:
    _output = None
try:
    from wit_world.imports import input as _input
except ImportError:
    _input = None

FailureKind = types.FailureKind
SyncMode = types.SyncMode
DestinationSyncMode = types.DestinationSyncMode

BATCH_BYTES = 64 * 1024
"""Bytes of rows in one batch: beyond it a call gets no cheaper."""


class Failure(Exception):
    """Why an operation did not succeed. `message` is one sentence for the operator, `detail` what a
    developer needs; neither may hold a secret."""

    def __init__(self, kind, message, detail=None, stream=None, retry_after=None):
        super().__init__(message)
        self.kind, self.message, self.detail = kind, message, detail
        self.stream, self.retry_after = stream, retry_after

    @classmethod
    def config(cls, message, **more):
        """The operator must change the configuration, the catalog or a grant."""
        return cls(FailureKind.CONFIG, message, **more)

    @classmethod
    def transient(cls, message, **more):
        """The other system was busy or away. `retry_after`: seconds, if it said how long."""
        return cls(FailureKind.TRANSIENT, message, **more)

    @classmethod
    def system(cls, message, **more):
        """A fault of the connector."""
        return cls(FailureKind.SYSTEM, message, **more)

    def _to_wit(self):
        wait = None if self.retry_after is None else max(0, int(self.retry_after * 1000))
        return types.Failure(self.kind, self.message, self.detail, self.stream, wait)


def debug(message):
    """What helps to understand a run. No message may hold a secret."""
    _logging.log(_logging.Level.DEBUG, str(message))


def info(message):
    """What an operator may like to know."""
    _logging.log(_logging.Level.INFO, str(message))


def warn(message):
    """What an operator should know though the run goes on."""
    _logging.log(_logging.Level.WARN, str(message))


def update_config(members):
    """Replaces members of the stored configuration: for refresh tokens that work once."""
    _control.update_config(_object(members, "the new configuration"))


@dataclass
class Spec:
    """What a connector says of itself."""

    name: str
    version: str
    properties: dict
    """The configuration's members, each a JSON Schema; a secret has `"airbyte_secret": True`."""
    required: list = field(default_factory=list)
    needs: list = field(default_factory=list)
    """What it asks to reach: (capability, pattern, reason), as ("network", "${host}:${port}", ...)."""
    modes: list = field(default_factory=list)
    """A destination's `DestinationSyncMode`s."""

    def _to_wit(self):
        schema = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": False,
        }
        needs = [types.Need(*need) for need in self.needs]
        formats = [types.RowFormat.JSON_LINES]
        return types.Specification(
            self.name, self.version, None, json.dumps(schema), self.modes, formats, needs, "{}"
        )

    def _config(self, text):
        """The configuration with its defaults. No value is in what is said of it: it may be a secret."""
        config = json.loads(text)
        if not isinstance(config, dict):
            raise Failure.config("the configuration is not an object")
        for name in self.required:
            if name not in config:
                raise Failure.config(f"the configuration: `{name}` is missing")
        for name, value in config.items():
            if name not in self.properties:
                raise Failure.config(f"the configuration: there is no `{name}`")
            kinds = self.properties[name].get("type")
            kinds = [kinds] if isinstance(kinds, str) else kinds
            if kinds is not None and not any(_is(value, kind) for kind in kinds):
                raise Failure.config(f"the configuration: `{name}` is not of type {' or '.join(kinds)}")
        defaults = {n: p["default"] for n, p in self.properties.items() if "default" in p}
        return defaults | config


def _is(value, kind):
    """Whether a value is of a JSON Schema's type."""
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    known = {"string": str, "number": (int, float), "array": list, "object": dict}
    return isinstance(value, known.get(kind, ()))


@dataclass
class Stream:
    """A stream as a source offers it."""

    name: str
    json_schema: dict
    """The schema of one row."""
    incremental: bool = False
    cursor: list = field(default_factory=list)
    """The path of the cursor, which the operator cannot change."""
    primary_key: list = field(default_factory=list)
    """The path of each key column."""
    namespace: str | None = None
    resumable: bool = False

    def _to_wit(self):
        modes = [SyncMode.FULL_REFRESH] + [SyncMode.INCREMENTAL] * self.incremental
        return types.DiscoveredStream(
            types.StreamDescriptor(self.name, self.namespace),
            json.dumps(self.json_schema),
            modes,
            bool(self.cursor),
            self.cursor,
            self.primary_key,
            self.resumable,
            "{}",
        )


def full_name(descriptor):
    """`name`, or `namespace.name`: for messages, not a key."""
    namespace = f"{descriptor.namespace}." if descriptor.namespace is not None else ""
    return namespace + descriptor.name


def _object(value, what):
    """A JSON object as text."""
    if not isinstance(value, dict):
        raise Failure.system(f"{what} is not an object")
    return _text(value, what)


def _text(value, what):
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        # Half of a character: only its escape is text.
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Failure.system(f"{what} cannot be written as JSON", detail=str(error)) from None
    return text


class SavedState:
    """What earlier syncs stored."""

    def __init__(self, states):
        self._streams, self._shared = [], None
        for state in states:
            if isinstance(state, types.State_Stream):
                self._streams.append(state.value)
            else:
                self._streams += state.value.streams
                self._shared = state.value.shared

    def stream(self, descriptor):
        """A stream's state, a dictionary. None: start again."""
        for stream in self._streams:
            if stream.descriptor == descriptor and stream.state is not None:
                return json.loads(stream.state)
        return None

    def shared(self):
        """The shared part of a global state. None: start again."""
        return None if self._shared is None else json.loads(self._shared)


class Output:
    """What a source writes to. Each stream must be ended by `complete` or `incomplete`."""

    def __init__(self, catalog):
        self._streams = [StreamOutput(i, s.descriptor) for i, s in enumerate(catalog.streams)]

    def stream(self, index):
        """The stream at `index` of the catalog; the first time, the host is told that it started."""
        stream = self._streams[index]
        if stream._status is None:
            stream._report(_output.StreamStatus.STARTED)
        return stream

    def _finish(self, failed):
        for stream in self._streams:
            if stream._ended():
                continue
            if not failed:
                raise Failure.system(
                    f"the source returned without saying how the stream "
                    f"`{full_name(stream.descriptor)}` ended",
                    stream=stream.descriptor,
                )
            if stream._status is not None:
                try:
                    stream._report(_output.StreamStatus.INCOMPLETE)
                except Err:
                    pass  # Only the failure that stopped the source matters now.


class StreamOutput:
    """One stream of an `Output`. Rows are kept until a batch is full."""

    def __init__(self, index, descriptor):
        self.index, self.descriptor = index, descriptor
        self._rows, self._bytes, self._status = [], 0, None

    def write(self, row):
        """Writes one row, a dictionary."""
        if self._status is not _output.StreamStatus.RUNNING:
            self._open()
            self._report(_output.StreamStatus.RUNNING)
        line = _object(row, "a row").encode() + b"\n"
        if self._rows and self._bytes + len(line) > BATCH_BYTES:
            self.flush()
        self._rows.append(line)
        self._bytes += len(line)

    def flush(self):
        """Sends the rows kept of this stream. A source that waits long between rows calls it first."""
        if self._rows:
            rows, self._rows, self._bytes = self._rows, [], 0
            _output.emit(types.Rows(self.index, len(rows), b"".join(rows), [], []))

    def checkpoint(self, state):
        """Says that a later read may go on from `state`, a dictionary: it covers every row of this
        stream written so far."""
        self.flush()
        text = _object(state, "a state")
        return _output.checkpoint(types.State_Stream(types.StreamState(self.descriptor, text)))

    def estimate(self, rows=None, bytes=None):
        """Guesses the stream's size for the progress display."""
        _output.estimate(self.index, rows, bytes)

    def complete(self):
        """Every row of the stream was written. Only a checkpoint may follow."""
        self._close(_output.StreamStatus.COMPLETE)

    def incomplete(self):
        """The stream failed and its rows are not all there, but the source goes on with others."""
        self._close(_output.StreamStatus.INCOMPLETE)

    def _close(self, status):
        self._open()
        self.flush()
        self._report(status)

    def _ended(self):
        return self._status in (_output.StreamStatus.COMPLETE, _output.StreamStatus.INCOMPLETE)

    def _open(self):
        if self._ended():
            name = full_name(self.descriptor)
            raise Failure.system(f"the source went on with the stream `{name}` after its end")

    def _report(self, status):
        _output.status(self.index, status)
        self._status = status


@dataclass
class Rows:
    """Consecutive rows of one stream, an index into the catalog."""

    stream: int
    count: int
    data: bytes
    """JSON lines, each ended by a line feed."""

    def __iter__(self) -> Iterator[Any]:
        """Each row, parsed."""
        return (json.loads(line) for line in self.data.split(b"\n") if line)


@dataclass
class Checkpoint:
    """A place in the input that can be committed, once. Committing one covers all earlier ones."""

    id: int
    _totals: list


@dataclass
class StreamEnd:
    """No row of a stream follows. If it is not complete, replace nothing."""

    stream: int
    complete: bool


@dataclass
class Flush:
    """Nothing more for now: commit the last checkpoint."""


class Input:
    """What a destination reads from: iterating gives `Rows`, `Checkpoint`, `StreamEnd` and `Flush`."""

    def __init__(self, catalog):
        # Rows and bytes received, rows and bytes rejected.
        self._counts = [[0, 0, 0, 0] for _ in catalog.streams]
        self._last = self._committed = None
        self._ended = False

    def __iter__(self):
        while (event := _input.next()) is not None:
            if isinstance(event, _input.Event_Rows):
                rows = event.value
                count = self._counts[rows.stream]
                count[0] += rows.count
                count[1] += len(rows.data)
                yield Rows(rows.stream, rows.count, rows.data)
            elif isinstance(event, _input.Event_Checkpoint):
                self._last = Checkpoint(event.value, [list(count) for count in self._counts])
                yield self._last
            elif isinstance(event, _input.Event_StreamEnd):
                complete = event.value.outcome is _input.Outcome.COMPLETE
                yield StreamEnd(event.value.stream, complete)
            else:
                yield Flush()
        self._ended = True

    def reject(self, stream, rows, bytes):
        """Says that rows of the batch at hand were refused. `bytes` counts their line feeds as well."""
        self._counts[stream][2] += rows
        self._counts[stream][3] += bytes

    def commit(self, checkpoint):
        """Says that everything before the checkpoint is durable, but for the rows rejected."""
        totals = [
            _input.StreamTotal(stream, rows - rejected, rejected, size - rejected_size)
            for stream, (rows, size, rejected, rejected_size) in enumerate(checkpoint._totals)
            if rows
        ]
        _input.committed(checkpoint.id, totals)
        self._committed = checkpoint.id

    def _finish(self):
        if not self._ended:
            raise Failure.system("the destination returned before the end of its input")
        if self._last is not None and self._committed != self._last.id:
            self.commit(self._last)


class Source:
    """A connector that reads. Each call comes to a fresh instance; nothing is kept between calls."""

    spec: Spec

    def check(self, config: dict) -> None:
        """Tries to reach the system."""
        raise NotImplementedError

    def discover(self, config: dict) -> list[Stream]:
        """Lists the streams there are."""
        raise NotImplementedError

    def read(self, config: dict, catalog, state: SavedState, output: Output) -> None:
        """Reads the catalog's streams from `state` on."""
        raise NotImplementedError


class Destination:
    """A connector that writes. Each call comes to a fresh instance."""

    spec: Spec

    def check(self, config: dict) -> None:
        """Tries to reach the system, and that it can be written to, leaving no trace."""
        raise NotImplementedError

    def write(self, config: dict, catalog, input: Input) -> None:
        """Writes what `input` gives until it gives none. Returning says that all of it is durable."""
        raise NotImplementedError


def _guarded(work):
    """Runs a connector's function; what it raises becomes the contract's failure."""
    try:
        return work()
    except Err as error:
        if isinstance(error.value, types.Failure):
            # The host's: it is returned as it is.
            raise
        failure = Failure.system("the host refused a call", detail=traceback.format_exc())
        raise Err(failure._to_wit()) from None
    except Failure as failure:
        raise Err(failure._to_wit()) from None
    except Exception as error:
        # The exception's own text may hold anything, so it is a developer's.
        failure = Failure.system(
            f"the connector failed: {type(error).__name__}", detail=traceback.format_exc()
        )
        raise Err(failure._to_wit()) from None


def export_source(connector: type[Source]):
    """Makes a `Source` the component's: `Source = lockgate.export_source(Mine)`."""

    class Exported:
        def spec(self):
            return connector.spec._to_wit()

        def check(self, config):
            _guarded(lambda: connector().check(connector.spec._config(config)))

        def discover(self, config):
            streams = _guarded(lambda: connector().discover(connector.spec._config(config)))
            return [stream._to_wit() for stream in streams]

        def read(self, config, catalog, state):
            output = Output(catalog)

            def work():
                config_ = connector.spec._config(config)
                connector().read(config_, catalog, SavedState(state), output)
                output._finish(failed=False)

            try:
                _guarded(work)
            except Err:
                output._finish(failed=True)
                raise

    return Exported


def export_destination(connector: type[Destination]):
    """Makes a `Destination` the component's: `Destination = lockgate.export_destination(Mine)`."""

    class Exported:
        def spec(self):
            return connector.spec._to_wit()

        def check(self, config):
            _guarded(lambda: connector().check(connector.spec._config(config)))

        def write(self, config, catalog):
            def work():
                input = Input(catalog)
                connector().write(connector.spec._config(config), catalog, input)
                input._finish()

            _guarded(work)

    return Exported
