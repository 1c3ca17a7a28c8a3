"""A destination on stdio that keeps generations apart: what `supportsRefreshes` means.

Rows go to STREAM.jsonl in the directory `path`, each as {"generation": N, "data": {...}}, and are on the
disk before a state is echoed. Once a stream is complete, rows of generations below its minimum go. The
catalog of each write is kept in catalogs.jsonl. Rows with an id below `reject` are rejected, and counted
so in destinationStats. With GENERATIONS=no it says that it only appends.
"""

import json
import os
import sys


def say(kind, member, body):
    sys.stdout.write(json.dumps({"type": kind, member: body}) + "\n")
    sys.stdout.flush()


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class Writer:
    def __init__(self, config, catalog):
        self.config = config
        self.path = config["path"]
        self.streams = {s["stream"]["name"]: s for s in catalog["streams"]}
        self.files = {}
        # Records of each stream since its last state: written and rejected.
        self.since = {}
        with open(self.place("catalogs"), "a", encoding="utf-8") as log:
            log.write(json.dumps(catalog) + "\n")

    def place(self, name):
        return os.path.join(self.path, f"{name}.jsonl")

    def file(self, name):
        if name not in self.files:
            self.files[name] = open(self.place(name), "a", encoding="utf-8")
        return self.files[name]

    def sync(self):
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())

    def record(self, body):
        name = body["stream"]
        written, rejected = self.since.get(name, (0, 0))
        if body["data"]["id"] < self.config.get("reject", 0):
            rejected += 1
        else:
            row = {"generation": self.streams[name]["generation_id"], "data": body["data"]}
            self.file(name).write(json.dumps(row) + "\n")
            written += 1
        self.since[name] = (written, rejected)

    def state(self, state):
        name = state["stream"]["stream_descriptor"]["name"]
        written, rejected = self.since.pop(name, (0, 0))
        state["destinationStats"] = {
            "recordCount": float(written),
            "rejectedRecordCount": float(rejected),
        }
        self.sync()
        say("STATE", "state", state)

    def complete(self, name):
        minimum = self.streams[name]["minimum_generation_id"]
        self.file(name)
        self.sync()
        self.files.pop(name).close()
        with open(self.place(name), encoding="utf-8") as file:
            rows = [line for line in file if json.loads(line)["generation"] >= minimum]
        with open(self.place(name) + ".new", "w", encoding="utf-8") as file:
            file.writelines(rows)
        os.rename(self.place(name) + ".new", self.place(name))

    def run(self):
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "RECORD":
                self.record(message["record"])
            elif message["type"] == "STATE":
                self.state(message["state"])
            elif message["type"] == "TRACE":
                body = message["trace"]
                if body["type"] == "STREAM_STATUS" and body["stream_status"]["status"] == "COMPLETE":
                    self.complete(body["stream_status"]["stream_descriptor"]["name"])
        self.sync()


def main():
    arguments = sys.argv[1:]
    operation = next(a for a in arguments if a in ("spec", "check", "write"))
    given = {a: b for a, b in zip(arguments, arguments[1:]) if a.startswith("--")}
    if operation == "spec":
        body = {
            "connectionSpecification": {"type": "object", "required": ["path"]},
            "supported_destination_sync_modes": ["append"],
            "supportsRefreshes": os.environ.get("GENERATIONS") != "no",
        }
        say("SPEC", "spec", body)
    elif operation == "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    else:
        Writer(load(given["--config"]), load(given["--catalog"])).run()


main()
