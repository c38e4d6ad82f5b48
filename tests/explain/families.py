"""Small networks of torchvision's and timm's families with random weights, and which peer is right of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import Bottleneck

from tests.explain.nets import narrowed

Reshape = Callable[[Tensor], Tensor]  # what the layer gives -> (N, C, h, w), as grad-cam's users write it


class Family(NamedTuple):
    """How a network is made, the size of its images, the layer that is right, and what to compare with."""

    make: Callable[[], Any]
    size: tuple[int, int]
    layer: str
    peer: Literal["captum", "grad-cam", "by hand"] = "captum"
    reshape: Reshape | None = None
    parts: Callable[[Any], tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] | None = (
        None  # up to, and from
    )


def tokens(rows: int, columns: int, before: int = 1) -> Reshape:
    def reshape(values: Tensor) -> Tensor:
        return values[:, before:].reshape(len(values), rows, columns, -1).permute(0, 3, 1, 2)

    return reshape


def last(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2)


def timms(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: timm.create_model(name, num_classes=3, **options)


TINY = {"depth": 2, "embed_dim": 24, "num_heads": 2}


def torchvisions_vit() -> Any:
    network = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)
    nn.init.normal_(network.heads[-1].weight)  # torchvision begins with zeros
    return network


def mixer() -> Any:
    network = timm.models.mlp_mixer.MlpMixer(num_classes=3, img_size=64, patch_size=16, num_blocks=2, embed_dim=24)
    nn.init.normal_(network.head.weight)  # so does timm
    return network


def dense_parts(network: Any) -> Any:
    return (
        lambda batch: network.features(batch).relu(),
        lambda maps: network.classifier(maps.mean((2, 3))),
    )


FAMILIES: dict[str, Family] = {
    "alexnet": Family(lambda: narrowed(models.alexnet(num_classes=3)), (64, 96), "features.11"),
    "vgg11_bn": Family(lambda: narrowed(models.vgg11_bn(num_classes=3)), (64, 96), "features.27"),
    "resnet18": Family(lambda: models.resnet18(num_classes=3), (64, 96), "layer4"),
    "resnext": Family(
        lambda: models.ResNet(Bottleneck, [1, 1, 1, 1], num_classes=3, groups=4, width_per_group=4), (64, 64), "layer4"
    ),
    "densenet": Family(
        lambda: models.DenseNet(8, (2, 2, 2), 16, num_classes=3),
        (64, 96),
        "features+relu",
        "by hand",
        None,
        dense_parts,
    ),
    "squeezenet": Family(lambda: models.squeezenet1_1(num_classes=3), (64, 64), "classifier.2"),
    "mobilenet_v2": Family(lambda: models.mobilenet_v2(num_classes=3, width_mult=0.25), (64, 96), "features"),
    "mobilenet_v3": Family(lambda: models.mobilenet_v3_small(num_classes=3, width_mult=0.5), (64, 64), "features"),
    "shufflenet": Family(lambda: models.shufflenet_v2_x0_5(num_classes=3), (64, 64), "conv5"),
    "mnasnet": Family(lambda: models.mnasnet0_5(num_classes=3), (64, 64), "layers"),
    "regnet": Family(lambda: models.regnet_y_400mf(num_classes=3), (64, 64), "trunk_output"),
    "efficientnet": Family(lambda: models.efficientnet_b0(num_classes=3), (64, 64), "features"),
    "googlenet": Family(
        lambda: models.googlenet(num_classes=3, aux_logits=False, init_weights=False), (64, 64), "inception5b"
    ),
    "convnext": Family(
        lambda: models.ConvNeXt([CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 2)], num_classes=3),
        (64, 96),
        "features",
    ),
    "maxvit": Family(
        lambda: models.MaxVit((64, 64), 8, 2, [16, 24], [1, 1], 8, 0.0, num_classes=3), (64, 64), "blocks.1"
    ),
    "swin": Family(
        lambda: models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=3), (64, 96), "permute"
    ),
    "swin_v2": Family(
        lambda: models.SwinTransformer(
            [4, 4],
            24,
            [1, 2],
            [2, 4],
            [4, 4],
            num_classes=3,
            block=models.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=models.swin_transformer.PatchMergingV2,
        ),
        (64, 96),
        "permute",
    ),
    "vit": Family(torchvisions_vit, (32, 32), "encoder.layers.encoder_layer_1.ln_1", "grad-cam", tokens(4, 4)),
    "timm vit, not square": Family(
        timms("vit_tiny_patch16_224", img_size=(48, 96), **TINY), (48, 96), "blocks.1.norm1", "grad-cam", tokens(3, 6)
    ),
    "timm vit, registers": Family(
        timms("vit_tiny_patch16_224", img_size=48, reg_tokens=4, **TINY),
        (48, 48),
        "blocks.1.norm1",
        "grad-cam",
        tokens(3, 3, 5),
    ),
    "timm vit, averaged": Family(
        timms("vit_tiny_patch16_224", img_size=(64, 32), global_pool="avg", class_token=False, **TINY),
        (64, 32),
        "blocks",
        "grad-cam",
        tokens(4, 2, 0),
    ),
    "timm deit, distilled": Family(
        timms("deit_tiny_distilled_patch16_224", img_size=64, **TINY),
        (64, 64),
        "blocks.1.norm1",
        "grad-cam",
        tokens(4, 4, 2),
    ),
    "timm dinov3": Family(
        timms("vit_small_patch16_dinov3", img_size=64, **TINY), (64, 64), "norm", "grad-cam", tokens(4, 4, 5)
    ),
    "timm swin": Family(
        timms(
            "swin_tiny_patch4_window7_224", img_size=64, window_size=4, depths=(2, 2), embed_dim=24, num_heads=(2, 4)
        ),
        (64, 64),
        "norm",
        "grad-cam",
        last,
    ),
    "timm convnext": Family(timms("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), (64, 96), "stages"),
    "timm mixer": Family(mixer, (64, 64), "norm", "grad-cam", tokens(4, 4, 0)),
    "timm hybrid": Family(
        timms("vit_tiny_r_s16_p8_224", img_size=64, **TINY), (64, 64), "blocks.1.norm1", "grad-cam", tokens(2, 2)
    ),
    "timm levit": Family(timms("levit_128s", img_size=64), (64, 64), "stages.1", "grad-cam", tokens(2, 2, 0)),
    "timm efficientformer": Family(
        timms("efficientformer_l1", embed_dims=(8, 16, 16, 24), depths=(1, 1, 1, 2)),
        (224, 224),
        "norm",
        "grad-cam",
        tokens(7, 7, 0),
    ),
    "timm mambaout": Family(
        timms("mambaout_femto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 24)), (64, 96), "stages", "grad-cam", last
    ),
    "timm ghostnet": Family(timms("ghostnet_050"), (64, 64), "blocks"),
}
assert len(FAMILIES) >= 24


def exact(network: Any) -> Any:
    """In float64, with logits that are not all alike."""
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.out_features == 3:
            nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(1))
    return network.double()
