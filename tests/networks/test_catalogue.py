"""Which weights stand behind a network's name, and what is said where they cannot be had."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models
from torchvision.models import squeezenet1_1

from generator.base.errors import InputError
from generator.config import places, reading, schema
from generator.config.schema import ModelConfig
from generator.data import download, samples
from generator.data.classes import Classes
from generator.data.preprocessing import seen
from generator.evaluation import answers, evaluation
from generator.explain import methods
from generator.networks import alexnet, catalogue, named
from generator.networks.architecture import initialise
from generator.networks.folder import Description, fill, load_model, save_evaluation, save_model
from generator.networks.inputs import fitted
from generator.networks.loaded import Loaded
from generator.networks.published import published_file
from generator.networks.small_cnn import SMALL_CNN, SmallCNN
from generator.records.input import Input, square
from tests import loaded as facts
from tests import synthetic
from tests.data.test_download import Archive, served

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
CLASSES = Classes(("goldfish", "banana"), ("n01443537", "n07753592"))
DESCRIPTION = Description("SmallCNN", ("gold fish", "a banana"), CLASSES.keys, 64, 64, (4, 4, 4, 4))
CNN = ModelConfig("cnn")
CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def save(folder: Path) -> SmallCNN:
    """A small network's weights, rounded as the file holds them."""
    network = SmallCNN(len(CLASSES), DESCRIPTION.widths)
    initialise(network, 0)
    save_model(folder, network.state_dict(), DESCRIPTION)
    fill(network, load_model(folder).weights, "")
    return network.eval()


def configured(folder: Path, weights: str = "bundled", name: str = "cnn", more: str = "") -> schema.Config:
    """A report of one network, which report.toml names: none is there that it does not."""
    kind = "AlexNet" if weights == "imagenet" else "SmallCNN"
    table = f'[models.{name}]\narchitecture = "{kind}"\nweights = "{weights}"\n{more}'
    (folder / "report.toml").write_text(f'[models]\nfolder = "models"\n{table}')
    return reading.load(folder / "report.toml")


def loaded_of(
    settings: schema.Config,
    classes: Classes = CLASSES,
    *,
    offline: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Loaded | None:
    """The report's only network."""
    (wanted,) = settings.models.networks
    return catalogue.load(wanted, settings, classes, offline=offline, say=say)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SmallCNN as if it were published as AlexNet is, of which a folder would be large; torch's cache is empty."""
    known = replace(SMALL_CNN, title="AlexNet", official=alexnet.official)
    monkeypatch.setattr(catalogue, "KNOWN", {"SmallCNN": known})
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_a_folder_s_network_answers_as_the_saved_one(tmp_path: Path) -> None:
    network = save(tmp_path / "cnn")
    loaded = catalogue.from_folder(CNN, tmp_path / "cnn", CLASSES)
    assert loaded is not None
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.network(images), network(images))
    assert not loaded.network.training
    assert loaded.class_names == CLASSES.names  # the report's spelling
    assert loaded.class_of == {"n01443537": 0, "n07753592": 1}
    other = Classes(("x", "Banana", "goldfish", "goldfish"), ("n1", "n2", "n3", "n01443537"))
    assert loaded.without_output(other) == ("x",)  # by its key, or by a name in capital letters or not
    assert loaded.digest == hashlib.sha256((tmp_path / "cnn" / "weights.safetensors").read_bytes()).hexdigest()
    assert (loaded.title, loaded.folder) == ("SmallCNN", tmp_path / "cnn")
    assert loaded.source == "Trained from scratch on 2 classes with this program."


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (Classes(("goldfish",), ("n01443537",)), "the 1 classes of the report, found one for 2 classes"),
        (Classes(("koala", "lion"), ("n01882714", "n02129165")), "the 2 classes of the report, found one for 2 others"),
        (Classes(CLASSES.names[::-1], CLASSES.keys[::-1]), "the 2 classes of the report, found one for 2 others"),
    ],
)
def test_weights_for_other_classes_are_refused(tmp_path: Path, classes: Classes, words: str) -> None:
    save(tmp_path / "cnn")
    with pytest.raises(InputError, match=f"{words}; .*: python -m generator train cnn$") as error:
        catalogue.from_folder(CNN, tmp_path / "cnn", classes)
    assert str(tmp_path / "cnn") in str(error.value)


@pytest.mark.parametrize("said", [DESCRIPTION.class_names, CLASSES.keys, CLASSES.names, ("goldfish", "n07753592")])
def test_a_folder_s_classes_may_be_said_again(tmp_path: Path, said: tuple[str, ...]) -> None:
    """By any of their names, in their order; that makes no other network, whose measurements would be lost."""
    save(tmp_path / "cnn")
    plain = catalogue.from_folder(CNN, tmp_path / "cnn", CLASSES)
    again = catalogue.from_folder(
        ModelConfig("cnn", classes=said, arguments={"widths": [4, 4, 4, 4]}), tmp_path / "cnn", CLASSES
    )
    assert plain is not None
    assert again is not None
    assert (again.class_names, again.class_keys, again.digest) == (plain.class_names, plain.class_keys, plain.digest)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"classes": ("banana", "goldfish")}, r"classes: expected gold fish in place 1, as its .* say, got banana"),
        ({"classes": ("goldfish", "bee")}, r"classes: expected a banana in place 2, as its weights in .*, got bee"),
        ({"classes": ("goldfish",)}, r"classes: expected 2, as its weights in .* say, got 1; leave them out"),
        ({"arguments": {"pool": "average"}}, r'arguments: expected pool = "max", as its .*, got pool = "average"; '),
        ({"arguments": {"widths": [4, 4, 4, 8]}}, r"arguments: expected widths = \[4, 4, 4, 4\], as its weights in "),
        ({"arguments": {"colour": 3}}, r"arguments: expected no colour, as its weights in .* say, got colour = 3; "),
    ],
)
def test_what_report_toml_says_against_a_folder_s_weights_is_refused(
    tmp_path: Path, asked: dict[str, Any], words: str
) -> None:
    """Before, it was ignored: the pages showed another network than report.toml asks for."""
    save(tmp_path / "cnn")
    with pytest.raises(InputError, match=rf"^\[models\.cnn\] {words}"):
        catalogue.from_folder(ModelConfig("cnn", **asked), tmp_path / "cnn", CLASSES)


def test_classes_against_those_of_published_weights_are_refused(tmp_path: Path, published: None) -> None:
    settings = configured(tmp_path, "auto", more='classes = ["goldfish", "banana"]')
    with pytest.raises(InputError, match=r"^\[models\.cnn\] classes: expected 1000, as ImageNet's weights say, got 2"):
        loaded_of(settings, offline=True)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    network = save(tmp_path)
    save_model(tmp_path, network.state_dict(), replace(DESCRIPTION, widths=(4, 4, 4, 8)))
    with pytest.raises(InputError, match=r"expected features\.conv6\.weight of shape \(8, 4, 3, 3\), found \(4, 4"):
        catalogue.from_folder(CNN, tmp_path, CLASSES)


def test_no_weights_are_no_network(tmp_path: Path) -> None:
    assert loaded_of(configured(tmp_path)) is None


def test_weights_from_a_file_have_a_folder_of_their_own_for_what_is_measured(tmp_path: Path) -> None:
    network = initialise(SmallCNN(len(CLASSES)), 0)
    torch.save(network.state_dict(), tmp_path / "own.pth")
    settings = configured(tmp_path, "own.pth")
    loaded = loaded_of(settings)
    assert loaded is not None
    assert loaded.folder is None
    assert loaded.evaluated == tmp_path / "models" / f"cnn-{loaded.digest[:8]}"


@pytest.mark.usefixtures("published")
def test_auto_falls_back_offline_and_says_so(tmp_path: Path) -> None:
    save(tmp_path / "models" / "cnn")
    loaded = loaded_of(configured(tmp_path, "auto"), offline=True)
    assert loaded is not None
    assert loaded.folder == tmp_path / "models" / "cnn"
    (note,) = loaded.notes
    assert note == "ImageNet's weights were asked for first, but are not on this machine and the build was offline."


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"something else", "expected sha256 7be5be79…, found another; delete the file"),
        (None, "expected a file of weights, found a folder"),
    ],
    ids=["damaged", "a folder"],
)
def test_auto_falls_back_from_what_is_not_the_file_and_tells_the_page_no_path(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    other = places.published_weights() / "alexnet-owt-7be5be79.pth"
    if content is None:
        other.mkdir(parents=True)
    else:
        other.parent.mkdir(parents=True)
        other.write_bytes(content)
    save(tmp_path / "models" / "cnn")
    said: list[str] = []
    loaded = loaded_of(configured(tmp_path, "auto"), say=said.append)
    assert loaded is not None
    assert loaded.notes == (
        "ImageNet's weights were asked for first, but the file on this machine is not the official one.",
    )
    (line,) = said
    assert line.startswith(f"AlexNet: {other}: {told}")


@pytest.mark.usefixtures("published")
def test_bundled_never_asks_for_imagenet_s(tmp_path: Path) -> None:
    save(tmp_path / "models" / "cnn")
    loaded = loaded_of(configured(tmp_path, "bundled"))
    assert loaded is not None
    assert loaded.notes == ()


def test_imagenet_refuses_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    save(tmp_path / "models" / "alexnet")
    settings = configured(tmp_path, "imagenet", "alexnet")
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth: expected ImageNet's weights, .* is offline"):
        loaded_of(settings, offline=True)


def test_a_file_of_weights_is_loaded_by_its_name(tmp_path: Path) -> None:
    network = SmallCNN(len(CLASSES))
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    loaded = loaded_of(configured(tmp_path, "mine.pth"))
    assert loaded is not None
    found = loaded.network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())
    assert (loaded.folder, loaded.source) == (None, "Loaded from the file mine.pth.")
    with pytest.raises(
        InputError, match=r"mine\.pth: expected head\.linear\.weight of shape \(1, 320\), found \(2, 320\)"
    ):
        loaded_of(configured(tmp_path, "mine.pth"), Classes(("goldfish",), ("n01443537",)))


def fetch(path: Path, archive: Archive, sha256: str = SHA256, *, offline: bool = False) -> list[str]:
    """ImageNet's file from a server of ours; what was said."""
    said: list[str] = []
    official = replace(alexnet.official(), url=archive.url, size=len(CONTENT), sha256=sha256)
    assert published_file(official, "AlexNet", offline, said.append, path) == path
    return said


@pytest.mark.slow
def test_imagenet_s_weights_in_the_official_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's AlexNet of 1000 classes, as torch wrote files when it was published, from a host of ours."""
    network = initialise(alexnet.alexnet(1000), 0).eval()
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream, _use_new_zipfile_serialization=False)
    content = stream.getvalue()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    settings = configured(tmp_path, "imagenet", "alexnet")
    with served(Archive(content, breaks_after=[100_000_000])) as archive:
        sha256 = hashlib.sha256(content).hexdigest()[:8]
        official = replace(alexnet.official(), url=f"{archive.url}", size=len(content), sha256=sha256)
        monkeypatch.setattr(catalogue, "KNOWN", {"AlexNet": replace(alexnet.ALEXNET, official=lambda: official)})
        loaded = loaded_of(settings)
    assert archive.asked == ["", "bytes=100000000-"]
    again = loaded_of(settings, offline=True)
    assert loaded is not None
    assert again is not None
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for found in (loaded, again):
        assert torch.equal(found.network(images), network(images))
        assert found.input == Input((224, 224), 256)
        assert len(found.class_names) == 1000
        assert [found.class_names[found.class_of[wnid]] for wnid in CLASSES.keys] == ["goldfish", "banana"]
        assert found.evaluated == tmp_path / "models" / f"alexnet-{found.digest[:8]}"
        assert found.notes == ()


def test_imagenet_s_file_is_downloaded_once(tmp_path: Path) -> None:
    path = tmp_path / "hub" / "alexnet.pth"
    with served(Archive(CONTENT)) as archive:
        assert fetch(path, archive, SHA256[:8]) == ["AlexNet: downloading ImageNet's weights (0 MB)"]
        assert fetch(path, archive, SHA256[:8]) == []
        assert fetch(path, archive, offline=True) == []
    assert path.read_bytes() == CONTENT
    assert archive.asked == [""]


def test_a_wrong_hash_is_told_and_the_file_removed(tmp_path: Path) -> None:
    with (
        served(Archive(CONTENT)) as archive,
        pytest.raises(InputError, match=rf"expected sha256 0000, got {SHA256}; the file is removed"),
    ):
        fetch(tmp_path / "hub" / "alexnet.pth", archive, "0000")
    assert list((tmp_path / "hub").iterdir()) == []


def test_a_broken_connection_goes_on_where_it_broke(tmp_path: Path) -> None:
    with served(Archive(CONTENT, breaks_after=[1000])) as archive:
        fetch(tmp_path / "alexnet.pth", archive)
    assert archive.asked == ["", "bytes=1000-"]
    assert (tmp_path / "alexnet.pth").read_bytes() == CONTENT


def test_a_server_without_the_file_is_told_at_once(tmp_path: Path) -> None:
    with served(Archive(CONTENT, status=404)) as archive, pytest.raises(InputError, match="the server answered 404"):
        fetch(tmp_path / "alexnet.pth", archive)
    assert len(archive.asked) == 1


def test_a_failing_server_is_tried_once(tmp_path: Path) -> None:
    with served(Archive(CONTENT, status=503)) as archive, pytest.raises(InputError) as error:
        fetch(tmp_path / "alexnet.pth", archive)
    assert archive.asked == [""]
    assert str(error.value).endswith(
        f"run it again to go on from there, or put a copy of it at {tmp_path / 'alexnet.pth'}"
    )


def test_a_download_that_has_begun_is_gone_on_with_as_long_as_a_data_set_s(tmp_path: Path) -> None:
    with served(Archive(CONTENT, breaks_after=[1000, 0, 0, 0, 0])) as archive:
        fetch(tmp_path / "alexnet.pth", archive)
    assert archive.asked == ["", *["bytes=1000-"] * 5]


def test_a_host_that_never_answers_holds_the_build_for_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert download.CONNECT <= 10
    monkeypatch.setattr(download, "CONNECT", 0.1)
    (tmp_path / "alexnet.pth.part").write_bytes(CONTENT[:1000])  # of an earlier build
    with socket.create_server(("127.0.0.1", 0)) as silent:
        archive = Archive(CONTENT, url=f"http://127.0.0.1:{silent.getsockname()[1]}/alexnet.pth")
        with pytest.raises(InputError, match=r"cannot download alexnet.pth \(timed out\)"):
            fetch(tmp_path / "alexnet.pth", archive)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # nobody came again
            silent.accept()


def test_offline_nobody_is_asked(tmp_path: Path) -> None:
    with served(Archive(CONTENT)) as archive, pytest.raises(InputError, match="the build is offline"):
        fetch(tmp_path / "alexnet.pth", archive, offline=True)
    assert archive.asked == []


def test_another_file_in_torch_s_cache_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.pth"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=rf"expected sha256 {SHA256}…, found another; delete the file") as error:
        fetch(path, Archive(CONTENT))
    assert str(path) in str(error.value)
    assert path.read_bytes() == b"something else"


def test_the_programs_own_models_are_read_and_what_is_measured_of_them_is_kept_elsewhere(tmp_path: Path) -> None:
    save(tmp_path / "bundled" / "cnn")
    settings = configured(tmp_path)
    settings = replace(settings, models=replace(settings.models, fallback=tmp_path / "bundled"))
    loaded = loaded_of(settings)
    assert loaded is not None
    assert loaded.folder == tmp_path / "bundled" / "cnn"
    assert loaded.evaluated == tmp_path / "models" / f"cnn-{loaded.digest[:8]}"

    assert evaluation.measured(loaded) is None
    for looks, folder in enumerate((loaded.folder, loaded.evaluated), start=1):
        save_evaluation(folder, replace(synthetic.evaluation("cnn", CLASSES.names), test_looks=looks))
        found = evaluation.measured(loaded)
        assert found is not None
        assert found.test_looks == looks

    save(tmp_path / "models" / "cnn")
    own = loaded_of(settings)
    assert own is not None
    assert own.folder == own.evaluated == tmp_path / "models" / "cnn"


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_first_bundled_photo_is_one_that_the_shipped_networks_name_rightly(name: str) -> None:
    """It opens the pages of feature maps and of Grad-CAM, and the page in which the network runs."""
    loaded = catalogue.from_folder(ModelConfig(name), ROOT / "models" / name)
    assert loaded is not None
    first, *_ = samples.bundled(ROOT / "content" / "samples", loaded.class_names)
    images = torch.tensor(seen(first.pixels, loaded.input)).permute(2, 0, 1)[None]
    logits = torch.from_numpy(answers.logits_of(loaded.network, images, loaded.input))
    probabilities = logits.softmax(1)[0]
    assert int(probabilities.argmax()) == first.label
    assert probabilities.max() > 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"input_size": -5},
            "its description: input_size: expected a whole number of at least 1, found -5; train it ag",
        ),
        ({"input_size": 0}, "its description: input_size: expected a whole number of at least 1, found 0"),
        (
            {"input_size": 10**12},
            "its description: input_size: expected a whole number of at most 1024, found 1000000000",
        ),
        ({"input_size": "64"}, "its description: input_size: expected a whole number, found text"),
        (
            {"input_size": 2},
            "its description: expected sizes through which a photo of 2 x 2 pixels can pass, found some th",
        ),
        ({"input_size": None}, "its description: input_size: expected a whole number, found null"),
        ({"resize": 32}, "its description: resize: expected at least the input size, 64, found 32"),
        ({"widths": [100_000_000, 4, 4, 4]}, "its description: widths[0]: expected a whole number of at most 65536"),
        (
            {"widths": [65_536] * 4},
            "expected features.conv1.weight of shape (65536, 3, 5, 5), found (4, 3, 5, 5): anoth",
        ),
        ({"widths": []}, "its description: widths: expected the channels of 1 to 100 stages, found 0"),
        ({"depths": [1]}, "its description: depths: expected one for each of the 4 widths, found 1"),
        ({"depths": [100] * 4}, "expected a tensor features.conv8.weight for SmallCNN, found none"),
        ({"kernel": 1.5}, "its description: kernel: expected a whole number, found a number"),
        (
            {"kernel": 98},
            "expected features.conv1.weight of shape (4, 3, 98, 98), found (4, 3, 5, 5): another architectu",
        ),
        ({"pool": "median"}, "its description: pool: "),
        ({"grid": 4}, "its description: grid: "),
        ({"class_names": []}, "its description: class_names: expected the name of at least one class, found none"),
        ({"class_names": ["a", "b", "c"]}, "its description: wnids: expected one for each of the 3 classes, found 2"),
        ({"class_names": {"a": 1}}, "its description: class_names: expected a list, found named values"),
        ({"colour": "grey"}, "its description: expected no colour, which is no part of such a record"),
        (
            {"architecture": "AlexNet"},
            "expected a tensor features.0.weight for AlexNet, found none, nor features.0.bias, features.3.weight, ",
        ),
    ],
)
def test_sizes_that_cannot_be_meant_are_refused_before_memory_is_asked_for(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    save(tmp_path)
    file = tmp_path / "weights.safetensors"
    said = {**asdict(DESCRIPTION), **change}
    save_file(load_file(file), file, {"description": json.dumps(said)})
    with pytest.raises(InputError) as error:
        catalogue.from_folder(CNN, tmp_path, Classes(CLASSES.names, CLASSES.keys))
    assert str(error.value).startswith(f"{file}: {words}")
    assert "\n" not in str(error.value)


def test_a_layer_that_would_take_gigabytes_is_refused(tmp_path: Path) -> None:
    said = Description("SmallCNN", ("a", "b"), ("a", "b"), 1024, 1024, (2048,), kernel=1)
    save_model(tmp_path, SmallCNN(2, (2048,), kernel=1).state_dict(), said)
    with pytest.raises(InputError, match="expected a layer to give at most 268,435,456 numbers, found 2,147,483,648"):
        catalogue.from_folder(CNN, tmp_path)


def test_a_prefix_is_taken_off_and_told(tmp_path: Path) -> None:
    network = initialise(SmallCNN(len(CLASSES)), 0)
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "own.pth")
    loaded = loaded_of(configured(tmp_path, "own.pth"))
    assert loaded is not None
    assert loaded.notes == (
        "The order of its outputs was not declared: they are taken to be the report's classes in its order.",
        "In the names of own.pth, module. was taken off.",
    )
    assert torch.equal(loaded.network.state_dict()["head.linear.weight"], network.state_dict()["head.linear.weight"])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (lambda: SmallCNN(10).state_dict(), "found (10, 320): a model with another number of classes, 10; train it a"),
        (
            lambda: nn.Linear(2, 2).state_dict(),
            "; instead there is bias, weight: weights of another architecture",
        ),
        (lambda: {n: t.to(torch.int8) for n, t in SmallCNN(2).state_dict().items()}, "expected floating-point numbers"),
    ],
)
def test_other_weights_are_told_with_the_likeliest_cause(
    tmp_path: Path, weights: Callable[[], dict[str, torch.Tensor]], words: str
) -> None:
    torch.save(weights(), tmp_path / "own.pth")
    with pytest.raises(InputError) as error:
        loaded_of(configured(tmp_path, "own.pth"))
    assert words in str(error.value)


def test_a_network_of_torchvision_is_made_and_no_other_code_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = squeezenet1_1(num_classes=2)
    said = replace(DESCRIPTION, architecture="torchvision.models:squeezenet1_1")
    save_model(tmp_path / "cnn", made.state_dict(), said)
    found = catalogue.from_folder(CNN, tmp_path / "cnn")
    assert found is not None
    assert type(found.network) is type(made)

    (tmp_path / "hostile_nets.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')\nNet = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    save_model(tmp_path / "cnn", made.state_dict(), replace(said, architecture="hostile_nets:Net"))
    with pytest.raises(InputError, match="code that no file of weights has run"):
        catalogue.from_folder(CNN, tmp_path / "cnn")
    assert not (tmp_path / "it ran").exists()


# Any network


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

    def forward(self, x):
        return self.head(self.conv(x).relu())
"""


def of(folder: Path, *lines: str) -> Loaded:
    """The network of a report that says so of it."""
    (folder / "net.py").write_text(NET)
    (folder / "report.toml").write_text("\n".join(["[models.mine]", *lines]))
    found = loaded_of(reading.load(folder / "report.toml"))
    assert found is not None
    return found


NAMED = 'architecture = "net.py:Net"'
RANDOM = f'weights = "random"\n{NAMED}'


def test_random_weights_are_the_same_at_each_build_and_said_to_be_random(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    found, again = of(tmp_path, RANDOM), of(tmp_path, RANDOM)
    state = again.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.network.state_dict().items())
    assert found.digest == again.digest
    assert (found.title, found.class_names, found.class_keys) == ("Net", CLASSES.names, CLASSES.keys)
    assert found.source == "Its weights are random: it has learnt nothing."
    assert (found.notes, found.folder, found.network.training) == ((), None, False)
    assert found.evaluated is not None
    assert found.evaluated.name == f"mine-{found.digest[:8]}"
    torch.set_rng_state(before)


def test_a_file_of_weights_is_loaded_into_any_architecture(tmp_path: Path) -> None:
    network = models.resnet18(num_classes=2)
    torch.save(network.state_dict(), tmp_path / "own.pth")
    found = of(tmp_path, 'weights = "own.pth"', 'architecture = "torchvision.models:resnet18"', 'title = "Mine"')
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(found.network(images), network.eval()(images))
    assert (found.title, found.input) == ("Mine", Input((224, 224), 256))
    assert found.layer == "layer4"
    assert len(found.stages) > 1


def test_the_order_of_the_outputs_is_the_declared_one(tmp_path: Path) -> None:
    """By name or by key; what the report does not know is a class of its own."""
    found = of(tmp_path, RANDOM, 'classes = ["zebra", "banana", "n01443537"]')
    assert found.class_names == ("zebra", "banana", "goldfish")
    assert found.class_keys == ("zebra", "n07753592", "n01443537")
    assert [found.output_of(key, (name,)) for key, name in zip(CLASSES.keys, CLASSES.names, strict=True)] == [2, 1]
    with pytest.raises(InputError, match=r"\[models.mine\] classes: expected different classes, got 'n07753592' more"):
        of(tmp_path, RANDOM, 'classes = ["banana", "n07753592"]')


def test_an_order_that_nobody_declared_is_said_to_be_taken_for_the_report_s(tmp_path: Path) -> None:
    torch.save(of(tmp_path, RANDOM).network.state_dict(), tmp_path / "own.pth")
    weights = 'weights = "own.pth"'
    (note,) = of(tmp_path, weights, NAMED).notes
    assert note.startswith("The order of its outputs was not declared")
    assert of(tmp_path, weights, NAMED, 'classes = ["banana", "goldfish"]').notes == ()


def test_what_makes_another_network_gives_another_digest(tmp_path: Path) -> None:
    """Else figures of one would be shown for the other."""
    said: list[tuple[str, ...]] = [
        (),
        ("input = {size = 32}",),
        ("input = {size = [32, 48]}",),
        ("input = {std = 0.5}",),
        ("input = {range = 255}",),
        ('input = {crop = "none"}',),
        ('input = {interpolation = "bicubic"}',),
        ('classes = ["banana", "goldfish"]',),
        ("arguments = {channels = 1}", "input = {channels = 1}"),
    ]
    digests = [of(tmp_path, RANDOM, *lines).digest for lines in said]
    (tmp_path / "beside.py").write_text("WIDTH = 3")
    digests.append(of(tmp_path, RANDOM).digest)
    assert len(set(digests)) == len(digests)
    # What only words or the choice of a layer say is no other network.
    assert of(tmp_path, RANDOM, 'title = "Other"', 'layer = "conv"').digest == digests[-1]


def test_a_trained_folder_s_input_is_the_record_s_with_what_report_toml_says_of_it(tmp_path: Path) -> None:
    save(tmp_path / "models" / "cnn")
    plain = loaded_of(configured(tmp_path))
    other = loaded_of(configured(tmp_path, more="input = {resize = 72, mean = 0.5}\n"))
    assert plain is not None
    assert other is not None
    assert plain.input == square(64)
    assert other.input == replace(square(64, 72), mean=(0.5, 0.5, 0.5))
    assert plain.digest != other.digest


def test_a_new_size_takes_the_old_resize_with_it(tmp_path: Path) -> None:
    resnet = 'weights = "random"\narchitecture = "torchvision.models:resnet18"'
    assert of(tmp_path, resnet).input == Input((224, 224), 256)
    assert of(tmp_path, resnet, "input = {size = 64}").input == Input((64, 64))
    assert of(tmp_path, resnet, "input = {size = 64, resize = 72}").input == Input((64, 64), 72)
    with pytest.raises(InputError, match="input: expected a resize of at least the shorter side of size, 224, got 64"):
        of(tmp_path, resnet, "input = {resize = 64}")


def test_mean_and_deviation_fit_the_channels(tmp_path: Path) -> None:
    grey = of(tmp_path, RANDOM, "arguments = {channels = 1}", "input = {channels = 1}").input
    # The average of those of red, green and blue: by these grey pictures are usually normalised.
    assert [*grey.mean, *grey.std] == pytest.approx([0.449, 0.226])
    assert of(tmp_path, RANDOM, "input = {mean = 0.5, std = 0.25}").input.mean == (0.5, 0.5, 0.5)
    with pytest.raises(InputError, match=r"\[models.mine\] input: expected a mean of 4 numbers, one for each channel"):
        of(tmp_path, RANDOM, "arguments = {channels = 4}", "input = {channels = 4}")


def test_a_network_of_one_channel_and_of_no_square_answers(tmp_path: Path) -> None:
    found = of(tmp_path, RANDOM, "arguments = {channels = 1}", "input = {channels = 1, size = [48, 192]}")
    assert found.input.shape == (1, 48, 192)
    images = fitted(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), found.input)
    logits = answers.logits_of(found.network, images, found.input)
    assert logits.shape == (2, 2)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("raise ValueError('mine')", "given an image of 3 x 64 x 64: it raised ValueError at net.py:11: mine"),
        ("return self.conv(x)", r"expected logits of shape \(1, 2\) for an image, .* got \(1, 4, 222, 222\)"),
        ("return {'logits': x}", r"expected logits \(N, K\), it gives a dict \(logits\) without any"),
        ("return self.head(x)", "it raised RuntimeError at net.py:11: "),
    ],
)
def test_a_network_that_does_not_answer_an_image_is_told_before_anything_else_happens(
    tmp_path: Path, forward: str, said: str
) -> None:
    of(tmp_path, RANDOM)
    (tmp_path / "net.py").write_text(NET.replace("return self.head(self.conv(x).relu())", forward))
    with pytest.raises(InputError, match=said) as error:
        loaded_of(reading.load(tmp_path / "report.toml"))
    assert "\n" not in str(error.value)


def test_outputs_that_are_not_the_report_s_classes_are_told(tmp_path: Path) -> None:
    of(tmp_path, RANDOM)
    (tmp_path / "net.py").write_text(NET.replace("num_classes, ", "").replace("num_classes", "10"))
    with pytest.raises(
        InputError,
        match=r"expected logits of shape \(1, 2\) .* got \(1, 10\); `classes` says what its outputs stand for",
    ):
        loaded_of(reading.load(tmp_path / "report.toml"))


NO_CONVOLUTION = "the network runs no 2-d convolution (nn.Conv2d) that gives maps of more than one cell"
ZEROS = (  # torchvision's own ViTs begin with a head of zeros
    "the logits of the network have no gradient by any cell of its layers (conv_proj to encoder), as where its last "
    "weights are all zero"
)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), NO_CONVOLUTION),
        (models.VisionTransformer(64, 16, 1, 1, 4, 4, num_classes=2), ZEROS),
    ],
)
def test_a_network_without_a_layer_to_explain_says_why(network: nn.Module, reason: str) -> None:
    found = facts.loaded(network, ("a", "b"))
    assert (found.layer, found.no_layer) == ("", reason)
    able, why_not = found.methods
    assert {"occlusion", "integrated gradients"} <= set(able)
    assert not set(able) & set(methods.OF_LAYERS)
    assert methods.left_out(why_not)[0] == f"Grad-CAM, Grad-CAM++, LayerCAM and Score-CAM are left out: {reason}."
    named = facts.loaded(network, ("a", "b"), layer="any")
    with pytest.raises(InputError, match=r"\[models\..*\] layer: expected a module's dotted name, got 'any'"):
        _ = named.layer


def test_report_toml_s_layer_is_the_network_s(tmp_path: Path) -> None:
    assert of(tmp_path, RANDOM, 'layer = "conv"').layer == "conv"
    save(tmp_path / "models" / "cnn")
    for more, layer in (("", "features.relu7"), ('layer = "features.relu3"\n', "features.relu3")):
        found = loaded_of(configured(tmp_path, more=more))
        assert found is not None
        assert found.layer == layer


def test_no_architecture_and_no_weights_that_say_it_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'\[models.mine\] architecture: expected "SmallCNN", .* got none, and there'):
        of(tmp_path, 'weights = "random"')


def test_weights_that_nobody_published_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file, there are no published weights of Net that the program"):
        of(tmp_path, 'weights = "imagenet"', NAMED)
    save(tmp_path / "models" / "cnn")
    found = loaded_of(configured(tmp_path, "auto"))
    assert found is not None
    assert found.notes == ("ImageNet's weights were asked for first, but none of SmallCNN are published.",)


@pytest.mark.parametrize("arguments", ["{colour = 3}", "{widths = [-4]}", '{widths = "wide"}', "{depths = [1]}"])
def test_arguments_that_an_architecture_does_not_take_are_told(tmp_path: Path, arguments: str) -> None:
    save(tmp_path)
    for weights in ("random", "weights.safetensors"):
        with pytest.raises(InputError, match=r"^\[models.cnn\] arguments: expected arguments that SmallCNN takes: "):
            loaded_of(configured(tmp_path, weights, more=f"arguments = {arguments}\n"))


def test_two_networks_of_one_architecture_are_two(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        torch.save(initialise(SmallCNN(2), seed).state_dict(), tmp_path / f"{name}.pth")
    text = "".join(f'[models.{name}]\narchitecture = "SmallCNN"\nweights = "{name}.pth"\n' for name in "ab")
    (tmp_path / "report.toml").write_text(text)
    settings = reading.load(tmp_path / "report.toml")
    first, second = (catalogue.load(wanted, settings, CLASSES) for wanted in settings.models.networks)
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("a", "b")
    assert first.digest != second.digest
    assert first.evaluated != second.evaluated


def test_a_file_of_our_own_tensors_needs_no_architecture_named_and_another_s_does(tmp_path: Path) -> None:
    network = initialise(SmallCNN(len(CLASSES)), 0)
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "own.pth")
    (tmp_path / "report.toml").write_text('[models.mine]\nweights = "own.pth"\n')
    settings = reading.load(tmp_path / "report.toml")
    found = catalogue.load(settings.models["mine"], settings, CLASSES)
    assert found is not None
    assert (found.architecture.name, type(found.network)) == ("SmallCNN", SmallCNN)
    torch.save(squeezenet1_1(num_classes=2).state_dict(), tmp_path / "own.pth")
    with pytest.raises(InputError, match=r"\[models\.mine\] architecture: expected .*there are no weights that say it"):
        catalogue.load(settings.models["mine"], settings, CLASSES)


def test_a_model_of_the_user_s_code_teaches_where_report_toml_names_it(tmp_path: Path) -> None:
    """And its file is looked for below report.toml's folder, wherever the command was called."""
    settings = report_with_code(tmp_path)
    found = catalogue.from_any_folder(tmp_path / "teacher", CLASSES, settings)
    assert found.network(torch.ones(1, 3, 64, 64)).shape == (1, 2)
    assert found.architecture.name == "nets/net.py:Net"


def test_a_model_s_code_that_no_report_names_is_refused_unrun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = report_with_code(tmp_path)
    assert capsys.readouterr().out == "ran\n"
    other = replace(settings, models=replace(settings.models, networks=(CNN,)))
    for report in (other, None):
        with pytest.raises(InputError, match=r"teacher: expected .* that report\.toml names, found those of nets/net"):
            catalogue.from_any_folder(tmp_path / "teacher", CLASSES, report)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = replace(settings, folder=elsewhere)
    with pytest.raises(
        InputError, match=r"teacher: expected a model below .*elsewhere, where its nets/net\.py:Net lies"
    ):
        catalogue.from_any_folder(tmp_path / "teacher", CLASSES, moved)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match="nowhere: expected a trained model, found no weights"):
        catalogue.from_any_folder(tmp_path / "nowhere", CLASSES, settings)


def report_with_code(folder: Path) -> schema.Config:
    """A report that names a file of code, and a folder of weights of that code beside its models."""
    (folder / "nets").mkdir()
    (folder / "nets" / "net.py").write_text("print('ran')\n" + NET)
    name = "nets/net.py:Net"
    (folder / "report.toml").write_text(f'[models.mine]\narchitecture = "{name}"\n')
    network = named.architecture(name, folder).construct(2)
    save_model(folder / "teacher", network.state_dict(), replace(DESCRIPTION, architecture=name, widths=()))
    return reading.load(folder / "report.toml")
