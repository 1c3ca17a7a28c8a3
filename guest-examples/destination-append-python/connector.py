"""Appends the rows of each stream to a file of JSON lines: the example of a destination in Python.

A checkpoint is committed once the rows before it are on the disk, and a row that a crash cut is removed
before others follow it. A refresh that drops older rows goes to a hidden file, which takes the name when the
stream is complete.
"""

import os
import re

import lockgate
from lockgate import Failure

CHUNK = 64 * 1024
"""How much of a file's end is looked at in one go."""
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Append(lockgate.Destination):
    spec = lockgate.Spec(
        name="destination-append-python",
        version="0.1.0",
        properties={
            "path": {
                "title": "Path",
                "description": "The granted directory the files are written to, as an absolute path "
                "in the sandbox.",
                "type": "string",
                "pattern": "^/",
                "examples": ["/out"],
            }
        },
        required=["path"],
        needs=[("directory-write", "${path}", "writes one file a stream")],
        modes=[lockgate.DestinationSyncMode.APPEND],
    )

    def check(self, config):
        probe = os.path.join(config["path"], ".lockgate-check")
        try:
            open(probe, "wb").close()
            os.remove(probe)
        except OSError as error:
            raise refused(config["path"], error) from None

    def write(self, config, catalog, input):
        names = [file_name(stream) for stream in catalog.streams]
        paths = [os.path.join(config["path"], name) for name in names]
        partials = [partial(config["path"], *pair) for pair in zip(names, catalog.streams)]
        try:
            pairs = zip(paths, partials, catalog.streams)
            files = [opened(part or path, part and is_new(stream)) for path, part, stream in pairs]
            sync_names(config["path"])
        except OSError as error:
            raise refused(config["path"], error) from None
        for event in input:
            if isinstance(event, lockgate.Rows):
                files[event.stream].write(event.data)
            elif isinstance(event, lockgate.Checkpoint):
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
                input.commit(event)
            elif isinstance(event, lockgate.StreamEnd) and event.complete:
                at = event.stream
                if partials[at] is not None:
                    # Who reads the directory sees the old rows or the new ones, never a part.
                    files[at].flush()
                    os.fsync(files[at].fileno())
                    os.replace(partials[at], paths[at])
                    sync_names(config["path"])


def partial(folder, name, stream):
    """The file that takes the place of a stream's once that is complete: an operator refreshes the stream,
    and what earlier generations left is to go. Else None."""
    if stream.minimum_generation_id == 0:
        return None
    return os.path.join(folder, f".{name}.partial-{stream.generation_id}")


def is_new(stream):
    """Whether nothing of an earlier run goes on."""
    return stream.sync_mode is not lockgate.SyncMode.INCREMENTAL


def opened(path, empty):
    """A file to append to, without what stands behind its last whole row: a crash cut that, so it was never
    committed and comes again."""
    if empty:
        return open(path, "wb")
    if os.path.exists(path):
        # Not the file that is appended to: reading at a place and appending do not go together.
        with open(path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = end_of_rows(file, size)
            if end < size:
                lockgate.warn(f"removing {size - end} bytes of a row that was cut: {path}")
                file.truncate(end)
    return open(path, "ab")


def end_of_rows(file, size):
    end = size
    while end > 0:
        start = max(0, end - CHUNK)
        file.seek(start)
        part = file.read(end - start)
        if len(part) < end - start:
            # Nothing is cut by what was not seen.
            raise Failure.system(
                f"{file.name} became shorter while it was read: does something else write to it?"
            )
        place = part.rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def sync_names(path):
    """The names of new files are made durable once, before any row."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def refused(path, error):
    return Failure.config(
        f"cannot write to the directory {path}: {error.strerror}: grant it with --allow-dir "
        f"HOST_DIR::{path}:rw (in sync: --destination-allow-dir)"
    )


def file_name(stream):
    """`STREAM.jsonl`, or `NAMESPACE.STREAM.jsonl`. What could be another name for another file is refused
    and not escaped: it is an example."""
    descriptor = stream.descriptor
    name = lockgate.full_name(descriptor)
    append = lockgate.DestinationSyncMode.APPEND
    if stream.destination_sync_mode is not append:
        raise Failure.config(
            f"the stream `{name}` is to be written in a mode that changes rows, and this destination "
            f"appends",
            stream=descriptor,
        )
    parts = [descriptor.name] + [descriptor.namespace] * (descriptor.namespace is not None)
    if not all(PLAIN.fullmatch(part) for part in parts):
        raise Failure.config(
            f"the stream `{name}` has a name that is not of letters, digits, _ and -, 100 at most",
            stream=descriptor,
        )
    return f"{name}.jsonl"


Destination = lockgate.export_destination(Append)
