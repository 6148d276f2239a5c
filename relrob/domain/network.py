"""A classifier as a value: its file, its runtime, and its weights where it is a dense network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod

import numpy as np

from relrob.domain.arrays import Doubles, Floats, read_only
from relrob.domain.contract import IDENTITY, InputContract
from relrob.domain.derived import Derived
from relrob.errors import NetworkError, ShapeError, UsageError


class Layout(StrEnum):
    """The order in which a network reads the pixels of an image that is stored as (height, width,
    channels)."""

    HWC = "hwc"
    CHW = "chw"


class Arithmetic(StrEnum):
    """The arithmetic that a verdict is about: the reals, any-order float32, or exact integers.

    Source: docs/soundness.md, "Arithmetics".
    """

    REAL = "real"
    FLOAT32 = "float32"
    INTEGER = "integer"


@dataclass(frozen=True, eq=False)
class Layer:
    """One dense layer: `weights` (n_in, n_out), `bias` (n_out,), and `relu`: is a ReLU after it?

    A plain layer holds the file's float32 values to the bit. A modelled layer stands for a dense
    layer among steps on constants (a normalisation before it, a scale after it). Its weights are
    real numbers, as float64. For inputs h >= 0 the file's own float32 arithmetic deviates from
    h @ weights + bias by at most the error of a plain layer with `extra` more roundings, plus
    `slack` (n_out,).

    Raises NetworkError when the shapes disagree or a value is not finite.
    """

    weights: Floats
    bias: Floats
    relu: bool
    extra: int = 0
    slack: Doubles | None = None

    def __post_init__(self) -> None:
        kind = np.float32 if self.plain else np.float64
        weights = read_only(np.asarray(self.weights, dtype=kind))
        bias = read_only(np.asarray(self.bias, dtype=kind))
        slack = read_only(
            np.zeros(bias.shape) if self.slack is None else np.asarray(self.slack, np.float64)
        )
        if weights.ndim != 2 or bias.shape != (weights.shape[1],) or slack.shape != bias.shape:
            raise NetworkError(
                f"a dense layer has weights {weights.shape} and bias {bias.shape}",
                "(n_in, n_out), (n_out,)",
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise NetworkError(
                "a dense layer has NaN or infinite weights",
                "finite float32 values",
                "train or export again",
            )
        if self.extra < 0 or not (slack >= 0).all():
            raise NetworkError("a modelled layer has an error below 0", "errors of at least 0")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "slack", None if self.slack is None else slack)

    @property
    def plain(self) -> bool:
        """Are these the float32 numbers of the file, and no model of it?"""
        return self.extra == 0 and self.slack is None

    @property
    def terms(self) -> int:
        """Float32 roundings on the way to an output: a product, sums, the bias, and a spare one."""
        return len(self.weights) + 2 + self.extra


@dataclass(frozen=True, eq=False)
class Dense:
    """A multilayer perceptron: `layers` in order, the last without ReLU; `softmax`: does one end
    it?

    The label is the first index of the largest logit. The softmax changes no label; it is kept for
    conversion.
    """

    layers: tuple[Layer, ...]
    softmax: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError("a dense network without layers", "at least one dense layer")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.weights.shape[1] != after.weights.shape[0]:
                raise NetworkError(
                    f"a dense layer of {before.weights.shape[1]} outputs"
                    f" feeds one of {after.weights.shape[0]} inputs"
                )
        if self.layers[-1].relu:
            raise NetworkError(
                "the last dense layer ends in a ReLU", "logits, or a softmax over them"
            )

    @property
    def plain(self) -> bool:
        """Does every layer hold the file's own weights, so that another program may run or convert
        them?"""
        return all(layer.plain for layer in self.layers)

    @property
    def inputs(self) -> int:
        """Number of input values."""
        return int(self.layers[0].weights.shape[0])

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weights.shape[1])


@dataclass(frozen=True, eq=False)
class Network:
    """A network that can be run: a file, its runtime, and its weights where it is a float MLP.

    `path`: the file, as the user named it.
    `sha256`: of the file's bytes.
    `format`: "keras", "keras-h5", "keras1-h5", "onnx", "tflite", "fixed" or "savedmodel".
    `runtime`: "numpy", "onnxruntime", "xnnpack", "builtin", "reference", "fixed" or "keras"; "real"
    where none executes the file.
    `inputs`, `classes`: numbers of input values and of outputs.
    `image_shape`: (H, W, C) of the images, H*W*C = `inputs`.
    `layout`: the order in which the file reads the pixels.
    `scheme`: the quantisation scheme, or "float32".
    `dense`: the weights, rows in the order of an (H, W, C) raster whatever the layout; None for a
    black box.
    `folded`: the file does more than plain dense layers (a normalisation, two layers in a row). The
    weights are a model of it (`Layer`); the runtime executes the file.
    `black_box`: the reason why the file is only run and not modelled; "" where bounds may speak of
    it.
    `apart`: the graph is known to treat the images of a batch apart; otherwise one runs at a time.
    `conversion`: the form that the runtime executes, where that is not the file as given; else "".
    `head`: the meaning of the file's one output where there are two classes, "logit" or
    "probability"; "" where it has an output a class.
    `contract`: how the values that the file reads follow from the pixels.
    `contract_from`: the part of the file that says the contract; "" where none does.
    """

    path: str
    sha256: str
    format: str
    runtime: str
    inputs: int
    classes: int
    image_shape: tuple[int, int, int]
    layout: Layout = Layout.HWC
    scheme: str = "float32"
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    dense: Dense | None = None
    folded: bool = False
    black_box: str = ""
    apart: bool = True
    conversion: str = ""
    head: str = ""
    contract: InputContract = IDENTITY
    contract_from: str = ""

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.classes < 2:
            raise NetworkError(
                f"{self.path} has {self.inputs} inputs and {self.classes} outputs",
                "a classifier of images",
            )
        if len(self.image_shape) != 3 or prod(self.image_shape) != self.inputs:
            raise ShapeError(
                f"{self.path} has {self.inputs} inputs",
                f"images of {self.image_shape}, (height, width, channels)",
            )
        if self.head not in ("", "logit", "probability") or (self.head and self.classes != 2):
            raise NetworkError(f"{self.path}: a head {self.head!r} of {self.classes} classes")
        self.contract.check(self.image_shape[2])
        if not self.contract.plain and (
            self.format == "fixed" or self.arithmetic is Arithmetic.REAL
        ):
            what = "a fixed-point network" if self.format == "fixed" else "runtime real"
            raise UsageError(
                f"{what} reads pixels as they are: {self.path} with {self.contract.text()}",
                "no --input-scale, --mean, --std, --channels",
            )
        if self.dense is not None and (self.dense.inputs, self.dense.classes) != (
            self.inputs,
            self.classes,
        ):
            raise NetworkError(
                f"{self.path}: the weights do not fit"
                f" {self.inputs} inputs and {self.classes} classes"
            )

    @cached_property
    def derived(self) -> Derived:
        """Values that are computed from the file and these fields, such as the enclosure. It is no
        field: `replace` and pickle start with none."""
        return Derived()
