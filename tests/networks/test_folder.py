"""Everything that lies in a model's folder comes back as it was, or one line says which file is damaged."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from generator.base.errors import InputError
from generator.data import image_files
from generator.evaluation import scores as evaluation_scores
from generator.networks.architecture import initialise
from generator.networks.folder import (
    ClassSheet,
    Description,
    fill,
    filled,
    has_model,
    load_benchmark,
    load_card,
    load_class_images,
    load_evaluation,
    load_model,
    load_runs,
    load_snapshots,
    plain_evaluation,
    save_benchmark,
    save_class_images,
    save_evaluation,
    save_model,
    save_run,
)
from generator.networks.small_cnn import SmallCNN
from generator.records.scores import Evaluation
from generator.records.training import Epoch, Run
from generator.training import resume
from generator.training.fit import TrainingState
from tests import synthetic

REPOSITORY = Path(__file__).resolve().parents[2]
DESCRIPTION = Description("SmallCNN", ("goldfish", "banana"), ("n01443537", "n07753592"), 64, 64, (4, 4, 4, 4))
EPOCH = Epoch(1, 0.75, 0.5, None, None, 0.004, 12.5, 32)
RUN = Run("augmented", (EPOCH, replace(EPOCH, epoch=2, validation_loss=0.5)), 2, {"batch": 128}, {"python": "3"})
KEY = {"preset": "quick", "betas": (0.9, 0.99), "epochs": 2}

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits and signals")


def network(classes: int = 2) -> SmallCNN:
    made = SmallCNN(classes, DESCRIPTION.widths)
    initialise(made, 0)
    return made


def state() -> TrainingState:
    kernels = torch.arange(6.0).view(2, 3)
    return TrainingState(
        weights={"conv.weight": kernels, "bn.num_batches_tracked": torch.tensor(7)},
        average={"conv.weight": kernels},  # shared memory, as after an epoch without averaging
        best={"conv.weight": kernels / 3},
        moments={"conv.weight.exp_avg": kernels.t()},
        epochs=[EPOCH],
        snapshots={0: kernels, 10: kernels * 2},
        kept=1,
        steps=34,
        precision="bfloat16",
    )


def evaluation() -> Evaluation:
    """Of four images and three classes; "banana" is never answered, so its precision is nan."""
    logits = np.log(np.array([[7, 2, 1], [6, 3, 1], [3, 6, 1], [1, 5, 4]], np.float32) / 10)
    files = ("a.JPEG", "b.JPEG", "c.JPEG", "d.JPEG")
    scores, temperature = evaluation_scores.scores({"validation": (logits, logits, np.array([0, 1, 1, 2]), files)})
    names = ("goldfish", "ladybug", "banana")
    return Evaluation("cnn", names, scores, temperature, "a" * 64, "b" * 64, {"python": "3"})


def class_sheet(count: int = 7, size: tuple[int, int] = (12, 20)) -> ClassSheet:
    noise = np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)
    return ClassSheet("a" * 64, 3, 5, noise)


def assert_same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def assert_one_line(error: pytest.ExceptionInfo[InputError], file: Path) -> None:
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_come_back_as_float32_of_their_float16(tmp_path: Path) -> None:
    weights = network().state_dict()
    save_model(tmp_path / "cnn", weights, DESCRIPTION)
    model = load_model(tmp_path / "cnn")
    assert model.description == DESCRIPTION
    assert_same(model.weights, {name: t.half().float() if t.is_floating_point() else t for name, t in weights.items()})
    assert [path.name for path in (tmp_path / "cnn").iterdir()] == ["weights.safetensors"]


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    weights = network().state_dict()
    lasting = {name: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for name, t in weights.items()}
    save_model(tmp_path / "one", weights, DESCRIPTION)
    save_model(tmp_path / "two", lasting, DESCRIPTION)
    assert load_model(tmp_path / "one").digest == load_model(tmp_path / "two").digest


def test_the_small_form_rounds_kernels_to_a_127th_of_each_row_s_largest(tmp_path: Path) -> None:
    weights = network().state_dict()
    save_model(tmp_path, weights, DESCRIPTION)
    save_model(tmp_path, weights, DESCRIPTION, small=True)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors.xz"]
    model = load_model(tmp_path)
    assert model.description == DESCRIPTION
    kernels, found = weights["features.conv3.weight"], model.weights["features.conv3.weight"]
    step = kernels.abs().flatten(1).amax(1).view(-1, 1, 1, 1) / 127
    assert ((found - kernels).abs() <= step / 2 * 1.001).all()
    save_model(tmp_path, weights, DESCRIPTION)  # and back: never two models in one folder
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_training_state_comes_back_whole(tmp_path: Path) -> None:
    wanted = state()
    resume.save_state(tmp_path, wanted, KEY)
    found = resume.load_state(tmp_path, KEY)
    assert found is not None
    for part in ("weights", "average", "best", "moments"):
        assert_same(getattr(found, part), getattr(wanted, part))
    assert {epoch: kernels.tolist() for epoch, kernels in found.snapshots.items()} == {
        epoch: kernels.tolist() for epoch, kernels in wanted.snapshots.items()
    }
    assert (found.epochs, found.kept, found.steps, found.precision, found.complete) == (
        [EPOCH],
        1,
        34,
        "bfloat16",
        False,
    )
    resume.drop_state(tmp_path)
    assert resume.load_state(tmp_path, KEY) is None


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    resume.save_state(tmp_path, state(), KEY)
    with pytest.raises(InputError, match=r"expected a run with epochs = 3, found 2; .* without --resume") as error:
        resume.load_state(tmp_path, {**KEY, "epochs": 3})
    assert_one_line(error, tmp_path / "resume.safetensors")


def test_a_run_from_before_a_setting_existed_has_its_default(tmp_path: Path) -> None:
    resume.save_state(tmp_path, state(), KEY)
    assert resume.load_state(tmp_path, {**KEY, "depths": ()}) is not None
    with pytest.raises(InputError, match=r"expected a run with depths = \[1, 2\], found \[\]"):
        resume.load_state(tmp_path, {**KEY, "depths": (1, 2)})


def test_runs_keep_their_order_and_a_new_one_replaces_its_namesake(tmp_path: Path) -> None:
    save_run(tmp_path, replace(RUN, name="one batch"))
    save_run(tmp_path, RUN, {0: torch.zeros(1, 3, 2, 2), 12: torch.ones(1, 3, 2, 2).half()})
    assert load_runs(tmp_path) == (replace(RUN, name="one batch"), RUN)
    again = replace(RUN, name="one batch", kept=1, complete=False)
    save_run(tmp_path, again)
    assert load_runs(tmp_path) == (RUN, again)
    snapshots = load_snapshots(tmp_path)
    assert all(kernels.dtype == np.float32 for kernels in snapshots.values())
    assert {epoch: float(kernels.mean()) for epoch, kernels in snapshots.items()} == {0: 0.0, 12: 1.0}


def test_an_evaluation_comes_back_and_nan_is_null(tmp_path: Path) -> None:
    wanted = evaluation()
    save_evaluation(tmp_path, wanted)
    text = (tmp_path / "evaluation.json").read_text()

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(text, parse_constant=refuse)["splits"]["validation"]["precision"] == [0.5, 0.5, None]
    found = load_evaluation(tmp_path)
    assert found is not None
    scores = found.splits["validation"]
    np.testing.assert_array_equal(scores.precision, np.array([0.5, 0.5, np.nan], np.float32))
    np.testing.assert_array_equal(scores.confusion, [[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert [mistake.image for mistake in scores.mistakes] == ["b.JPEG", "d.JPEG"]
    assert plain_evaluation(found) == plain_evaluation(wanted)


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert not has_model(tmp_path)
    assert load_runs(tmp_path) == ()
    assert load_snapshots(tmp_path) == {}
    assert load_evaluation(tmp_path) is None
    assert load_card(tmp_path) == ""
    with pytest.raises(InputError, match="expected a file of weights, found none") as error:
        load_model(tmp_path)
    assert_one_line(error, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(("count", "size"), [(1, (8, 8)), (7, (12, 20)), (100, (8, 8)), (30, (4, 48))])
def test_class_images_come_back_to_the_last_bit(tmp_path: Path, count: int, size: tuple[int, int]) -> None:
    made = class_sheet(count, size)
    save_class_images(tmp_path, made)
    found = load_class_images(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.images, made.images)
    assert (found.weights_digest, found.seed, found.steps) == ("a" * 64, 3, 5)
    first = (tmp_path / "class-images.webp").read_bytes()
    save_class_images(tmp_path, made)
    assert (tmp_path / "class-images.webp").read_bytes() == first
    assert load_class_images(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_class_images_that_are_shipped_are_of_the_weights_that_are(name: str) -> None:
    found = load_class_images(REPOSITORY / "models" / name)
    assert found is not None
    assert found.weights_digest == load_model(REPOSITORY / "models" / name).digest


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "its description: expected JSON, found a damaged file"),
        ("[]", "its description: expected named values, found a list"),
        ({"columns": 0}, "its description: columns: expected a whole number of at least 1, found 0"),
        ({"classes": 8}, "expected 8 x 1 images of 4 x 6 pixels, as it says, found 8 x 6 pixels"),
        ({"size": [4, 5]}, "expected 2 x 1 images of 4 x 5 pixels, as it says, found 8 x 6 pixels"),
    ],
)
def test_a_picture_that_is_no_sheet_of_class_images_is_named(
    tmp_path: Path, said: str | dict[str, object], expected: str
) -> None:
    words = {"weights_digest": "a", "seed": 0, "steps": 1, "classes": 2, "size": [4, 6], "columns": 1}
    description = json.dumps({**words, **said}) if isinstance(said, dict) else said
    content = image_files.described(np.zeros((8, 6, 3), np.uint8), description)
    (tmp_path / "class-images.webp").write_bytes(content)
    with pytest.raises(InputError) as error:
        load_class_images(tmp_path)
    assert_one_line(error, tmp_path / "class-images.webp")
    assert expected in str(error.value)
    assert str(error.value).endswith("; delete it, `evaluate` makes it anew")


LOADS: dict[str, Callable[[Path], object]] = {
    "weights.safetensors": load_model,
    "weights.safetensors.xz": load_model,
    "resume.safetensors": lambda folder: resume.load_state(folder, KEY),
    "snapshots.safetensors": load_snapshots,
    "history.json": load_runs,
    "evaluation.json": load_evaluation,
    "class-images.webp": load_class_images,
}


@pytest.fixture
def full(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with every record."""
    save_model(tmp_path, network().state_dict(), DESCRIPTION, small=request.node.callspec.id.endswith("xz"))
    resume.save_state(tmp_path, state(), KEY)
    save_run(tmp_path, RUN, state().snapshots)
    save_evaluation(tmp_path, evaluation())
    save_class_images(tmp_path, class_sheet())
    return tmp_path


@pytest.mark.parametrize("name", LOADS)
def test_a_file_cut_short_anywhere_is_named(full: Path, name: str) -> None:
    content = (full / name).read_bytes()
    for length in (0, 5, len(content) // 2, len(content) - 2):
        (full / name).write_bytes(content[:length])
        with pytest.raises(InputError) as error:
            LOADS[name](full)
        assert_one_line(error, full / name)


@pytest.mark.parametrize("name", LOADS)
def test_a_folder_in_a_file_s_place_is_named(full: Path, name: str) -> None:
    (full / name).unlink()
    (full / name).mkdir()
    with pytest.raises(InputError) as error:
        LOADS[name](full)
    assert_one_line(error, full / name)


@pytest.mark.parametrize("name", ["weights.safetensors", "resume.safetensors"])
@pytest.mark.parametrize("words", [None, {"description": "[]", "state": "[]"}, {"description": "{", "state": "{"}])
def test_a_header_without_our_words_is_named(tmp_path: Path, name: str, words: dict[str, str] | None) -> None:
    save_file({"weights/a": torch.zeros(2)}, tmp_path / name, words)
    with pytest.raises(InputError) as error:
        LOADS[name](tmp_path)
    assert_one_line(error, tmp_path / name)


@pytest.mark.parametrize(("tensor", "left_out"), [("weights/a", "key"), ("weights/a", "complete"), ("gradients/a", "")])
def test_the_state_of_another_version_is_named(tmp_path: Path, tensor: str, left_out: str) -> None:
    words = {"epochs": [], "kept": 0, "steps": 0, "precision": "float32", "complete": False, "key": KEY}
    words.pop(left_out, None)
    save_file({tensor: torch.zeros(2)}, tmp_path / "resume.safetensors", {"state": json.dumps(words)})
    with pytest.raises(InputError, match=r"expected .*, found .*; train without --resume") as error:
        resume.load_state(tmp_path, KEY)
    assert_one_line(error, tmp_path / "resume.safetensors")


@pytest.mark.parametrize("name", ["history.json", "evaluation.json"])
@pytest.mark.parametrize(
    "text", ["[]", '""', "{}", '{"runs": [{}], "splits": {"test": {}}}', '{"runs": 1, "splits": 1}']
)
def test_other_json_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        LOADS[name](tmp_path)
    assert_one_line(error, tmp_path / name)


def test_fill_puts_the_weights_in() -> None:
    weights = {name: torch.ones_like(tensor) for name, tensor in network().state_dict().items()}
    filled = fill(network(), weights, "here")
    assert_same(filled.state_dict(), weights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("head.linear.bias"), r"expected a tensor head.linear.bias for SmallCNN"),
        (lambda weights: weights.update(extra=torch.zeros(1)), r"the tensors of SmallCNN, found also extra"),
        (
            lambda weights: weights.update(network(3).state_dict()),
            r"expected head.linear.weight of shape \(2, 4\), found \(3, 4\): a model with another number of classes",
        ),
    ],
)
def test_fill_names_the_first_tensor_that_does_not_fit(
    change: Callable[[dict[str, Tensor]], object], words: str
) -> None:
    weights = dict(network().state_dict())
    change(weights)
    with pytest.raises(InputError, match=f"^some.pth: .*{words}"):
        fill(network(), weights, "some.pth")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_fill_refuses_weights_that_are_not_finite(value: float) -> None:
    weights = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    weights["features.bn2.running_var"][1] = value
    with pytest.raises(InputError, match=r"^some.pth: expected finite numbers in features.bn2.running_var, found NaN"):
        fill(network(), weights, "some.pth")


def test_finite_weights_whose_sum_is_not_are_filled_in() -> None:
    weights = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    weights["head.linear.weight"].fill_(3e38)
    assert_same(fill(network(), weights, "some.pth").state_dict(), weights)


def test_the_counters_of_batch_norms_may_be_missing() -> None:
    """As in files of torch before 0.4.1, which `load_state_dict` takes."""
    whole = network().state_dict()
    weights = {name: each + 1 for name, each in whole.items() if not name.endswith("num_batches_tracked")}
    assert len(weights) < len(whole)
    filled = fill(network(), weights, "some.pth").state_dict()
    assert_same({name: filled[name] for name in weights}, weights)
    assert filled.keys() == whole.keys()


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: to a program as if the disk were full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


SAVES: dict[str, Callable[[Path], None]] = {
    "weights.safetensors": lambda folder: save_model(folder, network().state_dict(), DESCRIPTION),
    "resume.safetensors": lambda folder: resume.save_state(folder, state(), KEY),
    "history.json": lambda folder: save_run(folder, replace(RUN, name="another")),
    "evaluation.json": lambda folder: save_evaluation(folder, evaluation()),
}


@posix
@pytest.mark.parametrize("name", SAVES)
def test_what_cannot_be_written_leaves_the_old_file(full: Path, name: str) -> None:
    before = {path.name: path.read_bytes() for path in full.iterdir()}
    with room_for(200), pytest.raises(InputError, match="what was there before is untouched") as error:
        SAVES[name](full)
    assert_one_line(error, full / name)
    assert {path.name: path.read_bytes() for path in full.iterdir()} == before


@pytest.mark.parametrize("name", SAVES)
def test_a_file_in_the_folder_s_place_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "cnn").touch()
    with pytest.raises(InputError, match="could not be written") as error:
        SAVES[name](tmp_path / "cnn")
    assert_one_line(error, tmp_path / "cnn" / name)


@posix
@pytest.mark.slow
def test_killed_at_any_moment_the_weights_load(tmp_path: Path) -> None:
    """One process forks three that save without end, and kills them; torch is loaded once."""
    code = """
    import os, signal, sys, time
    from pathlib import Path
    import torch
    from generator.networks.folder import Description, load_model, save_model

    torch.set_num_threads(1)  # threads do not survive a fork
    folder, description = Path(sys.argv[1]), Description(**{fields})
    begun, begins = os.pipe()
    for seconds in (0.0, 0.003, 0.01):
        if not (child := os.fork()):
            value = 0
            while True:
                value += 1
                save_model(folder, {{"a": torch.full((400_000,), float(value % 100))}}, description)
                os.write(begins, b"!")
        os.read(begun, 1)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        values = load_model(folder).weights["a"].unique()
        print(len(values))
    """
    script = textwrap.dedent(code.format(fields=asdict(DESCRIPTION)))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1"] * 3


def test_a_benchmark_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    found = synthetic.benchmark()
    assert load_benchmark(tmp_path) is None
    save_benchmark(tmp_path, found)

    again = load_benchmark(tmp_path)

    assert again is not None
    assert math.isnan(again.seconds_to_goal)
    assert replace(again, seconds_to_goal=0.0) == replace(found, seconds_to_goal=0.0)


def test_another_file_s_benchmark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchmark.json").write_text('{"speed": 3}')
    with pytest.raises(
        InputError, match=r"benchmark.json: expected a field course_seconds, found none; delete it, or record it"
    ):
        load_benchmark(tmp_path)


def test_runs_on_the_side_have_a_resume_file_of_their_own(tmp_path: Path) -> None:
    resume.save_state(tmp_path, state(), KEY)
    resume.save_state(tmp_path, state(), KEY, "one batch")

    resume.drop_state(tmp_path, "one batch")

    assert resume.load_state(tmp_path, KEY) is not None
    assert resume.load_state(tmp_path, KEY, "one batch") is None


def test_files_left_by_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    old, new = tmp_path / ".weights.safetensors.12345", tmp_path / ".weights.safetensors.12346"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))

    save_model(tmp_path, {"a": torch.ones(2)}, DESCRIPTION)

    assert not old.exists()
    assert new.exists()  # its process may still be at work


def test_a_run_that_ended_clears_away_its_unfinished_files(tmp_path: Path) -> None:
    ours, other = tmp_path / ".resume.safetensors.12345", tmp_path / ".weights.safetensors.12345"
    for file in (ours, other):
        file.write_bytes(b"half")

    resume.drop_state(tmp_path)

    assert not ours.exists()
    assert other.exists()


@pytest.mark.parametrize("old", [False, True])
def test_a_filled_network_is_the_one_that_weights_were_copied_into(old: bool) -> None:
    """Also where the weights lack the counters of batch norms, or are stored in half precision."""

    def make() -> SmallCNN:
        return SmallCNN(3, (4, 8))

    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in initialise(make(), 5).state_dict().items()
    }
    if old:
        weights = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    ours, theirs = filled(make, weights, "here"), fill(make(), weights, "here")
    assert {name: tensor.dtype for name, tensor in ours.state_dict().items()} == {
        name: tensor.dtype for name, tensor in theirs.state_dict().items()
    }
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
    assert all(parameter.requires_grad for parameter in ours.parameters())
    with pytest.raises(InputError, match="here: expected finite numbers in"):
        filled(make, {**weights, "head.linear.bias": torch.full((3,), torch.nan)}, "here")
