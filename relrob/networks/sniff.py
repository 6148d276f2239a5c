"""The format of a network file, told by its first bytes and its name. Nothing is parsed, and
nothing is run."""

from __future__ import annotations

from pathlib import Path

from relrob.errors import NetworkError

SUFFIXES: dict[str, str] = {
    ".keras": "keras",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".npz": "fixed",
}
_NOUNS = {
    "keras": "a Keras archive",
    "hdf5": "an HDF5 file",
    "onnx": "an ONNX file",
    "tflite": "a LiteRT file",
    "fixed": "a fixed-point network",
}
ACCEPTED = "a .keras, .h5, .onnx or .tflite file, a fixed-point .npz, or a SavedModel directory"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LFS = b"version https://git-lfs"
_REPAIR = "copy or export the file again"


def sniff(path: Path) -> str:
    """The container: "keras" (zip), "hdf5", "onnx", "tflite", "fixed" (zip) or "savedmodel".

    Raises NetworkError when the path is missing or empty, when it is a Git LFS pointer, or when its
    bytes contradict its name.
    """
    if path.is_dir():
        return _directory(path)
    if not path.is_file():
        raise NetworkError(f"no network file at {path}", ACCEPTED, "check the path")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise NetworkError(f"cannot read {path}: {error.strerror or error}", ACCEPTED) from error
    if not head:
        raise NetworkError(f"{path} is empty", ACCEPTED, _REPAIR)
    if head.startswith(_LFS):
        raise NetworkError(
            f"{path} is a Git LFS pointer, not the network itself", ACCEPTED, "git lfs pull"
        )
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise NetworkError(
            f"{path} has the suffix {suffix!r}", ACCEPTED, "rename it, or export it as one of these"
        )
    named, found = SUFFIXES.get(suffix), _magic(head)
    if (named, found) == ("fixed", "keras"):
        # A .keras archive and an .npz are both zip archives.
        return "fixed"
    if named is None and found is None:
        raise NetworkError(f"{path} does not start like a network file", ACCEPTED, _REPAIR)
    if named is not None and found != named:
        looks = f"looks like {_NOUNS[found]}" if found else "starts with other bytes"
        raise NetworkError(
            f"{path} is named {suffix} but {looks}", f"{_NOUNS[named]} under this name", _REPAIR
        )
    return found or ""


def _directory(path: Path) -> str:
    """The container of a directory, which is a SavedModel or nothing."""
    if (path / "saved_model.pb").is_file():
        return "savedmodel"
    raise NetworkError(
        f"{path} is a directory without saved_model.pb", ACCEPTED, "name the file inside it"
    )


def _magic(head: bytes) -> str | None:
    """The container that the first bytes belong to."""
    if head.startswith(b"PK\x03\x04"):
        return "keras"
    if head.startswith(_HDF5):
        return "hdf5"
    if head[4:8] == b"TFL3":
        return "tflite"
    # An ONNX ModelProto starts with one of its fields: ir_version (varint 1) or opset, producer,
    # graph (length-delimited).
    if head[0] == 0x08 or head[0] in (0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42):
        return "onnx"
    return None
