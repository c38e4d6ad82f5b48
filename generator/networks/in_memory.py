"""A network that somebody's program has in memory, as one of the report: a copy of it, and all else left as it was."""

from __future__ import annotations

import copy
import inspect
import random
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._pytree import tree_leaves

from generator.base import own_code
from generator.base.digest import digest
from generator.base.errors import InputError, raised
from generator.config.schema import ModelConfig
from generator.data.dataset import DataSet
from generator.data.naming import some
from generator.explain.outputs import multi_label
from generator.explain.passes import in_eval_mode
from generator.networks import recognise
from generator.networks.architecture import GENERAL, Architecture
from generator.networks.catalogue import RESTLESS, SEED, as_asked
from generator.networks.loaded import Loaded
from generator.networks.outputs import as_logits, outputs
from generator.networks.sources import programs
from generator.records.input import Input, square
from generator.records.network import Fact

Model = nn.Module  # of somebody's program
# What lies around a network while it is trained, and the attribute that holds it there.
WRAPPERS = {
    "DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod",
    # Averages of weights, torch's and timm's, which answer as what they hold.
    "AveragedModel": "module", "ModelEma": "ema", "ModelEmaV2": "module", "ModelEmaV3": "module",
}  # fmt: skip
_SET_UP = nn.Module().__dict__.keys()  # what every module has
USUAL = square(64)  # where neither the images nor anybody tells how it takes them
TRAINERS = ("_trainer", "_fabric")  # what Lightning's modules hold and no forward pass needs: it is not copied


@contextmanager
def undisturbed() -> Iterator[None]:
    """Random numbers, gradients and defaults inside as the program has them, outside as they were before."""
    here = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if used else None
    dtype = torch.get_default_dtype()
    with ExitStack() as inside:
        inside.enter_context(torch.inference_mode(False))
        inside.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            inside.enter_context(torch.device("cpu"))
        for kind in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
            inside.enter_context(torch.autocast(kind, enabled=False))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            random.setstate(here[0])
            np.random.set_state(here[1])  # noqa: NPY002
            torch.random.set_rng_state(here[2])
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)


def unwrapped(model: Any) -> nn.Module:
    """The network itself.

    Raises:
        InputError: where it is none.
    """
    while isinstance(held := getattr(model, WRAPPERS.get(type(model).__name__, ""), None), nn.Module):
        model = held
    if isinstance(model, nn.Module):
        return model
    if inspect.isclass(model) and issubclass(model, nn.Module):
        raise InputError(f"model: expected a network, got the class {model.__name__}; give one of its objects")
    mend = "; name its file with: cnn-report build --weights" if isinstance(model, (str, Path)) else ""
    raise InputError(f"model: expected a torch.nn.Module, got {type(model).__name__}{mend}")


def copied(model: nn.Module) -> nn.Module:
    """The network once more, on the processor, in eval mode, in numbers of 32 bits.

    What cannot be copied of it, such as a lock or an open file, is shared with it.

    Raises:
        InputError: where there can be no second one, and for layers that do not know their size yet.
    """
    if lazy := next((name for name, each in model.named_parameters() if isinstance(each, UninitializedParameter)), ""):
        raise InputError(f"model: expected a network that has run, its {lazy} has no size yet; train it first")
    kept: dict[int, Any] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and value.grad_fn is not None:  # left by a pass, as weight_norm does
                kept[id(value)] = value.detach().clone()
            elif name in TRAINERS:
                kept[id(value)] = value
    try:
        try:
            found = copy.deepcopy(model, dict(kept))
        except (TypeError, RuntimeError, NotImplementedError):
            found = copy.deepcopy(model, {**kept, **_only_shared(model, kept)})
        return found.cpu().float().eval()
    except Exception as error:
        raise InputError(
            f"model: expected a network that copy.deepcopy can copy, so that yours stays as it is: it {raised(error)}"
        ) from error


def _unheard(network: nn.Module, image: Tensor) -> bool:
    """Take off what somebody's program listens to a network with, so that it hears nothing of what is asked here.

    Hooks of torch itself stay, as those of pruning, and so do all where the answer is another without them: they are
    a part of the network then.

    Returns:
        whether they stay for that reason.
    """
    modules = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    for module in modules:
        module._backward_hooks.clear()
        module._backward_pre_hooks.clear()
    held = [hooks for module in modules for hooks in (module._forward_hooks, module._forward_pre_hooks)]
    theirs = [{key: hook for key, hook in hooks.items() if not _is_torchs(hook)} for hooks in held]
    if not any(theirs):
        return False
    before = tree_leaves(_given(network, image))
    kept = [OrderedDict(hooks) for hooks in held]
    for hooks, listening in zip(held, theirs, strict=True):
        for key in listening:
            del hooks[key]
    after = tree_leaves(_given(network, image))
    if len(before) == len(after) and all(
        torch.equal(one, other)
        for one, other in zip(before, after, strict=True)
        if isinstance(one, Tensor) and isinstance(other, Tensor)
    ):
        return False
    for hooks, whole in zip(held, kept, strict=True):
        hooks.clear()
        hooks.update(whole)
    return True


def _is_torchs(hook: Any) -> bool:
    return str(getattr(hook, "__module__", "")).startswith("torch.")


def _given(network: nn.Module, image: Tensor) -> Any:
    torch.default_generator.manual_seed(SEED)  # for what draws at random
    with torch.no_grad():
        return network(image)


def _only_shared(model: nn.Module, kept: Mapping[int, Any]) -> dict[int, Any]:
    """What modules hold that cannot be copied, as a memo of copy.deepcopy."""
    found = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if name not in _SET_UP:
                try:
                    copy.deepcopy(value, dict(kept))
                except Exception:  # noqa: BLE001 - whatever it is that somebody's network holds
                    found[id(value)] = value
    return found


def code_of(network: nn.Module) -> str:
    """Digest of what a network is, beside its numbers: how it is built, and the source of its classes, where it is."""
    kinds = {type(module) for module in network.modules()}
    told = sorted(
        (f"{kind.__module__}.{kind.__qualname__}", _source(kind))
        for kind in kinds
        if not kind.__module__.startswith("torch.")
    )
    return digest(repr(network), told)


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # of a notebook's cell that is gone, of a class that was made
        return ""


@dataclass(frozen=True)
class Told:
    """What its images and whoever gave it tell of a network."""

    classes: Fact
    read: Mapping[str, str]  # key of the input -> what it was read from, where nobody said it
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]  # for readers


@dataclass(frozen=True)
class InMemory:
    """A network of the report that is in memory, ready to be read in one way or the other."""

    network: nn.Module  # gives logits
    architecture: Architecture
    title: str
    classes: int
    notes: tuple[str, ...]
    digest: str  # of the network as it was given
    opaque: str = ""  # why nobody can look into it

    def loaded(
        self,
        wanted: ModelConfig,
        data: DataSet,
        names: Sequence[str],
        told: Told,
        cache: Path,
    ) -> Loaded:
        """The network of the report.

        Args:
            wanted: what was said of it.
            names: of its outputs, in their order.
            cache: the folder for what is measured of it on these images.
        """
        way, found = _way(self.network, wanted, data.words.alike)
        facts = recognise.told(way, wanted, found, ("assumed", "nobody said it: what is most usual"), told.read)
        said = ("multi_label",) if multi_label(self.network) else ()
        key = digest(self.digest, way, list(names), *said)
        kept = digest(key, data.digest, data.classes.names)
        return Loaded(
            id=wanted.id,
            title=self.title,
            network=self.network,
            architecture=self.architecture,
            class_names=tuple(names),
            class_keys=tuple(names),
            input=way,
            digest=key,
            source="It was in memory when this report was made.",
            notes=(*self.notes, *told.notes),
            evaluated=cache / f"{wanted.id}-{kept[:16]}",
            wanted=wanted,
            opaque=self.opaque,
            facts=(
                Fact("architecture", self.architecture.name, "read", "the network in memory"),
                Fact("weights", f"{len(self.network.state_dict())} tensors", "read", "the network in memory"),
                told.classes,
                *facts,
                *told.facts,
            ),
        )


def in_memory(model: Any, wanted: ModelConfig, size: tuple[int, int] | None) -> InMemory:
    """A network that gives logits, made of somebody's: `model` itself is not touched.

    Args:
        wanted: what was said of it.
        size: (H, W) of all images, None where they differ.
    Raises:
        InputError: for no network, one that cannot be copied, and one that does not answer an image with logits.
    """
    model = unwrapped(model)
    network, kind = copied(model), type(model)
    opaque = programs.HOOKLESS if isinstance(model, torch.jit.ScriptModule) else ""
    if opaque:
        network = programs.Script(network)  # type: ignore[arg-type]
    title = wanted.title or str(getattr(model, "original_name", kind.__name__))
    name = f"{kind.__module__}:{kind.__qualname__}".replace("<locals>.", "")
    architecture = Architecture(
        name=name,
        title=title,
        construct=lambda classes, **arguments: copy.deepcopy(network),
        input=USUAL,
        purpose=f"a network of the architecture {name} with {{}} convolutions",
        presets=GENERAL,
        code=code_of(network),
    )
    shape = _way(network, wanted, size)[0].shape
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(SEED))
    with own_code.told(f"model, given an image of {' x '.join(map(str, shape))}"), in_eval_mode(network):
        heard = _unheard(network, image)
        count = outputs(network, image, "model")
        key = digest(architecture.code, _numbers(network), _answer(network, image))
        if opaque:
            network, notes = programs.opaque(network, 0, image, count, "model", wanted.multi_label)
        else:
            notes = as_logits(network, image, count, "model", wanted.multi_label)
        if any(each.is_floating_point() and each.dtype != torch.float32 for each in model.state_dict().values()):
            notes += ("Its weights were of other than 32 bits, and are used as numbers of 32 bits here.",)
        with torch.no_grad():
            first, second = network(image), network(image)
    notes += () if torch.equal(first, second) else (RESTLESS,)
    notes += ("Hooks that its program had put on it change its answers, and run here, too.",) if heard else ()
    given = tuple(first.shape)
    if given != (1, count) or count < 2:
        raise InputError(f"model: expected logits of two classes or more for an image, (1, K), it gives {given}")
    return InMemory(network, architecture, title, count, notes, key, opaque)


def _way(network: nn.Module, wanted: ModelConfig, size: tuple[int, int] | None) -> tuple[Input, tuple[Fact, ...]]:
    """How it takes images: as was said or read, else as shows, else as is usual; and what was found."""
    usual, found = recognise.input_of(network, USUAL, wanted, size)
    return as_asked(usual, wanted), found


def _numbers(network: nn.Module) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """All tensors of a network by name, those among them that are not saved with it."""
    held = {**dict(network.named_buffers()), **{n: v for n, v in network.state_dict().items() if isinstance(v, Tensor)}}
    return [(name, held[name].detach().cpu().numpy()) for name in sorted(held)]


def _answer(network: nn.Module, image: Tensor) -> list[np.ndarray[Any, Any]]:
    """What it gives for an image: settings that are neither tensors nor in its description show in it."""
    found = _given(network, image)
    return [found.numpy()] if isinstance(found, Tensor) else []


def require_classes(found: Loaded, data: DataSet) -> None:
    """Whether the network has an output for each class of the data set.

    Raises:
        InputError: where it has not.
    """
    if lacking := found.without_output(data.classes):
        raise InputError(
            f"classes: expected an output for each class of test_set, the model has none for {some(lacking, 3)}, but "
            f"for {some(found.class_names, 3)}; say with classes=[...] what its outputs stand for, by the data's names"
        )
