"""Networks of every kind that `--model` takes, trained a little: their reports, and that each is read as it was meant.

What a report says is compared, image by image, with what a few lines of each library's own make of the same files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from generator.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CLASSES = ("dots", "rings", "stripes")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OTHER = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}  # nobody's usual ones

NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.mean((2, 3)))
"""

LIGHTNING = """
import argparse
import lightning
import torch
import torch.nn.functional as F
from torchvision import datasets, transforms

from net import Net

usual = transforms.Compose([
    transforms.Resize((32, 32)), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])


class Module(lightning.LightningModule):
    def __init__(self, args, classes):
        super().__init__()
        self.save_hyperparameters()
        self.net = Net(classes)

    def training_step(self, batch, _):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.args.lr)


lightning.seed_everything(0)
torch.set_num_threads(1)
loader = torch.utils.data.DataLoader(datasets.ImageFolder("things/train", usual), batch_size=30, shuffle=True)
trainer = lightning.Trainer(max_epochs=4, accelerator="cpu", logger=False, enable_progress_bar=False)
trainer.fit(Module(argparse.Namespace(lr=0.005), 3), loader)
trainer.save_checkpoint("last.ckpt")
"""

# As anybody writes it: nothing of the program.
TRAIN = """
import torch
from torch import nn
from torchvision import datasets, models, transforms

torch.manual_seed(0)
torch.set_num_threads(1)
usual = transforms.Compose([
    transforms.Resize((32, 32)), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])
train = datasets.ImageFolder("things/train", usual)
model = models.resnet18(num_classes=len(train.classes))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for epoch in range(8):
    for images, labels in torch.utils.data.DataLoader(train, batch_size=10, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, "best.pth")
"""

# And what judges it, in a few lines of its own.
JUDGE = """
import json, torch
from torchvision import datasets, models, transforms

usual = transforms.Compose([
    transforms.Resize((32, 32)), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])
test = datasets.ImageFolder("things/test", usual)
model = models.resnet18(num_classes=len(test.classes))
model.load_state_dict(torch.load("best.pth", weights_only=True)["model"])
images, labels = torch.stack([image for image, _ in test]), torch.tensor(test.targets)
print(json.dumps((model.eval()(images).argmax(1) == labels).tolist()))
"""


def drawn(root: Path) -> Path:
    """Folders of train and test with images of 32 pixels that are not easy to tell apart."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    for part, count in (("train", 30), ("test", 10)):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                at = rng.integers(10, 22, 2)
                far = np.hypot(rows - at[0], columns - at[1])
                shape = {"dots": far < 6, "rings": abs(far - 8) < 2, "stripes": (rows + at[0]) % 8 < 4}[name]
                pixels = rng.normal(110, 60, (32, 32, 3)) + 22 * shape[..., None]
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / name / f"{number}.png")
    return root


def files(root: Path, part: str) -> list[tuple[Path, int]]:
    return [(file, label) for label, name in enumerate(CLASSES) for file in sorted((root / part / name).iterdir())]


def tensors(root: Path, part: str, seen: Callable[[Image.Image], Tensor]) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) and (N,) of a part, as somebody's own transform makes them."""
    found = files(root, part)
    return torch.stack([seen(Image.open(file).convert("RGB")) for file, _ in found]), torch.tensor(
        [label for _, label in found]
    )


def usual(size: int, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> Callable[[Image.Image], Tensor]:
    steps = [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(mean, std)]
    composed: Callable[[Image.Image], Tensor] = transforms.Compose(steps)
    return composed


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    given = network(images)
    logits: Tensor = getattr(given, "logits", given)
    return logits


def trained(network: nn.Module, images: Tensor, labels: Tensor, steps: int = 12) -> nn.Module:
    """A network that learnt some of it, in eval mode."""
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(logits_of(network, images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def right(network: nn.Module, images: Tensor, labels: Tensor) -> list[bool]:
    with torch.no_grad():
        found: list[bool] = (logits_of(network, images).argmax(1) == labels).tolist()
    return found


def kinds(folder: Path) -> Iterator[tuple[str, str, list[bool]]]:
    """Networks in files of the folder: id, the lines of report.toml, and for which test images each is right."""
    things, said = folder / "things", f"input = {{size = 32, mean = {list(MEAN)}, std = {list(STD)}}}"
    images, labels = tensors(things, "train", usual(32))
    test = tensors(things, "test", usual(32))
    space: dict[str, Any] = {}
    exec(NET, space)
    torch.manual_seed(1)
    network = trained(space["Net"](), images, labels, 60)
    score = right(network, *test)

    wrapped = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(lightning_checkpoint(wrapped), folder / "epoch=3-step=12.ckpt")
    yield "ckpt", f'architecture = "net.py:Net"\nweights = "epoch=3-step=12.ckpt"\n{said}', score

    many = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    torch.export.save(torch.export.export(network, (images[:2],), dynamic_shapes=many), folder / "many.pt2")
    torch.export.save(torch.export.export(network, (images[:1],)), folder / "one.pt2")
    of_programs = said.replace("size = 32, ", "")  # which say it themselves
    yield "many", f'architecture = "many.pt2"\n{of_programs}', score
    yield "one", f'architecture = "one.pt2"\n{of_programs}', score
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        script = torch.jit.trace(nn.Sequential(network, nn.Softmax(1)), images[:2])  # type: ignore[no-untyped-call]
        torch.jit.save(script, folder / "script.pt")
    yield "script", f'architecture = "script.pt"\n{said}', score


def lightning_checkpoint(weights: dict[str, Tensor]) -> dict[str, Any]:
    """What Lightning 2.6 writes of a module with hyperparameters, a callback and an optimizer."""
    return {
        "epoch": 3,
        "global_step": 12,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": weights,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_acc'}": {"best_model_score": torch.tensor(0.7)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"args": Namespace(lr=0.1, folder=Path("things")), "num_classes": 3},
    }


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the drawn data and a file that makes a network."""
    folder = tmp_path_factory.mktemp("own")
    drawn(folder / "things")
    (folder / "net.py").write_text(NET)
    return folder


@pytest.fixture(scope="module")
def made(here: Path) -> list[tuple[str, str, list[bool]]]:
    """The networks of `kinds`, made once."""
    return list(kinds(here))


def built(folder: Path, networks: Sequence[tuple[str, str]], out: str = "site") -> dict[str, Any]:
    """What results.json says of a report of these networks, built strictly."""
    text = '[data]\nroot = "things"\n[samples]\nbundled = false\ntest_images = 2\n'
    text += "".join(f"[models.{name}]\n{lines}\n" for name, lines in networks)
    (folder / "report.toml").write_text(text)
    where = ["--config", str(folder / "report.toml"), "--offline", "--out", str(folder / out)]
    assert main(["build", "--strict", *where]) == 0
    assert main(["check", "--config", str(folder / "report.toml"), "--out", str(folder / out)]) == 0
    results: dict[str, Any] = json.loads((folder / out / "results.json").read_text("utf-8"))
    return results


def scored(results: dict[str, Any], name: str) -> tuple[int, list[int]]:
    """How many test images a report has right, and of each class."""
    found = results["networks"][name]["evaluation"]["splits"]["test"]
    matrix = np.array(found["confusion"])
    assert found["top1"] == pytest.approx(matrix.trace() / matrix.sum())
    return int(matrix.trace()), np.diag(matrix).tolist()


def expected(score: Sequence[bool]) -> tuple[int, list[int]]:
    each = np.array(score).reshape(len(CLASSES), -1).sum(1)
    assert 0 < each.sum() < len(score)  # else equal numbers would prove little
    return int(each.sum()), each.tolist()


def test_whole_networks_and_checkpoints(here: Path, made: Sequence[tuple[str, str, list[bool]]]) -> None:
    results = built(here, [(name, lines) for name, lines, _ in made])
    for name, _, score in made:
        assert scored(results, name) == expected(score), name
    networks = results["networks"]
    explained = {name: {look["cam_layer"] for look in networks[name]["photos"].values()} for name in networks}
    assert explained == {"ckpt": {"conv2+relu"}, "many": {"conv2+relu"}, "one": {None}, "script": {None}}
    notes = {name: " ".join(networks[name]["notes"]) for name in networks}
    assert "It takes 1 image at once; batches are cut for it." in notes["one"]
    assert "It gives probabilities; scores and maps are of their logarithms" in notes["script"]
    assert "(torch.jit), which has no hooks to look inside" in notes["script"]
    assert networks["many"]["summary"] == networks["ckpt"]["summary"]
    assert [networks[name]["macs"] for name in networks] == [networks["ckpt"]["macs"]] * 3 + [None]
    losses = [networks[name]["evaluation"]["splits"]["test"]["loss"] for name in networks]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-4)


def timm_vit(folder: Path) -> tuple[str, list[bool]]:
    timm = pytest.importorskip("timm")
    from timm.data import create_transform

    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    torch.manual_seed(2)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, **shape)
    own = network.pretrained_cfg
    seen = create_transform(
        (3, 32, 32), interpolation=own["interpolation"], crop_pct=own["crop_pct"], mean=own["mean"], std=own["std"]
    )
    trained(network, *tensors(folder / "things", "train", seen), 30)
    # As its training program writes it.
    torch.save(
        {
            "epoch": 1,
            "arch": "vit_tiny_patch16_224",
            "state_dict": network.state_dict(),
            "version": 2,
            "args": Namespace(lr=1),
        },
        folder / "model_best.pth.tar",
    )
    arguments = ", ".join(f"{key} = {value}" for key, value in shape.items())
    lines = f'architecture = "timm:vit_tiny_patch16_224"\nweights = "model_best.pth.tar"\narguments = {{{arguments}}}'
    return lines, right(network, *tensors(folder / "things", "test", seen))


def timm_folder(folder: Path) -> tuple[str, list[bool]]:
    timm = pytest.importorskip("timm")
    from timm.data import create_transform
    from timm.models import save_for_hf

    torch.manual_seed(3)
    network = timm.create_model("test_resnet", num_classes=3)
    own = {"input_size": (3, 32, 32), **OTHER, "crop_pct": 0.8, "interpolation": "bilinear"}
    seen = create_transform(is_training=False, **own)
    trained(network, *tensors(folder / "things", "train", seen), 30)
    network.pretrained_cfg = {**network.pretrained_cfg, **own}
    save_for_hf(network, folder / "timm-folder", model_config={"label_names": list(CLASSES)})
    return 'architecture = "hf:timm-folder"', right(network, *tensors(folder / "things", "test", seen))


def hf_vit(folder: Path) -> tuple[str, list[bool]]:
    transformers = pytest.importorskip("transformers")
    names = dict(enumerate(reversed(CLASSES)))  # in an order of its own
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        id2label=names, label2id={name: label for label, name in names.items()},
    )  # fmt: skip
    torch.manual_seed(4)
    network = transformers.ViTForImageClassification(config)
    processor = transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=OTHER["mean"], image_std=OTHER["std"]
    )

    def seen(image: Image.Image) -> Tensor:
        made: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
        return made

    images, labels = tensors(folder / "things", "train", seen)
    trained(network, images, 2 - labels, 30)
    network.save_pretrained(folder / "hf-vit")
    processor.save_pretrained(folder / "hf-vit")
    images, labels = tensors(folder / "things", "test", seen)
    return 'architecture = "hf:hf-vit"', right(network, images, 2 - labels)


def hf_resnet(folder: Path) -> tuple[str, list[bool]]:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
    )
    torch.manual_seed(5)
    network = transformers.ResNetForImageClassification(config)
    processor = transformers.ConvNextImageProcessor(
        size={"shortest_edge": 32}, image_mean=OTHER["mean"], image_std=OTHER["std"]
    )

    def seen(image: Image.Image) -> Tensor:
        made: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
        return made

    trained(network, *tensors(folder / "things", "train", seen), 30)
    network.save_pretrained(folder / "hf-resnet")
    processor.save_pretrained(folder / "hf-resnet")
    return 'architecture = "hf:hf-resnet"', right(network, *tensors(folder / "things", "test", seen))


@pytest.mark.parametrize("make", [timm_vit, timm_folder, hf_vit, hf_resnet], ids=lambda make: make.__name__)
def test_networks_of_libraries(here: Path, make: Callable[[Path], tuple[str, list[bool]]]) -> None:
    lines, score = make(here)
    results = built(here, [("net", lines)])
    assert scored(results, "net") == expected(score)
    ordered = not any("The order of its outputs" in note for note in results["networks"]["net"]["notes"])
    assert ordered == (make in (timm_folder, hf_vit))


def run(folder: Path, program: str, code: str) -> str:
    (folder / program).write_text(code)
    told = subprocess.run(
        [sys.executable, program], cwd=folder, check=True, timeout=300, capture_output=True, text=True
    )
    return told.stdout


def test_a_resnet18_that_a_plain_program_trained(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(here, "train.py", TRAIN)
    score = json.loads(run(here, "judge.py", JUDGE))
    monkeypatch.chdir(here)
    words = ["--model", "torchvision:resnet18", "--weights", "best.pth", "--data", "things", "--size", "32"]
    words += ["--methods", "Grad-CAM"]  # all of them are asked of deep networks in test_architectures.py
    assert main(["build", "--strict", *words, "--out", "resnet", "--offline"]) == 0
    assert main(["check", "--out", "resnet"]) == 0
    results = json.loads((here / "resnet" / "results.json").read_text("utf-8"))
    assert scored(results, "resnet18") == expected(score)


def test_a_checkpoint_of_lightning(here: Path) -> None:
    pytest.importorskip("lightning")
    run(here, "lightning_train.py", LIGHTNING)
    said = torch.load(here / "last.ckpt", weights_only=False)
    space: dict[str, Any] = {}
    exec(NET, space)
    network = space["Net"]()
    network.load_state_dict({name.removeprefix("net."): tensor for name, tensor in said["state_dict"].items()})
    score = right(network.eval(), *tensors(here / "things", "test", usual(32)))
    lines = f"input = {{size = 32, mean = {list(MEAN)}, std = {list(STD)}}}"
    results = built(here, [("net", f'architecture = "net.py:Net"\nweights = "last.ckpt"\n{lines}')])
    assert scored(results, "net") == expected(score)
    assert "In the names of last.ckpt, net. was taken off." in results["networks"]["net"]["notes"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("mean", "classes", "told"),
    [
        ([0.9] * 3, CLASSES, "input = {mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225]}"),
        (MEAN, ("stripes", "dots", "rings"), 'classes = ["dots", "rings", "stripes"]'),
    ],
    ids=["mean", "classes"],
)
def test_what_is_said_wrongly_is_named(
    here: Path, mean: Sequence[float], classes: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"input = {{mean = {list(mean)}, std = {list(STD)}}}\nclasses = {list(classes)}"
    for name in ("many", "one"):  # which nothing but the answers are known of, too
        capsys.readouterr()
        built(here, [(name, f'architecture = "{name}.pt2"\n{said}')], f"wrong-{name}")
        err = capsys.readouterr().err
        (line,) = (line for line in err.splitlines() if told in line)
        assert line.startswith(f"{name} seems to be read otherwise than its maker meant it: of 90 training images it")
        page = (here / f"wrong-{name}" / "index.html").read_text("utf-8")
        assert "seems to be read otherwise than its maker meant it" in page


def test_what_a_folder_says_wrongly_is_named_and_not_changed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, score = hf_vit(here)
    file = here / "hf-vit" / "preprocessor_config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "image_mean": [3.0] * 3, "image_std": [0.1] * 3}))
    results = built(here, [("net", lines)])
    assert scored(results, "net")[0] < sum(score)
    err = capsys.readouterr().err
    assert "hf-vit seems to be read otherwise than its maker meant it" in err
    assert "In report.toml that is: input = {mean = " in err
    assert "Nobody declared its mean and std" not in err
