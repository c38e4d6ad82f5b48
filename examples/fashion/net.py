"""A network as they are often written: rectifiers, poolings and the log-softmax are functions."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images):
        """(N, 1, 28, 28), of mean 0.286 and standard deviation 0.353 -> log-probabilities (N, 10)."""
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        hidden = F.relu(self.fc1(torch.flatten(maps, 1)))
        return F.log_softmax(self.fc2(hidden), dim=1)
