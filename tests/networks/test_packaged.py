"""Networks of timm, and folders of transformers and timm: as their settings say, and what is told of bad ones."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from generator.base.errors import InputError
from generator.config import reading
from generator.data.classes import Classes
from generator.data.preprocessing import seen
from generator.networks import catalogue
from generator.networks.inputs import normalise
from generator.networks.loaded import Loaded
from generator.networks.sources import folders, timm_models
from generator.records.input import MEAN, STD, Input
from generator.training.run import recipe_for

pytestmark = pytest.mark.usefixtures("one_thread")

VIT = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 8, "image_size": 16, "patch_size": 8, "num_channels": 3,
    "id2label": {"0": "spoons", "1": "cups", "2": "forks"}, "label2id": {"spoons": 0, "cups": 1, "forks": 2},
}  # fmt: skip
PROCESSOR = {
    "do_resize": True, "size": {"height": 16, "width": 16}, "resample": 3, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip


CLASSES = ("cups", "forks", "spoons")


def folder_of(root: Path, config: Any = VIT, processor: Any = PROCESSOR) -> Path:
    root.mkdir(exist_ok=True)
    (root / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    (root / "preprocessor_config.json").write_text(json.dumps(processor))
    return root


def loaded(text: str, root: Path) -> Loaded:
    config = reading.of_text(f"[models.net]\n{text}", "the test", root)
    found = catalogue.load(config.models.networks[0], config, Classes(CLASSES, CLASSES))
    assert found is not None
    return found


def refusal(text: str, root: Path) -> str:
    with pytest.raises(InputError) as caught:
        loaded(text, root)
    said = str(caught.value)
    assert "\n" not in said
    return said


def kept(network: torch.nn.Module, folder: Path) -> None:
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def origins(found: Loaded) -> dict[str, tuple[str, str, str]]:
    return {fact.what: (fact.value, fact.origin, fact.source) for fact in found.facts}


# How images are given


def picture(height: int, width: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def as_here(image: Image.Image, way: Input) -> torch.Tensor:
    return normalise(torch.tensor(seen(np.asarray(image), way))[None].permute(0, 3, 1, 2), way)[0]


@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("share", [0.875, 0.9, 1.0])
@pytest.mark.parametrize("size", [(40, 60), (61, 47), (33, 33)])
def test_timms_settings_give_the_image_that_its_transform_gives(share: float, size: tuple[int, int], mode: str) -> None:
    data = pytest.importorskip("timm.data")
    said: dict[str, Any] = {"input_size": (3, 32, 32), "interpolation": "bicubic", "mean": MEAN, "std": STD}
    said |= {"crop_pct": share, "crop_mode": mode}
    way, told, own = timm_models.input_of(said, "read", "config.json")
    assert own == share
    assert {"size", "crop", "interpolation", "mean", "std"} <= set(told)
    expected = data.create_transform(**said)(picture(*size))
    assert torch.allclose(as_here(picture(*size), way), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViTImageProcessor", {"size": {"height": 24, "width": 32}, "resample": 2}),
        ("ViTImageProcessor", {"size": {"height": 24, "width": 24}, "do_normalize": False}),
        ("ViTImageProcessor", {"size": {"height": 24, "width": 24}, "do_rescale": False, "image_mean": [99, 98, 97]}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 28}, "crop_pct": 0.875, "resample": 3}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": {"height": 24, "width": 28}}),
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": {"height": 24, "width": 24}}),
        ("EfficientNetImageProcessor", {"size": {"height": 24, "width": 24}, "resample": 0}),
        (
            "EfficientNetImageProcessor",
            {"size": {"height": 28, "width": 28}, "do_center_crop": True, "crop_size": {"height": 24, "width": 24}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_processors_settings_give_the_image_that_it_gives(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    slow = getattr(transformers, f"{kind}Pil", None) or getattr(transformers, kind)
    processor = slow(**settings)
    processor.save_pretrained(tmp_path)
    shown = json.loads((tmp_path / "preprocessor_config.json").read_text())
    way, _ = folders.input_of({"num_channels": 3, "image_size": 224}, shown, tmp_path)
    for size in ((40, 60), (60, 50)):  # where they round a cut as torchvision does
        expected = processor(picture(*size), return_tensors="pt")["pixel_values"][0]
        assert torch.allclose(as_here(picture(*size), way), expected.float(), atol=2e-2 * way.range), size


# What is read of folders


def test_a_folder_of_transformers_is_read_with_its_facts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    network = catalogue.architecture_of(wanted("hf:vit", folder_of(tmp_path / "vit")), tmp_path).construct(3)
    kept(network, tmp_path / "vit")
    found = loaded('architecture = "hf:vit"', tmp_path)
    assert found.class_names == ("spoons", "cups", "forks")
    assert found.class_of == {"spoons": 0, "cups": 1, "forks": 2}
    facts = origins(found)
    assert facts["classes"] == ("3: spoons, cups, forks", "read", "config.json")
    assert facts["image size"] == ("16 × 16 pixels", "read", "preprocessor_config.json")
    assert facts["mean"] == ("0.5, 0.4, 0.3", "read", "preprocessor_config.json")
    assert facts["interpolation"] == ("bicubic", "read", "preprocessor_config.json")
    assert facts["resize and crop"][:2] == ("brought to the size as a whole", "read")
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(found.network(images), network.eval()(images).logits)
    # Other classes go first, and that the folder says others is told.
    other = loaded('architecture = "hf:vit"\nclasses = ["cups", "forks", "spoons"]\ninput = {mean = 0.5}', tmp_path)
    assert other.class_names == ("cups", "forks", "spoons")
    assert "Its config.json names the outputs otherwise: spoons, cups, forks." in other.notes
    assert origins(other)["mean"] == ("0.5, 0.5, 0.5", "declared", "the command line")
    assert other.digest != found.digest
    # Another config.json makes another network of the same weights.
    folder_of(tmp_path / "vit", processor={**PROCESSOR, "resample": 2})
    assert loaded('architecture = "hf:vit"', tmp_path).digest != found.digest


def test_it_is_trained_with_images_of_the_size_that_it_takes(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    found = catalogue.architecture_of(wanted("hf:vit", folder_of(tmp_path / "vit")), tmp_path)
    assert recipe_for(found, "quick", found.input).sizes == ((0.0, 16),)


def wanted(architecture: str, root: Path) -> Any:
    return reading.of_text(f'[models.net]\narchitecture = "{architecture}"', "the test", root.parent).models["net"]


def test_weights_of_older_names_are_read(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    network = transformers.ViTForImageClassification(transformers.ViTConfig(**VIT))
    network.save_pretrained(tmp_path / "vit")  # which writes the names of earlier versions
    found = loaded('architecture = "hf:vit"', tmp_path)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(found.network(images), network.eval()(images).logits)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"id2label": {"0": "a", "1": "b"}},
            r"expected classifier.weight of shape \(2, 8\), found \(3, 8\): a model with",
        ),
        ({"image_size": 32}, r"expected vit.embeddings.position_embeddings of shape \(1, 17, 8\), found \(1, 5, 8\)"),
        ({"num_hidden_layers": 2}, r"expected a tensor vit.layers.1.* tensors are there: weights of another version"),
    ],
    ids=["classes", "size", "layers"],
)
def test_weights_of_older_names_that_do_not_fit_are_told_by_their_present_ones(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.ViTForImageClassification(transformers.ViTConfig(**VIT)).save_pretrained(tmp_path / "vit")
    config = tmp_path / "vit" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    assert re.search(said, refusal('architecture = "hf:vit"', tmp_path))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_weights_of_16_bits_are_read_as_32(tmp_path: Path, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    network = transformers.ViTForImageClassification(transformers.ViTConfig(**VIT)).to(getattr(torch, kind))
    network.save_pretrained(tmp_path / "vit")
    assert f'"dtype": "{kind}"' in (tmp_path / "vit" / "config.json").read_text()
    found = loaded('architecture = "hf:vit"', tmp_path)
    assert {parameter.dtype for parameter in found.network.parameters()} == {torch.float32}
    images = torch.randn(2, 3, 16, 16)
    assert torch.allclose(found.network(images), network.float().eval()(images).logits, atol=1e-6)


def test_a_folder_of_timm_is_read_with_its_facts(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_vit", num_classes=3, img_size=32).eval()
    own = {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.8}
    config = {
        "architecture": "test_vit", "num_classes": 3, "label_names": ["spoons", "cups", "forks"],
        "model_args": {"img_size": 32}, "pretrained_cfg": {**own, "interpolation": "bilinear"},
    }  # fmt: skip
    (folder_of(tmp_path / "vit", config) / "preprocessor_config.json").unlink()
    kept(network, tmp_path / "vit")
    found = loaded('architecture = "hf:vit"', tmp_path)
    assert found.input == Input((32, 32), 40, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert found.class_names == ("spoons", "cups", "forks")
    assert {origin for _, origin, _ in origins(found).values()} == {"declared", "read", "assumed"}
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(found.network(images), network(images))


def test_a_network_of_timm_has_its_settings(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    shape = "arguments = {img_size = 32, patch_size = 8, embed_dim = 8, depth = 1, num_heads = 2}"
    found = loaded(f'architecture = "timm:vit_tiny_patch16_224"\nweights = "random"\n{shape}', tmp_path)
    assert found.input == Input((32, 32), 35, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    source = "timm's settings of vit_tiny_patch16_224, which its training program uses"
    assert origins(found)["mean"] == ("0.5, 0.5, 0.5", "inferred", source)
    assert origins(found)["image size"] == ("32 × 32 pixels", "inferred", "the network runs with it")
    grey = loaded('architecture = "timm:test_resnet"\nweights = "random"\narguments = {in_chans = 1}', tmp_path)
    assert grey.input.shape == (1, 160, 160)
    sized = loaded('architecture = "timm:test_resnet"\nweights = "random"\ninput = {size = 64}', tmp_path)
    assert (sized.input.size, sized.input.resize) == ((64, 64), 67)


# What is told of bad ones


def test_a_missing_package_is_told_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    said = refusal('architecture = "timm:resnet18"\nweights = "random"', tmp_path)
    assert said.startswith("architecture 'timm:resnet18': expected the package timm, it is not installed (")
    assert said.endswith("; install it with: pip install timm")
    folder_of(tmp_path / "vit")
    assert refusal('architecture = "hf:vit"', tmp_path).endswith("; install it with: pip install transformers")


def test_a_name_that_timm_does_not_have_is_told_with_those_near_it(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    said = refusal('architecture = "timm:resnet19"\nweights = "random"', tmp_path)
    assert "got 'resnet19'; nearest: resnet" in said
    said = refusal('architecture = "timm:resnet18.nobody"\nweights = "random"', tmp_path)
    assert "expected one of the weights that timm knows of resnet18 (" in said
    assert said.endswith("'resnet18' alone makes the same network")
    said = refusal('architecture = "timm:test_vit"\nweights = "random"\narguments = {wide = 3}', tmp_path)
    assert "wide" in said
    said = refusal('architecture = "timm:resnet18"\nweights = "imagenet"', tmp_path)
    assert "expected a file, there are no published weights of resnet18 that the program knows" in said


@pytest.mark.parametrize("name", ["timm:hf-hub:timm/x", "timm:", "hf:", "timm:../x", "x.pt2:Net()"])
def test_other_forms_are_refused(tmp_path: Path, name: str) -> None:
    assert "architecture: expected" in refusal(f'architecture = "{name}"', tmp_path)


HUGE = {**VIT, "hidden_size": 10**9}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "it is no JSON, or damaged"),
        ("[" * 100_000, "it is no JSON, or damaged"),
        ("[]", "expected a table as save_pretrained of transformers or timm writes it, found list"),
        (
            {"x": 1},
            "expected model_type, as transformers writes it, or architecture, as timm does, found neither among x",
        ),
        ({**VIT, "model_type": ["vit"]}, "found neither among"),
        ({**VIT, "model_type": "nothing"}, "expected a model_type that transformers"),
        ({**VIT, "model_type": "bert"}, "expected a network that classifies images, bert is none"),
        ({**VIT, "auto_map": {"AutoModel": "mine--code.Net"}}, "found auto_map, which names code of its own"),
        (
            {**VIT, "_attn_implementation": "someone/kernels"},
            "found _attn_implementation, which fetches or runs",
        ),
        ({**VIT, "inner": {"attn_implementation": "x"}}, "found attn_implementation, which fetches or runs others"),
        (
            {**VIT, "backbone": "resnet18", "use_pretrained_backbone": True},
            "found use_pretrained_backbone, which fetches or runs others",
        ),
        (HUGE, "expected at most 100,000 under hidden_size, found 1000000000"),
        ({**VIT, "num_hidden_layers": 10**5}, "expected at most 1,000 under num_hidden_layers"),
        ({**VIT, "hidden_size": "wide"}, "expected settings of a network of the kind vit: "),
        ({**VIT, "hidden_act": "os.system"}, "expected settings of a network of the kind vit: "),
        ({**VIT, "id2label": {"0": "cups", "2": "forks"}}, "expected names under the numbers from 0 on in id2label"),
        ({**VIT, "id2label": {"0": 5}}, "expected names of classes under id2label"),
        ({**VIT, "id2label": 3}, "in id2label, found something else"),
    ],
    ids=range(18),
)
def test_a_config_that_cannot_be_meant_is_told(tmp_path: Path, config: Any, said: str) -> None:
    pytest.importorskip("transformers")
    folder_of(tmp_path / "vit", config)
    assert said in refusal('architecture = "hf:vit"\nweights = "random"', tmp_path)


def test_arguments_that_fetch_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder_of(tmp_path / "vit")
    lines = 'architecture = "hf:vit"\nweights = "random"\narguments = {attn_implementation = "someone/kernels"}'
    assert "arguments: expected settings of a network alone, found attn_implementation" in refusal(lines, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": {"height": "x", "width": 3}}, "a side of x"),
        ({"size": {"longest_edge": 3}}, "'height'"),
        ({"size": {"height": 10**9, "width": 3}}, "a side of 1000000000"),
        ({"image_mean": "x"}, "x"),
        ({"image_std": [0, 0, 0]}, "where finite numbers are expected"),
        ({"resample": 9}, "9"),
        ({"rescale_factor": -1}, "rescale_factor = -1"),
    ],
    ids=range(7),
)
def test_a_processor_that_cannot_be_meant_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    pytest.importorskip("transformers")
    folder_of(tmp_path / "vit", processor={**PROCESSOR, **change})
    told = refusal('architecture = "hf:vit"\nweights = "random"', tmp_path)
    assert "preprocessor_config.json: expected settings of an image processor (size, " in told
    assert said in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": 3}, "expected the name of a network of timm under architecture, got '3'"),
        ({"architecture": "no_such"}, "expected the name of a network that timm"),
        ({"model_args": [1]}, "expected a table of arguments under model_args, got list"),
        ({"pretrained_cfg": 3}, "expected a table under pretrained_cfg, got int"),
        ({"pretrained_cfg": {"input_size": [3, 32]}}, "expected timm's settings of its images"),
        ({"pretrained_cfg": {"mean": [float("nan")] * 3}}, "expected timm's settings of its images"),
        ({"pretrained_cfg": {"crop_pct": 0.001}}, "crop_pct = 0.001"),
        ({"label_names": ["cups"]}, "expected 3 names under label_names, as num_classes says, found 1"),
        (
            {"label_names": {"0": "cups", "5": "forks"}},
            "under the numbers from 0 on in label_names, found something else",
        ),
        ({"label_names": "cups"}, "under the numbers from 0 on in label_names, found something else"),
    ],
    ids=range(10),
)
def test_a_folder_of_timm_that_cannot_be_meant_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    pytest.importorskip("timm")
    folder_of(tmp_path / "net", {"architecture": "test_vit", "num_classes": 3, **change})
    assert said in refusal('architecture = "hf:net"\nweights = "random"', tmp_path)


@pytest.mark.parametrize("kind", [{}, {"model_type": "timm_wrapper"}], ids=["timm", "wrapper"])
def test_no_file_that_settings_name_is_read(tmp_path: Path, kind: dict[str, str]) -> None:
    """timm.create_model unpickles its checkpoint_path with all that it holds."""
    pytest.importorskip("timm")
    config = {**kind, "architecture": "test_resnet", "num_classes": 3, "model_args": {"checkpoint_path": "evil.pth"}}
    folder_of(tmp_path / "net", config)
    said = refusal('architecture = "hf:net"\nweights = "random"', tmp_path)
    assert "config.json: expected settings of a network alone, found checkpoint_path, which fetches or runs" in said
    folder_of(tmp_path / "net", {**config, "model_args": {}})
    for architecture in ("timm:test_resnet", "hf:net"):
        lines = f'architecture = "{architecture}"\nweights = "random"\narguments = {{checkpoint_path = "evil.pth"}}'
        assert "expected arguments of the network alone, got checkpoint_path" in refusal(lines, tmp_path)


def test_folders_that_are_not_whole_are_told(tmp_path: Path) -> None:
    assert "expected a folder of transformers or timm, found none at" in refusal('architecture = "hf:no"', tmp_path)
    (tmp_path / "empty").mkdir()
    said = refusal('architecture = "hf:empty"', tmp_path)
    assert (
        "config.json: expected a file of JSON as save_pretrained of transformers or timm writes it, found none" in said
    )
    pytest.importorskip("transformers")
    folder_of(tmp_path / "vit")
    assert "model.safetensors: expected a file of weights, found none" in refusal('architecture = "hf:vit"', tmp_path)
    save_file({"classifier.weight": torch.zeros(5, 8)}, tmp_path / "vit" / "model.safetensors")
    assert "expected a tensor " in refusal('architecture = "hf:vit"', tmp_path)
    network = catalogue.architecture_of(wanted("hf:vit", tmp_path / "vit"), tmp_path).construct(5)
    kept(network, tmp_path / "vit")
    assert "a model with another number of classes, 5" in refusal('architecture = "hf:vit"', tmp_path)
