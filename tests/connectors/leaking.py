#!/usr/bin/env python3
"""An Airbyte connector that tells every secret it was given, in the way its configuration asks for."""

import base64
import json
import os
import sys
import urllib.parse


def forms(value):
    raw = value.encode()
    yield value
    yield json.dumps(value)
    yield json.dumps(json.dumps(value))
    yield repr(value)
    yield urllib.parse.quote(value)
    yield urllib.parse.quote_plus(value)
    yield urllib.parse.quote(value, safe="").lower() if "%" in urllib.parse.quote(value) else value
    yield raw.hex()
    yield raw.hex().upper()
    yield base64.b32encode(raw).decode()
    for before in ("", "u", "u:", "user:"):
        for after in ("", "@", "@h"):
            text = (before + value + after).encode()
            yield base64.b64encode(text).decode()
            yield base64.urlsafe_b64encode(text).decode().rstrip("=")


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def arguments():
    words = sys.argv[2:]
    return dict(zip(words[::2], words[1::2]))


def main():
    operation, options = sys.argv[1], arguments()
    config = json.load(open(options["--config"])) if "--config" in options else {}
    values = list(strings(config.get("told", {})))
    values += [v for k, v in os.environ.items() if k.startswith("MARK")]
    told = [form for value in values for form in forms(value)]
    by = config.get("by", "") if config.get("during") == operation else ""
    every = " ".join(told)
    if by == "argv":
        # What others see of this process.
        for place in (f"{os.getpid()}/cmdline", f"{os.getpid()}/environ", f"{os.getppid()}/cmdline"):
            text = open(f"/proc/{place}", "rb").read()
            if any(v.encode() in text for v in strings(config.get("told", {}))):
                sys.exit("seen " + place)
    if by == "stderr":
        sys.stderr.write("\n".join(told) + "\n")
        sys.exit(3)
    if by == "noise":
        print("\n".join(told))
        print("x" * 1990 + every, flush=True)
    if by == "log":
        for text in told:
            say({"type": "LOG", "log": {"level": "ERROR", "message": text, "stack_trace": text}})
    if by == "trace":
        error = {"message": every, "internal_message": every, "stack_trace": every, "failure_type": "system_error"}
        say({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}})
        sys.exit(1)
    if by == "garbled":
        print('{"type":"RECORD","record":{"stream":"rows","data":{' + every, flush=True)
    if by == "status":
        say({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "FAILED", "message": every}})
    if by == "control":
        for text in told:
            body = {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": {text: [text]}}}
            say({"type": "CONTROL", "control": body})
    if operation == "spec":
        schema = {"type": "object", "description": every, "properties": {text: {"title": text} for text in told}}
        spec = {"connectionSpecification": schema, "documentationUrl": every, "changelogUrl": every}
        say({"type": "SPEC", "spec": spec})
    elif operation == "check":
        say({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}})
    elif operation == "discover":
        name = every if by == "name" else "rows"
        schema = {"type": "object", "properties": {text: {} for text in told}} if by == "schema" else {}
        modes = ["full_refresh", "incremental"]
        stream = {"name": name, "json_schema": schema, "supported_sync_modes": modes, "source_defined_cursor": True}
        say({"type": "CATALOG", "catalog": {"streams": [stream]}})
    elif operation == "read":
        descriptor = {"name": "rows"}
        if "--state" in options:
            state = json.load(open(options["--state"]))[0]["stream"]["stream_state"]
            if config.get("by") == "state" and state.get("told") != told:
                sys.exit("the state came back changed")
        trace = {"type": "STREAM_STATUS", "emitted_at": 1}
        say({"type": "TRACE", "trace": {**trace, "stream_status": {"stream_descriptor": descriptor, "status": "STARTED"}}})
        record = {"stream": "rows", "emitted_at": 1, "data": {"told": told if by == "rows" else []}}
        say({"type": "RECORD", "record": record})
        state = {"told": told} if config.get("by") == "state" else {"n": 1}
        # Escapes that no reader sees.
        text = json.dumps({"stream_descriptor": descriptor, "stream_state": state}).replace("m", "\\u006d")
        text = text.replace("na\\u006de", "name").replace("strea\\u006d", "stream")
        print('{"type":"STATE","state":{"type":"STREAM","stream":%s}}' % text, flush=True)
        say({"type": "TRACE", "trace": {**trace, "stream_status": {"stream_descriptor": descriptor, "status": "COMPLETE"}}})


main()
