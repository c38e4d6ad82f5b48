"""Networks by the name of what makes them: from a package, or from a file below report.toml's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import generator
from generator.base.errors import InputError
from generator.networks import named

pytestmark = pytest.mark.usefixtures("one_thread")

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=2):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).amax((2, 3)))
"""


def refusal(name: str, folder: Path = Path(), classes: int = 3, **arguments: object) -> str:
    """What is said of an architecture that cannot be made: one line."""
    with pytest.raises(InputError) as caught:
        named.architecture(name, folder).construct(classes, **arguments)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("path", ["resnet18", "no_such_package:Net", ":Net", ".near:Net", "generator.networks.inputs:"])
def test_a_name_that_leads_nowhere_is_told_with_the_form_expected(path: str) -> None:
    said = refusal(path)
    assert said.startswith(f"architecture {path!r}: ")
    assert "expected the form package.module:name" in said


def test_a_name_that_its_module_does_not_have_is_told_with_those_near_it() -> None:
    """Before, this was told as a wrong form, which it is not."""
    said = refusal("torchvision.models:resnet19")
    assert said.startswith("architecture 'torchvision.models:resnet19': expected resnet19 in torchvision.models, found")
    assert "resnet18" in said


def test_a_name_of_no_class_or_function_is_told() -> None:
    assert "expected a class or function that makes an nn.Module" in refusal("generator.records.input:MEAN")


def test_a_constructor_of_something_else_is_told() -> None:
    assert "it raised TypeError" in refusal("math:sqrt")
    assert "expected an nn.Module, it made dict" in refusal("builtins:dict")


def test_a_package_s_network_has_the_classes_and_the_arguments_asked_for() -> None:
    found = named.architecture("torchvision.models:mobilenet_v3_small", Path()).construct(5, width_mult=2.0)
    assert type(found).__name__ == "MobileNetV3"
    assert found.get_parameter("classifier.3.weight").shape[0] == 5
    assert found.get_parameter("features.0.0.weight").shape == (32, 3, 3, 3)
    assert named.architecture("torchvision.models:resnet18", Path()).input == named.TORCHVISION


def test_a_name_may_lead_further_into_a_module() -> None:
    found = named.architecture("torch.nn:modules.linear.Linear", Path()).construct(3, in_features=4, out_features=3)
    assert isinstance(found, nn.Linear)


@pytest.mark.parametrize("file", ["net.py", "nets/net.py"])
def test_a_file_s_network_is_made(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(NET)
    architecture = named.architecture(f"{file}:Net", tmp_path)
    found = architecture.construct(7, width=4)
    assert found(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    assert found.get_parameter("conv.weight").shape == (4, 3, 3, 3)
    assert (architecture.name, architecture.title) == (f"{file}:Net", "Net")


@pytest.mark.parametrize(
    ("signature", "made"),
    [
        ("num_classes", 5),
        ("classes", 5),
        ("n_classes", 5),
        ("classes=9", 5),  # a default is none where the report says how many
        ("**more", 5),  # handed on, as torchvision's functions do
        ("", 2),
        ("width=2", 2),
    ],
)
def test_the_number_of_classes_goes_to_whoever_asks_for_it(tmp_path: Path, signature: str, made: int) -> None:
    name = signature.partition("=")[0].strip("*")
    count = {"": "2", "width": "width", "more": "more['num_classes']"}.get(name, name)
    (tmp_path / "net.py").write_text(f"from torch import nn\ndef net({signature}):\n    return nn.Linear(1, {count})\n")
    found = named.architecture("net.py:net", tmp_path).construct(5)
    assert found.get_parameter("weight").shape == (made, 1)


def test_report_toml_s_own_number_of_classes_goes_first(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    found = named.architecture("net.py:Net", tmp_path).construct(5, num_classes=4)
    assert found.get_parameter("fc.weight").shape == (4, 2)


@pytest.mark.parametrize("file", ["../net.py", "{}/net.py", "inside/../../net.py", "link.py"])
def test_a_file_outside_of_the_folder_is_never_run(tmp_path: Path, file: str) -> None:
    (tmp_path / "net.py").write_text("raise SystemExit('it was run')")
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "link.py").symlink_to(tmp_path / "net.py")
    said = refusal(f"{file.format(tmp_path.as_posix())}:Net", folder)
    assert f"expected a file below {folder}, it lies elsewhere" in said


def test_a_file_that_is_not_there_is_told_with_the_path_that_was_meant(tmp_path: Path) -> None:
    assert f"expected a Python file, found none at {tmp_path / 'nets' / 'a.py'}" in refusal("nets/a.py:Net", tmp_path)
    (tmp_path / "b.py").mkdir()
    assert "expected a Python file" in refusal("b.py:Net", tmp_path)


def test_a_name_that_its_file_does_not_have_is_told_with_those_near_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    assert (
        refusal("net.py:net", tmp_path) == "architecture 'net.py:net': expected net in net.py, found none; it has Net"
    )


def test_a_file_s_neighbours_are_imported_and_take_nobody_s_place(tmp_path: Path) -> None:
    """data.py and json.py are the user's there and then; the program's own and Python's are as before everywhere."""
    import json

    (tmp_path / "data.py").write_text("WIDTH = 6\n")
    (tmp_path / "json.py").write_text("WIDTH = 1\n")
    (tmp_path / "generator.py").write_text("raise RuntimeError('the user\\'s generator.py was run')\n")
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "__init__.py").write_text("from blocks.one import DEPTH\n")
    (tmp_path / "blocks" / "one.py").write_text("DEPTH = 5\n")
    (tmp_path / "net.py").write_text(
        "import json\nfrom torch import nn\nfrom blocks import DEPTH\nfrom data import WIDTH\n"
        "import generator.records.input\n"
        "def net(): return nn.Linear(WIDTH * json.WIDTH, DEPTH)\n"
    )
    before, paths = set(sys.modules), list(sys.path)
    found = named.architecture("net.py:net", tmp_path).construct(2)
    assert found.get_parameter("weight").shape == (5, 6)
    assert sys.path == paths
    assert sys.modules["json"] is json
    assert sys.modules["generator"] is generator
    assert {"data", "blocks", "blocks.one", "net"} & set(sys.modules) == set()
    assert all(name.startswith("_network_") for name in set(sys.modules) - before)


def test_two_files_may_have_neighbours_of_the_same_name(tmp_path: Path) -> None:
    for name, width in (("one", 3), ("other", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "layers.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / name / "net.py").write_text(
            "from torch import nn\nfrom layers import WIDTH\ndef net(): return nn.Linear(WIDTH, 2)\n"
        )
    made = [named.architecture(f"{name}/net.py:net", tmp_path).construct(2) for name in ("one", "other", "one")]
    assert [each.get_parameter("weight").shape[1] for each in made] == [3, 4, 3]


def test_a_dataclass_of_the_user_s_file_finds_its_module(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n"
        "@dataclass\nclass Shape:\n    width: int = 3\n"
        "def net(): return nn.Linear(Shape().width, 2)\n"
    )
    assert named.architecture("net.py:net", tmp_path).construct(2).get_parameter("weight").shape == (2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch\n\nraise KeyError('mine')", "it raised KeyError at net.py:3: 'mine'"),
        ("def net(:\n    pass", "it raised SyntaxError at net.py:1: "),
        ("import no_such_thing", "it raised ModuleNotFoundError at net.py:1: No module named 'no_such_thing'"),
        ("import json\njson.loads('{')", "it raised JSONDecodeError at net.py:2: "),
        ("import torch\ntorch.zeros(2).view(3)", "it raised RuntimeError at net.py:2: shape '[3]' is invalid for"),
        ("import sys\nsys.exit()", "it raised SystemExit at net.py:2"),
        ("def net():\n    raise ValueError('a\\nb')", "it raised ValueError at net.py:2: a b"),
        ("def net():\n    import sys\n    sys.exit(0)", "it raised SystemExit at net.py:3: 0"),
        ("from other import WIDTH", "it raised ZeroDivisionError at other.py:1: division by zero"),
        ("def net(): return 3", "expected an nn.Module, it made int"),
        ("net = 3", "expected a class or function that makes an nn.Module"),
    ],
)
def test_whatever_the_user_s_code_raises_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "net.py").write_text(text)
    (tmp_path / "other.py").write_text("WIDTH = 1 / 0")
    found = refusal("net.py:net", tmp_path)
    assert found.startswith("architecture 'net.py")
    assert said in found


def test_an_argument_that_the_network_does_not_take_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    said = refusal("net.py:Net", tmp_path, depth=3)
    assert "it raised TypeError" in said
    assert "'depth'" in said


def test_arguments_that_the_network_needs_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.replace("width=2", "width, depth"))
    assert refusal("net.py:Net", tmp_path, width=3) == (
        "architecture 'net.py:Net': expected the arguments that it needs, depth; say them with --arguments "
        '"depth = ...", or in report.toml: arguments = {depth = ...}'
    )


def test_a_network_that_was_made_already_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET + "\nnet = Net(3)\n")
    assert "it is one that was made, Net; name its class" in refusal("net.py:net", tmp_path)


def test_ctrl_c_in_the_user_s_code_is_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        named.architecture("net.py:Net", tmp_path).construct(2)


def test_other_code_is_another_network(tmp_path: Path) -> None:
    """Of a file's neighbours too, in folders too: a changed forward must not be shown with old figures."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "blocks").mkdir()
    digests = [named.architecture("net.py:Net", tmp_path).code]
    for file in ("net.py", "layers.py", "blocks/one.py", "blocks/one.py"):
        with (tmp_path / file).open("a") as opened:
            opened.write("# changed\n")
        digests.append(named.architecture("net.py:Net", tmp_path).code)
    assert len(set(digests)) == 5
    (tmp_path / "notes.txt").write_text("no code")
    assert named.architecture("net.py:Net", tmp_path).code == digests[-1]


def test_no_file_of_the_user_s_is_run_before_a_network_is_made(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n" + NET)
    architecture = named.architecture("net.py:Net", tmp_path)
    assert not (tmp_path / "ran").exists()
    architecture.construct(2)
    assert (tmp_path / "ran").exists()


def test_a_report_s_generator_py_does_not_shadow_the_program(tmp_path: Path) -> None:
    """In a process of its own, where nothing of the program is loaded but what the command needs."""
    (tmp_path / "generator.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "net.py").write_text(NET)
    code = (
        "from pathlib import Path; from generator.networks import named; "
        f"print(type(named.architecture('net.py:Net', Path({str(tmp_path)!r})).construct(2)).__name__); "
        "import generator.live.export"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Net\n", "")
