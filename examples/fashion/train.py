"""Train a small grey network on Fashion-MNIST: best.pth and log.csv, of which the report is made.

Data: `apt install dataset-fashion-mnist`, or the four files from github.com/zalandoresearch/fashion-mnist.
"""

import argparse
import csv
import gzip
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from net import Net


def read(folder, part, count):
    """The first images of a part, normalised as in `net.py`, and their classes."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    pixels = torch.from_numpy(np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count].copy())
    targets = torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8)[:count].astype(np.int64))
    return (pixels / 255 - 0.286) / 0.353, targets


options = argparse.ArgumentParser()
options.add_argument("data", nargs="?", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
options.add_argument("--epochs", type=int, default=5)
options.add_argument("--images", type=int, default=60_000)
chosen = options.parse_args()
torch.manual_seed(0)
images, targets = read(chosen.data, "train", chosen.images)
held = len(images) // 10  # the last tenth chooses the epoch that is kept
network, best, rows = Net(), 0.0, []
optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
for epoch in range(1, chosen.epochs + 1):
    network.train()
    losses = []
    for batch in torch.randperm(len(images) - held).split(64):
        optimiser.zero_grad()
        loss = F.nll_loss(network(images[batch]), targets[batch])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    network.eval()
    with torch.no_grad():
        answers = network(images[-held:])
    accuracy = (answers.argmax(1) == targets[-held:]).float().mean().item()
    rows.append(
        {
            "epoch": epoch,
            "train_loss": np.mean(losses),
            "val_loss": F.nll_loss(answers, targets[-held:]).item(),
            "val_accuracy": accuracy,
        }
    )
    if accuracy > best:
        best = accuracy
        torch.save({"epoch": epoch, "model_state_dict": network.state_dict()}, "best.pth")
    print(f"epoch {epoch}: validation accuracy {accuracy:.1%}")
with open("log.csv", "w", newline="") as file:
    table = csv.DictWriter(file, rows[0])
    table.writeheader()
    table.writerows(rows)
