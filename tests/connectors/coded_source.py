#!/usr/bin/env python3
"""A source on stdio whose `read` is the code in its configuration: for tests of single odd deeds."""

import json
import sys


def say(kind, member, body):
    sys.stdout.write(json.dumps({"type": kind, member: body}) + "\n")
    sys.stdout.flush()


def descriptor(stream):
    return {k: stream[k] for k in ("name", "namespace") if k in stream}


def row(stream, data):
    body = {"stream": stream["name"], "data": data, "emitted_at": 1}
    if "namespace" in stream:
        body["namespace"] = stream["namespace"]
    say("RECORD", "record", body)


def complete(stream):
    status = {"stream_descriptor": descriptor(stream), "status": "COMPLETE"}
    say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": status})


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    arguments = sys.argv[1:]
    given = {a: b for a, b in zip(arguments, arguments[1:]) if a.startswith("--")}
    operation = next(a for a in arguments if a in ("spec", "check", "discover", "read"))
    if operation == "spec":
        schema = {"type": "object", "properties": {"token": {"type": "string"}}}
        say("SPEC", "spec", {"connectionSpecification": schema})
        return
    config = load(given["--config"])
    if operation == "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    elif operation == "discover":
        both = {
            "json_schema": {"type": "object"},
            "supported_sync_modes": ["full_refresh", "incremental"],
            "source_defined_cursor": True,
        }
        say("CATALOG", "catalog", {"streams": [{**both, **s} for s in config["streams"]]})
    else:
        configured = load(given["--catalog"])["streams"]
        names = {
            "config": config,
            "configured": configured,
            "streams": [c["stream"] for c in configured],
            "saved": load(given["--state"]) if "--state" in given else [],
            "say": say,
            "row": row,
            "complete": complete,
            "descriptor": descriptor,
            "sys": sys,
        }
        exec(config["code"], names)  # noqa: S102


main()
