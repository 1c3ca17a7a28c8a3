"""Copies the table `rows` of a schema with dlt, as Arrow tables (its backend pyarrow): to another database, or
to files of Parquet in a bucket. Prints the seconds of the copy alone, without imports and start-up.

Usage: dlt_table.py SOURCE_URL SCHEMA TARGET_URL FOLDER
       dlt_table.py SOURCE_URL SCHEMA s3://BUCKET FOLDER ENDPOINT
"""

import sys
import time

import dlt
from dlt.sources.sql_database import sql_table

source, schema, target, folder, *endpoint = sys.argv[1:]
# As SQLAlchemy writes it, with the driver that dlt comes with.
source = source.replace("postgres://", "postgresql+psycopg2://", 1)
if endpoint:
    destination = dlt.destinations.filesystem(
        bucket_url=target,
        credentials={
            "aws_access_key_id": "bench",
            "aws_secret_access_key": "bench",
            "endpoint_url": endpoint[0],
            "region_name": "us-east-1",
        },
    )
    how = {"loader_file_format": "parquet"}
else:
    destination, how = dlt.destinations.postgres(credentials=target), {}
pipeline = dlt.pipeline(
    pipeline_name="bench_table",
    destination=destination,
    dataset_name="by_dlt",
    pipelines_dir=folder,
)
start = time.monotonic()
rows = sql_table(credentials=source, schema=schema, table="rows", backend="pyarrow", chunk_size=100_000)
pipeline.run(rows, write_disposition="replace", **how)
print(time.monotonic() - start)
