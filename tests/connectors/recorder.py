"""A destination that keeps its input byte for byte in DIR/received and echoes each state as it
came: recorder.py DIR OPERATION [ARGUMENTS]"""

import json
import os
import sys


def say(kind, member, body):
    print(json.dumps({"type": kind, member: body}))


def write(path):
    with open(path, "ab") as received:
        for line in sys.stdin.buffer:
            received.write(line)
            # Only the beginning is looked at: a line may have megabytes.
            if line.startswith(b'{"type":"STATE"'):
                received.flush()
                os.fsync(received.fileno())
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()


match sys.argv[2]:
    case "spec":
        modes = {"supported_destination_sync_modes": ["append"]}
        say("SPEC", "spec", {"connectionSpecification": {"type": "object"}, **modes})
    case "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    case "write":
        write(os.path.join(sys.argv[1], "received"))
