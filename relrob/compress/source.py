"""The network that a quantiser is given: the user's own file, or an MLP of plain dense layers built
anew."""

from __future__ import annotations

from relrob.compress.table import scheme as scheme_entry
from relrob.domain.network import Network
from relrob.errors import QuantiseError

_KERAS = ("keras", "keras-h5")


def plain(reference: Network) -> bool:
    """Are the weights, and nothing else, the network?"""
    return reference.dense is not None and not reference.folded and not reference.head


def own_file(reference: Network, scheme: str) -> bool:
    """Does the quantiser read the user's own file, and not its dense layers?"""
    ending = scheme_entry(scheme).suffix
    return (
        reference.format == "onnx"
        if ending == ".onnx"
        else ending in (".tflite", ".keras") and not plain(reference)
    )


def rebuilt(reference: Network, scheme: str) -> str:
    """The form that is quantised. "" stands for the user's network in the form of its own tools."""
    ending = scheme_entry(scheme).suffix
    if ending == ".onnx" and reference.format != "onnx":
        return "rebuilt in ONNX from dense layers"
    return in_keras(reference) if ending in (".keras", ".tflite") else ""


def in_keras(reference: Network) -> str:
    """The form that becomes a Keras file; "" stands for the user's own file."""
    anew = plain(reference) and reference.format not in _KERAS
    return "rebuilt in Keras from dense layers" if anew else ""


def form_of(reference: Network, scheme: str, runtime: str | None = None) -> str:
    """The scheme by which a run quantises: the one of MLPs that stands in for `scheme` where there
    is one and the reference is such a network, else `scheme` itself, as where the user names its
    `runtime`."""
    fits = plain(reference) and reference.contract.plain
    return of_mlps(scheme) if fits and runtime != scheme_entry(scheme).runtime else scheme


def of_mlps(scheme: str) -> str:
    """The scheme that stands in for `scheme` where the reference is an MLP; `scheme` where there is
    none.

    >>> of_mlps("q:8:2"), of_mlps("int8")
    ('q-integer:8:2', 'int8')
    """
    other = scheme_entry(scheme).of_mlps
    return ":".join([other, *scheme.split(":")[1:]]) if other else scheme


def ended(scheme: str, ending: str) -> str:
    """The scheme whose files end in `ending`: its form of MLPs where that is one, else `scheme`."""
    other = of_mlps(scheme)
    return other if scheme_entry(other).suffix == ending else scheme


def check_source(reference: Network, scheme: str) -> None:
    """Raise QuantiseError for a network that has no way into the scheme's tools."""
    ending, what = (
        scheme_entry(scheme).suffix,
        f"{reference.path} ({reference.format}, more than plain dense layers)",
    )
    if ending == ".npz" and not reference.contract.plain:
        raise QuantiseError(
            f"{reference.path} with {reference.contract.text()} as {scheme}, which reads pixels as "
            "they are",
            "another scheme, such as int8",
        )
    if reference.contract.output and not plain(reference):
        raise QuantiseError(f"{reference.path}, a file of several outputs", "a file of one output")
    if plain(reference):
        return
    if ending == ".tflite" and reference.format not in (*_KERAS, "savedmodel"):
        raise QuantiseError(
            f"{what} has no way into LiteRT", "MLPs, .keras, .h5, SavedModel", "--quantise qdq"
        )
    if ending == ".keras":
        check_keras(reference)
    if ending == ".onnx" and reference.format != "onnx":
        raise QuantiseError(f"{what} has no way into ONNX", "MLPs and .onnx", "the scheme int8")
    if ending == ".npz":
        raise QuantiseError(
            f"{what} as {scheme}",
            "a float MLP of plain dense layers",
            "another scheme, such as int8",
        )


def check_keras(reference: Network) -> None:
    """Raise QuantiseError for a network that has no way into a Keras file."""
    if reference.format not in _KERAS and not plain(reference):
        raise QuantiseError(
            f"{reference.path} ({reference.format}, more than plain dense layers) has no way into "
            "Keras",
            "MLPs, .keras, .h5",
            "the scheme int8",
        )
