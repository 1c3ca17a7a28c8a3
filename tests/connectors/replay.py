"""Replays a recording as the connector it was made of.

replay.py FOLDER [NAME=VALUE ...] OPERATION [ARGUMENTS]

Prints FOLDER/OPERATION.jsonl and FOLDER/OPERATION.stderr byte for byte and ends with the exit code
in FOLDER/OPERATION.exit, or 0. OPERATION=PATH takes another recording for an operation. log=DIR
keeps the files it was given there, as OPERATION.config.json and so on.
"""

import json
import os
import shutil
import sys


def content(path, otherwise=b""):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return otherwise


def message(line):
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_until(wanted):
    """Reads input until a message of the wanted type has been read, or to the end."""
    for line in sys.stdin.buffer:
        if message(line).get("type") == wanted:
            return


def write(recorded):
    """A destination's output, no earlier than its real input allowed it.

    It acknowledges a state after a state came in, fails after a row came in, and ends after the
    input has ended.
    """
    output = sys.stdout.buffer
    states_left = sum(message(line).get("type") == "STATE" for line in recorded)
    failed = False
    for line in recorded:
        kind = message(line)
        if kind.get("type") == "STATE":
            read_until("STATE")
            states_left -= 1
        elif kind.get("log", {}).get("level") == "FATAL" and not failed:
            read_until("RECORD")
            failed = True
        elif states_left == 0 and not failed and "Begin writing" not in kind["log"]["message"]:
            read_until(None)
        output.write(line)
        output.flush()


def main():
    folder, *arguments = sys.argv[1:]
    options = {}
    while "=" in arguments[0]:
        name, value = arguments.pop(0).split("=", 1)
        options[name] = value
    operation, *rest = arguments
    if "log" in options:
        for flag, path in zip(rest[::2], rest[1::2]):
            shutil.copy(path, os.path.join(options["log"], f"{operation}.{flag[2:]}.json"))
    name = os.path.join(folder, options.get(operation, operation))
    if not any(os.path.exists(name + end) for end in (".jsonl", ".stderr", ".exit")):
        sys.exit(f"there is no recording of {operation} in {folder}")
    sys.stderr.buffer.write(content(name + ".stderr"))
    sys.stderr.flush()
    recorded = content(name + ".jsonl")
    if operation == "write":
        write(recorded.splitlines(keepends=True))
    else:
        sys.stdout.buffer.write(recorded)
        sys.stdout.flush()
    sys.exit(int(content(name + ".exit", b"0")))


main()
