"""Bounds over balls against auto_LiRPA's CROWN and alpha-CROWN on the same boxes, image by image,
interleaved, in one run.

python benchmarks/crown.py NETWORK.h5|.onnx [--norm linf|l2|l1] [--radius 1/255 2/255 4/255]
[--images 50] [--alpha 50]

NETWORK is a float MLP of 784 inputs. The images are the first MNIST test images that it labels
correctly. Both run in one thread. relrob bounds the least margin of the label over the ball for any
order of float32 summation, plain and with optimised slopes. auto_LiRPA bounds it over the reals,
and computes in float32. "real" is our bound with one rounding a sum instead of all.

Both cut L-infinity balls by [0,1]. auto_LiRPA does not cut L1 and L2 balls; for these, "real" is
over the whole ball too. Each call of auto_LiRPA is made twice: the second against the first shows
the noise of the ratio. Projected gradient descent looks for a margin below our bounds, which would
prove a bound unsound.

auto_LiRPA is no dependency of relrob: see INSTALL.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from importlib import import_module
from typing import Any, Final

# Before any library counts the cores.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])

import numpy as np  # noqa: E402

from relrob.bounding.ball import BallBounds  # noqa: E402
from relrob.cli.main import tune_blas  # noqa: E402
from relrob.domain.arrays import Doubles, Floats  # noqa: E402
from relrob.domain.network import Dense  # noqa: E402
from relrob.domain.region import Ball, Norm  # noqa: E402
from relrob.networks.enclosure import Enclosure, float32_enclosure  # noqa: E402
from relrob.networks.load import load_network  # noqa: E402
from relrob.regions.ball import BallSet, ball_set  # noqa: E402
from relrob_datasets import load  # noqa: E402

INSTALL: Final = (
    "auto_LiRPA is missing; in this environment: pip install torch==2.13.0 torchvision==0.28.0"
    " appdirs pyyaml tqdm graphviz packaging ninja; pip install --no-deps"
    " git+https://github.com/Verified-Intelligence/auto_LiRPA"
)
warnings.filterwarnings("ignore", category=DeprecationWarning)
try:
    # Untyped here, whether or not the type checkers can see it.
    torch: Any = import_module("torch")
    lirpa: Any = import_module("auto_LiRPA")
except ModuleNotFoundError:
    sys.exit(INSTALL)

POWER: Final = {Norm.LINF: np.inf, Norm.L2: 2.0, Norm.L1: 1.0}
Bound = Callable[[], Doubles]
AGAIN: Final = ", again"
METHODS: Final = (
    *("CROWN", "plain", "CROWN" + AGAIN, "plain, real"),
    *("alpha-CROWN", "alpha", "alpha-CROWN" + AGAIN, "alpha, real", "attack"),
)


@dataclass
class MethodRow:
    """What one method gave: the bounds (classes - 1,) of each image, and its seconds."""

    margins: list[Doubles] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, bound: Bound) -> None:
        """One image."""
        begin = time.perf_counter()
        self.margins.append(bound())
        self.seconds.append(time.perf_counter() - begin)

    @property
    def least(self) -> Doubles:
        """The bound that decides each image."""
        return np.array([margins.min() for margins in self.margins])


class Theirs:
    """auto_LiRPA on one network, built once."""

    def __init__(self, dense: Dense) -> None:
        self.network = _torch_network(dense)
        self.bounded = lirpa.BoundedModule(
            self.network, torch.zeros(1, len(dense.layers[0].weights))
        )

    def margins(self, ball: BallSet, label: int, method: str) -> Doubles:
        """Lower bounds (classes - 1,) over the ball, cut by [0,1] where auto_LiRPA can."""
        base = torch.tensor(ball.base)[None, :]
        low, high = (base - torch.tensor(ball.down)).float(), (base + torch.tensor(ball.up)).float()
        ends = {"x_L": low, "x_U": high} if ball.norm is Norm.LINF else {}
        perturbed = lirpa.PerturbationLpNorm(norm=POWER[ball.norm], eps=ball.radius, **ends)
        found, _ = self.bounded.compute_bounds(
            x=(lirpa.BoundedTensor(base, perturbed),),
            C=_against(label),
            method=method,
            bound_upper=False,
        )
        return np.asarray(found.detach().numpy()[0], dtype=np.float64)


def _torch_network(dense: Dense) -> Any:
    steps: list[Any] = []
    for layer in dense.layers:
        linear = torch.nn.Linear(*layer.weights.shape)
        linear.weight.data, linear.bias.data = (
            torch.tensor(layer.weights.T.copy()),
            torch.tensor(layer.bias.copy()),
        )
        steps += [linear, torch.nn.ReLU()] if layer.relu else [linear]
    return torch.nn.Sequential(*steps)


def _against(label: int) -> Any:
    """Rows (1, 9, 10): the label's output minus each other one."""
    rows = torch.eye(10)[label] - torch.eye(10)
    return torch.cat([rows[:label], rows[label + 1 :]])[None]


def uncut(ball: BallSet) -> BallSet:
    """The ball without [0,1], as auto_LiRPA bounds it for L1 and L2."""
    whole = np.full_like(ball.up, ball.radius)
    return replace(ball, down=whole, up=whole)


def nearly_real(enclosure: Enclosure) -> Enclosure:
    """The enclosure with one float32 rounding a sum instead of all of them: nearly no error of the
    arithmetic."""
    return replace(enclosure, layers=tuple(replace(layer, terms=1) for layer in enclosure.layers))


def plain(enclosure: Enclosure, region: Ball, image: Any, label: int, cut: bool = True) -> Doubles:
    """Our lower bounds."""
    ball = ball_set(region, image)
    return BallBounds(enclosure, ball if cut else uncut(ball), label).margins().low


def alpha(enclosure: Enclosure, region: Ball, image: Any, label: int, cut: bool = True) -> Doubles:
    """Our lower bounds with optimised slopes. The cost includes the plain ones that they start
    from."""
    ball = ball_set(region, image)
    bounds = BallBounds(enclosure, ball if cut else uncut(ball), label)
    found = bounds.margins()
    return np.asarray(np.maximum(found.low, bounds.margins(bounds.alphas(found)).low))


def attacked(network: Any, ball: BallSet, label: int, steps: int = 40, starts: int = 4) -> Doubles:
    """The least margin (classes - 1,) met by projected gradient descent in the ball, in float32."""
    generator = torch.Generator().manual_seed(0)
    base, against = torch.tensor(ball.base), _against(label)[0].repeat(starts, 1)
    down, up = torch.tensor(ball.down).float(), torch.tensor(ball.up).float()
    radius, power = ball.radius * (1 - 1e-6), POWER[ball.norm]

    def inside(moves: Any) -> Any:
        moves = torch.minimum(torch.maximum(moves, -down), up)
        return moves * torch.clamp(radius / (moves.norm(power, dim=1, keepdim=True) + 1e-12), max=1)

    moves = inside((torch.rand(len(against), len(base), generator=generator) * 2 - 1) * radius)
    moves[: len(against) // starts] = 0
    least = np.full(len(against), np.inf)
    for step in range(steps + 1):
        point = torch.clamp(base + moves, 0, 1).requires_grad_()
        margins = (network(point) * against).sum(dim=1)
        least = np.minimum(least, margins.detach().numpy())
        gradient = torch.autograd.grad(margins.sum(), point)[0]
        towards = (
            -torch.where(gradient > 0, down, torch.where(gradient < 0, up, torch.zeros_like(up)))
            * gradient.sign()
        )
        if ball.norm is Norm.LINF:
            goal = towards
        elif ball.norm is Norm.L2:
            goal = inside(-1e3 * gradient / (gradient.norm(dim=1, keepdim=True) + 1e-12))
        else:
            best = (gradient.abs() * towards.abs()).topk(8, dim=1).indices
            goal = inside(torch.zeros_like(towards).scatter(1, best, towards.gather(1, best)))
        moves = inside(moves + (goal - moves) * (2 / (step + 2)))
    return np.asarray(least.reshape(starts, -1).min(axis=0), dtype=np.float64)


def spread(values: Doubles | list[float]) -> str:
    """Median (range)."""
    return (
        f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"
        if len(values)
        else "-"
    )


def compare(
    dense: Dense, theirs: Theirs, region: Ball, images: list[tuple[Floats, int]], alphas: int
) -> None:
    """Print one table; only the first `alphas` images get optimised slopes."""
    enclosure = float32_enclosure(dense)
    real, cut = nearly_real(enclosure), region.norm is Norm.LINF
    rows: dict[str, MethodRow] = {name: MethodRow() for name in METHODS}
    for number, (image, label) in enumerate(images):
        ball = ball_set(region, image)
        bounds: dict[str, Bound] = {
            "CROWN": partial(theirs.margins, ball, label, "CROWN"),
            "plain": partial(plain, enclosure, region, image, label),
            "plain, real": partial(plain, real, region, image, label, cut),
            "alpha-CROWN": partial(theirs.margins, ball, label, "CROWN-Optimized"),
            "alpha": partial(alpha, enclosure, region, image, label),
            "alpha, real": partial(alpha, real, region, image, label, cut),
            "attack": partial(attacked, theirs.network, ball, label),
        }
        for name in METHODS:
            if number < alphas or "alpha" not in name:
                rows[name].run(bounds[name.removesuffix(AGAIN)])
    print(
        f"\n{region.norm.upper()} {region.radius}, {len(images)} images,"
        f" {min(alphas, len(images))} of them with alpha"
    )
    for name, row in rows.items():
        sure = f"{int((row.least > 0).sum()):3d} of {len(row.least)} above 0"
        print(
            f"  {name:18s} {sure}; least margin {spread(row.least)};"
            f" ms {spread([1e3 * s for s in row.seconds])}"
        )
    for other, ours in (("CROWN", "plain"), ("alpha-CROWN", "alpha")):
        first, second = rows[other].seconds, rows[other + AGAIN].seconds
        mean = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
        print(
            f"  seconds {other} / {ours}: {spread(_ratios(mean, rows[ours].seconds))};"
            f" control {spread(_ratios(second, first))}"
        )
        for mine in (ours, ours + ", real"):
            print(f"  margin {mine} - {other}: {spread(rows[mine].least - rows[other].least)}")
    for better, worse in (("alpha", "plain"), ("alpha-CROWN", "CROWN")):
        print(
            f"  margin {better} - {worse}:"
            f" {spread(rows[better].least - rows[worse].least[:alphas])}"
        )
    above = max(
        float((bound - met).max())
        for name in ("plain", "alpha")
        for bound, met in zip(rows[name].margins, rows["attack"].margins, strict=False)
    )
    print(
        f"  our bounds less the attacked margins, at most {above:.3g}:"
        f" {'UNSOUND' if above > 0 else 'no contradiction'}"
    )


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def main() -> None:
    """Print a table for each radius."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("--norm", type=Norm, default=Norm.LINF)
    parser.add_argument(
        "--radius", type=Fraction, nargs="+", default=[Fraction(k, 255) for k in (1, 2, 4)]
    )
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument(
        "--alpha", type=int, default=50, help="how many images get optimised slopes too"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist", "test")
    network = load_network(asked.network, image_shape=data.image_shape, classes=10)
    assert network.dense is not None
    theirs = Theirs(network.dense)
    flat = data.images[: asked.images].reshape(asked.images, -1).astype(np.float32) / np.float32(
        255
    )
    given = theirs.network(torch.tensor(flat)).argmax(dim=1).numpy()
    images = [
        (data.images[i], int(data.labels[i]))
        for i in range(asked.images)
        if given[i] == data.labels[i]
    ]
    print("the first table warms both up")
    compare(network.dense, theirs, Ball(asked.norm, asked.radius[0]), images[:1], 1)
    for radius in asked.radius:
        compare(network.dense, theirs, Ball(asked.norm, radius), images, asked.alpha)


if __name__ == "__main__":
    tune_blas()
    main()
