"""Bugs for how data are read."""

from tests.mutants.planting import Mutant

NAMES = ("tests/datasets/test_names.py",)
READ = ("tests/datasets/test_read_as.py",)
DATA = ("tests/study/test_data.py",)
_AT = "datasets/relrob_datasets/"
MUTANTS = (
    Mutant(
        "datasets: names of --classes in sorted order",
        _AT + "names.py",
        "for label, name in enumerate(classes)}",
        "for label, name in enumerate(sorted(classes))}",
        NAMES,
    ),
    Mutant(
        "datasets: numbered names are numbers",
        _AT + "pictures.py",
        "_numbered(names) and not (classes and set(names) <= set(classes))",
        "_numbered(names)",
        NAMES,
    ),
    Mutant(
        "datasets: an empty folder is no class",
        _AT + "pictures.py",
        "        return Named(tuple(range(len(names))), tuple(names))",
        "        names = [n for n in names if any((folder / n).iterdir())] or names\n"
        "        return Named(tuple(range(len(names))), tuple(names))",
        NAMES,
    ),
    Mutant(
        "datasets: a map of labels with a label twice",
        _AT + "names.py",
        "label in found or label >= len(pairs)",
        "label >= len(pairs)",
        NAMES,
    ),
    Mutant(
        "datasets: C,H,W is turned into W,H,C",
        _AT + "npz.py",
        "images.transpose(0, 2, 3, 1)",
        "images.transpose(0, 3, 2, 1)",
        READ,
    ),
    Mutant(
        "datasets: C,H,W is read as H,W,C",
        _AT + "npz.py",
        "second not in (1, 3) or last in (1, 3)",
        "True",
        READ,
    ),
    Mutant(
        "datasets: rows of two ones are one-hot",
        _AT + "npz.py",
        "and (rows.sum(axis=1) == 1).all()",
        "",
        ("tests/datasets/test_own.py",),
    ),
    Mutant(
        "datasets: values outside the range are clipped",
        _AT + "read_as.py",
        "if least < low or most > high:",
        "values = np.clip(values, low, high)\n        if False:",
        READ,
    ),
    Mutant(
        "datasets: auto looks at one split",
        _AT + "npz.py",
        "if read_as.range == AUTO else ()",
        "if False else ()",
        READ,
    ),
    Mutant(
        "datasets: a split of data without splits",
        _AT + "npz.py",
        "        if not whole:\n            raise unsplit(path, split)\n",
        "",
        READ,
    ),
    Mutant(
        "datasets: own labels where the reference's were asked for",
        _AT + "npz.py",
        'arrays.get("labels") if read_as.labels == "given" else None',
        'arrays.get("labels")',
        READ,
    ),
    Mutant(
        "datasets: the reading is not in the configuration",
        "relrob/study/plan.py",
        "            **asked.data.reading.identity(),\n",
        "",
        DATA,
    ),
    Mutant(
        "datasets: calibration on the judged images is not said",
        "relrob/study/networks.py",
        ", own=judged(data)",
        "",
        DATA,
    ),
)
