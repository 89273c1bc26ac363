"""The bare loop over JPEGs with a torch DataLoader: a process that decodes for each core."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from torch.utils.data import DataLoader, Dataset

from _bench.resnet import ResNet, decode
from _bench.rivals import common


class Jpegs(Dataset):
    """The rows, decoded."""

    def __init__(self, table):
        self.ids, self.jpegs = table.column("id").to_numpy(), table.column("jpeg")

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return self.ids[index], decode(self.jpegs[index].as_py())


@torch.inference_mode()
def predict(model, loader):
    """Ids and outputs of all rows."""
    found = []
    for ids, images in loader:
        found.append((ids.numpy(), model(images).numpy()))
        common.first_batch()
    ids, outputs = (np.concatenate(part) for part in zip(*found, strict=True))
    return pa.table({"id": ids, "output": list(outputs)})


def main():
    options = common.arguments()
    torch.set_num_threads(options.cores)
    model = ResNet().eval()
    model.load_state_dict(safetensors.torch.load_file(options.weights))
    rows = pa.concat_tables(pq.read_table(file, columns=["id", "jpeg"]) for file in options.input)
    loader = DataLoader(Jpegs(rows), batch_size=options.batch_size, num_workers=options.cores)
    os.makedirs(options.out)
    pq.write_table(predict(model, loader), os.path.join(options.out, "part-0.parquet"))


if __name__ == "__main__":
    main()
