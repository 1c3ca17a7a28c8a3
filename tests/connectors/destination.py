"""A destination on stdio for failure tests: files of JSON lines, echoes of states, and one fault.

The configuration's `mode` is the fault and `path` the directory; `after` is how many records come
before it. A state is echoed once its rows are on the disk, and `acks.log` beside the rows says
what was echoed. Appended rows go to STREAM.jsonl; replacing rows go to .STREAM.partial, which takes
the name when the stream is complete.
"""

import json
import os
import signal
import sys
import time

DEFAULTS = {"mode": "ok", "after": 7, "pause": 0.0}


def put(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(kind, member, body):
    put(json.dumps({"type": kind, member: body}) + "\n")


def error(message):
    body = {"message": message, "internal_message": "made for a test", "failure_type": "system_error"}
    say("TRACE", "trace", {"type": "ERROR", "emitted_at": 0, "error": body})


class Writer:
    def __init__(self, config, catalog):
        self.config = config
        self.mode = config["mode"]
        self.path = config["path"]
        self.files = {}
        self.records = 0
        # Records of each stream since its last state.
        self.since = {}
        self.held = []
        self.replaced = {
            s["stream"]["name"]: s["destination_sync_mode"] == "overwrite" for s in catalog["streams"]
        }
        for name in self.replaced:
            partial = self.partial(name)
            if os.path.exists(partial):
                os.remove(partial)

    def partial(self, name):
        return os.path.join(self.path, f".{name}.partial")

    def final(self, name):
        return os.path.join(self.path, f"{name}.jsonl")

    def file(self, name):
        if name not in self.files:
            if self.replaced[name]:
                self.files[name] = open(self.partial(name), "w", encoding="utf-8")
            else:
                self.files[name] = open(self.final(name), "a", encoding="utf-8")
        return self.files[name]

    def sync(self):
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())

    def echo(self, state):
        """Echoes and notes it, undivided by a polite stop."""
        self.sync()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        say("STATE", "state", state)
        with open(os.path.join(self.path, "acks.log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(state) + "\n")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def record(self, body):
        name = body["stream"]
        self.file(name).write(json.dumps(body["data"]) + "\n")
        self.since[name] = self.since.get(name, 0) + 1
        self.records += 1
        if self.records == self.config["after"]:
            self.fault()

    def fault(self):
        mode = self.mode
        if mode not in ("ok", "hang-hard"):
            time.sleep(self.config["pause"])
        if mode == "exit-0":
            sys.exit(0)
        elif mode == "exit-1":
            print("the disk is full", file=sys.stderr, flush=True)
            sys.exit(1)
        elif mode == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif mode == "sigsegv":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif mode == "trace-error":
            error("the warehouse is read-only")
            sys.exit(0)
        elif mode == "record":
            put('{"type":"RECORD","record":{"stream":"items","data":{},"emitted_at":1}}\n')
            time.sleep(600)

    def state(self, state):
        mode = self.mode
        name = state["stream"]["stream_descriptor"]["name"]
        count = self.since.pop(name, 0)
        if mode == "ack-unknown":
            state["stream"]["stream_state"] = {"at": 999}
            self.echo(state)
        elif mode == "ack-unknown-stream":
            state["stream"]["stream_descriptor"]["name"] = "nobody"
            self.echo(state)
        elif mode == "ack-twice":
            self.echo(state)
            self.echo(state)
        elif mode == "ack-out-of-order":
            self.held.append(state)
            if len(self.held) == 2:
                self.echo(self.held.pop())
                self.echo(self.held.pop())
        elif mode == "no-last-ack":
            self.held.append(state)
            if len(self.held) == 2:
                self.echo(self.held.pop(0))
        elif mode == "never-ack":
            pass
        elif mode == "wrong-stats":
            state["destinationStats"] = {"recordCount": float(count + 1)}
            self.echo(state)
        else:
            state["destinationStats"] = {"recordCount": float(count)}
            self.echo(state)

    def trace(self, body):
        if body["type"] != "STREAM_STATUS" or body["stream_status"]["status"] != "COMPLETE":
            return
        name = body["stream_status"]["stream_descriptor"]["name"]
        self.file(name)
        self.sync()
        self.files.pop(name).close()
        if self.replaced[name]:
            os.rename(self.partial(name), self.final(name))

    def run(self):
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "RECORD":
                self.record(message["record"])
            elif message["type"] == "STATE":
                self.state(message["state"])
            elif message["type"] == "TRACE":
                self.trace(message["trace"])
        self.sync()
        if self.mode == "trace-error-at-end":
            error("the last batch was refused")
        elif self.mode == "exit-1-at-end":
            sys.exit(1)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    arguments = sys.argv[1:]
    operation = next(a for a in arguments if a in ("spec", "check", "write"))
    given = {a: b for a, b in zip(arguments, arguments[1:]) if a.startswith("--")}
    if operation == "spec":
        schema = {"type": "object", "required": ["path"]}
        modes = ["append", "overwrite"]
        body = {"connectionSpecification": schema, "supported_destination_sync_modes": modes}
        say("SPEC", "spec", {**body, "supportsIncremental": True})
        return
    config = {**DEFAULTS, **load(given["--config"])}
    if operation == "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
        return
    if config["mode"] == "exit-0-unread":
        # Late enough that all input lies in the pipe.
        time.sleep(0.5)
        return
    if config["mode"] == "hang-hard":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Writer(config, load(given["--catalog"])).run()


main()
