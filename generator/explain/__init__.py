"""What a network learnt and where it looks: layers, receptive fields, feature maps and heat maps.

Any nn.Module and a batch of images go in, tensors and small records come out. No model is changed: hooks, gradients and
train/eval modes are as before afterwards, after an exception too. Layers are named as in `model.named_modules()`, and
functions that a model's own code calls after what they are given: "conv3+relu"; `points` lists them all.

`points`, `layers` and `receptive_fields` describe the architecture, `choice` finds the layer to explain, `passes` runs
the model and `watching` watches it from a layer on; `cam` makes class activation maps, among which `one_pass` shares a
pass, `attention` maps of what transformers attended to, `occlusion`, `rise` and `gradients` what these are compared
with; `methods` is the list of all. `targets` is what is asked, `outputs` finds the logits in what a model gives. Below
them `calls` names a pass's calls, `flow` knows what is made from what, `fields` follows the image's cells through every
operation by the `rules` of each, `layouts` says how they stand in an output, `flops` counts what torch does not, and
`obstacles` finds why there is no gradient.
"""

from __future__ import annotations

from generator.explain.attention import attention_heads, attention_rollout, legrad
from generator.explain.cam import (
    LayerGradients,
    channel_contributions,
    grad_cam,
    grad_cam_all,
    grad_cam_plus_plus,
    layer_cam,
    layer_gradients,
    score_cam,
)
from generator.explain.cells import Axis
from generator.explain.choice import Candidate, Choice, layer_choice, layer_proof
from generator.explain.gradients import guided_backprop, integrated_gradients
from generator.explain.layers import choose_layer, convolutions, macs, summary
from generator.explain.occlusion import Occlusion, occlude, occlude_each
from generator.explain.one_pass import OnePass, one_pass
from generator.explain.passes import feature_maps
from generator.explain.points import Point, Points, points
from generator.explain.receptive_fields import ReceptiveField, receptive_field
from generator.explain.rise import rise
from generator.explain.targets import Target

__all__ = [
    "Axis",
    "Candidate",
    "Choice",
    "LayerGradients",
    "Occlusion",
    "OnePass",
    "Point",
    "Points",
    "ReceptiveField",
    "Target",
    "attention_heads",
    "attention_rollout",
    "channel_contributions",
    "choose_layer",
    "convolutions",
    "feature_maps",
    "grad_cam",
    "grad_cam_all",
    "grad_cam_plus_plus",
    "guided_backprop",
    "integrated_gradients",
    "layer_cam",
    "layer_choice",
    "layer_gradients",
    "layer_proof",
    "legrad",
    "macs",
    "occlude",
    "occlude_each",
    "one_pass",
    "points",
    "receptive_field",
    "rise",
    "score_cam",
    "summary",
]
