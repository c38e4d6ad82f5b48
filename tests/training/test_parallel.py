"""Two processes train and evaluate as one does, within rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.__main__ import main
from generator.base.errors import InputError
from generator.networks.architecture import initialise
from generator.networks.folder import Weights, load_evaluation, load_runs
from generator.networks.small_cnn import SmallCNN
from generator.records.input import square
from generator.records.recipe import Augmentation, Recipe
from generator.training import parallel
from generator.training.fit import Teacher, fit
from tests.conftest import SmallDataSet
from tests.training.test_fit import coloured, wide

pytestmark = pytest.mark.usefixtures("one_thread")

# An average, dropout, batch norm, pruning, CutMix across the processes, and a last batch that is odd.
RECIPE = Recipe(
    epochs=4,
    sizes=((0.0, 8),),
    batch=18,
    learning_rate=2e-3,
    average=0.9,
    prune=0.6,
    augmentation=Augmentation(area=0.6, rotation=10, flip=True, colour=0.2, cutmix=0.5),
    precision="float32",
)
IMAGES, VALIDATION = 51, 21


def network_to_train() -> nn.Module:
    """As `wide`, but without the bias before batch norm: its gradient is rounding alone, which Adam makes large."""
    network = wide()
    network.register_module("0", nn.Conv2d(3, 16, 3, padding=1, bias=False))
    return initialise(network, 0)


def taught() -> tuple[nn.Module, Recipe, list[Teacher]]:
    """A network, its recipe, and the two teachers of whom each batch is answered by one."""
    network = initialise(SmallCNN(2, (4, 6), kernel=3, dropout=0.3), 0)
    teachers = [Teacher(initialise(SmallCNN(2, (3, 3)), seed), square(8)) for seed in (1, 2)]
    return network, replace(RECIPE, prune=0.0, distillation=0.8, epochs=2), teachers


def torchrun(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, as a user starts them; their coverage of the port is torchrun's business."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    root = str(Path(__file__).parents[2])
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, **environment}
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=300, check=False)


def train_two(folder: Path) -> None:
    """What each of the two processes does, see below."""
    torch.set_num_threads(1)
    losses: list[float] = []
    with parallel.group():
        rank = parallel.rank()
        network, validation = network_to_train(), coloured(VALIDATION, seed=1)
        state = fit(network, coloured(IMAGES), validation, RECIPE, on_step=lambda step: losses.append(step.loss))
        pupil, recipe, teachers = taught()
        learnt = fit(pupil, coloured(IMAGES), None, recipe, teachers=teachers)
        torch.save(
            {
                "learnt": learnt.best,
                "best": state.best,
                "network": network.state_dict(),
                "losses": losses,
                "validation": [epoch.validation_loss for epoch in state.epochs],
                "accuracy": [epoch.train_accuracy for epoch in state.epochs],
                "rows": parallel.gathered(np.arange(5, dtype=np.float32)[parallel.share(5)]),
                "agreed": parallel.agreed(rank),
                "total": parallel.total(torch.tensor(rank + 1.0)),
            },
            folder / f"{rank}.pt",
        )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(
        "import sys; from pathlib import Path; "
        "from tests.training.test_parallel import train_two; train_two(Path(sys.argv[1]))"
    )
    done = torchrun(str(script), str(folder))
    assert done.returncode == 0, done.stderr
    assert "FutureWarning" not in done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def assert_close(first: Weights, second: Weights) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=2e-4, atol=2e-5, msg=name)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(two: list[dict[str, object]]) -> None:
    losses: list[float] = []
    network = network_to_train()
    alone = fit(
        network,
        coloured(IMAGES),
        coloured(VALIDATION, seed=1),
        RECIPE,
        on_step=lambda step: losses.append(step.loss),
    )

    for found in two:
        assert_close(found["best"], alone.best)  # type: ignore[arg-type]
        assert_close(found["network"], dict(network.state_dict()))  # type: ignore[arg-type]
        assert found["losses"] == pytest.approx(losses, rel=1e-3)
        assert found["validation"] == pytest.approx([epoch.validation_loss for epoch in alone.epochs], rel=1e-3)
        assert found["accuracy"] == pytest.approx([epoch.train_accuracy for epoch in alone.epochs], abs=1e-6)
    # Another seed is further away than rounding: the test could fail.
    other = fit(network_to_train(), coloured(IMAGES), None, replace(RECIPE, seed=1))
    assert float((other.best["4.weight"] - alone.best["4.weight"]).abs().max()) > 1e-3


@pytest.mark.slow
def test_two_processes_learn_from_teachers_as_one_does(two: list[dict[str, object]]) -> None:
    pupil, recipe, teachers = taught()
    alone = fit(pupil, coloured(IMAGES), None, recipe, teachers=teachers)

    for found in two:
        assert_close(found["learnt"], alone.best)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_processes_exchange_rows_sums_and_values(two: list[dict[str, object]]) -> None:
    for found in two:
        assert np.array_equal(found["rows"], np.arange(5))  # type: ignore[arg-type]
        assert found["agreed"] == 0
        assert found["total"] == torch.tensor(3.0)


def test_alone_everything_is_as_it_is() -> None:
    value, rows, network = object(), np.ones(3, np.float32), nn.Dropout()

    with parallel.group(), parallel.one_first():
        assert (parallel.rank(), parallel.world(), parallel.share(7)) == (0, 1, slice(0, 7))
        assert parallel.agreed(value) is value
        assert parallel.gathered(rows) is rows
        assert parallel.Replica(network, torch.device("cpu")).network is network


@pytest.mark.parametrize(("count", "world"), [(7, 2), (7, 3), (128, 8), (3, 3)])
def test_shares_cover_each_row_once(count: int, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    monkeypatch.setattr(parallel, "world", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        rows += range(count)[parallel.share(count)]

    assert rows == list(range(count))


def test_a_batch_smaller_than_the_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = parallel.Replica(nn.Identity(), torch.device("cpu"))
    monkeypatch.setattr(parallel, "world", lambda: 3)

    with pytest.raises(InputError, match="a batch of 2 images for 3 processes"):
        replica.rows(2)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_over_one_process_is_torch_s(momentum: float | None) -> None:
    torch.manual_seed(0)
    theirs, ours = nn.BatchNorm2d(3, momentum=momentum), parallel.WholeBatchNorm(3, momentum=momentum)
    with torch.no_grad():
        for norm in (theirs, ours):
            norm.weight.copy_(torch.tensor([1.0, 2, -1]))
            norm.bias.copy_(torch.tensor([0.0, 1, 3]))
    inputs = [torch.randn(4, 3, 5, 5) * 3 + 100 for _ in range(2)]

    gradients = []
    for norm in (theirs, ours):
        given = [each.clone().requires_grad_() for each in inputs]
        loss = sum((norm(each).sin().sum() for each in given), start=torch.zeros(()))
        loss.backward()
        gradients.append([each.grad for each in given])

    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(inputs[0]), theirs(inputs[0]))


def test_dropout_draws_what_one_process_would(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = parallel.Batch(6, slice(2, 5))
    dropout = parallel.WholeBatchDropout(0.4)
    dropout.batch = batch
    inputs = torch.rand(6, 7) + 1

    torch.manual_seed(3)
    expected: Tensor = F.dropout(inputs, 0.4)
    torch.manual_seed(3)
    found = dropout(inputs[2:5])

    assert torch.equal(found, expected[2:5])
    assert bool((found == 0).any())
    dropout.eval()
    assert dropout(inputs) is inputs


@pytest.mark.slow
def test_the_commands_train_and_evaluate_under_torchrun(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    report = tmp_path / "report.toml"
    report.write_text(
        f'[data]\nclasses = {list(small_data_set.wnids)}\nroot = "{small_data_set.root.as_posix()}"\n'
        '[models]\nfolder = "models"\n[models.cnn]\narchitecture = "SmallCNN"\n[explain]\nmethods = ["Grad-CAM"]\n'
    )
    where = ("--config", str(report))

    trained = torchrun(
        "-m", "generator", "train", "cnn", *where, "--preset", "quick", "--epochs", "1", "--precision", "float32"
    )

    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("epoch 1 of 1 kept") == 1
    assert trained.stderr.count("SmallCNN, quick: epoch 1 of 1") == 1
    (run,) = load_runs(tmp_path / "models" / "cnn")
    assert run.environment["processes"] == "2"

    evaluated = torchrun("-m", "generator", "evaluate", "cnn", *where)
    assert evaluated.returncode == 0, evaluated.stderr
    sharded = load_evaluation(tmp_path / "models" / "cnn")
    assert main(["evaluate", "cnn", *where]) == 0
    alone = load_evaluation(tmp_path / "models" / "cnn")
    assert sharded is not None
    assert alone is not None
    for split, scores in alone.splits.items():
        assert np.array_equal(scores.confusion, sharded.splits[split].confusion)
        assert sharded.splits[split].loss == pytest.approx(scores.loss, rel=1e-5)


def test_alone_a_process_works_as_if_there_were_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    assert (parallel.rank(), parallel.world(), parallel.share(10)) == (1, 2, slice(5, 10))
    with parallel.alone():
        assert (parallel.rank(), parallel.world(), parallel.share(10)) == (0, 1, slice(0, 10))
    assert parallel.rank() == 1
