"""Bugs for networks of keras."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "training ignored",
        "relrob/networks/keras/calls.py",
        '"training": (None, False)',
        '"training": (None, False, True)',
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "a missing layer skipped",
        "relrob/networks/keras/files.py",
        (
            "        raise NetworkError(\n"
            '            f"{where} is named in layer_names and is not there", "a whole fi'
            'le", "copy it again"\n'
            "        )"
        ),
        "        return []",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "a normalisation along another axis",
        "relrob/networks/keras/layers.py",
        "wide[axes[-place] - 1]",
        "wide[len(shape) - place]",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "keras: batches of what mixes",
        "relrob/networks/keras/runtime.py",
        "if not network.apart:",
        "if False:",
        ("tests/networks/keras/test_savedmodel.py",),
    ),
    Mutant(
        "a function that restores is let through",
        "relrob/networks/keras/savedmodel_file.py",
        "if node.saveable_objects or node.registered_saver:",
        "if node.registered_saver:",
        ("tests/networks/keras/test_savedmodel.py",),
    ),
    Mutant(
        "a setting ignored",
        "relrob/networks/keras/settings.py",
        "if rule is None:",
        "if rule is None and False:",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "keras weights by name",
        "relrob/networks/keras/weights.py",
        "zip(owners, filled, strict=True)",
        "((layer, weights[layer.name]) for layer in owners)",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "keras archives by name",
        "relrob/networks/keras/weights.py",
        ("for layer in layers:\n        snake"),
        ("for layer in sorted(layers, key=str):\n        snake"),
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "the last of the list for the output",
        "relrob/networks/keras/wiring.py",
        "named, here, found = _named(model), model.outputs[0]",
        "named, here, found = _named(model), Tensor(model.layers[-1].name, 0, 0)",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "keras: a rescaling rounds once",
        "relrob/networks/keras/layers.py",
        "offset, size=np.abs(offset))",
        "offset, None, 1)",
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "keras: a normalisation rounds once",
        "relrob/networks/keras/layers.py",
        "size=np.abs(shift))",
        'size=np.abs(shift), roundings=16 if settings.get("invert") else 1)',
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "keras: an inverted one rounds once",
        "relrob/networks/keras/layers.py",
        "size=np.abs(shift))",
        'size=np.abs(shift), roundings=1 if settings.get("invert") else 16)',
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "keras: a batch's rounds twice",
        "relrob/networks/keras/layers.py",
        "np.abs(mean * factor))",
        "np.abs(mean * factor), roundings=2)",
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "keras: terms that cancel",
        "relrob/networks/keras/layers.py",
        "np.abs(beta) + np.abs(mean * factor)",
        "np.abs(beta - mean * factor)",
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "keras: a difference of no size",
        "relrob/networks/keras/layers.py",
        "size=np.abs(beta) + np.abs(mean * factor)",
        "size=None",
        ("tests/networks/keras/test_modelled.py",),
    ),
    Mutant(
        "traced Keras alone",
        "relrob/networks/keras/runtime.py",
        "if not np.allclose(traced, stepped,",
        "if not np.allclose(traced, traced,",
        ("tests/networks/keras/test_files.py",),
    ),
    Mutant(
        "sigmoids in batches",
        "relrob/networks/keras/wiring.py",
        '    "relu",',
        '    "sigmoid",',
        ("tests/networks/test_places.py",),
    ),
    Mutant(
        "a merge with anything in batches",
        "relrob/networks/keras/wiring.py",
        "not (merges and call.listed)",
        "not merges",
        ("tests/networks/keras/test_wiring.py",),
    ),
    Mutant(
        "a merge with arguments in batches",
        "relrob/networks/keras/calls.py",
        "and not _arguments(each[3] if len(each) == 4 else {})",
        "",
        ("tests/networks/keras/test_wiring.py",),
    ),
)
