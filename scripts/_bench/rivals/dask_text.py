"""MiniLM over Parquet with Dask: map_partitions on a local cluster."""

import functools

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
from dask.distributed import Client, LocalCluster

from _bench.rivals import common


@functools.cache
def model(*arguments):
    """Loaded once in each worker."""
    from _bench.rivals.embedder import Embedder

    return Embedder(*arguments)


def embed(rows, *arguments):
    """A partition's embeddings."""
    vectors = model(*arguments)(rows["text"].tolist())
    common.first_batch()
    return pd.DataFrame({"id": rows["id"].to_numpy(), "embedding": list(vectors)})


def main():
    options = common.arguments()
    cluster = LocalCluster(n_workers=options.cores, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster):
        rows = dd.read_parquet(options.input, columns=["id", "text"])
        found = rows.map_partitions(
            embed,
            *(options.weights, options.batch_size, options.sorted),
            meta={"id": "int64", "embedding": "object"},
        )
        schema = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32()))])
        found.to_parquet(options.out, write_index=False, schema=schema)


if __name__ == "__main__":
    main()
