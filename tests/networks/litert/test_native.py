"""Operators that LiteRT runs inside our emulator: they read the values before them, no pixels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from relrob.domain.contract import InputContract
from relrob.networks.load import load_network
from relrob.networks.probes import probed
from tests.make_litert import FILES


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin", "reference"])
@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("shape", [(4, 5, 1), (1, 10, 2)])
def test_a_contract_makes_no_black_box_of_a_litert_file(
    tmp_path: Path, name: str, runtime: str, shape: tuple[int, int, int]
) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(FILES[name])
    plain = load_network(path, image_shape=shape, classes=5, runtime=runtime)
    mean = tuple(Fraction(n, 4) for n in range(1, shape[2] + 1))
    network = replace(plain, contract=InputContract(Fraction(3), mean, (Fraction(2),)))
    assert probed(network).black_box == plain.black_box
