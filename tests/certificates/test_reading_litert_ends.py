"""The checker's reader of `.tflite` files: half precision, and reshapes after a softmax."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from relrob.certificates.checking.deployed import NoRulesError
from relrob.certificates.checking.reading.litert import _has_halves
from tests.litert_edits import extra
from tests.make_litert import FILES
from tests.make_litert import edited as changed_file
from tests.reading_cases import read

OP = schema.BuiltinOperator


def test_half_precision_is_asked_of_the_processor(tmp_path: Path) -> None:
    own = platform.machine() != "x86_64"
    told = {
        "flags : avx2 avx512_fp16": True,
        "flags : amx_fp16": True,
        "bogomips : 1": True,
        "flags : avx2 f16c": own,
    }
    for words, able in told.items():
        (tmp_path / "cpuinfo").write_text(words)
        assert _has_halves(tmp_path / "cpuinfo") is able
    assert _has_halves(tmp_path / "none")


def test_a_reshape_after_the_softmax_changes_nothing(tmp_path: Path) -> None:
    """Of the same values; for float, dynamic-range and int8 files, behind DEQUANTIZE too."""
    options: Any = schema.ReshapeOptionsT()
    options.newShape = [-1, 5]
    for name in (
        "float",
        "dynamic-per-tensor",
        "int8-softmax",
        "int8-float-ends",
        "int8-logits-float-ends",
    ):
        arithmetic = "float32" if name == "float" else "integer"
        about: dict[str, Any] = {
            "kind": "tflite",
            "runtime": "builtin",
            "shape": (1, 1, 20),
            "classes": 5,
        }
        plain = read(FILES[name], tmp_path, arithmetic=arithmetic, **about)
        data = changed_file(FILES[name], extra(OP.RESHAPE, options))
        found = read(data, tmp_path, arithmetic=arithmetic, **about)
        assert found.end == plain.end
        assert all(
            np.array_equal(a.weights, b.weights) and a.bias == b.bias
            for a, b in zip(found.layers, plain.layers, strict=True)
        )
        options.newShape = [-1, 5, 1]
        with pytest.raises(NoRulesError):
            read(
                changed_file(FILES[name], extra(OP.RESHAPE, options)),
                tmp_path,
                arithmetic=arithmetic,
                **about,
            )
        options.newShape = [-1, 5]
