"""A source on stdio whose tables are a file: table_source.py FILE OPERATION [ARGUMENTS]

The file says for each stream its rows as texts, in the order in which they were written, so that a row
that changed is there again with its new values. An incremental read gives the rows after the state. What else
is in the file: `states` (stream, global, legacy, none), `every` (rows between two states), `fail_after`
(rows until it fails), `pause` (seconds before each row).
"""

import json
import sys
import time

EMITTED = 1_700_000_000_000


def put(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(kind, member, body):
    put(json.dumps({"type": kind, member: body}))


def descriptor(stream):
    return {k: stream[k] for k in ("name", "namespace") if stream.get(k) is not None}


def key(stream):
    return json.dumps(descriptor(stream), sort_keys=True)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def offered(stream):
    modes = ["full_refresh"] if stream.get("full_only") else ["full_refresh", "incremental"]
    return {
        **descriptor(stream),
        "json_schema": stream.get("schema", {"type": "object", "properties": {"id": {"type": "integer"}}}),
        "supported_sync_modes": modes,
        "source_defined_cursor": not stream.get("full_only"),
        "source_defined_primary_key": stream.get("key", []),
    }


def saved(states):
    """Where each stream is."""
    at = {}
    for state in states:
        # What is not a source's word must not come back to it.
        assert "lockgate" not in json.dumps(state), "a place in a cache was given to the source"
        if state.get("type") == "STREAM":
            at[key(state["stream"]["stream_descriptor"])] = state["stream"]["stream_state"]["at"]
        elif state.get("type") == "GLOBAL":
            for part in state["global"]["stream_states"]:
                at[key(part["stream_descriptor"])] = part["stream_state"]["at"]
        elif state.get("type") == "LEGACY":
            at.update(state["data"])
    return at


def state(tables, stream, at, count):
    kind = tables.get("states", "stream")
    stats = {"sourceStats": {"recordCount": float(count)}}
    if kind == "stream":
        body = {"stream_descriptor": descriptor(stream), "stream_state": {"at": at[key(stream)]}}
        say("STATE", "state", {"type": "STREAM", "stream": body, "x-own": 9007199254740993, **stats})
    elif kind == "global":
        parts = [
            {"stream_descriptor": json.loads(name), "stream_state": {"at": place}}
            for name, place in at.items()
        ]
        shared = {"lsn": sum(at.values())}
        body = {"shared_state": shared, "stream_states": parts}
        say("STATE", "state", {"type": "GLOBAL", "global": body, **stats})
    elif kind == "legacy":
        say("STATE", "state", {"type": "LEGACY", "data": at, **stats})


def read(tables, configured, states):
    given = saved(states)
    of = {key(stream): stream for stream in tables["streams"]}
    chosen = [(of[key(c["stream"])], c["sync_mode"] == "incremental") for c in configured]
    at = {key(s): given.get(key(s), 0) if incremental else 0 for s, incremental in chosen}
    left = tables.get("fail_after")
    count = 0
    for stream, _ in chosen:
        name, rows = key(stream), stream["rows"]
        if tables.get("states", "stream") == "stream":
            count = 0
        while at[name] < len(rows):
            if left == 0:
                sys.exit("the upstream went away")
            left = left if left is None else left - 1
            time.sleep(tables.get("pause", 0))
            number, row = at[name], rows[at[name]]
            head = json.dumps({"stream": stream["name"]})[:-1]
            if stream.get("namespace") is not None:
                head += ', "namespace": ' + json.dumps(stream["namespace"])
            meta = ""
            if number % 4 == 3:
                change = {"field": "id", "change": "NULLED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"}
                meta = ', "meta": ' + json.dumps({"changes": [change]})
            put(f'{{"type":"RECORD","record":{head}, "data":{row}, "emitted_at":{EMITTED + number}{meta}}}}}')
            at[name] += 1
            count += 1
            if count == tables.get("every", 3):
                state(tables, stream, at, count)
                count = 0
        # A source says where it is at the end of each stream.
        if not tables.get("no_last_state"):
            state(tables, stream, at, count)
            count = 0
        body = {"stream_descriptor": descriptor(stream), "status": "COMPLETE"}
        say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": body})


def main():
    tables = load(sys.argv[1])
    given = {a: b for a, b in zip(sys.argv, sys.argv[1:]) if a.startswith("--")}
    match sys.argv[2]:
        case "spec":
            say("SPEC", "spec", {"connectionSpecification": {"type": "object"}})
        case "check":
            say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
        case "discover":
            say("CATALOG", "catalog", {"streams": [offered(s) for s in tables["streams"]]})
        case "read":
            states = load(given["--state"]) if "--state" in given else []
            states = [{"type": "LEGACY", "data": states}] if isinstance(states, dict) else states
            read(tables, load(given["--catalog"])["streams"], states)


main()
