"""The sections of a pass: what follows one another, and in each what runs beside each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from generator import explain
from generator.explain.sections import Section, sections

IMAGE = (1, 3, 16, 16)


def found(model: nn.Module) -> tuple[Section, ...]:
    """Of a pass of one image."""
    model.eval()
    return sections(explain.points(model, torch.zeros(IMAGE)), model)


def weighing(model: nn.Module) -> list[Section]:
    return [section for section in found(model) if section.steps]


def lengths(section: Section) -> list[int]:
    return [len(path) for path in section.paths]


class Residual(nn.Module):
    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, outputs, 1) if channels != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 2, 1)
        self.two = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.two(x), self.pooled(x)], 1)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4 + 2 * i, 2, 3, padding=1) for i in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class AllAtOnce(Dense):
    """As DenseNet does it: each layer reads all that came before, and so does what comes after."""

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 1, 1), nn.ReLU(), nn.Conv2d(1, 4, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(x * self.gate(x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), 1, 8), self.embed(x).flatten(2).transpose(1, 2)], 1)
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out((q @ k.transpose(1, 2)).softmax(-1) @ v)
        return torch.as_tensor(self.head((x + self.mlp(x))[:, 0]))


def headed(*blocks: nn.Module, channels: int) -> nn.Sequential:
    stem = nn.Conv2d(3, 4, 3, padding=1)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


def test_a_chain_has_a_section_for_each_operation_and_no_paths() -> None:
    every = found(headed(nn.ReLU(), nn.MaxPool2d(2), channels=4))
    assert [section.end.name for section in every] == ["0", "1", "2", "3", "4", ""]
    assert [section.paths for section in every] == [()] * 6
    assert [section.weights for section in every] == [112, 0, 0, 0, 0, 25]
    assert [len(section.steps) for section in every] == [1, 0, 0, 0, 0, 1]


def test_a_residual_block_is_one_section_with_a_way_around() -> None:
    _, same, wider, _ = weighing(headed(Residual(4, 4), Residual(4, 6), channels=6))
    assert (lengths(same), same.joined) == ([2, 0], "addition")
    assert (lengths(wider), wider.joined) == ([2, 1], "addition")
    assert wider.end.shape == (6, 16, 16)
    assert [point.name for point in wider.paths[0]] == ["2.first", "2.second"]


def test_paths_beside_one_another() -> None:
    _, made, _ = weighing(headed(Inception(), channels=6))
    assert (lengths(made), made.joined) == ([1, 2, 1], "concatenation")


def test_densely_connected_layers() -> None:
    _, *each, _ = weighing(headed(Dense(), channels=10))
    assert [(lengths(one), one.joined) for one in each] == [([1, 0], "concatenation")] * 3
    _, whole, _ = weighing(headed(AllAtOnce(), channels=10))
    assert (lengths(whole), len(whole.steps)) == ([3, 0], 3)


def test_a_gate_multiplies_what_goes_around_it() -> None:
    _, gated, _ = weighing(headed(Gated(), channels=4))
    assert (lengths(gated), gated.joined) == ([2, 0], "multiplication")


def test_a_transformer_s_attention_and_what_follows_it() -> None:
    embed, attention, mlp, head = weighing(Transformer())
    assert [one.attends for one in (embed, attention, mlp, head)] == [False, True, False, False]
    assert (lengths(attention), lengths(mlp)) == ([2, 0], [2, 0])
    assert attention.end.grid == (4, 4)
    assert (embed.weights, attention.weights, mlp.weights) == (392, 16 + 216 + 72, 16 + 144 + 136)
    # The class token is no module's: it belongs to none of them.
    assert head.weights == 45


def test_weights_of_a_module_that_runs_twice_count_once() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    every = found(headed(shared, nn.ReLU(), shared, channels=4))
    assert sum(section.weights for section in every) == 112 + 148 + 25


def test_what_is_made_and_not_used_is_left_out() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Conv2d(3, 5, 16), nn.Conv2d(3, 7, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.unused(x)
            return torch.as_tensor(self.used(x).flatten(1))

    (only,) = weighing(Beside())
    assert (only.paths, only.end.shape) == ((), (5,)) or only.end.shape == (5, 1, 1)


def test_of_no_pass_there_are_none() -> None:
    nothing = explain.points(nn.Identity(), torch.zeros(IMAGE))
    assert sections(nothing, nn.Identity()) == ()
