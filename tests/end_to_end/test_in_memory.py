"""`generator.report(...)`: from Datasets with transforms, and from arrays, to a site whose numbers are a script's."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

import generator
from generator.__main__ import main
from tests.data_sets import kitchen
from tests.end_to_end.test_folders import words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
CLASSES = ("cups", "forks", "spoons")
NORM = transforms.Normalize((0.4, 0.45, 0.5), (0.2, 0.25, 0.3))


class Net(nn.Module):
    """As people write them: functional, with a log-softmax, dropout and a batch norm."""

    def __init__(self, channels: int = 3, classes: int = 3) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.norm, self.drop, self.fc = nn.BatchNorm2d(6), nn.Dropout(0.2), nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.conv2(F.max_pool2d(F.relu(self.norm(self.conv1(images))), 2)))
        return F.log_softmax(self.fc(self.drop(maps.mean((2, 3)))), 1)


def trained(net: Net, dataset: Any, epochs: int, rate: float) -> Net:
    """In train mode, with the gradients of its last step, as a train.py has it at its end."""
    optimiser = torch.optim.Adam(net.parameters(), rate)
    for _ in range(epochs):
        for images, labels in DataLoader(dataset, 12, shuffle=True):
            optimiser.zero_grad()
            F.nll_loss(net(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return net


def right(net: nn.Module, dataset: Any) -> int:
    """How many images a network names rightly, asked as anybody's script would."""
    count = 0
    net.eval()
    with torch.no_grad():
        for images, labels in DataLoader(dataset, 5):
            count += int((net(images).argmax(1) == labels).sum())
    net.train()
    return count


def state(net: nn.Module) -> list[Any]:
    """All that a report might change of a network, and of what draws numbers at random."""
    return [
        [(name, module.training, sorted(vars(module))) for name, module in net.named_modules()],
        [(name, each.tolist()) for name, each in net.state_dict().items()],
        [(each.requires_grad, str(each.device), None if each.grad is None else each.grad.tolist()) for each in
         net.parameters()],
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002
        torch.get_rng_state().tolist(),
    ]  # fmt: skip


def results(folder: Path) -> Any:
    return json.loads((folder / "site" / "results.json").read_text("utf-8"))


def test_from_datasets_whose_transform_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kitchen(tmp_path / "kitchen", {"train": 16, "test": 9}, ("cups", "spoons", "forks"))
    for number in range(4):  # that nobody can name rightly
        place = tmp_path / "kitchen" / "test"
        (place / "cups" / f"{number}.png").rename(place / "forks" / f"cup {number}.png")
    judging = transforms.Compose([transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor(), NORM])
    augmenting = transforms.Compose(
        [transforms.RandomResizedCrop(32, (0.6, 1)), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORM]
    )
    test, train = ImageFolder("kitchen/test", judging), ImageFolder("kitchen/train", augmenting)
    torch.manual_seed(0)
    net = trained(Net(), train, 2, 0.005)
    net.conv1.weight.requires_grad = False
    scripted, fitted, before = right(net, test), right(net, ImageFolder("kitchen/train", judging)), state(net)
    assert 9 < scripted < 27  # some of them right and some wrong

    index = generator.report(net, DataLoader(test, 4), DataLoader(train, 4, shuffle=True), title="My net", strict=True)
    assert index == Path("site/index.html")
    assert state(net) == before
    assert (test.transform, train.transform) == (judging, augmenting)
    assert main(["check", "--out", "site"]) == 0
    found = results(tmp_path)
    scores = found["networks"]["net"]["evaluation"]["splits"]
    assert {part: (round(each["top1"] * each["count"]), each["count"]) for part, each in scores.items()} == {
        "train": (fitted, 48),
        "test": (scripted, 27),
    }
    assert found["data"]["class_names"] == list(CLASSES)
    about = words(tmp_path, "about")
    assert "generator.report(model, test_set, train_set, title=" in about
    assert "against test_set it is given the same numbers measured: compared on 27 images" in about
    assert "resize and crop the shorter side to 36, the middle cut out read: the transform of test_set" in about
    assert "mean 0.4, 0.45, 0.5 read: the transform of test_set" in about
    assert "kitchen has 3 classes" in words(tmp_path, "data")
    assert "from 60 × 40 to 72 × 72 pixels large" in words(tmp_path, "data")  # not as they are cut
    capsys.readouterr()

    generator.report(net, test, train, title="My net", strict=True)
    assert capsys.readouterr().out.startswith("nothing has changed")
    few = Subset(test, range(0, 27, 3))
    generator.report(net, few, train, title="My net")  # the same weights on other images
    scores = results(tmp_path)["networks"]["net"]["evaluation"]["splits"]["test"]
    assert (round(scores["top1"] * scores["count"]), scores["count"]) == (right(net, few), 9)


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kitchen(tmp_path / "images", {"train": 4, "test": 3})
    section = README.partition("### From a notebook")[2].partition("\n\nThe sets are")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    exec(compile(code, "train.py", "exec"), {})
    assert results(tmp_path)["data"]["counts"] == {"train": 8, "test": 6}
    assert (tmp_path / "site" / "index.html").read_text("utf-8").count("What my network sees") > 0


def test_from_arrays_of_what_a_training_normalises_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And where the mean is wrong, the report says so."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (90, 20, 16), dtype=np.uint8)
    labels = np.arange(90) % 2
    images[labels == 1, 6:14, 4:12] += 90
    floats = ((torch.from_numpy(images) / 255 - 0.5) / 0.5)[:, None]
    torch.manual_seed(0)
    net = trained(Net(1, 2), TensorDataset(floats[30:], torch.from_numpy(labels[30:])), 12, 0.01)
    scripted = right(net, TensorDataset(floats[:30], torch.from_numpy(labels[:30])))
    given = {
        "test_set": (images[:30], labels[:30]),
        "train_set": (images[30:], labels[30:]),
        "classes": ["dark", "lit"],
    }

    generator.report(net, **given, mean=0.5, std=0.5, strict=True)  # type: ignore[arg-type]
    scores = results(tmp_path)["networks"]["net"]["evaluation"]["splits"]["test"]
    assert round(scores["top1"] * 30) == scripted
    assert "mean 0.5 declared: generator.report(...)" in words(tmp_path, "about")
    assert "20 × 16" in words(tmp_path, "about")
    capsys.readouterr()

    generator.report(net, **given, mean=0.0, std=0.01, multi_label=False, strict=True)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "Net seems to be read otherwise than its maker meant it" in said
    assert "In generator.report(...) that is: mean = 0.5, std = 0.5" in said
    assert "multi_label=False" in words(tmp_path, "about")
    with pytest.raises(ValueError, match="as multi_label says, it gives what a log-softmax makes of them; leave"):
        generator.report(net, **given, mean=0.5, std=0.5, multi_label=True)  # type: ignore[arg-type]
