"""A source on stdio for failure tests: rows, states, and one fault.

The configuration's `mode` is the fault; it happens after `after` rows of the first stream, unless it
says otherwise. `pause` seconds pass before it, so that what was sent before can be confirmed.
"""

import json
import os
import signal
import sys
import time

DEFAULTS = {
    "mode": "ok",
    "streams": ["items"],
    "rows": 20,
    "checkpoint_every": 5,
    "after": 12,
    "pause": 0.0,
    "pad": 0,
    "tag": "new",
    "states": True,
    "stats": True,
    # Rows that `sourceStats` says were rejected, with each state.
    "rejected": 0,
    # Of all streams.
    "incremental": True,
    "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
    "defined": True,
}


def put(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(kind, member, body):
    put(json.dumps({"type": kind, member: body}) + "\n")


def now():
    return int(time.time() * 1000)


def record(stream, number, config):
    data = {"id": number, "tag": config["tag"], "pad": "x" * config["pad"]}
    body = {"stream": stream, "data": data, "emitted_at": now()}
    return json.dumps({"type": "RECORD", "record": body})


def status(stream, word):
    body = {"stream_descriptor": {"name": stream}, "status": word}
    say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": now(), "stream_status": body})


def state(stream, at, count, config):
    if not config["states"]:
        return
    part = {"stream_descriptor": {"name": stream}, "stream_state": {"at": at}}
    body = {"type": "STREAM", "stream": part}
    if config["stats"]:
        body["sourceStats"] = {"recordCount": float(count)}
        if config["rejected"]:
            body["sourceStats"]["rejectedRecordCount"] = float(config["rejected"])
    say("STATE", "state", body)


def busy(config, where):
    """Fails for a reason that passes, as often as the file `times` says."""
    with open(config["times"], "r+", encoding="utf-8") as file:
        left = int(file.read())
        if left == 0:
            return
        file.seek(0)
        file.write(str(left - 1))
        file.truncate()
    error(f"the upstream is busy {where}", "transient_error")
    sys.exit(1)


def error(message, kind="system_error"):
    body = {"message": message, "internal_message": "made for a test", "failure_type": kind}
    say("TRACE", "trace", {"type": "ERROR", "emitted_at": now(), "error": body})


def fault(stream, at, config):
    """What goes wrong amid the rows. Returns when the source goes on after it."""
    mode = config["mode"]
    if mode == "exit-1":
        print("the upstream went away", file=sys.stderr, flush=True)
        sys.exit(1)
    elif mode == "exit-0":
        sys.exit(0)
    elif mode == "transient":
        busy(config, "in read")
    elif mode == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "sigsegv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == "trace-error":
        error("the table items was dropped")
        sys.exit(0)
    elif mode == "garbled":
        put(record(stream, at, config)[:-10] + "\n")
    elif mode == "grown-together":
        put(record(stream, at, config) + record(stream, at + 1, config) + "\n")
    elif mode == "log-and-record":
        put("about to send a row " + record(stream, at, config) + "\n")
    elif mode == "torn":
        # As a crash leaves it: half a line, no line feed, and yet exit code 0.
        put(record(stream, at, config)[:40])
        sys.exit(0)
    elif mode == "wrong-stats":
        state(stream, at, at + 1, config)
    elif mode == "unknown-stream":
        put(record("nobody", at, config) + "\n")
    elif mode == "unknown-stream-state":
        state("nobody", at, 0, config)
    elif mode in ("hang", "hang-hard"):
        if mode == "hang-hard":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


def read(config, catalog, saved):
    mode = config["mode"]
    for number, configured in enumerate(catalog["streams"]):
        stream = configured["stream"]["name"]
        at = saved.get(stream, 0) if configured["sync_mode"] == "incremental" else 0
        since = 0
        status(stream, "STARTED")
        status(stream, "RUNNING")
        while at < config["rows"]:
            if number == 0 and at == config["after"]:
                time.sleep(config["pause"])
                fault(stream, at, config)
            put(record(stream, at, config) + "\n")
            at += 1
            since += 1
            if at % config["checkpoint_every"] == 0:
                state(stream, at, since, config)
                since = 0
        if since:
            state(stream, at, since, config)
        last = number + 1 == len(catalog["streams"])
        if mode == "incomplete" and last:
            status(stream, "INCOMPLETE")
        elif not (mode == "no-complete" and last):
            status(stream, "COMPLETE")
        if mode == "after-complete" and number == 0:
            time.sleep(config["pause"])
            put(record(stream, at, config) + "\n")
    if mode == "trace-error-after-complete":
        time.sleep(config["pause"])
        error("the last page was cut off")
    if mode == "exit-1-after-complete":
        time.sleep(config["pause"])
        sys.exit(1)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    arguments = sys.argv[1:]
    operation = next(a for a in arguments if a in ("spec", "check", "discover", "read"))
    given = {a: b for a, b in zip(arguments, arguments[1:]) if a.startswith("--")}
    if operation == "spec":
        schema = {"type": "object", "properties": {"mode": {"type": "string"}}}
        say("SPEC", "spec", {"connectionSpecification": schema})
        return
    config = {**DEFAULTS, **load(given["--config"])}
    if operation == "check":
        if config["mode"] == "transient-check":
            busy(config, "in check")
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    elif operation == "discover":
        modes = ["full_refresh", "incremental"] if config["incremental"] else ["full_refresh"]
        streams = [
            {
                "name": name,
                "json_schema": config["schema"],
                "supported_sync_modes": modes,
                "source_defined_cursor": config["defined"],
                "default_cursor_field": ["id"] if config["defined"] else [],
            }
            for name in config["streams"]
        ]
        say("CATALOG", "catalog", {"streams": streams})
    else:
        states = load(given["--state"]) if "--state" in given else []
        parts = [s["stream"] for s in states]
        saved = {p["stream_descriptor"]["name"]: p["stream_state"]["at"] for p in parts}
        read(config, load(given["--catalog"]), saved)


main()
