"""The claims of Zhao et al. 2018 and of its poster, judged by our rows.

The scenarios: COMP->COMP, crafted and tried on one compressed network; FULL->COMP, crafted on the
dense network; COMP->FULL, tried on the dense network. Rows hold the accuracy that is left, so more
means a weaker attack. The preferred density is the least one at which the pruned network keeps
the dense network's accuracy, up to `_KEPT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from relrob.report.study.effects import Effect, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import about, together, trained
from relrob.report.study.stage_rows import Rows, Values

NETS: Final = (("lenet5", "LeNet5"), ("cifarnet", "CifarNet"))
ATTACKS: Final = (("ifgsm", "IFGSM"), ("ifgm", "IFGM"), ("deepfool", "DeepFool"))
SCENARIOS: Final = ("COMP->COMP", "FULL->COMP", "COMP->FULL")
# Shares of accuracy.
_KEPT: Final = 0.005
_CLOSE: Final = 0.05
_SHARP: Final = 0.10
_LITTLE: Final = 0.03
_ACCURACY: Final = "adversarial_accuracy"
_NONE_BELOW: Final = "no density is the preferred one with a sparser one below it"
# Clean accuracy of a dense network, below which it is under-trained.
_TRAINED: Final = {"lenet5": 0.985, "cifarnet": 0.75}


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 1 to 10 for each network that the study has rows of."""
    found: list[PaperClaim] = []
    for net, name in NETS:
        if net not in rows.groups:
            continue
        least = _TRAINED[net]
        for attack, words in ATTACKS:
            for make in (_moderate, _sparse, _preferred, _wide, _four_bits):
                found.append(about(f"{name}, {words}", make(rows, net, attack), rows, net, least))
        for judge in (_integer_bits, _zeros, _own, _heritage):
            found.append(about(name, judge(rows, net), rows, net, least))
    return [*found, *(trained(claim, rows, _TRAINED) for claim in _weaker(rows))]


def accuracy(rows: Rows, net: str, attack: str, scenario: str, compress: str | None) -> Values:
    """(seed, run) to the accuracy that is left. `compress`: None for the dense network alone."""
    if compress is None or scenario == SCENARIOS[0]:
        return rows.values(f"{net}-{attack}", _ACCURACY, compress=compress)
    suffix = "full-comp" if scenario == SCENARIOS[1] else "comp-full"
    return rows.values(f"{net}-{attack}-{suffix}", _ACCURACY, compress=compress)


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
    full, best = accuracy(rows, net, attack, SCENARIOS[2], None), preferred(rows, net)
    each, parts = [], []
    for density, text in densities(rows, net):
        if best is None or density < best[0]:
            continue
        found = effect(accuracy(rows, net, attack, SCENARIOS[2], text), full)
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
        accuracy(rows, net, attack, SCENARIOS[2], last),
        accuracy(rows, net, attack, SCENARIOS[2], best[1]),
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
    at = accuracy(rows, net, attack, SCENARIOS[1], best[1])
    above = effect(at, accuracy(rows, net, attack, SCENARIOS[1], None))
    below = effect(at, accuracy(rows, net, attack, SCENARIOS[1], there[-1][1]))
    if above is None or below is None:
        return _open(says)
    each = [above.judged(+1), below.judged(+1)]
    why = f"preferred {best[0]:g}: less dense {above.text}; less {there[-1][0]:g} {below.text}"
    return PaperClaim(says, together(each, 2), why)


def _wide(rows: Rows, net: str, attack: str) -> PaperClaim:
    """Claim 4."""
    says = f"4. above 8 bits each scenario varies by less than {_LITTLE:g}"
    each, parts = [], []
    texts = [text for bits, text in widths(rows, net) if bits > 8]
    for scenario in SCENARIOS:
        known = [accuracy(rows, net, attack, scenario, text) for text in texts]
        keys = set.intersection(*(set(values) for values in known)) if known else set()
        ranges = {key: max(v[key] for v in known) - min(v[key] for v in known) for key in keys}
        found = effect(ranges, dict.fromkeys(ranges, 0.0))
        if found is not None and len(texts) > 1:
            each.append(found.judged(-1, -_LITTLE))
            parts.append(f"{scenario}: largest less least {found.text}")
    return PaperClaim(says, together(each, len(SCENARIOS)), "; ".join(parts) or "no rows")


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
                accuracy(rows, net, attack, scenario, narrow[0]),
                accuracy(rows, net, attack, scenario, text),
            )
            if found is not None:
                each.append(found.judged(-1 if exception else +1))
                parts.append(f"{scenario} less {bits} bits: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _integer_bits(rows: Rows, net: str) -> PaperClaim:
    """Claim 6, on the grid of formats after training: IFGSM, COMP->FULL."""
    says = "6. fewer fraction bits alone change transfer little, fewer integer bits change it"
    group = f"{net}-grid-ifgsm-comp-full"

    def at(fraction: int, whole: int) -> Values:
        return rows.values(group, _ACCURACY, method=f"q:{fraction + whole}:{whole}")

    fewer = effect(at(8, 4), at(12, 4))
    clipped = effect(at(12, 1), at(12, 4))
    if fewer is None or clipped is None:
        return _open(says)
    each = [fewer.near(_LITTLE), clipped.judged(+1, _LITTLE)]
    why = f"8 less 12 fraction bits: {fewer.text}; 1 less 4 integer bits: {clipped.text}"
    return PaperClaim(says, together(each, 2), why)


def _zeros(rows: Rows, net: str) -> PaperClaim:
    """Claim 7."""
    says = "7. at 4 bits most weights are 0 (CifarNet: about 0.9), more than at any other width"
    group = f"{net}-distribution"
    texts = widths(rows, net)
    four = rows.values(group, "weights_zero", compress=next((t for b, t in texts if b == 4), "-"))
    each, parts = [], []
    half = effect(four, dict.fromkeys(four, 0.5))
    if half is not None:
        each.append(half.judged(+1))
        parts.append(f"share of zeros less 0.5: {half.text}")
    for bits, text in texts:
        more = effect(four, rows.values(group, "weights_zero", compress=text))
        if bits != 4 and more is not None:
            each.append(more.judged(+1))
            parts.append(f"less {bits} bits: {more.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _own(rows: Rows, net: str) -> PaperClaim:
    """Claim 9."""
    says = "9. DeepFool leaves quantised nets more accuracy than dense ones; IFGSM only a little"
    texts = [text for bits, text in widths(rows, net) if bits in (4, 8)]
    each, parts = [], []
    for attack, _ in (ATTACKS[2], ATTACKS[0]):
        dense = accuracy(rows, net, attack, SCENARIOS[0], None)
        for text in texts:
            found = effect(accuracy(rows, net, attack, SCENARIOS[0], text), dense)
            if found is not None:
                each.append(
                    found.judged(+1) if attack == "deepfool" else _little(found, ":4:" in text)
                )
                parts.append(f"{attack} {text}: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _little(found: Effect, more: bool) -> Judgement:
    """Below `_SHARP`, and above 0 where `more` is asked: the paper finds "slightly higher accuracy
    at low precision" alone."""
    each = [found.judged(-1, -_SHARP), *([found.judged(+1)] if more else [])]
    return together(each, len(each))


def _heritage(rows: Rows, net: str) -> PaperClaim:
    """Claim 10 and the poster: compressed nets of one dense net against nets trained apart."""
    says = "10. attacks transfer more between nets of one heritage than between nets trained apart"
    each, parts = [], []
    for attack, words in ATTACKS:
        apart = _apart(rows, f"{net}-{attack}-apart")
        for suffix in ("full-comp", "comp-full"):
            kin: dict[Any, list[float]] = {}
            for _, text in _light(rows, net):
                group = f"{net}-{attack}-{suffix}"
                for key, value in rows.values(group, "transfer_rate", compress=text).items():
                    kin.setdefault(key, []).append(value)
            means = {key: sum(values) / len(values) for key, values in kin.items()}
            found = effect(means, apart)
            if found is not None:
                each.append(found.judged(+1))
                parts.append(f"{words} {suffix}: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _apart(rows: Rows, group: str) -> Values:
    """(seed, run) to the transfer rate to nets of other seeds, their mean."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for row in rows.picked(group):
        rate, seed = row.get("transfer_rate"), row.get("seed")
        if rate is not None and row.get("target.seed") != seed:
            found.setdefault((seed, row.get("run")), []).append(rate)
    return {key: sum(values) / len(values) for key, values in found.items()}


def _light(rows: Rows, net: str) -> Sequence[tuple[float, str]]:
    """Compressions that keep the accuracy: 8 bits and more, and the preferred density and above."""
    best = preferred(rows, net)
    light = [
        (density, text) for density, text in densities(rows, net) if best and density >= best[0]
    ]
    return [*light, *((float(bits), text) for bits, text in widths(rows, net) if bits >= 8)]


def _weaker(rows: Rows) -> list[PaperClaim]:
    """Claim 8: at equal parameters."""
    found = []
    for attack, words in ATTACKS:
        group = f"{{}}-{attack}-equal"
        lenet, cifar = (rows.values(group.format(net), _ACCURACY, compress=None) for net, _ in NETS)
        both = effect(lenet, cifar)
        if both is not None:
            says = f"8. {words} is weaker on LeNet5 than on CifarNet, at equal parameters"
            found.append(PaperClaim(says, both.judged(+1), both.text))
    return found
