"""Train DigitsCNN on the train rows and save its weights: `python examples/digits/train.py`.

The number of epochs was fixed beforehand: the test rows choose nothing, they are only scored at
the end. Takes about a minute on one core.
"""

from pathlib import Path

import pyarrow.dataset as ds
import safetensors.torch
import torch
from model import DigitsCNN
from torch import nn

HERE = Path(__file__).parent
WEIGHTS = HERE / "digits.safetensors"
EPOCHS = 60
BATCH = 64


def read_split(split):
    """(pixels, labels) of the rows of one split."""
    rows = ds.dataset(HERE / "data").to_table(filter=ds.field("split") == split)
    pixels = rows["pixels"].combine_chunks().flatten().to_numpy().reshape(-1, 64)
    return torch.tensor(pixels), torch.tensor(rows["label"].to_numpy())


def shifted(pixels):
    """The images of a batch, moved together by up to one pixel, with a little noise."""
    down, right = torch.randint(-1, 2, (2,)).tolist()
    images = pixels.reshape(-1, 8, 8)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    moved = padded[:, 1 - down : 9 - down, 1 - right : 9 - right]
    return (moved + 0.5 * torch.randn_like(moved)).reshape(-1, 64)


def train(model, pixels, labels):
    """Adam with a one-cycle learning rate for EPOCHS passes over the rows."""
    steps = -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.005, EPOCHS * steps)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(model(shifted(pixels[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def accuracy(model, pixels, labels):
    """The share of rows whose highest score is the label's."""
    model.eval()
    with torch.inference_mode():
        return (model(pixels).argmax(1) == labels).double().mean().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = DigitsCNN()
    train(model, *read_split("train"))
    safetensors.torch.save_file(model.state_dict(), WEIGHTS)
    print(f"accuracy on train rows:    {accuracy(model, *read_split('train')):.4f}")
    print(f"accuracy on held-out rows: {accuracy(model, *read_split('test')):.4f}")
    print(f"wrote {WEIGHTS}")
