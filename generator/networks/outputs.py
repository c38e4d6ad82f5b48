"""What a network gives, as logits (N, K): out of tuples, mappings and records, and before a softmax at its end.

Networks that end in a log-softmax, a softmax or a sigmoid are right to, but a heat map is one of a logit: of a
log-probability it is black where the network is sure. No name and no weight changes; the module stays the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.flow import Flow, leading_to
from generator.explain.outputs import ENDINGS, Endings, called, place_of, unfound

BOUNDED = {
    "softmax": "It gives probabilities; scores and maps are of their logarithms, which are logits.",
    "sigmoid": "It gives a probability of each class by itself; scores and maps are of log-odds, which are logits.",
}
SEVERAL = (
    "It gives each class a probability of its own, the sigmoid of its logit: percentages are these and need not add up "
    "to 100, and its answer is the class with the highest."
)
ONE = "Percentages are of one class among all, the softmax of its logits, as multi_label = false says."
SIGMOIDS = "sigmoid", "logsigmoid"
CLOSE = 1e-3  # of a probability's rounding
# What may come after the last product and bounds nothing: averages of maps, of several heads or several looks.
LINEAR = frozenset({"add", "sub", "mul", "div", "mean", "sum", "cat", "stack", "avg_pool2d", "_adaptive_avg_pool2d"})
LINEAR |= {"view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "select", "slice", "clone", "_to_copy", "detach"}


def outputs(network: nn.Module, sample: Tensor, source: str) -> int:
    """Of how many classes a network speaks: as many as it gives logits, and of two where it gives one.

    Args:
        sample: (1, C, H, W), which it is tried with.
        source: of the network, for a message.
    Raises:
        InputError: where no logits are found in what it gives.
    """
    with torch.no_grad():
        _, found, _ = _answered(network, sample, source=source)
    if found.shape in ((1,), (1, 1)):
        return 2
    if found.dim() != 2:
        shape = ", ".join(map(str, found.shape))
        raise InputError(f"{source}: expected logits of shape (1, K) for an image, one for each class, got ({shape})")
    return found.shape[1]


def as_logits(
    network: nn.Module, sample: Tensor, classes: int, source: str, several: bool | None = None
) -> tuple[str, ...]:
    """Let a network give logits, in place, whatever it gives now.

    One logit z for two classes becomes -z/2 and z/2, whose softmax is the sigmoid of z and 1 minus it. One whose
    classes have probabilities of their own says so from then on, see `explain.outputs.multi_label`.

    Args:
        sample: (1, C, H, W), which it is tried with.
        classes: K.
        source: of the network, for a message.
        several: whether each class has a probability of its own; None: where it ends in sigmoids.
    Returns:
        what was done, in a sentence each; () where it gives logits already.
    Raises:
        InputError: where no logits are found in what it gives, or it ends otherwise than `several` says.
    """
    _require_own_forwards(network, source)
    given = sample.clone()
    with torch.no_grad():
        said, found, endings = _answered(network, given, source=source, classes=classes)
    notes = [said] if said else []
    ending = endings.before.get(found, None)  # type: ignore[no-untyped-call]
    if ending is not None:
        notes.append(f"It ends in {ENDINGS[ending[1]]}; maps and scores are of what comes before it, the logits.")
    bounded = _bounded(network, sample, classes, source) if ending is None else ""
    if bounded:
        notes.append(BOUNDED[bounded])
    single = classes == 2 and (found if ending is None else ending[0]).shape in ((1,), (1, 1))
    last = bounded if ending is None else ending[1]
    changes = not torch.equal(given, sample)
    changed = bool(notes) or single or changes or found.dtype != torch.float32
    if several and (single or last.endswith("softmax")):
        given_by = "one logit for two classes" if single else f"what {ENDINGS.get(last, 'a softmax')} makes of them"
        raise InputError(
            f"{source}: expected a logit or a sigmoid for each class, as multi_label says, it gives {given_by}; leave "
            "multi_label out"
        )
    if single:
        notes.append("It gives one logit: a positive one speaks for the second class, a negative one for the first.")
    elif several or (several is None and last in SIGMOIDS):
        notes.append(SEVERAL)
        network.multi_label = True  # type: ignore[assignment]
    elif last in SIGMOIDS:
        notes.append(ONE)
    if changed:
        own = vars(network).get("forward")
        inner = own.__func__ if own is not None else type(network).forward
        network.forward = MethodType(partial(_forward, inner, bounded, single, changes, classes), network)
    return tuple(notes)


def _forward(
    inner: Callable[..., Any],
    bounded: str,
    single: bool,
    changes: bool,
    classes: int,
    self: nn.Module,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """The network's own forward, and of what it gives the logits.

    Args:
        inner: its own forward, which takes the network first, so that a copy of it runs itself.
        bounded: of `_bounded`.
        single: it gives one for two classes.
        changes: it changes the images in place, so that it gets a copy.
        classes: K.
    """
    if changes:
        args = tuple(value.clone() if isinstance(value, Tensor) else value for value in args)
    _, found, endings = _answered(partial(inner, self), *args, source=type(self).__name__, classes=classes, **kwargs)
    ending = endings.before.get(found, None)  # type: ignore[no-untyped-call]
    logits: Tensor = found if ending is None else ending[0]
    logits = logits.float()  # autocast and bfloat16 stay within the network
    if bounded == "softmax":
        logits = logits.clamp_min(torch.finfo(logits.dtype).tiny).log()
    elif bounded == "sigmoid":
        logits = logits.logit(eps=1e-7)
    return torch.stack([logits.flatten() / -2, logits.flatten() / 2], 1) if single else logits


def _require_own_forwards(network: nn.Module, source: str) -> None:
    """Each part runs its class's forward, or a method of its own.

    Raises:
        InputError: where one has a function in its place: it holds the part that it was made for, and in a copy, whose
            weights are drawn anew, it would still run that one.
    """
    for name, module in network.named_modules():
        own = None if isinstance(module, torch.jit.ScriptModule) else vars(module).get("forward")
        if own is not None and not (isinstance(own, MethodType) and own.__self__ is module):
            raise InputError(
                f"{source}: expected forward to be a method, {name or 'the network'} has a function in its place, of "
                "which no copy can be made; define forward in its class"
            )


def _bounded(network: nn.Module, sample: Tensor, classes: int, source: str) -> str:
    """Whether it gives probabilities, whatever it is shown: "softmax" if they sum to 1, else "sigmoid"; "" for logits.

    Told by its numbers, for a softmax is not always the last step: an average of two follows it, or another shape.
    Images that are far too bright bring every logit out of [0, 1].
    """
    noise = torch.randn(4, *sample.shape[1:], generator=torch.Generator().manual_seed(0)).to(sample)
    values: list[Tensor] = []
    with torch.no_grad():
        for scale in (1, 30):
            for image in noise:
                batch = (scale * image).expand(len(sample), *image.shape).clone()
                values.append(_answered(network, batch, source=source, classes=classes)[1].float())
                if not bool(((values[-1] >= 0) & (values[-1] <= 1 + CLOSE)).all()):
                    return ""
    given = torch.cat([value[:1] for value in values])
    if bool((given == given[:1]).all()):
        return ""  # it says the same of everything
    if given.dim() == 2 and given.shape[1] > 1 and bool(((given.sum(1) - 1).abs() <= CLOSE).all()):
        return "softmax"
    return "" if _ends_linear(network, sample, classes, source) else "sigmoid"


def _ends_linear(network: nn.Module, sample: Tensor, classes: int, source: str) -> bool:
    """Whether what it gives is its last product or convolution, at most moved, added up or scaled.

    Logits of few classes may by chance lie between 0 and 1 for whatever it is shown: where a norm keeps what they are
    made of small, as in transformers, and the last weights are small too.
    """
    given = sample.clone()
    flow = Flow(given)
    with torch.no_grad(), flow:
        found = _answered(network, given, source=source, classes=classes)[1]
    number = flow.number(found)
    if number is None:  # it cannot be followed, as TorchScript's
        return False
    for each in sorted(leading_to(flow.nodes, [number]), reverse=True):
        node = flow.nodes[each]
        if node.kind in ("product", "convolution"):  # or a view of one, or with its bias
            return True
        if node.name not in LINEAR:
            break
    return False


def _answered(
    network: Callable[..., Any], *args: Any, source: str, classes: int = 0, **kwargs: Any
) -> tuple[str, Tensor, Endings]:
    """A pass: where the logits are in what a network gives, in a sentence, "" if they are all of it; and the logits."""
    endings = Endings()
    with endings:
        output = network(*args, **kwargs)
    found = place_of(output, endings, classes)
    if found is None:
        raise InputError(f"{source}: expected logits (N, K), it gives {unfound(output)}")
    place, logits = found
    return f"It gives {called(output)}; its logits are {place}." if place else "", logits, endings
