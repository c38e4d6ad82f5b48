"""A network of the report with its weights: what it is made of, and what can be asked of it once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError, in_short
from generator.config.schema import ModelConfig
from generator.data.classes import Classes
from generator.data.preprocessing import seen
from generator.explain.choice import Choice, layer_choice, layer_proof
from generator.explain.methods import Explainer, blind, failure, named, passes, suited
from generator.explain.outputs import multi_label
from generator.explain.passes import blank, evaluating, in_eval_mode, logits_of
from generator.explain.points import Points, stage_ends
from generator.networks.architecture import Architecture
from generator.networks.devices import device_of
from generator.networks.inputs import normalise
from generator.networks.sources.onnx_files import OnnxNetwork
from generator.records.images import Pixels
from generator.records.input import Input
from generator.records.network import Fact, Question


@dataclass(frozen=True)
class Loaded:
    """A network of the report with its weights, ready to be looked at."""

    id: str
    title: str  # as the pages name it
    network: nn.Module  # gives logits (N, K)
    architecture: Architecture
    class_names: tuple[str, ...]  # K of them, in the order of the outputs
    class_keys: tuple[str, ...]  # what tells the same class in a data set: a wnid, or its name
    input: Input
    digest: str  # sha256 of the weights' file, and of what else makes the network another
    source: str  # one sentence: where the weights come from
    notes: tuple[str, ...] = ()
    epoch: int | None = None  # the number, from 1, of the one after which a file's weights were saved; None: unknown
    folder: Path | None = None  # with the records of its training; None: it was trained elsewhere
    # Where what is measured of it is kept: `folder` if that is the report's own, else one for these weights alone.
    evaluated: Path | None = None
    wanted: ModelConfig = field(default_factory=lambda: ModelConfig(""))  # what report.toml says of it
    facts: tuple[Fact, ...] = ()  # how it was read
    shown: Mapping[str, str] = field(default_factory=dict)  # own name of a class -> what readers see in its place
    opaque: str = ""  # why nobody can look into it, as a clause; "": its points can be found

    @property
    def multi_label(self) -> bool:
        """Whether each class has a probability of its own, the sigmoid of its logit."""
        return multi_label(self.network)

    @cached_property
    def class_of(self) -> dict[str, int]:
        """Key of a class -> its index among this network's outputs."""
        return {key: index for index, key in enumerate(self.class_keys)}

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """The outputs of each name, in small letters."""
        found: dict[str, list[int]] = {}
        for index, name in enumerate(self.class_names):
            found.setdefault(name.casefold(), []).append(index)
        return found

    def output_of(self, key: str, names: Sequence[str] = ()) -> int | None:
        """The output for a class of a data set: by its key, else by one of its names; None where there is none."""
        if key in self.class_of:
            return self.class_of[key]
        named = [self._named.get(name.casefold(), []) for name in names]
        return next((outputs[0] for outputs in named if len(outputs) == 1), None)

    def without_output(self, classes: Classes) -> tuple[str, ...]:
        """The classes of a data set, by name, for which it has no output."""
        pairs = zip(classes.keys, classes.names, strict=True)
        return tuple(name for key, name in pairs if self.output_of(key, (name,)) is None)

    @cached_property
    def others(self) -> tuple[Question, ...]:
        """What report.toml wants explained beside the answer.

        Raises:
            InputError: where it names a class that the network does not know.
        """
        return tuple(Question(*map(self._outputs, (asked.of, asked.against))) for asked in self.wanted.other_class)

    def _outputs(self, names: Sequence[str]) -> tuple[int, ...]:
        own = {shown: name for name, shown in self.shown.items() if name in self.class_names}
        names = [name if name in self.class_names else own.get(name, name) for name in names]
        for name in names:
            if name not in self.class_names:
                near = difflib.get_close_matches(name, self.class_names, n=3, cutoff=0.6)
                told = f"; nearest: {', '.join(near)}" if near else ""
                raise InputError(
                    f"[models.{self.id}] other_class: expected classes among the network's {len(self.class_names):,}, "
                    f"got {name!r}{told}"
                )
        return tuple(map(self.class_names.index, names))

    @cached_property
    def points(self) -> Points:
        """The points of a forward pass of one image; of a network that nobody can look into, none."""
        if self.opaque:
            return Points((), (), (), frozenset())
        return explain.points(self.network, self._blank)

    @cached_property
    def methods(self) -> tuple[Mapping[str, Explainer], Mapping[str, str]]:
        """The methods that can explain it, and why others cannot: see `explain.methods.suited`.

        Raises:
            InputError: where report.toml names one that is not known, or none that can.
        """
        asked = named(self.wanted.methods) if self.wanted.methods else None
        if self.opaque:
            found = blind(self.network, self._noise, self.opaque, asked, self.differentiable)
        else:
            found = suited(self.network, self._noise, self.layer, asked, self.no_layer)
        if not found[0]:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in found[1].items())
            raise InputError(f"[explain] methods: none can explain {self.title}: {reasons}; name occlusion beside them")
        return found

    def recall(self, able: Sequence[str], why_not: Mapping[str, str]) -> None:
        """Take for `methods` what they were found to be before, so that none is tried on it again.

        Args:
            able: the names of the methods that can explain it.
        """
        vars(self)["methods"] = (named(able), dict(why_not))  # where `cached_property` looks first

    @property
    def recorded(self) -> tuple[Path, ...]:
        """The folders that may hold what is on record of it, the report's own first."""
        return tuple(folder for folder in dict.fromkeys((self.evaluated, self.folder)) if folder is not None)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return device_of(self.network)

    def on(self, device: torch.device) -> Loaded:
        """The network, moved there; one that does not run there stays on the processor, and a note says why."""
        if device == self.device:
            return self
        try:
            self.network.to(device)
            with evaluating(self.network):
                logits_of(self.network, self._noise)
        except Exception as error:  # noqa: BLE001 - a network of any make, and operations that a device may lack
            self.network.cpu()
            return self._staying(f"on {device.type} it does not run: {in_short(error)}")
        if self.device != device:
            return self._staying("PyTorch does not hold its weights")
        return self

    def _staying(self, reason: str) -> Loaded:
        note = f"It runs on the processor, for {reason}."
        return self if note in self.notes else replace(self, notes=(*self.notes, note))

    def inputs(self, pictures: Sequence[Pixels]) -> Tensor:
        """Pictures, (H, W, 3) uint8 each, as the network takes them and where: (N, C, h, w) float32."""
        return self.normalised([seen(picture, self.input) for picture in pictures])

    def normalised(self, given: Sequence[Pixels]) -> Tensor:
        """As `inputs`, of what `seen` gave."""
        stacked = torch.tensor(np.stack(given)).permute(0, 3, 1, 2)
        return normalise(stacked.contiguous().to(self.device), self.input)

    @property
    def _blank(self) -> Tensor:
        return blank(self.network, self.input.shape)

    @property
    def _noise(self) -> Tensor:
        """What methods are tried on: some networks have no gradient at all for an image of one colour."""
        return torch.randn(self._blank.shape, generator=torch.Generator().manual_seed(0)).to(self._blank)

    @cached_property
    def layout(self) -> torch.memory_format:
        """How its images best lie in memory where it is shown very many: channels last, where its answers are the same.

        Convolutions take a fifth to a half less time so on a processor. A forward of somebody's may not be able to view
        maps that lie so, or look at memory itself.
        """
        images = torch.cat([self._noise, self._noise.flip(2)])
        as_usual, last = torch.contiguous_format, torch.channels_last
        if not any(isinstance(module, nn.Conv2d) for module in self.network.modules()):
            return as_usual
        try:
            with evaluating(self.network):
                found, wanted = (
                    logits_of(self.network, images.clone(memory_format=layout)) for layout in (last, as_usual)
                )
        except Exception:  # noqa: BLE001 - code of any make runs here, on images that lie as nobody asked for
            return as_usual
        return last if torch.allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max())) else as_usual

    @cached_property
    def macs(self) -> int | None:
        """Multiply-accumulates for one image; None where nobody knows."""
        try:
            return explain.macs(self.network, self.input.shape) or None  # of an ONNX file none is seen
        except InputError:  # TorchScript, or an operation that is not torch's own
            return None

    @cached_property
    def differentiable(self) -> bool:
        """Whether its logits have a gradient by the image; those of an ONNX file and of some TorchScript have none."""
        images = self._noise.requires_grad_()
        with torch.enable_grad(), in_eval_mode(self.network):
            try:
                return bool(self.network(images).requires_grad)
            except RuntimeError:  # as of tensors of inference mode
                return False

    @property
    def parameters(self) -> int:
        """How many numbers its training found."""
        own = [module.count for module in self.network.modules() if isinstance(module, OnnxNetwork)]
        return sum(own) + sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def once(self) -> int:
        """What one forward pass costs in multiply-accumulates, more or less."""
        # Of a network that cannot be counted: each weight is used at each of some hundred places.
        return self.macs or 100 * self.parameters

    @cached_property
    def costs(self) -> Mapping[str, int]:
        """What a map of one image costs by each method that can explain it, in multiply-accumulates, more or less."""
        able, _ = self.methods
        maps = explain.feature_maps(self.network, self._noise, [self.layer]) if self.layer else {}
        channels = maps[self.layer].shape[1] if self.layer else 0
        return {name: self.once * passes(name, self.input.size, channels) for name in able}

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Names of the points whose output the feature-map page shows: the end of each stage."""
        own = self.architecture.stages
        return tuple(own(self.network)) if own else stage_ends(self.points)

    @cached_property
    def earlier(self) -> tuple[str, ...]:
        """The stages whose maps lie before the layer that is explained, or are those of it."""
        at = self.points.named(self.layer)
        ends = {name: self.points.named(name) for name in self.stages}
        return tuple(name for name, end in ends.items() if at is None or end is None or end.number <= at.number)

    @cached_property
    def attends(self) -> bool:
        """Whether its heads' attention among all of its tokens can be shown."""
        if not any(point.form == "tokens" for point in self.points):
            return False
        try:
            return bool(explain.attention_heads(self.network, self._noise))
        except Exception:  # noqa: BLE001 - as `methods.failure`: a network of any make is differentiated here
            return False

    @property
    def layer(self) -> str:
        """The point that class activation maps look at: report.toml's, else the architecture's, else as chosen.

        "": there is none, see `no_layer`.
        """
        return self._explained[0]

    @property
    def no_layer(self) -> str:
        """Why there are no maps of a layer to explain its answers with, as a clause; "" where there are."""
        return self._explained[1]

    @property
    def choice(self) -> Choice | None:
        """How the layer was chosen, and what else could be; None where somebody named it, or there is none."""
        return self._explained[2]

    @cached_property
    def proof(self) -> Choice | None:
        """What is proved of the layer that report.toml names; None where it names none.

        Raises:
            InputError: where its maps would not be of the image, or there is no such layer.
        """
        if not self.wanted.layer:
            return None
        if self.opaque:
            raise InputError(f"[models.{self.id}] layer: expected none, for {self.opaque}")
        try:
            return layer_proof(self.network, torch.cat([self._noise, self._blank]), self.wanted.layer, self.points)
        except InputError as error:
            raise InputError(f"[models.{self.id}] {error}".replace("the model", "the network")) from None

    @cached_property
    def _explained(self) -> tuple[str, str, Choice | None]:
        own = self.architecture.layer
        if self.proof is not None:
            return self.proof.layer, "", None
        if said := own(self.network) if own else "":
            return said, "", None
        if self.opaque:
            return "", self.opaque, None
        try:
            choice = layer_choice(self.network, self._noise, self.points)
        except InputError as error:
            return "", str(error).removeprefix("layer: ").split(";")[0].replace("the model", "the network"), None
        reason = failure(explain.grad_cam, self.network, self._noise, choice.layer)
        return ("", reason, None) if reason else (choice.layer, "", choice)
