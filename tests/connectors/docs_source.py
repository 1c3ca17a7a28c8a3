"""The source that a recorded destination was given: 500 rows of the stream docs, a state after
each 100, as Airbyte's Python sources write them."""

import json
import sys


def say(kind, member, body):
    print(json.dumps({"type": kind, member: body}, separators=(",", ":")))


def status(word):
    stream = {"stream_descriptor": {"name": "docs"}, "status": word}
    say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": 1.5, "stream_status": stream})


def read():
    status("STARTED")
    for number in range(500):
        data = {"id": number, "content": f"text {number}"}
        say("RECORD", "record", {"stream": "docs", "data": data, "emitted_at": 1700000000000})
        if number % 100 == 99:
            state = {"stream_descriptor": {"name": "docs"}, "stream_state": {"c": number}}
            stats = {"recordCount": 100.0}
            say("STATE", "state", {"type": "STREAM", "stream": state, "sourceStats": stats})
    status("COMPLETE")


match sys.argv[1]:
    case "spec":
        say("SPEC", "spec", {"connectionSpecification": {"type": "object"}})
    case "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    case "discover":
        stream = {
            "name": "docs",
            "json_schema": {"type": "object"},
            "supported_sync_modes": ["full_refresh", "incremental"],
            "source_defined_cursor": True,
            "source_defined_primary_key": [["id"]],
        }
        say("CATALOG", "catalog", {"streams": [stream]})
    case "read":
        read()
