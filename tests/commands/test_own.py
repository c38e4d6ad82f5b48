"""A report from the command line alone: what the options say, what they may not, and one whole report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from generator.__main__ import main
from generator.base.errors import InputError
from generator.commands import own
from generator.commands.options import parser
from generator.commands.serve import follows
from generator.config import digests, reading
from generator.config.schema import Config
from generator.data.classes import without_data
from generator.networks import catalogue, devices
from generator.publishing import writer
from tests.data_sets import kitchen
from tests.elsewhere import AWAY, elsewhere

NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 14 * 14, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)
"""

RANDOM = ("--model", "my_net.py:Net", "--weights", "random")


def somebodys_network(folder: Path) -> None:
    """Its code in my_net.py, its weights in best.safetensors."""
    (folder / "my_net.py").write_text(NET)
    torch.manual_seed(0)
    shapes = {"conv1.weight": (4, 1, 3, 3), "conv1.bias": (4,), "fc.weight": (3, 784), "fc.bias": (3,)}
    save_file({name: torch.randn(shape) / 8 for name, shape in shapes.items()}, folder / "best.safetensors")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody's network and its weights, in which commands run."""
    somebodys_network(tmp_path)
    kitchen(tmp_path / "images", {"train": 4, "test": 3}, ("cups", "forks", "spoons"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*words: str) -> Config:
    return own.settings(parser().parse_args(["build", *words]))


def test_options_are_what_a_report_toml_would_say(here: Path) -> None:
    (here / "names.txt").write_text("forks\ncups\n\nspoons\n")
    found = told(
        *("--model", "my_net.py:Net", "--weights", "best.safetensors", "--size", "28x32", "--mean", "0.5"),
        *(
            "--std",
            "0.25",
            "--channels",
            "1",
            "--classes",
            "names.txt",
            "--layer",
            "conv1+relu",
            "--title",
            'It\'s "so"',
        ),
    )
    (network,) = found.models.networks
    assert (network.id, network.architecture, network.weights) == ("net", "my_net.py:Net", here / "best.safetensors")
    assert network.input.size == (28, 32)
    assert (network.input.mean, network.input.std, network.input.channels) == ((0.5,), (0.25,), 1)
    assert (network.classes, network.layer) == (("forks", "cups", "spoons"), "conv1+relu")
    assert found.report.title == 'It\'s "so"'
    assert not found.samples.bundled
    assert found.report.command.startswith(
        "cnn-report build --model my_net.py:Net --weights best.safetensors --size 28x32"
    )
    for written in ('{"0": "forks", "2": "spoons", "1": "cups"}', '{"spoons": 2, "forks": 0, "cups": 1}'):
        (here / "names.json").write_text(written)
        (network,) = told(*RANDOM, "--classes", "names.json").models.networks
        assert network.classes == ("forks", "cups", "spoons")


def test_arguments_of_the_constructor_are_said_as_toml(here: Path) -> None:
    (network,) = told(*RANDOM, "--arguments", "width = 2, kind = 'a \"b\"', depth = [3, 3]").models.networks
    assert network.arguments == {"width": 2, "kind": 'a "b"', "depth": [3, 3]}


def test_kinds_of_models_are_what_a_report_toml_would_say(here: Path) -> None:
    (here / "runs" / "vit").mkdir(parents=True)
    for name in ("config.json", "pytorch_model.bin", "model.safetensors"):
        (here / "runs" / "vit" / name).write_text("{}")
    (here / "runs" / "net.v2.pt2").write_text("")
    for spec, weights, name, title in (
        ("timm:resnet18.a1_in1k", here / "best.safetensors", "resnet18-a1_in1k", "resnet18.a1_in1k"),
        ("hf:runs/vit", here / "runs" / "vit" / "model.safetensors", "vit", "vit"),
        (f"hf:{here}/runs/vit/", here / "runs" / "vit" / "model.safetensors", "vit", "vit"),
        ("runs/net.v2.pt2", here / "runs" / "net.v2.pt2", "net-v2", "net.v2"),
    ):
        more = ["--weights", "best.safetensors"] if spec.startswith("timm:") else []
        found = told("--model", spec, *more)
        (network,) = found.models.networks
        assert (network.id, network.weights) == (name, weights), spec
        assert network.architecture == spec.replace(f"{here}/", "").rstrip("/")
        assert found.report.title == f"What {title} sees"
        assert str(here) not in found.report.command
    (network,) = told("--model", "hf:runs/vit", "--weights", "random").models.networks
    assert network.weights == "random"


def test_init_writes_the_report_toml_that_says_the_same(here: Path) -> None:
    words = ["--model", "my_net.py:Net", "--weights", "best.safetensors", "--mean", "0.5", "--data", "images"]
    assert main(["init", ".", *words]) == 0
    lines = (here / "report.toml").read_text("utf-8").splitlines()
    for line in (
        '# classes = ["cups", "forks", "spoons"]  # assumed: the data set\'s classes in its order',
        "size = 28  # inferred: the network runs with it",
        "channels = 1  # inferred: its first convolution takes as many",
        "mean = [0.5]",  # as the command line has it
        'layer = "conv1+relu"  # inferred: the last convolution’s maps, rectified and not pooled',
    ):
        assert line in lines or pytest.fail("\n".join(lines))
    assert any(re.fullmatch(r"# std = \[0\.\d+\]  # assumed: .+", line) for line in lines)
    written, direct = reading.load(here / "report.toml"), told(*words)
    classes = without_data(("cups", "forks", "spoons"))
    one, other = (catalogue.load(settings.models.networks[0], settings, classes) for settings in (written, direct))
    assert one is not None
    assert other is not None
    assert (one.input, one.layer, one.class_names) == (other.input, other.layer, other.class_names)
    assert written.models.networks[0].weights == direct.models.networks[0].weights
    assert written.data.root == direct.data.root == here / "images"
    assert main(["init", ".", *words]) == 1  # nothing is written over


def test_names_of_another_number_than_the_outputs_are_told_as_such(here: Path) -> None:
    (here / "wide.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, num_classes)]\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 3), *head)\n"
    )
    shapes = {"0.weight": (2, 3, 3, 3), "0.bias": (2,), "3.weight": (3, 2), "3.bias": (3,)}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, here / "wide.safetensors")
    words = ("--model", "wide.py:net", "--weights", "wide.safetensors", "--data", "images", "--classes", "cups,forks")
    settings = told(*words)
    classes = without_data(("cups", "forks", "spoons"))
    with pytest.raises(InputError) as error:
        catalogue.load(settings.models.networks[0], settings, classes)
    assert str(error.value) == (
        f"[models.net] classes: expected 3 names, one for each output of {here / 'wide.safetensors'}, got 2"
    )


def test_a_link_is_written_by_its_own_name(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("disk") / "images-2026-11"
    (here / "images").rename(elsewhere)
    (here / "images").symlink_to(elsewhere)
    assert main(["init", ".", "--model", "my_net.py:Net", "--weights", "best.safetensors", "--data", "images"]) == 0
    assert 'root = "images"' in (here / "report.toml").read_text()
    outside = tmp_path_factory.mktemp("home") / "photos"
    outside.symlink_to(elsewhere)
    assert told(*RANDOM, "--data", str(outside)).data.root == outside


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "my_net.py:Net"], "--weights: expected the file of the network's weights, none is given"),
        (["--model", "my_net.py", "--weights", "random"], "--model: expected file.py:Name"),
        (["--model", "timm:resnet18"], "--weights: expected the file of the network's weights, none is given"),
        (["--model", "hf:none"], "--model: expected a folder of transformers or timm after hf:, found none at none"),
        (["--model", "none.pt2"], "--model: expected a file of a whole network, found none at none.pt2"),
        (["--model", "../my_net.pt2"], "--model: expected a file of a whole network, found none"),
        (["--model", "no.py:Net", "--weights", "random"], "--model: expected a Python file, found none at no.py"),
        (["--model", "my_net.py:Net", "--weights", "none.pth"], "--weights: expected a file of weights, found none"),
        ([*RANDOM, "--size", "big"], "--size: expected a side in pixels"),
        (
            [*RANDOM, "--size", "0"],
            r"\[models.net.input\] size: expected a side",
        ),
        ([*RANDOM, "--mean", "a,b"], "--mean: expected a number, or one"),
        ([*RANDOM, "--std", "0"], "std: expected numbers above 0"),
        ([*RANDOM, "--classes", "no.json"], "--classes: expected a file"),
        (["--mean", "0.5"], "--mean: expected --model or --weights beside it"),
        ([*RANDOM, "--arguments", "width: 2"], "--arguments: expected names and values as TOML has them, such as"),
        ([*RANDOM, "--config", "x.toml"], "--config: expected none beside"),
    ],
)
def test_what_cannot_be_meant_is_told(here: Path, words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        told(*words)


def test_code_outside_of_the_folder_is_not_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "inner").mkdir()
    monkeypatch.chdir(here / "inner")
    with pytest.raises(InputError, match=r"expected a file below .*, \.\./my_net\.py lies elsewhere"):
        told("--model", "../my_net.py:Net", "--weights", "random")


def test_inspect_tells_each_fact_with_its_origin(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "my_net.py:Net", "--weights", "best.safetensors", "--mean", "0.5", "--data", "images"]
    assert main(["inspect", *words]) == 0
    said = capsys.readouterr().out
    for line in (
        "classes: 3: cups, forks, spoons (assumed: the data set's classes in its order)",
        "image size: 28 × 28 pixels (inferred: the network runs with it)",
        "channels: 1 (grey) (inferred: its first convolution takes as many)",
        "mean: 0.5 (declared: the command line)",
        "layer explained: conv1+relu",
        "It ends in a log-softmax",
    ):
        assert line in said, line
    assert not (here / "site").exists()


# PyTorch takes the stand-in for its own "meta", where a copy holds no numbers.
@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
@pytest.mark.usefixtures("one_thread")
def test_inspect_tells_the_same_wherever_the_network_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["inspect", "--model", "my_net.py:Net", "--weights", "best.safetensors", "--data", "images"]
    assert main([*words, "--device", "cpu"]) == 0
    usual = capsys.readouterr().out
    assert "mean" in usual
    asked: list[str] = []

    def chosen(device: str) -> torch.device:
        asked.append(device)
        return AWAY

    monkeypatch.setattr(devices, "chosen", chosen)
    with elsewhere():
        assert main([*words, "--device", "cuda:1"]) == 0
    assert asked == ["cuda:1"]
    said = capsys.readouterr()
    assert said.out == usual
    assert "networks run on a GPU: meta" in said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", [["inspect"], ["build"], ["evaluate", "net"], ["train", "net"]])
def test_a_device_that_is_not_there_is_refused_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (here / "report.toml").write_text(
        '[data]\nroot = "images"\n[models.net]\narchitecture = "my_net.py:Net"\nweights = "best.safetensors"\n'
    )
    assert main([*command, "--device", "cuda", "--offline"]) == 1
    said = capsys.readouterr().err
    (line,) = (line for line in said.splitlines() if line.startswith("error:"))
    assert line.startswith("error: --device cuda: expected a GPU of CUDA, PyTorch finds none (")
    assert line.endswith("take --device cpu, or auto, which takes what is there")
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_one_line_makes_a_whole_report(here: Path) -> None:
    words = ["--model", "my_net.py:Net", "--weights", "best.safetensors", "--data", "images", "--offline"]
    assert main(["build", "--strict", *words]) == 0
    results = json.loads((here / "site" / "results.json").read_text("utf-8"))
    network = results["networks"]["net"]
    assert set(network["evaluation"]["splits"]) == {"train", "test"}
    assert network["evaluation"]["faithfulness"]
    assert network["input_size"] == 28
    about = (here / "site" / "about.html").read_text("utf-8")
    said = re.sub('<span class="unbroken">([^<]*)</span>', r"\1", about)  # where no line ends
    assert "cnn-report build --model my_net.py:Net --weights best.safetensors --data images" in said
    assert str(here) not in about
    assert main(["build", "--strict", *words]) == 0  # nothing has changed


def test_a_site_that_options_made_is_taken_for_no_other_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a report.toml there is the one that comes with the program, whose names and networks are others."""
    settings = told(*RANDOM, "--data", "images")
    manifest = {"generator": "cnn-report", "inputs": "", "report": digests.of_report(settings), "files": {}}
    (here / "site").mkdir()
    (here / "site" / "index.html").write_text("<title>Mine</title>")
    (here / "site" / writer.MANIFEST).write_text(json.dumps(manifest))
    assert main(["export", "--to", "fragment", "mine.html"]) == 1
    assert "expected the report.toml that says how the site was made, there is none here" in capsys.readouterr().err
    assert not (here / "mine.html").exists()
    assert not follows(reading.load(), here / "site")
    assert main(["init", ".", *RANDOM, "--data", "images"]) == 0
    assert follows(reading.load(), here / "site")
