#!/usr/bin/env python3
"""A source on stdio whose token works once: each `check` (where its configuration says so) and each
`read` makes it useless and sends the next one back, within the whole configuration.

`valid` names the file that holds the token which works; a member `change` is sent back as well.
"""

import json
import sys


def say(kind, member, body):
    sys.stdout.write(json.dumps({"type": kind, member: body}) + "\n")
    sys.stdout.flush()


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def rotate(config):
    with open(config["valid"], encoding="utf-8") as file:
        valid = file.read().strip()
    holder = config["auth"] if "auth" in config else config
    if holder["token"] != valid:
        failure = {"message": "the token was used before", "failure_type": "config_error"}
        say("TRACE", "trace", {"type": "ERROR", "emitted_at": 1, "error": failure})
        sys.exit(1)
    name, _, number = valid.rpartition("-")
    holder["token"] = f"{name}-{int(number) + 1}"
    with open(config["valid"], "w", encoding="utf-8") as file:
        file.write(holder["token"])
    config.update(config.get("change", {}))
    body = {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": config}}
    say("CONTROL", "control", body)


def main():
    arguments = sys.argv[1:]
    given = {a: b for a, b in zip(arguments, arguments[1:]) if a.startswith("--")}
    operation = next(a for a in arguments if a in ("spec", "check", "discover", "read"))
    if operation == "spec":
        members = {"token": {"type": "string"}, "limit": {"type": "integer"}}
        say("SPEC", "spec", {"connectionSpecification": {"type": "object", "properties": members}})
        return
    config = load(given["--config"])
    stream = {"name": "s"}
    if operation == "check":
        if config.get("during") == "check":
            rotate(config)
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    elif operation == "discover":
        modes = {"supported_sync_modes": ["full_refresh", "incremental"]}
        more = {"json_schema": {"type": "object"}, "source_defined_cursor": True}
        say("CATALOG", "catalog", {"streams": [{**stream, **modes, **more}]})
    else:
        if config.get("during") != "check":
            rotate(config)
        say("RECORD", "record", {"stream": "s", "data": {"n": 1}, "emitted_at": 1})
        state = {"stream_descriptor": stream, "stream_state": {"n": 1}}
        say("STATE", "state", {"type": "STREAM", "stream": state})
        status = {"stream_descriptor": stream, "status": "COMPLETE"}
        say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": status})


main()
