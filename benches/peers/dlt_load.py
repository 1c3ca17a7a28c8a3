"""Loads a CSV file into a table with dlt, by its fastest way (Arrow tables); prints the seconds of
the load alone, without imports and start-up.

Usage: dlt_load.py FILE DESTINATION URL FOLDER     DESTINATION: postgres or sqlalchemy
"""

import sys
import time

import dlt
import pyarrow.csv

file, kind, url, folder = sys.argv[1:]
destination = getattr(dlt.destinations, kind)(credentials=url)


@dlt.resource(name="bench_dlt", write_disposition="replace")
def rows():
    with pyarrow.csv.open_csv(file) as reader:
        for batch in reader:
            yield batch


pipeline = dlt.pipeline(
    pipeline_name="bench", destination=destination, dataset_name="bench_dlt", pipelines_dir=folder
)
start = time.monotonic()
pipeline.run(rows())
print(time.monotonic() - start)
