"""Whole networks from a file: of torch.export as a graph of torch's own operators, whatever else the file holds."""

from __future__ import annotations

import copy
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from generator.networks.outputs import as_logits
from generator.networks.sources import programs

pytestmark = pytest.mark.usefixtures("one_thread")


class Net(nn.Module):
    """A small network with a layer of each kind that is put back, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.ReLU())
        self.fc = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu(self.norm(self.conv(images)))
        maps = self.block(maps) + maps
        return F.log_softmax(self.fc(F.dropout(maps.mean((2, 3)), training=self.training)), 1)


class Many(nn.Module):
    """What gives several things of two inputs, or one of them."""

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        return images.mean((2, 3)) + others


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    made = Net().eval()
    made.norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    made.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return made


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(5, 3, 16, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def exported(network: nn.Module, images: Tensor) -> bytes:
    """For any number of images."""
    return saved(network, images[:2], {0: torch.export.Dim("batch", min=1, max=64)})


def saved(network: nn.Module, images: Tensor, shapes: dict[int, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=shapes and (shapes,)), buffer)
    return buffer.getvalue()


def loaded(data: bytes, folder: Path) -> programs.Program:
    (folder / "net.pt2").write_bytes(data)
    return programs.load(folder / "net.pt2")


def refusal(data: bytes, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        loaded(data, folder)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{folder / 'net.pt2'}: expected ")
    return said


def changed(data: bytes, member: str, change: Callable[[Any], Any]) -> bytes:
    """An archive with another file of that end: of JSON, or of bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(buffer, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith(member):
                content = (
                    json.dumps(change(json.loads(content))).encode() if member.endswith(".json") else change(content)
                )
            after.writestr(name, content)
    return buffer.getvalue()


def test_an_exported_network_is_the_one_it_was_made_of(
    network: nn.Module, images: Tensor, exported: bytes, tmp_path: Path
) -> None:
    found = loaded(exported, tmp_path)
    assert (found.shape, found.batch, found.opaque) == ((3, 16, 12), 0, "")
    made = found.network
    assert torch.equal(made(images), network(images))
    kinds = {"conv": nn.Conv2d, "norm": nn.BatchNorm2d, "block.0": nn.Conv2d, "block.1": nn.ReLU, "fc": nn.Linear}
    assert {name: type(made.get_submodule(name)) for name in kinds} == kinds
    assert [point.name for point in explain.points(made, images)] == [
        point.name for point in explain.points(network, images)
    ]
    maps = [explain.grad_cam(one, images, torch.zeros(5, dtype=torch.int64), "block") for one in (made, network)]
    assert torch.equal(*maps)
    # A copy of it is its own.
    other = copy.deepcopy(made)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert other(images).std() < 1e-5
    assert torch.equal(made(images), network(images))


def test_its_log_softmax_is_found(network: nn.Module, images: Tensor, exported: bytes, tmp_path: Path) -> None:
    made = loaded(exported, tmp_path).network
    (note,) = as_logits(made, images[:1], 3, "net")
    assert note.startswith("It ends in a log-softmax")
    assert torch.allclose(made(images).log_softmax(1), network(images))
    assert not torch.allclose(made(images), network(images))


def test_one_for_a_number_of_images_is_given_as_many(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    found = loaded(saved(network, images[:2]), tmp_path)
    assert (found.batch, found.opaque) == (2, "the program was exported for 2 images at once")
    made, notes = programs.opaque(found.network, found.batch, images[:1], 3, "net")
    assert torch.allclose(made(images).log_softmax(1), network(images), atol=1e-6)
    assert made(images[:1]).shape == (1, 3)
    assert notes[-1] == "It takes 2 images at once; batches are cut for it."


def test_one_in_training_mode_is_refused(images: Tensor, tmp_path: Path) -> None:
    for made, what in ((Net().train(), "batch norm"), (Net().eval(), "")):
        made.norm.eval() if not what else None
        data = saved(made, images[:2])
        if what:
            assert f"in eval mode, its {what} is in training mode" in refusal(data, tmp_path)
        else:
            assert loaded(data, tmp_path).batch == 2


def test_one_of_16_bits_takes_images_of_32(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    half = copy.deepcopy(network).bfloat16()
    found = loaded(saved(half, images.bfloat16()), tmp_path)
    assert torch.allclose(found.network(images), half.float()(images), atol=1e-6)


def test_one_that_turns_gradients_off_is_read(images: Tensor, tmp_path: Path) -> None:
    class Still(Net):
        @torch.no_grad()
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)

    torch.manual_seed(0)
    made = Still().eval()
    assert torch.equal(loaded(saved(made, images), tmp_path).network(images), made(images))


def test_one_of_other_inputs_is_refused(images: Tensor, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Many(), (images, torch.zeros(5, 3))), buffer)
    assert "found 2 inputs where images alone are expected" in refusal(buffer.getvalue(), tmp_path)
    said = refusal(saved(nn.Linear(4, 3), torch.zeros(2, 4)), tmp_path)
    assert "of images (N, C, H, W), it was exported for 2 axes" in said


class Evil:
    """What leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.mark)!r}, 'w').close()",)


def graph(change: Callable[[Any], None]) -> Callable[[Any], Any]:
    def changing(described: Any) -> Any:
        change(described["graph_module"])
        return described

    return changing


def _set(path: tuple[Any, ...], value: object, found: Any) -> None:
    *steps, last = path
    for step in steps:
        found = found[step]
    found[last] = value


CALLS = (
    "torch.load",
    "torch.ops.aten.from_file.default",
    "torch.ops.load_library",
    "_operator.attrgetter",
    "#x.y",
    "print",
)
NESTED = json.dumps([1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}])
TAMPERED = {
    **{f"call of {name}": graph(partial(_set, ("graph", "nodes", 0, "target"), name)) for name in CALLS},
    "name of an argument": graph(partial(_set, ("graph", "nodes", 0, "inputs", 0, "name"), "x=print()")),
    "name of an input": graph(partial(_set, ("graph", "inputs", -1, "as_tensor", "name"), "x, y=print()")),
    "name of a parameter": graph(
        partial(_set, ("signature", "input_specs", 0, "parameter", "parameter_name"), "a'); print('")
    ),
    "kind of outputs": graph(partial(_set, ("module_call_graph", 0, "signature", "out_spec"), NESTED)),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_graph_of_anything_but_operators_is_refused(exported: bytes, tmp_path: Path, name: str) -> None:
    said = refusal(changed(exported, "models/model.json", TAMPERED[name]), tmp_path)
    assert "expected a graph of torch's own operators, as torch.export.save writes it, found " in said


@pytest.mark.parametrize("size", ["__import__('os').system('x')", "9**9**9", "exec(s77)", "s77.free_symbols"])
def test_a_size_is_no_code(exported: bytes, tmp_path: Path, size: str) -> None:
    def change(found: Any) -> None:
        text = json.dumps(found)
        first = text.split('"expr_str": ', 1)[1].split('"')[1]
        found.clear()
        found.update(json.loads(text.replace(json.dumps(first), json.dumps(size))))

    assert "as a size" in refusal(changed(exported, "models/model.json", graph(change)), tmp_path)


def test_guards_are_left_out(exported: bytes, images: Tensor, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def change(described: Any) -> Any:
        return {**described, "guards_code": [f"open({str(mark)!r}, 'w').close()"]}

    found = loaded(changed(exported, "models/model.json", change), tmp_path)
    assert found.network(images).shape == (5, 3)
    assert not mark.exists()


def test_no_pickle_in_it_is_read(exported: bytes, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    buffer = io.BytesIO()
    torch.save(Evil(mark), buffer)
    hostile = buffer.getvalue()
    said = refusal(changed(exported, "sample_inputs/model.pt", lambda _: hostile), tmp_path)
    assert "sample inputs that need code to be read" in said

    def pickled(config: Any) -> Any:
        for held in config["config"].values():
            held["use_pickle"] = True
        return config

    data = changed(exported, "model_weights_config.json", pickled)
    assert "found a pickle under" in refusal(changed(data, "weight_0", lambda _: hostile), tmp_path)
    constants = {
        "config": {"x": {"path_name": "custom_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}}
    }
    assert "no tensor under x" in refusal(
        changed(exported, "model_constants_config.json", lambda _: constants), tmp_path
    )
    assert not mark.exists()


def test_a_tensor_larger_than_the_file_is_refused(exported: bytes, tmp_path: Path) -> None:
    def larger(config: Any) -> Any:
        next(iter(config["config"].values()))["tensor_meta"]["sizes"] = [{"as_int": 10**12}]
        return config

    said = refusal(changed(exported, "model_weights_config.json", larger), tmp_path)
    assert "found 1,000,000,000," in said


def test_a_layer_of_impossible_numbers_is_told(exported: bytes, tmp_path: Path) -> None:
    def change(found: Any) -> None:
        (grouped,) = (node for node in found["graph"]["nodes"] if node["target"].endswith("conv2d.padding"))
        (groups,) = (given for given in grouped["inputs"] if given["name"] == "groups")
        groups["arg"] = {"as_int": 0}

    said = refusal(changed(exported, "models/model.json", graph(change)), tmp_path)
    assert "found a damaged one, or one of another version" in said


@pytest.mark.parametrize("part", [0, 10, 0.5, 0.99])
def test_a_damaged_file_is_told(exported: bytes, tmp_path: Path, part: float) -> None:
    assert "found" in refusal(exported[: int(part if part > 1 else part * len(exported))], tmp_path)


def test_what_is_no_whole_network_is_told(network: nn.Module, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    assert "found a file of torch.save; name what makes the network with --model" in refusal(
        buffer.getvalue(), tmp_path
    )
    buffer = io.BytesIO()
    torch.save(Evil(tmp_path / "mark"), buffer)
    assert "found a file of torch.save" in refusal(buffer.getvalue(), tmp_path)
    assert not (tmp_path / "mark").exists()


def test_torchscript_is_a_network_that_nobody_looks_into(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        torch.jit.save(
            torch.jit.script(nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(36, 3), nn.Softmax(1))), buffer
        )
    found = loaded(buffer.getvalue(), tmp_path)
    assert found.opaque == "the network is TorchScript (torch.jit), which has no hooks to look inside"
    want = found.network(images).detach()
    made, notes = programs.opaque(found.network, found.batch, images[:1], 3, "net")
    assert notes == ("It gives probabilities; scores and maps are of their logarithms, which are logits.",)
    assert torch.allclose(made(images).softmax(1), want, atol=1e-6)
    broken = changed(buffer.getvalue(), "data.pkl", lambda content: content[:20])
    assert "expected a TorchScript program that this torch can read, found a damaged one" in refusal(broken, tmp_path)
