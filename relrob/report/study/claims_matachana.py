"""The claims of Matachana et al. 2020 about CIFAR-10, judged by our rows.

UER: the share of all test images that a universal perturbation makes the network misclassify; TSR:
the share that gets the target's label. The claims about SVHN need its data, which the study does
not fetch: they stand in the list as inconclusive.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from scipy.stats import spearmanr

from relrob.report.study.effects import Effect, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import about, together
from relrob.report.study.stage_rows import Rows, Values

PRUNED: Final = ("pp2", "pp3", "pp4")
QUANTISED: Final = ("q2", "q3", "q4")
SOFT: Final = ("sfp", "sfp-mixup", "sfp-cutout")
MODELS: Final = ("full", *SOFT, *PRUNED, *QUANTISED)
_UER: Final = "evasion_rate"
_CLOSE: Final = 0.05
# Clean accuracy of the full network, below which it is under-trained.
_TRAINED: Final = 0.80
_SVHN: Final = (
    "12. UER is higher on CIFAR-10 than on SVHN",
    "20. SVHN, targeted: Full 55 to 67 % but for class 1",
)


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 11 to 22; those about SVHN are inconclusive."""
    if "full" not in rows.groups:
        return []
    made = [
        _grows(rows),
        _white_box(rows),
        _masked(rows),
        _from_quantised(rows),
        _strongest(rows),
        _soft_victims(rows),
        _pruned_like_full(rows),
        _targeted(rows),
        _accurate(rows),
        _similar(rows),
    ]
    found = [about("ResNet-18", claim, rows, "full", _TRAINED) for claim in made]
    missing = [PaperClaim(says, Judgement.OPEN, "SVHN is not in this study") for says in _SVHN]
    return [*found, *missing]


def models(rows: Rows) -> list[str]:
    """The models that the study has, in the paper's order."""
    return [name for name in MODELS if name in rows.groups]


def transfer(rows: Rows, source: str, target: str) -> Values:
    """(seed, run) to the UER of the source's perturbation at 10/255 on the target."""
    return rows.values("transfer", _UER, source=source, target=target)


def _averaged(parts: list[Values]) -> Values:
    """The mean over several, where all have a value."""
    keys = set.intersection(*map(set, parts)) if parts else set()
    return {key: sum(part[key] for part in parts) / len(parts) for key in keys}


def _grows(rows: Rows) -> PaperClaim:
    """Claim 11: not surely falling anywhere, and surely larger at the largest than at the least."""
    says = "11. untargeted white-box UER grows with eps for every model"
    each, parts = [], []
    attacks = [str(text) for text in rows.axis("uap", "attack")]
    for model in models(rows):
        known = [rows.values("uap", _UER, source=model, attack=text) for text in attacks]
        whole = effect(known[-1], known[0]) if len(known) > 1 else None
        if whole is None:
            continue
        falls = [effect(large, small) for small, large in pairwise(known)]
        fallen = any(step is not None and step.judged(-1) is Judgement.REPRODUCED for step in falls)
        each.append(Judgement.NOT if fallen else whole.judged(+1))
        parts.append(f"{model}: {whole.text}")
    return PaperClaim(says, together(each, len(models(rows))), "; ".join(parts) or "no rows")


def _against(
    says: str, pairs: list[tuple[str, Values, Values]], sign: int, margin: float = 0.0
) -> PaperClaim:
    """A claim that each first is larger (+1) or smaller (-1) than its second."""
    each, parts = [], []
    for name, first, second in pairs:
        found = effect(first, second)
        if found is not None:
            each.append(found.judged(sign, margin))
            parts.append(f"{name}: {found.text}")
    return PaperClaim(says, together(each, len(pairs)), "; ".join(parts) or "no rows")


def _white_box(rows: Rows) -> PaperClaim:
    """Claim 13."""
    full = transfer(rows, "full", "full")
    pairs = [(q, transfer(rows, q, q), full) for q in QUANTISED if q in rows.groups]
    return _against("13. quantised nets have a lower white-box UER than Full", pairs, -1)


def _masked(rows: Rows) -> PaperClaim:
    """Claim 14: gradient masking."""
    pairs = []
    for source in ("full", *PRUNED):
        for q in QUANTISED:
            if source in rows.groups and q in rows.groups:
                name = f"{source} to {q}"
                pairs.append((name, transfer(rows, source, q), transfer(rows, q, q)))
    says = "14. perturbations of Full and PP fool quantised nets more than their own do"
    return _against(says, pairs, +1)


def _from_quantised(rows: Rows) -> PaperClaim:
    """Claim 15."""
    pruned = _averaged([transfer(rows, p, "full") for p in PRUNED if p in rows.groups])
    pairs = [(q, transfer(rows, q, "full"), pruned) for q in QUANTISED if q in rows.groups]
    return _against("15. transfer to Full is lower from quantised nets than from PP", pairs, -1)


def _strongest(rows: Rows) -> PaperClaim:
    """Claim 16: the strongest source against Full, beside its own perturbation."""
    says = "16. the strongest source against Full but itself is a PP net, close to white-box"
    means = {
        name: sum(values.values()) / len(values)
        for name in models(rows)
        if name != "full" and (values := transfer(rows, name, "full"))
    }
    if not means:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    best = max(means, key=lambda name: means[name])
    beside = effect(transfer(rows, best, "full"), transfer(rows, "full", "full"))
    pruned = [name for name in means if name in PRUNED]
    others = [name for name in means if name not in PRUNED]
    each = [beside.near(_CLOSE)] if beside is not None else []
    text = "" if beside is None else f"; {best} less white-box: {beside.text}"
    if pruned and others:
        first, second = (max(names, key=lambda name: means[name]) for names in (pruned, others))
        lead = effect(transfer(rows, first, "full"), transfer(rows, second, "full"))
        each += [lead.judged(+1)] if lead is not None else []
        text += "" if lead is None else f"; {first} less {second}: {lead.text}"
    shown = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    return PaperClaim(says, together(each, 2), f"{shown}{text}")


def _soft_victims(rows: Rows) -> PaperClaim:
    """Claim 17: as a victim of all other models' perturbations."""

    def suffered(target: str) -> Values:
        return _averaged([transfer(rows, s, target) for s in models(rows) if s != target])

    soft = suffered("sfp") if "sfp" in rows.groups else {}
    others = [name for name in models(rows) if name not in SOFT]
    pairs = [(name, soft, suffered(name)) for name in others]
    return _against("17. SFP suffers the least from other nets' perturbations", pairs, -1)


def _pruned_like_full(rows: Rows) -> PaperClaim:
    """Claim 18: the two roles, of a source and of a victim."""
    says = f"18. PP is like Full in both roles (within {_CLOSE:g})"
    each, parts = [], []
    for name in PRUNED:
        others = [m for m in models(rows) if m not in (name, "full")]
        roles = (
            ("source", [(transfer(rows, name, o), transfer(rows, "full", o)) for o in others]),
            ("victim", [(transfer(rows, o, name), transfer(rows, o, "full")) for o in others]),
        )
        for role, both in roles if name in rows.groups else ():
            found = effect(_averaged([b[0] for b in both]), _averaged([b[1] for b in both]))
            if found is not None:
                each.append(found.near(_CLOSE))
                parts.append(f"{name} as {role}: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _targeted(rows: Rows) -> PaperClaim:
    """Claim 19: labels on which a model's TSR is below Full's, counted in each run; the labels of
    highest TSR."""
    says = "19. SFP lowers TSR on most classes (there 7 of 10), SFP+M and SFP+C on all, Q the most"
    labels = rows.axis("targeted", "target_label")

    def rates(model: str) -> dict[Any, Values]:
        found = {
            t: rows.values("targeted", "targeted_rate", source=model, target_label=t)
            for t in labels
        }
        return {label: values for label, values in found.items() if values}

    full = rates("full")
    if not full:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    known = {name: found for name in models(rows) if name != "full" and (found := rates(name))}
    lower = {name: _lower(full, found) for name, found in known.items()}
    drops = {
        name: mean
        for name, found in known.items()
        if (mean := effect(_averaged([*full.values()]), _averaged([*found.values()]))) is not None
    }
    count = len(full)
    each = [_counted(lower[name], count / 2) for name in SOFT[:1] if name in lower]
    each += [_counted(lower[name], count - 0.5) for name in SOFT[1:] if name in lower]
    each += [_most_of_all(drops, known)]
    highest = sorted(full, key=lambda label: -sum(full[label].values()))[:3]
    shown = ", ".join(
        f"{name} {sum(v.values()) / len(v):.1f} of {count}" for name, v in lower.items() if v
    )
    told = "; ".join(f"{name} TSR lower by {drop.text}" for name, drop in drops.items())
    why = f"lower than Full: {shown}; Full is highest on {', '.join(map(str, highest))} (4, 6, 9)"
    return PaperClaim(says, together(each, len(SOFT) + 1), f"{why}; {told}")


def _lower(full: dict[Any, Values], found: dict[Any, Values]) -> Values:
    """(seed, run) to the number of labels on which the rate is below Full's."""
    keys = set.intersection(*map(set, [*full.values(), *found.values()]))
    return {
        key: sum(found[label][key] < full[label][key] for label in full if label in found)
        for key in keys
    }


def _counted(counts: Values, least: float) -> Judgement:
    """Are the counts surely above `least`?"""
    found = effect(counts, dict.fromkeys(counts, least))
    return Judgement.OPEN if found is None else found.judged(+1)


def _most_of_all(drops: dict[str, Effect], known: dict[str, dict[Any, Values]]) -> Judgement:
    """Does a quantised network's rate fall surely more than that of every other?"""
    mine = [name for name in drops if name in QUANTISED]
    if not mine:
        return Judgement.OPEN
    best = max(mine, key=lambda name: drops[name].mean)
    rest = [name for name in drops if name not in QUANTISED]
    beside = [
        effect(_averaged([*known[name].values()]), _averaged([*known[best].values()]))
        for name in rest
    ]
    return together([b.judged(+1) for b in beside if b is not None], len(rest))


def _yes(true: bool) -> Judgement:
    return Judgement.REPRODUCED if true else Judgement.NOT


def _accurate(rows: Rows) -> PaperClaim:
    """Claims 21 and 22: clean accuracy against white-box UER, and the order of accuracies."""
    says = "21. higher clean accuracy goes with lower white-box UER; 22. SFP costs most accuracy"
    known = {
        name: (clean, sum(own.values()) / len(own))
        for name in models(rows)
        if (clean := rows.mean(name, "accuracy")) is not None
        and (own := transfer(rows, name, name))
    }
    if len(known) < 4:
        return PaperClaim(says, Judgement.OPEN, "fewer than four models")
    order = _rank_correlation([v[0] for v in known.values()], [v[1] for v in known.values()])
    least = min(known, key=lambda name: known[name][0])
    shown = ", ".join(f"{name} {clean:.3f}/{own:.3f}" for name, (clean, own) in known.items())
    each = [
        Judgement.OPEN if abs(order) < 0.5 else _yes(order < 0),
        _yes(least in SOFT),
    ]
    why = f"rank correlation {order:+.2f}; accuracy/UER: {shown}"
    return PaperClaim(says, together(each, 2), why)


def _similar(rows: Rows) -> PaperClaim:
    """The text's "transfer is higher between nets of similar accuracy"."""
    says = "transfer is higher between nets of similar accuracy"
    gaps, uers = [], []
    for source in models(rows):
        for target in models(rows):
            values = transfer(rows, source, target)
            clean = [rows.mean(name, "accuracy") for name in (source, target)]
            if source != target and values and None not in clean:
                gaps.append(abs((clean[0] or 0) - (clean[1] or 0)))
                uers.append(sum(values.values()) / len(values))
    if len(gaps) < 6:
        return PaperClaim(says, Judgement.OPEN, "fewer than six pairs")
    order = _rank_correlation(gaps, uers)
    judgement = Judgement.OPEN if abs(order) < 0.3 else _yes(order < 0)
    why = f"rank correlation of gap and UER {order:+.2f} over {len(gaps)} pairs"
    return PaperClaim(says, judgement, why)


def _rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's; 0 where one side is constant."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    found: Any = spearmanr(first, second)
    return float(found.statistic)
