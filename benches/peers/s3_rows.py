"""A bucket of a server that answers as S3 does: emptied, or its rows compared with those of a CSV file.

Usage: s3_rows.py make ENDPOINT BUCKET
       s3_rows.py compare ENDPOINT BUCKET PREFIX FILE
"""

import sys

import pyarrow
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
from pyarrow.fs import FileSelector, S3FileSystem

what, endpoint, bucket, *rest = sys.argv[1:]
s3 = S3FileSystem(
    access_key="bench",
    secret_key="bench",
    region="us-east-1",
    endpoint_override=endpoint.split("://")[1],
    scheme="http",
    allow_bucket_creation=True,
    allow_bucket_deletion=True,
)
if what == "make":
    s3.create_dir(bucket)
    s3.delete_dir_contents(bucket)
    sys.exit()

prefix, file = rest
found = s3.get_file_info(FileSelector(f"{bucket}/{prefix.rstrip('/')}", recursive=True))
paths = [info.path for info in found if info.path.endswith(".parquet")]
written = pyarrow.dataset.dataset(paths, filesystem=s3, format="parquet").to_table()
expected = pyarrow.csv.read_csv(file)
assert written.num_rows == expected.num_rows, (written.num_rows, expected.num_rows)
written, expected = written.sort_by("id"), expected.sort_by("id")
for name in expected.column_names:
    ours, theirs = written[name].combine_chunks(), expected[name].combine_chunks()
    if pyarrow.types.is_timestamp(theirs.type):
        ours = ours.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
        theirs = theirs.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
    elif pyarrow.types.is_decimal(ours.type):
        # The other way round is not exact.
        theirs = theirs.cast(ours.type)
    else:
        ours = ours.cast(theirs.type)
    assert ours.null_count == theirs.null_count, name
    assert pc.all(pc.equal(ours, theirs)).as_py(), name
