"""Which format a file has: by its first bytes and its name, never by the certificate's word.

One file can hold networks of two formats (an archive behind an ONNX graph, say), and each reader
finds its own.
Source: docs/certificates.md, "The file".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relrob.certificates.checking.reading.facts import NoRulesError

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"
# Suffix -> the formats that a file of this name can have.
_NAMED: Final = {
    ".keras": ("keras",),
    ".npz": ("fixed",),
    ".h5": ("keras-h5", "keras1-h5"),
    ".hdf5": ("keras-h5", "keras1-h5"),
    ".onnx": ("onnx",),
    ".tflite": ("tflite",),
}


def check_container(path: str, data: bytes, said: str) -> None:
    """The file has the format that the certificate names. Raises NoRulesError."""
    suffix = Path(path).suffix.lower()
    if said not in _NAMED.get(suffix, (said,) if not suffix else ()):
        raise NoRulesError(f"a {said[:40]} network in a file of the name {suffix[:40]!a}")
    able: tuple[str, ...] = ("onnx",)
    if data.startswith(_ZIP):
        # Both are zip archives; only the name tells a fixed-point network.
        able = ("fixed",) if suffix == ".npz" else ("keras",)
    elif data.startswith(_HDF5):
        able = ("keras-h5", "keras1-h5")
    elif data[4:8] == b"TFL3":
        able = ("tflite",)
    if said not in able:
        raise NoRulesError(f"a {said[:40]} network in a file that starts as {able[0]} does")
