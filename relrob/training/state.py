"""The state of a training on the disk, from which a killed one goes on to the same bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from relrob.errors import StoreError
from relrob.system.files import disk_errors, read_regular, write_atomic

Arrays = list[NDArray[Any]]
Named = dict[str, NDArray[Any]]
# Larger than any state of the networks here.
_MOST: Final = 1 << 31
_HEAD: Final = "head"


@dataclass(frozen=True)
class Best:
    """The least loss of the validation images so far, its epoch (0 for none yet), the model's
    variables of that time, and the compression's own."""

    loss: float = float("inf")
    epoch: int = 0
    variables: Arrays = field(default_factory=list)
    own: Named = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """After `epoch` whole epochs.

    `generator`: the state of numpy's, as JSON. `variables`: of model and optimiser, in their order.
    `own`: of the compression.
    """

    epoch: int
    generator: str
    variables: Arrays
    own: Named = field(default_factory=dict)
    best: Best = field(default_factory=Best)


@final
class StateFile:
    """The file of one training alone, whose digest is `key`."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path, key

    def write(self, state: State) -> None:
        """Replace the state. Raises StoreError."""
        best = state.best
        head = {
            "key": self._key,
            "epoch": state.epoch,
            "generator": state.generator,
            "best": [best.loss.hex(), best.epoch],
        }
        arrays = {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)}
        arrays |= {f"variable_{number}": array for number, array in enumerate(state.variables)}
        arrays |= {f"best_{number}": array for number, array in enumerate(best.variables)}
        arrays |= {f"own_{name}": array for name, array in state.own.items()}
        arrays |= {f"then_{name}": array for name, array in best.own.items()}
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        write_atomic(self.path, packed.getvalue())

    def read(self) -> State | None:
        """The state, None where there is none. Raises StoreError for one of another training, or a
        damaged one."""
        if not self.path.exists():
            return None
        with disk_errors(self.path, "read"):
            data = read_regular(self.path, _MOST)
        hint = f"the same options as then, another output, or rm {self.path}"
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = dict(file)
            head = json.loads(arrays[_HEAD].tobytes())
            if head["key"] == self._key:
                loss, epoch = head["best"]
                best = Best(
                    float.fromhex(loss),
                    int(epoch),
                    _listed(arrays, "best_"),
                    _named(arrays, "then_"),
                )
                return State(
                    int(head["epoch"]),
                    str(head["generator"]),
                    _listed(arrays, "variable_"),
                    _named(arrays, "own_"),
                    best,
                )
        # numpy and json raise errors of many classes on a damaged file.
        except Exception as error:
            raise StoreError(
                f"{self.path} is damaged ({type(error).__name__})", hint=hint
            ) from error
        raise StoreError(f"{self.path} is the state of another training", hint=hint)

    def remove(self) -> None:
        """After the training."""
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)


def _named(arrays: Named, start: str) -> Named:
    """Arrays whose name begins so, by the rest of it."""
    return {
        name.removeprefix(start): each for name, each in arrays.items() if name.startswith(start)
    }


def _listed(arrays: Named, start: str) -> Arrays:
    """Numbered arrays, in order."""
    found = _named(arrays, start)
    return [found[number] for number in sorted(found, key=int)]
