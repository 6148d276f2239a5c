"""The layers of a dense LiteRT file as values. Weights are (n_in, n_out), with rows in file
order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, read_only

Int8s = NDArray[np.int8]
Int32s = NDArray[np.int32]


@dataclass(frozen=True)
class Grid:
    """8-bit activations: the integer q in `least` .. `least` + 255 stands for (q - `zero`) *
    `scale`; `scale` is a float32 value.

    `least`: -128 for int8, 0 for uint8.
    """

    scale: float
    zero: int
    least: int = -128

    @property
    def top(self) -> float:
        """The largest real that it holds."""
        return (self.least + 255 - self.zero) * self.scale

    @property
    def bottom(self) -> float:
        """The smallest real that it holds."""
        return (self.least - self.zero) * self.scale

    @property
    def scale32(self) -> np.float32:
        """`scale` as the float32 that the file stores."""
        return np.float32(self.scale)


@dataclass(frozen=True, eq=False)
class Int8Full:
    """FULLY_CONNECTED from int8 `given` to int8 `out`: requantise((q - given.zero) @ `weights` +
    `bias`), ReLU at out.zero.

    `weights` int8 (n_in, n_out); `bias` int32 (n_out,); `scales` float32, one or n_out of them.
    """

    weights: Int8s
    bias: Int32s
    scales: Floats
    relu: bool
    given: Grid
    out: Grid

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, eq=False)
class DynamicFull:
    """FULLY_CONNECTED of floats whose every input row is quantised at run time.

    `weights` int8 (n_in, n_out). `bias` float32 (n_out,). `scales` float32, one or n_out of them.
    `asymmetric`: rows get a zero point on `builtin` and `reference`, as they always do on
    `xnnpack`. `turned`: the file calls the scales those of the inputs, and LiteRT's own kernels
    take them for those of the outputs.
    """

    weights: Int8s
    bias: Floats
    scales: Floats
    relu: bool
    asymmetric: bool
    turned: bool = False

    def __post_init__(self) -> None:
        _freeze(self)


def with_zero_point(layer: DynamicFull, kernel: str) -> bool:
    """Do the kernel's rows have a zero point? Their step is then 1/255 of the row's range, and else
    1/127 of its largest magnitude."""
    return kernel == "xnnpack" or layer.asymmetric


@dataclass(frozen=True, eq=False)
class FloatFull:
    """FULLY_CONNECTED in float32 (the converter leaves weights under 1,024 elements in float):
    `weights` (n_in, n_out)."""

    weights: Floats
    bias: Floats
    relu: bool

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True)
class Quantise:
    """QUANTIZE from float32 to int8 `out`."""

    out: Grid


@dataclass(frozen=True)
class Dequantise:
    """DEQUANTIZE from int8 `given` to float32."""

    given: Grid


@dataclass(frozen=True)
class Recode:
    """QUANTIZE between uint8 and int8 of one scale, zero points 128 apart: the same numbers,
    shifted by 128."""

    given: Grid
    out: Grid


@dataclass(frozen=True)
class Softmax:
    """SOFTMAX over the classes: float32, or from int8 `given` to int8 `out` with scale 1/256 and
    zero point -128."""

    given: Grid | None = None
    out: Grid | None = None


Layer = Int8Full | DynamicFull | FloatFull | Quantise | Dequantise | Recode | Softmax


def _freeze(layer: Any) -> None:
    """Make the arrays of a layer read-only."""
    for name, value in vars(layer).items():
        if isinstance(value, np.ndarray):
            object.__setattr__(layer, name, read_only(value))
