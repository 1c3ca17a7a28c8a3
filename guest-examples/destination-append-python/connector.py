"""Appends the rows of each stream to a file of JSON lines: the example of a destination in Python.

A checkpoint is committed once the rows before it are on the disk.
"""

import os
import re

import lockgate
from lockgate import Failure

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
        try:
            files = [open(os.path.join(config["path"], name), "ab") for name in names]
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
    if stream.destination_sync_mode is not append or stream.minimum_generation_id != 0:
        raise Failure.config(
            f"the stream `{name}` is to replace or change rows, and this destination only appends",
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
