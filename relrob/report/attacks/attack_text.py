"""The document of `relrob attack --json` as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relrob.errors import how_many, printable
from relrob.report.class_names import class_name

Document = Mapping[str, Any]


def attack_text(found: Document) -> str:
    """What was attacked, how many examples succeeded and how far they are, and what it took."""
    lines = [*_head(found), *_rates(found), *_distances(found)]
    if found["flips"]:
        lines.append(f"most often {flips_text(found)}")
    lines += [*_work(found), *_remarks(found)]
    if found["file"] is not None:
        lines.append(f"wrote {found['file']}")
    return "\n".join(printable(line) for line in lines)


def percent(share: float | None) -> str:
    """One place, or a dash where there is no share.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '-')
    """
    return "-" if share is None else f"{100 * share:.1f} %"


def number(value: float | None) -> str:
    """Four digits, or a dash where there is none.

    >>> number(2.04981), number(None)
    ('2.05', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def flips_text(found: Document) -> str:
    """The most frequent changes of label, of a document that has `flips` and `dataset`, by name
    where classes have names.

    >>> flips_text({"flips": [{"label": 1, "found": 0, "examples": 5}], "dataset": {}})
    '1 taken for 0 (5)'
    """
    names = found["dataset"].get("classes", ())
    return ", ".join(
        f"{class_name(each['label'], names)} taken for {class_name(each['found'], names)} "
        f"({each['examples']:,})"
        for each in found["flips"]
    )


def _head(found: Document) -> list[str]:
    network, data, samples = found["network"], found["dataset"], found["metrics"]["samples"]
    right = f"{percent(found['accuracy'])} of {how_many(found['images'], 'image')} right"
    which = {"none": "", "source_correct": " of these"}[found["filter"]]
    return [
        f"{found['attack']} on {network['path']} ({network['scheme']}, {network['runtime']})",
        f"{data['name']} {data['split']}: {right}; {samples:,}{which} attacked",
    ]


def _rates(found: Document) -> list[str]:
    metrics = found["metrics"]
    low, high = metrics["evasion_rate_interval"]
    lines = [
        f"adversarial accuracy {percent(metrics['adversarial_accuracy'])}, "
        f"evasion rate {percent(metrics['evasion_rate'])} "
        f"(95 %: {100 * low:.1f} to {100 * high:.1f} %)"
    ]
    if metrics["targeted_rate"] is not None:
        lines.append(f"target's label on {percent(metrics['targeted_rate'])}")
    return lines


def _distances(found: Document) -> list[str]:
    """A row for each distance, over successes alone."""
    norms, success = found["metrics"]["norms"], found["metrics"]["success"]
    if not success:
        return ["no success, and so no distances"]
    lines = [f"{'distance':<9}{'mean':>10}{'median':>10}{'largest':>10}   of {success:,} successes"]
    for norm in ("l0", "l1", "l2", "linf"):
        spread = norms[norm]
        shown = "".join(f"{number(spread[name]):>10}" for name in ("mean", "median", "largest"))
        lines.append(f"{norm:<9}{shown}")
    return lines


def _work(found: Document) -> list[str]:
    queries, gradients = found["queries"], found["gradients"]
    return [
        f"an image: {queries['mean']:,.0f} queries and {gradients['mean']:,.0f} passes of the "
        f"model on average; {found['seconds']:.1f} s in all"
    ]


def _remarks(found: Document) -> list[str]:
    """What a reader must know of the numbers above."""
    lines, model = [], found["model"]
    if model is not None and not model["exact"]:
        lines.append(
            f"gradients of a model ({model['name']}), which gives the file's label to "
            f"{percent(model['agreement'])} of the images: {model['success_on_model']:,} successes "
            f"on the model, {model['success_on_network']:,} on the file, {model['lost']:,} lost"
        )
    lines += [f"{text}: {how_many(count, 'image')}" for text, count in found["words"].items()]
    fitted = found["fitted"]
    if fitted is not None:
        ended = "converged" if fitted["converged"] else "did not converge"
        lines.append(
            f"one perturbation, fitted on {fitted['on']}: it fools {percent(fitted['fooling'])} of "
            f"them on the model, and {ended} in {fitted['passes']:,} passes"
        )
    lost = found["unrecognisable"]
    if lost["count"]:
        without = number(lost["norms_without"]["l2"]["mean"])
        lines.append(
            f"unrecognisable ({lost['rule']}): {lost['count']:,}, the true class among the two "
            f"most likely of {lost['in_top_2']:,}; mean l2 without them {without}"
        )
    return lines
