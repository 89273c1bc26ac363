#!/usr/bin/env python3
"""Training by hand: what people write for torchrun, without mrmodel.

    python -m torch.distributed.run --nproc-per-node 2 scripts/_bench/by_hand.py FOLDER --out W

Each process holds one file of FOLDER in memory. Rows are shuffled by (0, epoch, rank), as
mrmodel does it with --seed 0. Rank 0 prints its clock as one JSON line.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import safetensors.torch
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parents[1]))

from _bench.classifier import Classifier


def read(folder, rank):
    """The rows of one process, as tensors."""
    table = pq.read_table(sorted(Path(folder).glob("*.parquet"))[rank]).combine_chunks()
    column = table.column("features").combine_chunks()
    features = column.flatten().to_numpy().reshape(len(table), -1)
    label = table.column("label").to_numpy()
    return torch.from_numpy(features.copy()), torch.from_numpy(label.copy())


def train(net, features, label, rank, options):
    """Train `net`; when each epoch was over."""
    model, ends = DistributedDataParallel(net), []
    optimizer = net.configure_optimizers()
    for epoch in range(1, options.epochs + 1):
        order = np.random.default_rng([0, epoch, rank]).permutation(len(label))
        for begin in range(0, len(label), options.batch_size):
            rows = order[begin : begin + options.batch_size]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(features[rows]), label[rows])
            loss.backward()
            optimizer.step()
        ends.append(time.time())
    return ends


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    features, label = read(options.folder, rank)
    torch.manual_seed(0)
    net = Classifier(options.hidden)
    ends = train(net, features, label, rank, options)
    if rank == 0:
        safetensors.torch.save_file(net.state_dict(), options.out)
        print(json.dumps({"ends": ends}), flush=True)
    dist.barrier()
    os._exit(0)  # gloo's threads abort the process now and then when the group is destroyed


if __name__ == "__main__":
    main()
