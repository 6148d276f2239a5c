"""Bugs for judging."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "relaxation: lower and upper swapped",
        "relrob/judging/folded.py",
        "upper_slope = (block.high /",
        "upper_slope = (-block.low /",
    ),
    Mutant(
        "relaxation: offset dropped",
        "relrob/judging/folded.py",
        "block.constant @ slope - block.low @ above",
        "block.constant @ slope",
    ),
    Mutant(
        "relaxation: slope for the wrong sign",
        "relrob/judging/folded.py",
        "np.maximum(mine, 0) * upper_slope",
        "np.minimum(mine, 0) * upper_slope",
    ),
    Mutant(
        "lower bound from the wrong side",
        "relrob/judging/folded.py",
        "-_maximum(-constant, -matrix,",
        "-_maximum(-constant, matrix,",
    ),
    Mutant(
        "active where it may be inactive",
        "relrob/judging/folded.py",
        "before.low >= 0",
        "before.high >= 0",
    ),
    Mutant(
        "dead although it can be positive",
        "relrob/judging/folded.py",
        "(here.high <= 0)",
        "(here.high <= 0.1)",
    ),
    Mutant(
        "bounds without drift",
        "relrob/judging/folded.py",
        "basis, costs) + drift",
        "basis, costs)",
    ),
    Mutant(
        "first layer without drift",
        "relrob/judging/folded.py",
        "drift = TERMS_SLACK * 2 *",
        "drift = 0 *",
    ),
    Mutant(
        "threshold halved",
        "relrob/judging/folded.py",
        "right = least > self.threshold",
        "right = least > self.threshold / 2",
    ),
    Mutant(
        "threshold zeroed",
        "relrob/judging/folded.py",
        "right = least > self.threshold",
        "right = least > 0",
    ),
    Mutant(
        "wrong side without threshold",
        "relrob/judging/folded.py",
        "least < -self.threshold",
        "least < 0",
    ),
    Mutant(
        "wrong class not certain",
        "relrob/judging/folded.py",
        "> 2 * self.threshold",
        "> 0",
    ),
    Mutant(
        "one error bound of two",
        "relrob/judging/folded.py",
        "own + here.runtime[label] + here",
        "own + here",
    ),
    Mutant(
        "own error dropped",
        "relrob/judging/folded.py",
        "float((own + here.runtime[label]",
        "float((here.runtime[label]",
    ),
    Mutant(
        "own error not carried on",
        "relrob/judging/folded.py",
        (
            "        drift\n"
            "        + basis.own @ size\n"
            "        + float32_error(basis.high + basis.own, size, np.abs(constant), len("
            "size) + 4)"
        ),
        (
            "        drift + float32_error(basis.high + basis.own, size, np.abs(constant)"
            ", len(size) + 4)"
        ),
    ),
    Mutant(
        "runtime's error not carried on",
        "relrob/judging/folded.py",
        "drift, error @ size + made, made)",
        "drift, made, made)",
    ),
    Mutant(
        "overflowing coefficients overlooked",
        "relrob/judging/folded.py",
        "bool(np.isfinite(stage).all()) for",
        "True for",
    ),
    Mutant(
        "softmax ties overlooked",
        "relrob/judging/folded.py",
        "_SOFTMAX: Final = 2.0**-16",
        "_SOFTMAX: Final = 0.0",
    ),
    Mutant(
        "another property judged in folded arithmetic",
        "relrob/judging/judges.py",
        "if dense is None or not isinstance(wanted, Label):",
        "if dense is None:",
        ("tests/judging/test_property.py",),
    ),
    Mutant(
        "another property's near ties are those of labels",
        "relrob/judging/judges.py",
        "ties = self._wanted.near_ties",
        "ties = Label(0).near_ties",
        ("tests/judging/test_property.py",),
    ),
    Mutant(
        "bounds call a wrong label right",
        "relrob/bounding/certain.py",
        "found.gains, wrong=True)",
        "found.gains, wrong=False)",
        ("tests/solvers/test_branch_ladder.py",),
    ),
    Mutant(
        "a black box judged by its weights",
        "relrob/judging/judges.py",
        "if network.black_box or network.arithmetic is",
        "if network.arithmetic is",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "thin points believed",
        "relrob/judging/judges.py",
        "found[close], least[close] = again.labels,",
        "_, least[close] = 0,",
    ),
    Mutant(
        "pointwise: what a layer makes dropped",
        "relrob/judging/pointwise.py",
        "on, layer.made, np.clip",
        "on, 0.0, np.clip",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: switched neurons dropped",
        "relrob/judging/pointwise.py",
        "np.float64) @ switched",
        "np.float64) @ (0 * switched)",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: off from 0 on",
        "relrob/judging/pointwise.py",
        "-(layer.runtime[layer.kept] + layer.folded)",
        "0 * layer.folded",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: on from 0 on",
        "relrob/judging/pointwise.py",
        "layer.low >= layer.runtime",
        "layer.low >= 0",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: errors of the layers before dropped",
        "relrob/judging/pointwise.py",
        (
            "                passed = dense.layers[number].weights.astype(np.float64) @ n"
            "p.where(\n"
            "                    on[:, None], passed, 0.0\n"
            "                )"
        ),
        ("                passed = dense.layers[number].weights.astype(np.float64) @ (0 * passed)"),
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: the winner's doubt dropped",
        "relrob/judging/pointwise.py",
        "> error + doubt[:, None]",
        "> error",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "pointwise: the last layer's dropped",
        "relrob/judging/pointwise.py",
        "        every = last",
        "        every = 0 * last",
        ("tests/judging/test_pointwise.py",),
    ),
    Mutant(
        "ties ignored",
        "relrob/judging/tally.py",
        "        where = np.flatnonzero(seen.fails)",
        "        where = np.flatnonzero(seen.margins < 0)",
    ),
    Mutant(
        "dearest witness",
        "relrob/judging/tally.py",
        "            if self.closest is None or costs[best] < self.closest_cost:",
        "            if self.closest is None or costs[best] > self.closest_cost:",
    ),
    Mutant(
        "proved without visiting all",
        "relrob/judging/tally.py",
        "            proved=self.finished and not self.fooled,",
        "            proved=not self.fooled,",
    ),
    Mutant(
        "branch: proved wrong is right",
        "relrob/judging/tally.py",
        "        if fails:",
        "        if False:",
        (
            "tests/solvers/test_soundness.py",
            "tests/judging/test_certainty.py",
            "tests/solvers/test_enumerate_ladder.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/bounding/test_ladder.py",
            "tests/networks/test_enclosure.py",
        ),
    ),
    Mutant(
        "branch: a part counted once",
        "relrob/judging/tally.py",
        "            self.effective += part.count",
        "            self.effective += 1",
        (
            "tests/solvers/test_soundness.py",
            "tests/judging/test_certainty.py",
            "tests/solvers/test_enumerate_ladder.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/bounding/test_ladder.py",
            "tests/networks/test_enclosure.py",
        ),
    ),
    Mutant(
        "branch: cheapest of a part forgotten",
        "relrob/judging/tally.py",
        "            if self.closest is None or part.spent < self.closest_cost:",
        "            if self.closest is None or False:",
        (
            "tests/solvers/test_soundness.py",
            "tests/judging/test_certainty.py",
            "tests/solvers/test_enumerate_ladder.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/bounding/test_ladder.py",
            "tests/networks/test_enclosure.py",
        ),
    ),
    Mutant(
        "transfer over the wrong network",
        "relrob/judging/transfer.py",
        "        where = np.flatnonzero(first.fails)",
        "        where = np.flatnonzero(second.fails)",
    ),
    Mutant(
        "transfer to itself",
        "relrob/judging/transfer.py",
        "        transfers = second.fails[where]",
        "        transfers = first.fails[where]",
    ),
    Mutant(
        "closest and farthest swapped",
        "relrob/judging/transfer.py",
        ("        return Transfer(self._everything, self._closest.share, self._farthest.share)"),
        ("        return Transfer(self._everything, self._farthest.share, self._closest.share)"),
    ),
    Mutant(
        "ties in cost forgotten",
        "relrob/judging/transfer.py",
        "            self.share = add_shares(self.share, share)",
        "            pass",
    ),
    Mutant(
        "a dearer extreme kept",
        "relrob/judging/transfer.py",
        "        if self._cost is None or signed < self._cost:",
        "        if self._cost is None or signed > self._cost:",
    ),
    Mutant(
        "ties in batches",
        "relrob/networks/deployed.py",
        "    if len(near):",
        "    if False:",
        ("tests/networks/test_places.py",),
    ),
    Mutant(
        "close calls in batches before one was seen",
        "relrob/networks/deployed.py",
        "return self._changed is not False",
        "return self._changed is True",
        ("tests/networks/test_deployed.py", "tests/judging/test_judges.py"),
    ),
    Mutant(
        "few close calls in a batch of another size",
        "relrob/judging/judges.py",
        "evaluator.outputs(filled(images))",
        "evaluator.outputs(images)",
        ("tests/judging/test_judges.py",),
    ),
    Mutant(
        "a batch as small as those of few close calls not compared",
        "relrob/networks/deployed.py",
        "        or differs_in_batches(run, images[some], alone, None)\n",
        "",
        ("tests/networks/test_deployed.py",),
    ),
    Mutant(
        "points of a runtime judge are never close calls",
        "relrob/judging/judges.py",
        "if close or compared:",
        "if compared:",
        ("tests/judging/test_judges.py",),
    ),
)
