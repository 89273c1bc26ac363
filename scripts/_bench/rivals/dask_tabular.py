"""The MLP over 30 columns of Parquet with Dask: map_partitions on a local cluster."""

import functools

import dask.dataframe as dd
import pandas as pd
from dask.distributed import Client, LocalCluster

from _bench.rivals import common

COLUMNS = [f"f{i}" for i in range(30)]


@functools.cache
def model(weights):
    """Loaded once in each worker."""
    import safetensors.torch
    import torch

    from _bench.mlp import MLP

    torch.set_num_threads(1)
    net = MLP().eval()
    net.load_state_dict(safetensors.torch.load_file(weights))
    return net


def predict(rows, weights, batch_size):
    """A partition's predictions."""
    import torch

    features = torch.from_numpy(rows[COLUMNS].to_numpy())
    with torch.inference_mode():
        found = torch.cat([model(weights)(batch) for batch in features.split(batch_size)])
    common.first_batch()
    return pd.DataFrame({"id": rows["id"].to_numpy(), "output": found.numpy()})


def main():
    options = common.arguments()
    cluster = LocalCluster(n_workers=options.cores, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster):
        rows = dd.read_parquet(options.input, columns=["id", *COLUMNS])
        found = rows.map_partitions(
            predict,
            *(options.weights, options.batch_size),
            meta={"id": "int64", "output": "float32"},
        )
        found.to_parquet(options.out, write_index=False)


if __name__ == "__main__":
    main()
