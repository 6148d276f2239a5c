"""The claims of Matachana et al. 2020 about CIFAR-10, judged by our rows.

UER: the share of all test images that a universal perturbation makes the network misclassify; TSR:
the share that gets the target's label. The claims about SVHN need its data, which the study does
not fetch: they stand in the list as inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import numpy as np

from relrob.report.study.claims_images import difference
from relrob.report.study.correlations import mantel, spearman
from relrob.report.study.effects import Effect, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import Bar, about, cifar_bar, together, whole
from relrob.report.study.sampled import averaged
from relrob.report.study.stage_rows import Figures, Rows, Values
from relrob.store.proportions import Proportion

PRUNED: Final = ("pp2", "pp3", "pp4")
QUANTISED: Final = ("q2", "q3", "q4")
SOFT: Final = ("sfp", "sfp-mixup", "sfp-cutout")
MODELS: Final = ("full", *SOFT, *PRUNED, *QUANTISED)
_UER: Final = "evasion_rate"
_CLOSE: Final = 0.05
_TRAINED: Final = cifar_bar(0.9402)
# The fewest models of a correlation: with three, no p-value is below 0.05.
_FEWEST: Final = 4
# Labels whose TSR rises with PP, and those of Full's highest TSR, in the paper.
_RAISED: Final = (2, 3, 8)
_HIGHEST: Final = (4, 6, 9)
_SVHN: Final = (
    "12. UER is higher on CIFAR-10 than on SVHN",
    "20. SVHN, targeted: Full 55 to 67 % but for class 1",
)
_Maker = Callable[[Rows], PaperClaim]


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 11 to 22; those about SVHN are inconclusive."""
    if "full" not in rows.groups:
        return []
    some = ("full", *PRUNED, *QUANTISED)
    made: tuple[tuple[_Maker, tuple[str, ...]], ...] = (
        (_grows, MODELS),
        (_white_box, ("full", *QUANTISED)),
        (_masked, some),
        (_from_quantised, some),
        (_strongest, MODELS),
        (_soft_victims, MODELS),
        (_pruned_like_full, MODELS),
        (_soft_targets, ("full", "sfp")),
        (_augmented_targets, ("full", *SOFT[1:])),
        (_quantised_targets, MODELS),
        (_pruned_targets, ("full", *PRUNED)),
        (_accurate, MODELS),
        # A loss of accuracy is what this one is about.
        (_costliest, ("full",)),
        (_similar, MODELS),
    )
    found = [about("ResNet-18", make(rows), rows, _bars(rows, names)) for make, names in made]
    missing = [PaperClaim(says, Judgement.OPEN, "SVHN is not in this study") for says in _SVHN]
    return [*found, *missing]


def _bars(rows: Rows, names: tuple[str, ...]) -> list[Bar]:
    """Which of these networks must be trained."""
    dense = [Bar("full", _TRAINED)]
    return dense + [Bar(n, dense="full") for n in names if n != "full" and n in rows.groups]


def models(rows: Rows) -> list[str]:
    """The models that the study has, in the paper's order."""
    return [name for name in MODELS if name in rows.groups]


def transfer(rows: Rows, source: str, target: str) -> Values:
    """(seed, run) to the UER of the source's perturbation at 10/255 on the target."""
    return rows.values("transfer", _UER, source=source, target=target)


def _reach(rows: Rows, source: str, target: str) -> Figures:
    """The same with the pulls of the images."""
    return rows.sampled("transfer", _UER, source=source, target=target)


def _averaged(parts: list[Figures]) -> Figures:
    """The mean over several, where all have a value."""
    keys = set.intersection(*map(set, parts)) if parts else set()
    return {key: averaged([part[key] for part in parts]) for key in keys}


def _grows(rows: Rows) -> PaperClaim:
    """Claim 11: not surely falling anywhere, and surely larger at the largest than at the least."""
    says = "11. untargeted white-box UER grows with eps for every model"
    each, parts = [], []
    attacks = [str(text) for text in rows.axis("uap", "attack")]
    for model in models(rows):
        known = [rows.sampled("uap", _UER, source=model, attack=text) for text in attacks]
        whole = effect(known[-1], known[0]) if len(known) > 1 else None
        if whole is None:
            continue
        falls = [effect(large, small) for small, large in pairwise(known)]
        fallen = any(step is not None and step.judged(-1) is Judgement.REPRODUCED for step in falls)
        each.append(Judgement.NOT if fallen else whole.judged(+1))
        parts.append(f"{model}: {whole.text}")
    return PaperClaim(says, together(each, len(models(rows))), "; ".join(parts) or "no rows")


def _against(
    says: str, pairs: list[tuple[str, Figures, Figures]], sign: int, margin: float = 0.0
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
    full = _reach(rows, "full", "full")
    pairs = [(q, _reach(rows, q, q), full) for q in QUANTISED if q in rows.groups]
    return _against("13. quantised nets have a lower white-box UER than Full", pairs, -1)


def _masked(rows: Rows) -> PaperClaim:
    """Claim 14: gradient masking."""
    pairs = []
    for source in ("full", *PRUNED):
        for q in QUANTISED:
            if source in rows.groups and q in rows.groups:
                name = f"{source} to {q}"
                pairs.append((name, _reach(rows, source, q), _reach(rows, q, q)))
    says = "14. perturbations of Full and PP fool quantised nets more than their own do"
    return _against(says, pairs, +1)


def _from_quantised(rows: Rows) -> PaperClaim:
    """Claim 15."""
    pruned = _averaged([_reach(rows, p, "full") for p in PRUNED if p in rows.groups])
    pairs = [(q, _reach(rows, q, "full"), pruned) for q in QUANTISED if q in rows.groups]
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
    beside = effect(_reach(rows, best, "full"), _reach(rows, "full", "full"))
    pruned = [name for name in means if name in PRUNED]
    others = [name for name in means if name not in PRUNED]
    each = [beside.near(_CLOSE)] if beside is not None else []
    text = "" if beside is None else f"; {best} less white-box: {beside.text}"
    if pruned and others:
        first, second = (max(names, key=lambda name: means[name]) for names in (pruned, others))
        lead = effect(_reach(rows, first, "full"), _reach(rows, second, "full"))
        each += [lead.judged(+1)] if lead is not None else []
        text += "" if lead is None else f"; {first} less {second}: {lead.text}"
    shown = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    return PaperClaim(says, together(each, 2), f"{shown}{text}")


def _soft_victims(rows: Rows) -> PaperClaim:
    """Claim 17: as a victim of all other models' perturbations."""

    def suffered(target: str) -> Figures:
        return _averaged([_reach(rows, s, target) for s in models(rows) if s != target])

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
            ("source", [(_reach(rows, name, o), _reach(rows, "full", o)) for o in others]),
            ("victim", [(_reach(rows, o, name), _reach(rows, o, "full")) for o in others]),
        )
        for role, both in roles if name in rows.groups else ():
            found = effect(_averaged([b[0] for b in both]), _averaged([b[1] for b in both]))
            if found is not None:
                each.append(found.near(_CLOSE))
                parts.append(f"{name} as {role}: {found.text}")
    return PaperClaim(says, together(each, max(len(each), 1)), "; ".join(parts) or "no rows")


def _targets(rows: Rows, model: str) -> dict[Any, Figures]:
    """Target label to the model's TSR."""
    found = {
        label: rows.sampled("targeted", "targeted_rate", source=model, target_label=label)
        for label in rows.axis("targeted", "target_label")
    }
    return {label: values for label, values in found.items() if values}


def _lower(rows: Rows, model: str) -> dict[Any, tuple[Effect, Judgement]]:
    """Target label to the model's TSR less Full's, and whether it is surely lower."""
    full, mine = _targets(rows, "full"), _targets(rows, model)
    found = {label: effect(mine[label], full[label]) for label in full if label in mine}
    return {label: (each, each.judged(-1)) for label, each in found.items() if each is not None}


def _counted(lower: dict[Any, tuple[Effect, Judgement]], least: int) -> tuple[Judgement, str]:
    """Is the TSR lower on at least `least` labels? Each label is sure, either way, or open."""
    surely = sum(judged is Judgement.REPRODUCED for _, judged in lower.values())
    higher = [label for label, (_, judged) in lower.items() if judged is Judgement.NOT]
    why = f"surely lower on {surely} of {len(lower)} labels, surely higher on {len(higher)}"
    why += f" ({', '.join(map(str, higher))})" if higher else ""
    if not lower:
        return Judgement.OPEN, "no rows"
    if len(lower) - len(higher) < least:
        return Judgement.NOT, why
    return Judgement.REPRODUCED if surely >= least else Judgement.OPEN, why


def _soft_targets(rows: Rows) -> PaperClaim:
    """Claim 19, SFP; and Full's labels of highest TSR beside the paper's."""
    lower = _lower(rows, "sfp")
    judged, why = _counted(lower, len(lower) // 2 + 1)
    full = {label: sum(v.value for v in e.values()) for label, e in _targets(rows, "full").items()}
    highest = sorted(full, key=lambda label: -full[label])[:3]
    told = f"; Full is highest on {_listed(highest)} (there {_listed(_HIGHEST)})" if full else ""
    says = "19. SFP lowers TSR on most target labels (there 7 of 10)"
    return PaperClaim(says, judged, why + told)


def _augmented_targets(rows: Rows) -> PaperClaim:
    """Claim 19, SFP+M and SFP+C."""
    each = {name: _lower(rows, name) for name in SOFT[1:]}
    counted = {name: _counted(lower, len(lower)) for name, lower in each.items()}
    why = "; ".join(f"{name}: {told}" for name, (_, told) in counted.items())
    says = "19. SFP with mixup and SFP with cutout lower TSR on all target labels"
    return PaperClaim(says, together([j for j, _ in counted.values()], len(SOFT) - 1), why)


def _quantised_targets(rows: Rows) -> PaperClaim:
    """Claim 19: the mean TSR of the quantised model that has the least, beside every other."""
    says = "19. a quantised net lowers TSR the most, over all target labels"
    known = {
        name: _averaged([*found.values()])
        for name in models(rows)
        if (found := _targets(rows, name))
    }
    mine = [name for name in known if name in QUANTISED]
    rest = [name for name in known if name not in QUANTISED]
    if not mine or not rest:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    least = min(mine, key=lambda name: sum(v.value for v in known[name].values()))
    pairs = [(f"{least} less {name}", known[least], known[name]) for name in rest]
    return _against(says, pairs, -1)


def _pruned_targets(rows: Rows) -> PaperClaim:
    """Claim 19: the labels that the paper names."""
    each = []
    for name in PRUNED:
        lower = _lower(rows, name)
        for label in _RAISED:
            if label in lower:
                found = lower[label][0]
                each.append((f"{name}, label {label}", found, found.judged(+1)))
    return whole(f"19. PP raises TSR on the labels {_listed(_RAISED)}", each)


def _listed(labels: Any) -> str:
    return ", ".join(map(str, labels))


def _accurate(rows: Rows) -> PaperClaim:
    """Claim 21."""
    says = "21. higher clean accuracy goes with lower white-box UER"
    known = {
        name: (clean, sum(own.values()) / len(own))
        for name in models(rows)
        if (clean := rows.mean(name, "accuracy")) is not None
        and (own := transfer(rows, name, name))
    }
    if len(known) < _FEWEST:
        return PaperClaim(says, Judgement.OPEN, f"fewer than {_FEWEST} models")
    found = spearman([v[0] for v in known.values()], [v[1] for v in known.values()])
    shown = ", ".join(f"{name} {clean:.3f}/{own:.3f}" for name, (clean, own) in known.items())
    return PaperClaim(says, found.judged(-1), f"{found.text}; accuracy/UER: {shown}")


def _costliest(rows: Rows) -> PaperClaim:
    """Claim 22, by the 95 % interval of the difference of two shares of the test images."""
    says = "22. SFP costs more accuracy than every other compression"
    counts = {name: _right(rows, name) for name in models(rows)}
    soft = counts.get("sfp")
    others = {n: c for n, c in counts.items() if n not in ("full", *SOFT) and c is not None}
    if soft is None or not others:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    ends = {name: difference(soft, count) for name, count in others.items()}
    each = [
        Judgement.REPRODUCED if high < 0 else Judgement.NOT if low > 0 else Judgement.OPEN
        for low, high in ends.values()
    ]
    why = "; ".join(f"less {name}: {low:+.3f} to {high:+.3f}" for name, (low, high) in ends.items())
    return PaperClaim(says, together(each, len(each)), why)


def _right(rows: Rows, name: str) -> Proportion | None:
    """The test images that a model labels rightly, of all its seeds."""
    picked = [row for row in rows.groups.get(name, ()) if row.get("accuracy") is not None]
    images = sum(int(row["images"]) for row in picked)
    right = sum(round(row["accuracy"] * row["images"]) for row in picked)
    return Proportion(right, images - right, 0) if images else None


def _similar(rows: Rows) -> PaperClaim:
    """The text's "transfer is higher between nets of similar accuracy"; pairs of models are not
    independent, so that models are what Mantel's test permutes."""
    says = "transfer is higher between nets of similar accuracy"
    clean = {n: a for n in models(rows) if (a := rows.mean(n, "accuracy")) is not None}
    names = list(clean)
    if len(names) < _FEWEST:
        return PaperClaim(says, Judgement.OPEN, f"fewer than {_FEWEST} models")
    gaps = np.abs(np.subtract.outer(list(clean.values()), list(clean.values())))
    uers = np.full((len(names), len(names)), np.nan)
    for i, target in enumerate(names):
        for j, source in enumerate(names):
            if values := transfer(rows, source, target):
                uers[i, j] = sum(values.values()) / len(values)
    if np.isnan(uers).all():
        return PaperClaim(says, Judgement.OPEN, "no rows")
    found = mantel(gaps, uers)
    return PaperClaim(says, found.judged(-1), f"gap of accuracy and UER (Mantel): {found.text}")
