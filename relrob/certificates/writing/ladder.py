"""Write a certificate: the partition of a ladder that a proof rests on, and what is needed to
derive each leaf again."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.bounding.certain import CertainLabels
from relrob.bounding.relaxation import Neurons
from relrob.certificates.checking.deployed import NoRulesError, read_deployed
from relrob.certificates.form import FORMAT, canonical, chain, seal
from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Network
from relrob.errors import AlarmError
from relrob.networks.content import checked_bytes
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels, margins
from relrob.networks.kept import kept
from relrob.networks.open import Opened
from relrob.queries.findings import Leaf
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, whole
from relrob.registry import load
from relrob.system.files import sha256_bytes

log = logging.getLogger(__name__)

BLOCK: Final = 1024
SAMPLE: Final = 16
_LARGEST: Final = float(np.finfo(np.float64).max)
SMALL: Final = (
    2_000  # a part that the bounds of a later computation no longer prove is run below this size
)


def ladder_certificate(
    opened: Opened,
    rungs: RungSet,
    image: NDArray[Any],
    label: int,
    role: str,
    leaves: tuple[Leaf, ...],
) -> bytes | None:
    """The certificate that `opened` gives `label` on all of `rungs`, the ladder around `image`;
    `role`: "reference" or "quantised".

    Points of leaves that were run are run once more, alone; None, with a warning, if outputs are
    then no finite numbers, or if the checker has no rules for the network. Raises AlarmError if one
    is then wrong: the verdict was of a network that gives an image alone another label.
    """
    if not has_rules(opened.network, any(leaf.bound for leaf in leaves)):
        return None
    maker = _Maker(opened, rungs, label)
    parts = [entry for leaf in leaves for entry in maker.leaf(_part(rungs, leaf.path), leaf.bound)]
    if maker.wrong:
        told = f"gives a label other than {label} at a point, run alone, that was taken for right"
        raise AlarmError(
            f"the {role} network {told}; nothing is pronounced; please report this with the two "
            "files"
        )
    if maker.failure:
        log.warning("no certificate for %s: %s", opened.network.path, maker.failure)
        return None
    ladder = rungs.region
    content: dict[str, Any] = {
        **head(opened.network, image, label, role),
        "gap": maker.gap if any("bound" in part for part in parts) else 0.0,
        "region": {
            "kind": ladder.kind,
            "radius": str(ladder.radius),
            "step": str(ladder.step),
            "features": rungs.features,
            "axes": ladder.axes,
        },
        "leaves": parts,
    }
    return canonical({**content, "seal": seal(content)})


def has_rules(network: Network, bounds: bool) -> bool:
    """Can the checker follow a certificate of this network, whose `bounds` it derives or whose
    points it only runs? False with a warning. Raises NetworkError where the file has changed."""
    lack = _lack_of_file(network) or (_lack_of_rules(network) if bounds else "")
    if lack:
        log.warning("no certificate for %s: %s", network.path, lack)
    return not lack


@kept
def _lack_of_file(network: Network) -> str:
    """Why the checker cannot read the file, "" where it can."""
    if Path(network.path).is_dir():
        return "the checker has no rules for SavedModels"
    if sha256_bytes(checked_bytes(network)) != network.sha256:
        return "the checker reads one file, and this one keeps constants in others"
    return ""


@kept
def _lack_of_rules(network: Network) -> str:
    """Why the checker cannot bound the network, "" where it can. Asks the checker's own readers."""
    try:
        read_deployed(network, checked_bytes(network))
    except NoRulesError as reason:
        return f"the checker has no rules for {reason}"
    return ""


def head(network: Network, image: NDArray[Any], label: int, role: str) -> dict[str, Any]:
    """The entries about the network and the image, which every certificate has."""
    return {
        "format": FORMAT,
        "role": role,
        "network": {
            "file": Path(network.path).name,
            "sha256": network.sha256,
            "format": network.format,
            "runtime": network.runtime,
            "layout": network.layout.value,
            "arithmetic": network.arithmetic.value,
            "image_shape": list(network.image_shape),
            "classes": network.classes,
            "details": _details(network),
        },
        "image": {
            "dtype": str(image.dtype),
            "hex": image.astype(image.dtype.newbyteorder("<")).tobytes().hex(),
        },
        "label": label,
    }


def _details(network: Network) -> str:
    """The facts beside its name on which the runtime's answers depend."""
    if find_spec("relrob.networks.details") is None:
        return ""
    return str(load("relrob.networks.details:runtime_details")(network))


def _part(rungs: RungSet, path: tuple[int, ...]) -> Part:
    """The part at the end of a path of splits."""
    part = whole(rungs)
    for step in path:
        part = part.split(abs(step) - 1)[0 if step > 0 else 1]
    return part


class _Maker:
    """Makes the entries of leaves; `wrong`: a point is, when its image runs alone; `failure` turns
    from "" when no margin can be recorded."""

    def __init__(self, opened: Opened, rungs: RungSet, label: int) -> None:
        self._opened, self._rungs, self._label = opened, rungs, label
        enclosure = enclosure_of(opened.network)
        self.gap = 0.0 if enclosure is None else enclosure.gap
        self._bounds = None if enclosure is None else CertainLabels(enclosure, rungs, label)
        self.failure, self.wrong = "", False

    def leaf(self, part: Part, bound: bool) -> list[dict[str, Any]]:
        """One entry; several where bounds of this part alone, without those of the whole ladder,
        need another split."""
        if not bound or self._bounds is None:
            return [self._run(part)]
        settled = self._bounds.settle(part)
        if settled.proof is not None:
            lines = [bent_lines(neurons) for neurons in settled.proof.hidden]
            margin = claim(float(settled.proof.low.min()), self.gap)
            return [{"path": list(part.path), "bound": {"margin": margin, "slopes": lines}}]
        if part.count <= SMALL:
            return [self._run(part)]
        feature = max(part.free, key=lambda g: (settled.slopes[g], -g))
        return [entry for half in part.split(feature) for entry in self.leaf(half, bound)]

    def _run(self, part: Part) -> dict[str, Any]:
        """Every point on the runtime, with the outputs that its image has when it is run alone, as
        deployed."""
        seen: list[tuple[int, float]] = []
        for masks in part.blocks(BLOCK):
            outputs = self._outputs(self._rungs.images(masks))
            said, least = (
                labels(outputs),
                np.clip(margins(outputs, self._label), -_LARGEST, _LARGEST),
            )
            seen += zip(said.tolist(), least.tolist(), strict=True)
            if not np.isfinite(outputs).all():
                self.failure = "outputs that are no finite numbers"
            elif (said != self._label).any():
                self.wrong = True
        record = {
            "points": len(seen),
            "margin": min(least for _, least in seen),
            "chain": chain(part.path, seen),
        }
        return {"path": list(part.path), "run": record}

    def _outputs(self, images: Floats) -> Floats:
        """Float outputs depend on the batch, and so do those of operators that are not modelled and
        of LiteRT's built-in QUANTIZE; integer kernels give the same in any, which is tried on a few
        images of each block."""
        alone, batch, network = self._opened.replayer, self._opened.evaluator, self._opened.network
        if (
            network.arithmetic is not Arithmetic.INTEGER
            or network.black_box
            or network.runtime == "builtin"
        ):
            return alone.outputs(images)
        together, few = batch.outputs(images), images[:: max(1, len(images) // SAMPLE)]
        same = np.array_equal(together[:: max(1, len(images) // SAMPLE)], alone.outputs(few))
        return together if same else alone.outputs(images)


def claim(margin: float, gap: float) -> float:
    """Half of a margin above the gap: the checker counts roundings of its own, and follows levels
    less closely."""
    return max(gap, gap + (margin - gap) / 2)


def bent_lines(neurons: Neurons) -> dict[str, list[Any]]:
    """The slopes of the neurons of a layer that are neither off nor on: above and below what they
    pass on."""
    bent = (
        (neurons.upper_intercept != 0)
        | (neurons.lower_intercept != 0)
        | (neurons.upper_slope != neurons.lower_slope)
    )
    where = np.flatnonzero(bent)
    return {
        "neurons": where.tolist(),
        "above": neurons.upper_slope[where].tolist(),
        "below": neurons.lower_slope[where].tolist(),
    }
