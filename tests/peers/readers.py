"""What DuckDB and pyarrow read of a folder of Parquet files: types by column, and rows as JSON."""

import json
import sys

import duckdb
import pyarrow.dataset

folder = sys.argv[1]
table = pyarrow.dataset.dataset(folder, format="parquet").to_table()
relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')")
texts = ", ".join(f'"{name}"::VARCHAR AS "{name}"' for name in relation.columns)
json.dump(
    {
        "pyarrow": {
            "types": {field.name: str(field.type) for field in table.schema},
            "rows": [{k: v if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()],
        },
        "duckdb": {
            "types": dict(zip(relation.columns, map(str, relation.types))),
            "rows": [dict(zip(relation.columns, row)) for row in duckdb.sql(f"SELECT {texts} FROM relation").fetchall()],
        },
    },
    sys.stdout,
)
