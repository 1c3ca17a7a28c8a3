"""Reads a stdio source into PyAirbyte's default kind of cache; prints the seconds of the read alone,
without imports and start-up.

Usage: pyairbyte_cache.py SOURCE FOLDER
"""

import pathlib
import sys
import time

import airbyte
from airbyte.caches import DuckDBCache

source = airbyte.get_source("source-rows", config={}, local_executable=pathlib.Path(sys.argv[1]))
cache = DuckDBCache(db_path=pathlib.Path(sys.argv[2]) / "pyairbyte.duckdb")
source.select_all_streams()
start = time.monotonic()
source.read(cache=cache, write_strategy="replace")
print(time.monotonic() - start)
