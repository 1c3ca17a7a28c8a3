"""PyAirbyte writes to a destination: destination.py SETTINGS RESULT

SETTINGS and RESULT are JSON files. What PyAirbyte prints is its own affair.
"""

import json
import sys
from pathlib import Path

import airbyte as ab
from airbyte import exceptions

settings = json.loads(Path(sys.argv[1]).read_text())
destination = ab.get_destination(
    "destination-jsonl",
    config={"path": "/out"},
    local_executable=Path(settings["destination"]),
)
destination.print_config_spec(format="json")
destination.check()

refusal = None
wrong = ab.get_destination(
    "destination-jsonl",
    config={"path": "/elsewhere"},
    local_executable=Path(settings["destination"]),
)
try:
    wrong.check()
except exceptions.AirbyteConnectorCheckFailedError as error:
    refusal = str(error)

source = ab.get_source(
    "source-faker",
    config=settings["config"],
    local_executable=Path(settings["source"]),
    streams="*",
)
cached = settings["cached"]
options = {} if cached else {"cache": False, "state_cache": False}
for _ in range(settings["times"]):
    written = destination.write(source, write_strategy=settings["strategy"], **options)
states = written.get_state_provider()
result = {
    "spec": destination.config_spec,
    "refusal": refusal,
    "processed": written.processed_records,
    "states": {
        name: json.loads(states.get_stream_state(name).model_dump_json())
        for name in sorted(states.known_stream_names)
    },
}
Path(sys.argv[2]).write_text(json.dumps(result))
