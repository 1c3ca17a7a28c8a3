"""Copies the table `rows` of a schema to another database with dlt, by its fastest way (Arrow tables);
prints the seconds of the copy alone, without imports and start-up.

Usage: dlt_table.py SOURCE_URL SCHEMA TARGET_URL FOLDER
"""

import sys
import time

import dlt
from dlt.sources.sql_database import sql_table

source, schema, target, folder = sys.argv[1:]
pipeline = dlt.pipeline(
    pipeline_name="bench_table",
    destination=dlt.destinations.postgres(credentials=target),
    dataset_name="by_dlt",
    pipelines_dir=folder,
)
start = time.monotonic()
rows = sql_table(credentials=source, schema=schema, table="rows", backend="pyarrow", chunk_size=100_000)
pipeline.run(rows, write_disposition="replace")
print(time.monotonic() - start)
