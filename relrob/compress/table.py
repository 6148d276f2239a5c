"""The quantisation schemes by name: the files that they write, and what each needs.

Listing them imports none of them.
"""

from __future__ import annotations

from typing import Final

from relrob.errors import UsageError
from relrob.registry import Entry, find

QUANTISERS: tuple[Entry, ...] = (
    Entry(
        "dynamic",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT dynamic range, one scale a weight tensor (the paper's)",
        suffix=".tflite",
        runtime="xnnpack",
        tool="tensorflow",
    ),
    Entry(
        "dynamic-per-channel",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT dynamic range, one scale an output channel",
        suffix=".tflite",
        runtime="xnnpack",
        tool="tensorflow",
    ),
    Entry(
        "int8",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT full int8, int8 in and out, one scale an output channel",
        suffix=".tflite",
        runtime="xnnpack",
        calibrated=True,
        tool="tensorflow",
    ),
    Entry(
        "int8-per-tensor",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT full int8, one scale a weight tensor",
        suffix=".tflite",
        runtime="xnnpack",
        calibrated=True,
        tool="tensorflow",
    ),
    Entry(
        "int16x8",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT int16 activations, int8 weights",
        suffix=".tflite",
        runtime="xnnpack",
        calibrated=True,
        tool="tensorflow",
    ),
    Entry(
        "float16",
        "relrob.compress.post_training.litert:quantise",
        "LiteRT float16 weights",
        suffix=".tflite",
        runtime="xnnpack",
        tool="tensorflow",
    ),
    Entry(
        "fixed:B",
        "relrob.compress.post_training.fixed_point:quantise",
        "fixed point of B = 2 to 16 bits, exact integers (.npz)",
        suffix=".npz",
        runtime="fixed",
        calibrated=True,
        tool="numpy",
        example="fixed:8",
    ),
    Entry(
        "q:W:P",
        "relrob.compress.post_training.keras_levels:quantise",
        "fixed point of W bits, P of them before the point, of weights and activations (.keras; "
        "Zhao et al. 2018)",
        suffix=".keras",
        runtime="keras",
        tool="tensorflow",
        example="q:8:2",
        of_mlps="q-integer",
    ),
    Entry(
        "q-integer:W:P",
        "relrob.compress.post_training.fixed_format:quantise",
        "the same of an MLP, exact integers (.npz)",
        suffix=".npz",
        runtime="fixed",
        tool="numpy",
        example="q-integer:8:2",
    ),
    Entry(
        "dorefa:K",
        "relrob.compress.post_training.keras_levels:quantise",
        "DoReFa's 2^K levels, K = 1 to 16, fitted after training (.keras)",
        suffix=".keras",
        runtime="keras",
        calibrated=True,
        tool="tensorflow",
        example="dorefa:4",
    ),
    Entry(
        "apot:B",
        "relrob.compress.post_training.keras_levels:quantise",
        "additive powers of two of B = 2 to 4 bits, fitted after training (.keras)",
        suffix=".keras",
        runtime="keras",
        calibrated=True,
        tool="tensorflow",
        example="apot:4",
    ),
    Entry(
        "qdq",
        "relrob.compress.post_training.onnx_qdq:quantise",
        "onnxruntime static QDQ int8",
        suffix=".onnx",
        runtime="onnxruntime",
        calibrated=True,
        tool="onnxruntime",
    ),
)

# The least and the largest value of each parameter of a scheme, by the word before its first colon.
_RANGES: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "fixed": ((2, 16),),
    "q": ((2, 32), (1, 32)),
    "q-integer": ((2, 32), (1, 32)),
    "dorefa": ((1, 16),),
    "apot": ((2, 4),),
}


def scheme(name: str) -> Entry:
    """The quantisation scheme of that name; "fixed:8" is fixed:B with B = 8. Raises UsageError.

    >>> scheme("fixed:8").name
    'fixed:B'
    """
    kind, *rest = name.split(":")
    ranges = _RANGES.get(kind)
    if ranges is None:
        return find(QUANTISERS, name, "scheme")
    entry = next(e for e in QUANTISERS if e.name.partition(":")[0] == kind)
    whole = [int(part[:3]) for part in rest if part.isascii() and part.isdigit()]
    if len(whole) != len(rest) or len(rest) != len(ranges):
        whole = [-1] * len(ranges)
    fits = all(low <= n <= high for n, (low, high) in zip(whole, ranges, strict=True))
    if not fits or whole[-1] > whole[0]:
        ends = (":".join([kind, *(str(pair[side]) for pair in ranges)]) for side in (0, 1))
        more = ", P up to W" if len(ranges) == 2 else ""
        raise UsageError(f"scheme {name!r}", " to ".join(ends) + more, entry.example)
    return entry
