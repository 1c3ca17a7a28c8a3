"""Moves a stdio source's records into a stdio destination with PyAirbyte; prints the seconds of
the write alone, without imports and start-up."""

import pathlib
import sys
import time

import airbyte

source = airbyte.get_source("source-rows", config={}, local_executable=pathlib.Path(sys.argv[1]))
destination = airbyte.get_destination(
    "destination-native", config={}, local_executable=pathlib.Path(sys.argv[2])
)
source.select_all_streams()
start = time.monotonic()
destination.write(source, cache=False, state_cache=False)
print(time.monotonic() - start)
