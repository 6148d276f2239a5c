"""The claims of Zhao et al. 2018 and of its poster, judged by our rows.

The scenarios: COMP->COMP, crafted and tried on one compressed network; FULL->COMP, crafted on the
dense network; COMP->FULL, tried on the dense network. Rows hold the accuracy that is left, so more
means a weaker attack. The preferred density is the least one at which the pruned network keeps
the dense network's accuracy, up to `_KEPT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from relrob.report.study.effects import Effect, apart, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import (
    MNIST_BAR,
    Bar,
    about,
    cifar_bar,
    together,
    trained,
    whole,
)
from relrob.report.study.sampled import Sampled, averaged
from relrob.report.study.stage_rows import Figures, Rows, Values

NETS: Final = (("lenet5", "LeNet5"), ("cifarnet", "CifarNet"))
ATTACKS: Final = (("ifgsm", "IFGSM"), ("ifgm", "IFGM"), ("deepfool", "DeepFool"))
SCENARIOS: Final = ("COMP->COMP", "FULL->COMP", "COMP->FULL")
# Shares of accuracy.
_KEPT: Final = 0.005
_CLOSE: Final = 0.05
_SHARP: Final = 0.10
_LITTLE: Final = 0.03
ACCURACY: Final = "adversarial_accuracy"
_NONE_BELOW: Final = "no density is the preferred one with a sparser one below it"
# Clean accuracies of the paper's dense networks, as the bars of ours have it.
_TRAINED: Final = {"lenet5": MNIST_BAR, "cifarnet": cifar_bar(0.8593)}
# Of DeepFool's examples that reach a network of another start (sec. 4), and how near ours must be.
_REACH: Final = {"lenet5": 0.07, "cifarnet": 0.60}
_NEAR: Final = 0.10


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 1 to 10 for each network that the study has rows of."""
    found: list[PaperClaim] = []
    for net, name in NETS:
        if net not in rows.groups:
            continue
        dense = [Bar(net, _TRAINED[net])]
        # The sparsest networks lose their accuracy by what claims 2 and 3 say of them.
        narrow = [*dense, Bar(f"{net}-quantised", dense=net)]
        others = [name for name in (f"{net}-other",) if name in rows.groups]
        starts = [*dense, *(Bar(other, _TRAINED[net]) for other in others)]
        for attack, words in ATTACKS:
            title = f"{name}, {words}"
            for make in (_moderate, _sparse, _preferred):
                found.append(about(title, make(rows, net, attack), rows, dense))
            for make in (_wide, _four_bits):
                found.append(about(title, make(rows, net, attack), rows, narrow))
        for judge in (_integer_bits, _parts, _zeros, _earliest, _own):
            found.append(about(name, judge(rows, net), rows, narrow))
        for judge in (_starts, _heritage):
            found.append(about(name, judge(rows, net), rows, starts))
    bars = [Bar(net, least) for net, least in _TRAINED.items()]
    return [*found, *(trained(claim, rows, bars) for claim in _weaker(rows))]


def accuracy(rows: Rows, net: str, attack: str, scenario: str, compress: str | None) -> Values:
    """(seed, run) to the accuracy that is left. `compress`: None for the dense network alone."""
    return rows.values(_group(net, attack, scenario, compress), ACCURACY, compress=compress)


def _left(rows: Rows, net: str, attack: str, scenario: str, compress: str | None) -> Figures:
    """The same with the pulls of the images."""
    return rows.sampled(_group(net, attack, scenario, compress), ACCURACY, compress=compress)


def _group(net: str, attack: str, scenario: str, compress: str | None) -> str:
    """The group of a scenario; on the dense network all three are one."""
    if compress is None or scenario == SCENARIOS[0]:
        return f"{net}-{attack}"
    return f"{net}-{attack}-{'full-comp' if scenario == SCENARIOS[1] else 'comp-full'}"


def densities(rows: Rows, net: str) -> list[tuple[float, str]]:
    """(density asked for, the text of the compression), the densest first."""
    found = [str(text) for text in rows.axis(f"{net}-pruned", "compress")]
    return sorted(((float(text.split(":")[1]), text) for text in found), reverse=True)


def widths(rows: Rows, net: str) -> list[tuple[int, str]]:
    """(width in bits, the text of the compression), the widest first."""
    found = [str(text) for text in rows.axis(f"{net}-quantised", "compress")]
    return sorted(((int(text.split(":")[1]), text) for text in found), reverse=True)


def preferred(rows: Rows, net: str) -> tuple[float, str] | None:
    """The preferred density and its text, None where no pruned network keeps the accuracy."""
    dense = rows.mean(net, "accuracy")
    kept = [
        (density, text)
        for density, text in densities(rows, net)
        if dense is not None
        and (rows.mean(f"{net}-pruned", "accuracy", compress=text) or 0.0) >= dense - _KEPT
    ]
    return min(kept) if kept else None


def _open(says: str) -> PaperClaim:
    return PaperClaim(says, Judgement.OPEN, "no rows")


def _moderate(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 1."""
    says = f"1. at moderate densities COMP->FULL stays within {_CLOSE:g} of FULL->FULL"
    full, best = _left(rows, net, attack, SCENARIOS[2], None), preferred(rows, net)
    each, parts = [], []
    for density, text in densities(rows, net):
        if best is None or density < best[0]:
            continue
        found = effect(_left(rows, net, attack, SCENARIOS[2], text), full)
        if found is not None:
            each.append(found.near(_CLOSE))
            parts.append(f"{density:g}: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _sparse(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 2: the sparsest network against the preferred density."""
    says = f"2. at very low density COMP->FULL rises by more than {_SHARP:g} while accuracy falls"
    there, best = densities(rows, net), preferred(rows, net)
    if not there or best is None or there[-1][1] == best[1]:
        return PaperClaim(says, Judgement.OPEN, _NONE_BELOW if there else "no rows")
    last = there[-1][1]
    rise = effect(
        _left(rows, net, attack, SCENARIOS[2], last),
        _left(rows, net, attack, SCENARIOS[2], best[1]),
    )
    fall = effect(
        rows.values(f"{net}-pruned", "accuracy", compress=last),
        rows.values(f"{net}-pruned", "accuracy", compress=best[1]),
    )
    if rise is None or fall is None:
        return _open(says)
    each = [rise.judged(+1, _SHARP), fall.judged(-1)]
    why = f"density {there[-1][0]:g} less {best[0]:g}: {rise.text}; clean accuracy {fall.text}"
    return PaperClaim(says, together(each, 2), why)


def _preferred(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 3."""
    says = "3. FULL->COMP is highest at the preferred density, and falls below it"
    there, best = densities(rows, net), preferred(rows, net)
    if not there or best is None or there[-1][1] == best[1]:
        return PaperClaim(says, Judgement.OPEN, _NONE_BELOW if there else "no rows")
    at = _left(rows, net, attack, SCENARIOS[1], best[1])
    above = effect(at, _left(rows, net, attack, SCENARIOS[1], None))
    below = effect(at, _left(rows, net, attack, SCENARIOS[1], there[-1][1]))
    if above is None or below is None:
        return _open(says)
    each = [above.judged(+1), below.judged(+1)]
    why = f"preferred {best[0]:g}: less dense {above.text}; less {there[-1][0]:g} {below.text}"
    return PaperClaim(says, together(each, 2), why)


def _wide(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 4."""
    says = f"4. above 8 bits each scenario varies by less than {_LITTLE:g}"
    texts = [text for bits, text in widths(rows, net) if bits > 8]
    each = []
    for scenario in SCENARIOS:
        for one, other in combinations(texts, 2):
            sides = (_left(rows, net, attack, scenario, text) for text in (one, other))
            found = effect(*sides)
            judged = Judgement.OPEN if found is None else found.near(_LITTLE)
            each.append((f"{scenario}, {one} less {other}", found, judged))
    return whole(says, each)


def _four_bits(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 5; IFGM on LeNet5 is the paper's own exception."""
    exception = net == "lenet5" and attack == "ifgm"
    says = "5. at 4 bits COMP->FULL and FULL->COMP are higher than at 8 bits and more" + (
        " (the paper's exception: here they are not)" if exception else ""
    )
    narrow = [text for bits, text in widths(rows, net) if bits == 4]
    each, parts = [], []
    for scenario in SCENARIOS[1:]:
        for bits, text in widths(rows, net):
            if bits < 8 or not narrow:
                continue
            found = effect(
                _left(rows, net, attack, scenario, narrow[0]),
                _left(rows, net, attack, scenario, text),
            )
            if found is not None:
                each.append(found.judged(-1 if exception else +1))
                parts.append(f"{scenario} less {bits} bits: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _integer_bits(rows: Rows, net: str) -> PaperClaim:
    """Claim 6, on the grid of formats after training: IFGSM, COMP->FULL."""
    says = "6. fewer fraction bits alone change transfer little, fewer integer bits change it"
    group = f"{net}-grid-ifgsm-comp-full"

    def at(fraction: int, integer: int) -> Figures:
        return rows.sampled(group, ACCURACY, method=f"q:{fraction + integer}:{integer}")

    fewer = effect(at(8, 4), at(12, 4))
    clipped = effect(at(12, 1), at(12, 4))
    if fewer is None or clipped is None:
        return _open(says)
    return whole(
        says,
        [
            ("8 less 12 fraction bits", fewer, fewer.near(_LITTLE)),
            ("1 less 4 integer bits", clipped, clipped.judged(+1, _LITTLE)),
        ],
    )


def _parts(rows: Rows, net: str) -> PaperClaim:
    """Section 4.2: "clipping weights and clipping activations can both significantly affect attack
    performance". IFGSM, COMP->FULL, on the formats after training."""
    says = "6. weights alone and activations alone of 4 bits each raise COMP->FULL"
    full = _left(rows, net, "ifgsm", SCENARIOS[2], None)
    each = []
    for part in ("weights", "activations"):
        group, method = f"{net}-only-{part}-ifgsm-comp-full", f"q:4:1:{part}"
        found = effect(rows.sampled(group, ACCURACY, method=method), full)
        each.append((part, found, Judgement.OPEN if found is None else found.judged(+1)))
    return whole(says, each)


def _zeros(rows: Rows, net: str) -> PaperClaim:
    """Claim 7."""
    says = "7. at 4 bits most weights are 0 (CifarNet: about 0.9), more than at any other width"
    four = _distributed(rows, net, "weights_zero", 4)
    half = effect(four, dict.fromkeys(four, 0.5))
    each = [("share of zeros less 0.5", half, Judgement.OPEN if half is None else half.judged(+1))]
    for bits, _ in widths(rows, net):
        more = effect(four, _distributed(rows, net, "weights_zero", bits))
        if bits != 4 and more is not None:
            each.append((f"less {bits} bits", more, more.judged(+1)))
    return whole(says, each)


def _earliest(rows: Rows, net: str) -> PaperClaim:
    """Claim 7, Figure 6: the distribution of 4 bits ends first."""
    says = "7. weights and activations of 4 bits reach their maximum before those of other widths"
    each = []
    for values in ("weights", "activations"):
        four = _distributed(rows, net, f"{values}_largest", 4)
        for bits, _ in widths(rows, net):
            found = effect(four, _distributed(rows, net, f"{values}_largest", bits))
            if bits != 4:
                judged = found.judged(-1) if found is not None else Judgement.OPEN
                each.append((f"largest of {values} less {bits} bits", found, judged))
    return whole(says, each)


def _distributed(rows: Rows, net: str, column: str, bits: int) -> Values:
    """A figure of the distributions at a width."""
    text = next((text for width, text in widths(rows, net) if width == bits), "-")
    return rows.values(f"{net}-distribution", column, compress=text)


def _own(rows: Rows, net: str) -> PaperClaim:
    """Claim 9."""
    says = "9. DeepFool leaves quantised nets more accuracy than dense ones; IFGSM only a little"
    each = []
    for attack, _ in (ATTACKS[2], ATTACKS[0]):
        dense = _left(rows, net, attack, SCENARIOS[0], None)
        for bits, text in widths(rows, net):
            if bits not in (4, 8):
                continue
            found = effect(_left(rows, net, attack, SCENARIOS[0], text), dense)
            judged = Judgement.OPEN
            if found is not None:
                judged = found.judged(+1) if attack == "deepfool" else _little(found, bits == 4)
            each.append((f"{attack} {text}", found, judged))
    return whole(says, each)


def _little(found: Effect, more: bool) -> Judgement:
    """Below `_SHARP`, and above 0 where `more` is asked: the paper finds "slightly higher accuracy
    at low precision" alone."""
    each = [found.judged(-1, -_SHARP), *([found.judged(+1)] if more else [])]
    return together(each, len(each))


def _starts(rows: Rows, net: str) -> PaperClaim:
    """Claim 10: the shares that the paper gives."""
    says = (
        f"10. DeepFool's examples reach a net of another start in about {100 * _REACH[net]:.0f} % "
        f"of cases (within {100 * _NEAR:.0f} points)"
    )
    reached = _apart(rows, f"{net}-deepfool-apart")
    found = effect(reached, dict.fromkeys(reached, _REACH[net]))
    if found is None:
        return _open(says)
    why = f"{_REACH[net] + found.mean:.3f}; less the paper's: {found.text}"
    return PaperClaim(says, found.near(_NEAR), why)


def _heritage(rows: Rows, net: str) -> PaperClaim:
    """Claim 10 and the poster: compressed nets of one dense net against nets trained apart."""
    says = "10. attacks transfer more between nets of one heritage than between nets trained apart"
    each = []
    for attack, words in ATTACKS:
        strangers = _apart(rows, f"{net}-{attack}-apart")
        for suffix in ("full-comp", "comp-full"):
            kin: dict[Any, list[Sampled | float]] = {}
            for _, text in _light(rows, net):
                group = f"{net}-{attack}-{suffix}"
                for key, value in rows.sampled(group, "transfer_rate", compress=text).items():
                    kin.setdefault(key, []).append(value)
            means = {key: averaged(values) for key, values in kin.items()}
            found = effect(means, strangers)
            if found is not None:
                each.append((f"{words} {suffix}", found, found.judged(+1)))
    return whole(says, each)


def _apart(rows: Rows, group: str) -> Figures:
    """(seed, run) to the transfer rate to nets of other seeds, their mean."""
    return rows.sampled(
        group, "transfer_rate", where=lambda row: row.get("target.seed") != row.get("seed")
    )


def _light(rows: Rows, net: str) -> Sequence[tuple[float, str]]:
    """Compressions that keep the accuracy: 8 bits and more, and the preferred density and above."""
    best = preferred(rows, net)
    light = [
        (density, text) for density, text in densities(rows, net) if best and density >= best[0]
    ]
    return [*light, *((float(bits), text) for bits, text in widths(rows, net) if bits >= 8)]


def _weaker(rows: Rows) -> list[PaperClaim]:
    """Claim 8: at equal parameters. The networks have no seed or image in common."""
    found = []
    for attack, words in ATTACKS:
        lenet, cifar = (
            rows.sampled(f"{net}-{attack}-equal", ACCURACY, compress=None) for net, _ in NETS
        )
        both = apart(lenet, cifar)
        if both is not None:
            says = f"8. {words} is weaker on LeNet5 than on CifarNet, at equal parameters"
            found.append(PaperClaim(says, both.judged(+1), both.text))
    return found
