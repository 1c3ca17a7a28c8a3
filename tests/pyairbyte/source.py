"""PyAirbyte reads a source into its default cache, twice: source.py SETTINGS RESULT"""

import json
import sys
from pathlib import Path

import airbyte as ab

settings = json.loads(Path(sys.argv[1]).read_text())
source = ab.get_source(
    "source-faker-component",
    config=settings["config"],
    local_executable=Path(settings["source"]),
    streams="*",
)
source.check()
first = source.read()
streams = source.get_available_streams()
result = {
    "streams": sorted(streams),
    "processed": first.processed_records,
    "rows": {name: len(first[name].to_pandas()) for name in streams},
    "ids": {name: sorted(int(row["id"]) for row in first[name]) for name in streams},
}
second = source.read()
result["processed_again"] = second.processed_records
result["rows_again"] = {name: len(second[name].to_pandas()) for name in streams}
Path(sys.argv[2]).write_text(json.dumps(result))
