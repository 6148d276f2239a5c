"""The MNIST network of the AAAI 2021 benchmark of quantised networks (Henzinger, Lechner, Zikelic),
an HDF5 file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relrob.domain.network import Dense, Layer
from relrob.errors import NetworkError
from relrob.networks.fixed.network import FixedNetwork, from_float
from relrob.networks.keras import hdf5

CLASSES: Final = 10


def read_qnn(path: Path) -> FixedNetwork:
    """The network: 6-bit weights (5 after the point), biases and activations (4 after the point),
    and 8-bit pixels.

    The file's last layer has more outputs than classes. Its label is the first largest of the first
    ten, which are kept. Raises NetworkError when the file is damaged or another one.
    """
    with hdf5.opened(path, str(path)) as file:
        listed = hdf5.texts(file, "layer_names")
        missing = next((name for name in listed if name not in file), None)
        if missing is not None:
            raise NetworkError(
                f"{path}: layer {missing!r} is named in layer_names and is not there",
                "a whole file",
            )
        names = [name for name in listed if len(file[name])]
        layers = []
        for number, name in enumerate(names):
            held = hdf5.texts(file[name], "weight_names")
            if len(held) != 2:
                raise NetworkError(
                    f"{path}: layer {name!r} holds {len(held)} arrays", "a kernel and a bias"
                )
            kernel, bias = (hdf5.array(file[name], key, str(path)) for key in held)
            last = number == len(names) - 1
            width = CLASSES if last else len(bias)
            layers.append(Layer(kernel[:, :width], bias[:width], relu=not last))
    dense = Dense(tuple(layers))
    if dense.classes != CLASSES:
        raise NetworkError(f"{path} has {dense.classes} outputs", f"{CLASSES} or more")
    return from_float(dense, bits=6, weight_fraction=5, bias_fraction=4, activation_fraction=4)
