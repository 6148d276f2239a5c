"""Planted bugs: each is put into a copy of the source tree, and the tests must notice it.

By hand, all of them (minutes): `python -m tests.mutants`, or those whose name holds a word: `python
-m tests.mutants radius`. Exit code 1 when one survives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A failure is enough: no time for a smaller example, and the same examples each time.
QUICK = """
from hypothesis import Phase, settings
settings.register_profile("mutants", phases=[Phase.generate], derandomize=True, database=None)
settings.load_profile("mutants")
"""
CORE = tuple(
    f"tests/test_{name}.py"
    for name in ("soundness", "thresholds", "folded", "ladder", "enumerate", "decide")
)


@dataclass(frozen=True)
class Mutant:
    """`old`, which occurs once in `file`, becomes `new`; `tests` that must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = CORE


EXACT, KNAPSACK, LADDER = (f"relrob/regions/{name}.py" for name in ("exact", "knapsack", "ladder"))
FOLDED, EVALUATOR, CHAIN = (
    f"relrob/networks/{name}.py" for name in ("folded", "evaluator", "chain")
)
ROUNDING = "relrob/domain/rounding.py"
TALLY, DECIDE, RELATIVE, PRONOUNCE = (
    f"relrob/{name}.py" for name in ("tally", "decide", "relative", "pronounce")
)
ENUMERATE, BRANCH = (f"solvers/relrob_solvers/{name}.py" for name in ("enumerate", "branch"))
BOUNDING, LINEAR, CERTAIN = (
    f"relrob/bounding/{name}.py" for name in ("ladder", "linear", "certain")
)
ENCLOSURE, STAIRS, CELLS = (
    "relrob/networks/enclosure.py",
    "relrob/bounding/fixed.py",
    "relrob/certificates/checking/fixed.py",
)
BALL, HULL = "relrob/regions/ball.py", "relrob/bounding/ball.py"
BRANCHING = (
    "tests/solvers/test_soundness.py",
    "tests/solvers/test_enumerate_ladder.py",
    "tests/solvers/test_branch_ladder.py",
    "tests/bounding/test_ladder.py",
    "tests/networks/test_enclosure.py",
)
CHAINED, BEST = "relrob/deciding/auto.py", "relrob/branching/best_first.py"
VERDICTS = (
    "tests/deciding/test_auto.py",
    "tests/solvers/test_branch_ladder.py",
    "tests/branching/test_best_first.py",
)
DOMAIN = ("tests/domain/test_domain.py",)
KERAS, WIRED = "relrob/networks/keras", ("tests/networks/keras/test_wiring.py",)
SEALS, OLDER, POOL = (f"relrob/study/{name}.py" for name in ("seals", "older", "pool"))
FILE_OF_STORE = "relrob/store/sqlite_file.py"
STORED, POOLED = ("tests/store/test_run_directory.py",), ("tests/study/test_pool.py",)
LEVEL_CHECK, DERIVE = (f"relrob/certificates/{name}.py" for name in ("levels", "derive"))
STEPS, LITERT_READ, CHECK = (
    f"relrob/certificates/{name}.py" for name in ("reading/steps", "reading/litert", "check")
)
READ_LINEAR, READ_ONNX_FILE, READ_KERAS_FILE = (
    f"relrob/certificates/checking/reading/{name}.py" for name in ("linear", "onnx", "keras_config")
)
READ_ONNX = ("tests/certificates/test_reading_onnx.py",)
READ_LITERT = (
    "tests/certificates/test_reading_litert.py",
    "tests/certificates/test_reading_litert_rows.py",
)
READ_KERAS, READ_CLI = (
    ("tests/certificates/test_reading_keras.py",),
    ("tests/cli/test_check.py", "tests/certificates/test_check.py"),
)
TREE, FOUND = "relrob/attacks/tree_search.py", "relrob/relative/search.py"
REPICK = "relrob/regions/search_features.py"
POINTWISE, NEAR = "relrob/judging/pointwise.py", ("tests/judging/test_pointwise.py",)
LEVELS, SEARCHED, REPICKED = (
    ("tests/bounding/test_levels.py",),
    ("tests/relative/test_search.py",),
    ("tests/regions/test_search_features.py",),
)
LOST = (
    "tests/encoding/test_encode.py",
    "tests/certificates/test_bounds.py",
    "tests/bounding/test_ladder.py",
    "tests/bounding/test_lost.py",
)
REAL, LOAD, ENCLOSE = (f"relrob/networks/{name}.py" for name in ("real", "load", "enclose"))
REALS = ("tests/networks/test_real.py", "tests/networks/test_inputs.py")
CONTENT = "relrob/networks/content.py"
ONNX_GRAPH, RANDOM, ONNX_APART = (
    f"relrob/networks/onnx/{name}.py" for name in ("graph", "random", "apart")
)
MODELLED, CLOSED, APARTS = (
    ("tests/networks/onnx/test_modelled.py",),
    ("tests/networks/onnx/test_graph.py",),
    ("tests/networks/onnx/test_apart.py",),
)
HIGHS, THREATS, MILP_BALL = (
    "relrob/branching/highs.py",
    "relrob/branching/threats.py",
    "solvers/relrob_solvers/milp_ball.py",
)
PROGRAMS = (
    "tests/solvers/test_milp_ball.py",
    "tests/solvers/test_milp_ladder.py",
    "tests/solvers/test_smt_ball.py",
)
PHASES, SLOPES = "solvers/relrob_solvers/branch_ball.py", "relrob/bounding/slopes.py"
PARTS, BALL_CHECK = (
    "relrob/certificates/checking/entries.py",
    "relrob/certificates/checking/ball.py",
)
PHASED = ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py")
FIXED = ("tests/solvers/test_branch_fixed.py", "tests/certificates/test_fixed.py")
EXTREMES = ("tests/bounding/test_extremes.py",)
BALLS = ("tests/regions/test_ball.py", "tests/deciding/test_decide_ball.py")
WALK, FLAT, LIMITS, KERNELS, ROWS_APART, LITERT = (
    f"relrob/networks/litert/{name}.py"
    for name in ("graph", "flat", "limits", "kernels", "apart", "runtime")
)
READ, KERNEL, ALONE = (
    ("tests/networks/litert/test_graph.py",),
    ("tests/networks/litert/test_kernels.py",),
    ("tests/networks/litert/test_apart.py",),
)
LENGTHS, LONG = "relrob/networks/onnx/lengths.py", ("tests/test_onnx_lengths.py",)
PLACES = ("tests/test_places.py",)
WRITE, RULED = "relrob/certificates/writing/ladder.py", ("tests/test_certificates_rules.py",)

SPOTS, PROBES = "relrob/queries/spots.py", "relrob/networks/probes.py"
SPOTTED, PROBED = ("tests/queries/test_spots.py",), ("tests/networks/test_probes.py",)

MUTANTS: tuple[Mutant, ...] = (
    # models against runtimes: probes and spot checks
    Mutant("spots: labels unread", SPOTS, "np.flatnonzero(said != promise.label)", "np.flatnonzero(said < -9)", SPOTTED),
    Mutant("spots: margins unread", SPOTS, "if found[low] < least -", "if found[low] < least - 1e9 -", SPOTTED),
    Mutant("spots: the first part only", SPOTS, "if seed * self._parts > PARTS << 32:", "if self._parts > 1:", SPOTTED),
    Mutant("spots: the best corner", SPOTS, "part.free if gains[g] > 0]", "part.free if gains[g] < 0]", SPOTTED),
    Mutant("spots: nothing at the end", DECIDE, "    problem.spots.finish()\n", "", SPOTTED),
    Mutant("spots: a corner without signs", BOUNDING, "free)] = found.gains", "free)] = found.slopes", SPOTTED),
    Mutant("probes: the model unread", PROBES, "outside = np.flatnonzero(~shape.holds(alone))", "outside = np.zeros(0)", PROBED),
    Mutant("probes: the emulator unread", PROBES, "if _same(found.outputs(shown), expected).all():", "if True:", PROBED),
    Mutant("probes: random is fine", PROBES, "outputs[some]).all():", "outputs[some]).any():", PROBED),
    Mutant("probes: batches unread", PROBES, "if not network.apart:", "if True:", PROBED),
    Mutant("a crash takes both networks", CHAINED, "return _each(solver, problem, error)", "pass", VERDICTS),
    Mutant("a black box judged by its weights", TALLY, "if dense is None or network.black_box or", "if dense is None or", VERDICTS),
    # labels and ties
    Mutant(
        "ties go to the last maximum",
        EVALUATOR,
        "outputs.argmax(axis=1))",
        "outputs.shape[1] - 1 - outputs[:, ::-1].argmax(axis=1))",
    ),
    Mutant("ties ignored", TALLY, "np.flatnonzero(seen.labels != self.label)", "np.flatnonzero(seen.margins < 0)"),
    Mutant("NaN is class 0", EVALUATOR, "np.where(np.isnan(outputs).any(axis=1), -1,", "np.where(False, -1,"),
    # bounds
    Mutant("hull fills the worst first", FOLDED, "argsort(-gains /", "argsort(gains /"),
    Mutant("hull forgets gains' sign", FOLDED, "np.maximum(gains, 0.0)", "np.abs(gains)"),
    Mutant("hull of half the radius", FOLDED, "budget * (1 + _SLACK) - before", "budget / 2 - before"),
    Mutant("relaxation: lower and upper swapped", FOLDED, "rise = (block.high /", "rise = (-block.low /"),
    Mutant("relaxation: offset dropped", FOLDED, "block.constant @ slope - block.low @ above\n", "block.constant @ slope\n"),
    Mutant("relaxation: slope for the wrong sign", FOLDED, "np.maximum(mine, 0) * rise", "np.minimum(mine, 0) * rise"),
    Mutant("lower bound from the wrong side", FOLDED, "-_maximum(-constant, -matrix,", "-_maximum(-constant, matrix,"),
    Mutant("active where it may be inactive", FOLDED, "before.low >= 0", "before.high >= 0"),
    Mutant("dead although it can be positive", FOLDED, "(here.high <= 0)", "(here.high <= 0.1)"),
    Mutant("bounds without drift", FOLDED, "basis, costs) + drift", "basis, costs)"),
    Mutant("first layer without drift", FOLDED, "drift = _SLACK * 2 *", "drift = 0 *"),
    # float32 error
    Mutant("threshold halved", FOLDED, "right = least > self.threshold", "right = least > self.threshold / 2"),
    Mutant("threshold zeroed", FOLDED, "right = least > self.threshold", "right = least > 0"),
    Mutant("wrong side without threshold", FOLDED, "least < -self.threshold", "least < 0"),
    Mutant("wrong class not certain", FOLDED, "> 2 * self.threshold", "> 0"),
    Mutant("one error bound of two", FOLDED, "own + here.runtime[label] + here", "own + here"),
    Mutant("own error dropped", FOLDED, "float((own + here.runtime[label]", "float((here.runtime[label]"),
    Mutant("own error not carried on", FOLDED, "drift + basis.own @ size + float32_error", "drift + float32_error"),
    Mutant("runtime's error not carried on", FOLDED, "drift, error @ size + made, made)", "drift, made, made)"),
    Mutant("gamma of one term", ROUNDING, "gamma(terms) * magnitude", "gamma(1) * magnitude"),
    Mutant("overflow overlooked", ROUNDING, "magnitude < _HUGE,", "magnitude < np.inf,"),
    Mutant("overflowing coefficients overlooked", FOLDED, "bool(np.isfinite(stage).all()) for", "True for"),
    Mutant("flushed subnormals overlooked", ROUNDING, "_FLUSH: Final = 2.0**-125", "_FLUSH: Final = 0.0"),
    Mutant("softmax ties overlooked", FOLDED, "_SOFTMAX: Final = 2.0**-16", "_SOFTMAX: Final = 0.0"),
    # files that do more than dense layers
    Mutant("modelled: slack dropped", CHAIN, "np.maximum(self.steps.size - np.abs(bias), 0.0) + _LOST", "_LOST", MODELLED),
    Mutant("modelled: slack not enclosed", ENCLOSURE, "slack=layer.slack", "slack=None", MODELLED),
    Mutant("modelled: slack not folded", ROUNDING, "error + layer.slack", "error", MODELLED),
    Mutant("modelled: steps round nothing", CHAIN, "extra = self.extra + self.steps.roundings", "extra = 0 * self.extra", MODELLED),
    Mutant("modelled: roundings before a layer", CHAIN, "weights, value.roundings", "weights, 0", MODELLED),
    Mutant("modelled: extra roundings dropped", "relrob/domain/network.py", "+ 2 + self.extra", "+ 2", MODELLED),
    Mutant("modelled: two layers as their product", CHAIN, "size=steps.size + excess", "size=steps.size", MODELLED),
    Mutant("modelled: underflow dropped", CHAIN, "+ _LOST) + self.steps.lost", "+ _LOST)", MODELLED),
    Mutant("modelled: constants with their signs", CHAIN, "self.size * np.abs(scale) + size,", "size,", MODELLED),
    Mutant("modelled: any constant", CHAIN, "bool((np.abs(part) <= _LARGE).all())", "True", MODELLED),
    Mutant("modelled: a second bias is one", CHAIN, "not last.modelled and not last.steps.shift.any()", "True", MODELLED),
    Mutant("onnx: weights run for the file", CONTENT, ' and network.format != "onnx"', "", MODELLED),
    Mutant("folded weights run for the file", CONTENT, " and network.dense.plain and not network.folded", "", REALS),
    Mutant("onnx: unknown attributes", ONNX_GRAPH, "if unknown:", "if False:", CLOSED),
    Mutant("onnx: any version", ONNX_GRAPH, "versions[0] not in OPSETS:", "False:", CLOSED),
    Mutant("onnx: any domain", ONNX_GRAPH, "node.domain not in DOMAINS or", "", CLOSED),
    Mutant("onnx: several outputs", ONNX_GRAPH, "len(node.output) != 1 or", "", CLOSED),
    Mutant("onnx: names twice", ONNX_GRAPH, "if operator.output in named:", "if False:", CLOSED),
    Mutant("onnx: dropout trains", RANDOM, "return tensor is None or bool(", "return False and bool(", CLOSED),
    Mutant("onnx: images mixed", ONNX_APART, "0 < axis < rank if axis >= 0 else", "axis < rank if axis >= 0 else", APARTS),
    Mutant("onnx: images mixed, counted back", ONNX_APART, "rank > 0 and -rank < axis", "rank > 0 and -rank <= axis", APARTS),
    Mutant("onnx: turned images apart", ONNX_APART, "[:1] == [0]", "[:1] != [9]", APARTS),
    Mutant("onnx: mixed images in batches", "relrob/networks/onnx/runtime.py", "if network.apart and", "if", APARTS),
    # the region
    Mutant("no clamp at black", LADDER, "max(pixel - step, 0)", "pixel - step"),
    Mutant("no clamp at white", LADDER, "min(pixel + step, one)", "pixel + step"),
    Mutant("one half moves down", LADDER, "if 2 * pixel > one", "if 2 * pixel >= one"),
    Mutant("< for <= at the radius", KNAPSACK, "fits = rest >= 0", "fits = rest > 0"),
    Mutant("sums up to the radius lost", KNAPSACK, "both[both <= budget]", "both[both < budget]"),
    Mutant("moved pixels as they were", LADDER, "moved[self.axes] = self.moved", "pass"),
    Mutant("all pixels moved", LADDER, "bits &= change", "bits[:] = change"),
    Mutant("contains: < at the radius", LADDER, "self.cost(mask) <= self.ladder.radius", "self.cost(mask) < self.ladder.radius"),
    Mutant("replay: refuses the radius itself", DECIDE, "rungs.cost(mask) > rungs", "rungs.cost(mask) >= rungs"),
    Mutant("a cost in float", LADDER, "costs = tuple(sum(", "costs = tuple(int(255 * one * 1.0000000001) // 255 - one + sum("),
    Mutant("a radius in float32", LADDER, "int(ladder.radius * one)", "int(float(np.float32(ladder.radius)) * one)"),
    Mutant("ties of saliency in reverse", LADDER, "- total), axis)", "- total), -axis)"),
    Mutant("pixels rounded twice", EXACT, "return min(around,", "return min((guess,),"),
    # verdicts and counts
    Mutant("networks swapped", RELATIVE, "= (setting.reference, setting.quantised)", "= (setting.quantised, setting.reference)"),
    Mutant("transfer over the wrong network", TALLY, "np.flatnonzero(first !=", "np.flatnonzero(second !="),
    Mutant("transfer to itself", TALLY, "transfers = second[where] !=", "transfers = first[where] !="),
    Mutant("closest and farthest swapped", TALLY, "_closest.share, self._farthest.share", "_farthest.share, self._closest.share"),
    Mutant("closest decides farthest", RELATIVE, "Effective.FARTHEST: transfer.farthest", "Effective.FARTHEST: transfer.closest"),
    Mutant("ties in cost forgotten", TALLY, "self.share = add_shares(self.share, share)", "pass"),
    Mutant("a dearer extreme kept", TALLY, "or signed < self._cost:", "or signed > self._cost:"),
    Mutant("dearest witness", TALLY, "costs[best] < self.closest_cost", "costs[best] > self.closest_cost"),
    Mutant("thin points believed", TALLY, "found[thin], least[thin] = again.labels,", "_, least[thin] = 0,"),
    Mutant("proved without visiting all", TALLY, "proved=self.finished and not self.fooled", "proved=not self.fooled"),
    Mutant("finished whatever was visited", ENUMERATE, "tally.visited == rungs.count", "tally.visited > 0"),
    Mutant("greedy beyond the radius", TALLY, "spent + rungs.costs[g] <= rungs.budget", "spent <= rungs.budget"),
    Mutant("only the first block", LADDER, "range(start, self.count, size)", "range(start, min(self.count, size), size)"),
    Mutant("replay skipped", DECIDE, "if said == label:\n", "if said == label < 0:\n"),
    Mutant("region not checked in replay", DECIDE, "> rungs.ladder.radius or not rungs.contains(image[0]):", "< 0:"),
    Mutant("undecided is robust", PRONOUNCE, "elif not finding.proved:", "elif finding.stopped:"),
    Mutant("a crash is robust", CHAINED, "proved=False,", "proved=True,"),
    Mutant("misclassified images kept", RELATIVE, "if said[0] != label:", "if said[1] != label:"),
    Mutant("some is all", RELATIVE, "share.transferred == share.effective", "share.transferred > 0"),
    Mutant("probabilities mixed with logits", DECIDE, "if comparable:", "if True:"),
    # branching
    Mutant("branch: rise swapped", LINEAR, "rise = np.where(crossing, high /", "rise = np.where(crossing, -low /", BRANCHING),
    Mutant("branch: offset dropped", LINEAR, "over = np.where(crossing, FLOOR - rise * low, 0.0)", "over = 0.0 * low", BRANCHING),
    Mutant("branch: hull of half the room", BOUNDING, "Fraction(room, self", "Fraction(room, 2 * self", BRANCHING),
    Mutant("branch: runtime's error dropped", LINEAR, "nan_to_num(-low - both,", "nan_to_num(-low,", BRANCHING),
    Mutant("branch: overflow overlooked", ROUNDING, "magnitude < _HUGE,", "magnitude < np.inf,", BRANCHING),
    Mutant("branch: ties proved", CERTAIN, "margins.low.min() > gap:", "margins.low.min() >= -1e-3:", BRANCHING),
    Mutant("branch: softmax ties overlooked", ENCLOSURE, "return 2.0**-10", "return 0.0", BRANCHING),
    Mutant("branch: finished regardless", BRANCH, "side.tally.proved == self._p", "side.tally.proved > 0 * self._p", BRANCHING),
    Mutant("branch: proved wrong is right", TALLY, "if said != self.label:", "if said < 0:", BRANCHING),
    Mutant("branch: a part counted once", TALLY, "self.effective += part.count", "self.effective += 1", BRANCHING),
    Mutant("branch: cheapest of a part forgotten", TALLY, "or part.spent < self.closest_cost", "or False", BRANCHING),
    # the verdict alone, and the chain
    Mutant("search: half of a split forgotten", BEST, "for half in halves:", "for half in halves[:1]:", VERDICTS),
    Mutant("search: what time cut short forgotten", BEST, "self._deep.append(_Open(part, None, start))", "pass", VERDICTS),
    Mutant("search: only the first block run", BEST, "while start < count:", "if start < count:", VERDICTS),
    Mutant("search: full frontier forgets", BEST, "self._deep.append(left)", "pass", VERDICTS),
    Mutant("search: no time is a proof", BEST, "                return False\n", "                return True\n", VERDICTS),
    Mutant("search: wrong everywhere is right", BEST, "if settled.label == tally.label:", "if settled.label >= 0:", VERDICTS),
    Mutant("search: beam beyond the radius", BEST, "cost_units(masks) <= part.rungs.budget", "cost_units(masks) >= 0", VERDICTS),
    Mutant("parts: counted short", "relrob/regions/part.py", "if room < 0:", "if room < -(10**9):", VERDICTS),
    Mutant("chain: what was told is proved", CHAINED, "if found.stopped is None:", "if True:", VERDICTS),
    Mutant("chain: the wrong network asked", CHAINED, "(self._problem.networks[n", "(self._problem.networks[0 * n", VERDICTS),
    Mutant("chain: another's steps", CHAINED, "step=found.step or name", 'step=found.step or "branch"', VERDICTS),
    # balls and fixed point
    Mutant("threats: equal outputs of a lower class are harmless", STAIRS, "-1 if rival > label else unit - 1", "-1", FIXED),
    Mutant("threats: clipped outputs do not tie", STAIRS, "_combined(mine, None, -top)", "_combined(mine, mine, -1)", FIXED),
    Mutant("cells: half of a split forgotten", STAIRS, "for side in (0, 1):", "for side in (0,):", FIXED),
    Mutant("cells: the last step left out", STAIRS, "np.maximum(high - 1, low), high):", "np.maximum(high - 1, low)):", FIXED),
    Mutant("checker: a bound of 0 is enough", CELLS, "weights, pulls) < 0", "weights, pulls) <= 0", FIXED),
    Mutant("checker: negative multipliers", CELLS, "min(weights) >= 0 and", "True and", FIXED),
    Mutant("ball: beyond the radius", BALL, "<= region.radius**2", "<= 2 * region.radius**2", BALLS),
    Mutant("ball: hull forgets what moves down", HULL, "(self.up - self.down) @ gains", "(self.up + self.down) @ gains", BALLS),
    Mutant("ball: L0 with a pixel less", HULL, "min(int(self.reach), len(gains))", "max(int(self.reach) - 1, 1)", BALLS),
    Mutant("ball: no network without hidden layers", LINEAR, "[coefficients] if hidden else []", "[coefficients]", BALLS),
    Mutant("ball: too small for float64", LINEAR, "return FLOOR * float(", "return 0 * float(", EXTREMES),
    Mutant("ball: gains that are no numbers", LINEAR, "np.where(np.isfinite(gains.sum(axis=0)),", "np.where(True,", EXTREMES),
    Mutant("ball: too wide", ENCLOSURE, "len(self.weights) > WIDEST", "len(self.weights) < 0", EXTREMES),
    Mutant("ball: undecided is robust", PRONOUNCE, "elif not finding.proved:", "elif finding.stopped:", BALLS),
    # the reals; MILP in balls
    Mutant("real: float64 believed", REAL, "return first if bool((lead > ", "return first if True or bool((lead > ", REALS),
    Mutant("real: the bound of one layer", REAL, "terms * reach) * _LOOSE + _TINY * len(layer.weights)", "terms * 0)", REALS),
    Mutant("real: rounding makes ties", REAL, "np.minimum(rounded, below)", "rounded", REALS),
    Mutant("real: exact ties broken", REAL, "index(largest), values == largest)", "index(largest), False)", REALS),
    Mutant("real: folded weights taken for the file's", LOAD, "dense = dense and not folded", "dense = dense", REALS),
    Mutant("real: proved by float32's bounds", ENCLOSE, "is Arithmetic.REAL:", "is None:", REALS),
    Mutant("float32: proved by the reals' bounds", ENCLOSURE, "_layers(dense, rounds=True)", "_layers(dense, rounds=False)", REALS),
    Mutant("real: checked with float32's error", STEPS, "0 if self._real else len(weights)", "len(weights)", REALS),
    Mutant(
        "milp: a leaf that stays open is closed",
        HIGHS,
        "                return False\n            first",
        "                continue\n            first",
        PROGRAMS,
    ),
    Mutant("milp: HiGHS's bound believed", HIGHS, "if known and rows.safe_bound", "if known and 1e9 + rows.safe_bound", PROGRAMS),
    Mutant("milp: infeasible is believed", HIGHS, "if there and any(", "if True or any(", PROGRAMS),
    Mutant("milp: one side of a phase", HIGHS, "side in (first, not first)", "side in (not first,)", PROGRAMS),
    Mutant("milp: no number twice", HIGHS, "in (first, not first)", "in (first, bool(values[column] >= 0.5))", PROGRAMS),
    Mutant("milp: the first threat alone", THREATS, "for claim in encoding.claims:", "for claim in encoding.claims[:1]:", PROGRAMS),
    Mutant("milp: late is proved", THREATS, "Answer(False, reason=Reason.TIME) if deadline", "Answer(True) if deadline", PROGRAMS),
    Mutant("milp: witnesses proposed unseen", MILP_BALL, "None and question.wrong(image)", "None", PROGRAMS),
    # signs of pre-activations in balls
    Mutant("phases: pulled the wrong way", LINEAR, "pull=phase.sides * ph", "pull=-phase.sides * ph", PHASED),
    Mutant("phases: cut too high", LINEAR, "np.maximum(low, 0.0), low)", "np.maximum(low, 0.5), low)", PHASED),
    Mutant("phases: half of a split forgotten", PHASES, "for side in (1, -1):", "for side in (1,):", PHASED),
    Mutant("phases: open parts forgotten", PHASES, "while self._open and", "while self._open[1:] and", PHASED),
    Mutant("phases: an empty part is any", LINEAR, "(known.low > known.high)", "(known.low > known.high - 0.5)", PHASED),
    Mutant("phases: pulls below 0", SLOPES, "a.step(g), 0.0)) for", "a.step(g), -9.0)) for", PHASED),
    Mutant("checker: pulled the wrong way", DERIVE, "arb(side * size)", "arb(-side * size)", PHASED),
    Mutant("checker: pulls below 0", PARTS, '"a pull") >= 0', '"a pull") >= -9', PHASED),
    Mutant("checker: one side of each split", BALL_CHECK, "for side in (1, -1)]", "for side in (group[0][0][2],)]", PHASED),
    Mutant("checker: any part is empty", DERIVE, "if ends[neuron][0] > ends[neuron][1]:", "if True:", PHASED),
    Mutant("checker: the wrong side of 0", DERIVE, "if side > 0 else (low, min", "if side < 0 else (low, min", PHASED),
    # levels of pixels, what quantising loses
    Mutant("levels: near a half is sure", ENCLOSURE, "_HALF: Final = 2.0**-11", "_HALF: Final = 0.0", LEVELS),
    Mutant("levels: cut too late", ENCLOSURE, "level = np.minimum(level * step, self.reach)", "level = level * step", LEVELS),
    Mutant("levels: the maximum may rise", BOUNDING, "if raised.any():", "if False:", LEVELS),
    Mutant("levels: the maximum may fall", BOUNDING, "for g in holders) > part.room", "for g in holders) > -1", LEVELS),
    Mutant("levels: moved pixels as they were", BOUNDING, "moved, off_moved = first.l", "_, off_moved = first.l", LEVELS),
    Mutant("lost: moved inputs forgotten on the way", LINEAR, "@ slope + moved, slack", "@ slope, slack", LOST),
    Mutant("lost: moved inputs forgotten at the end", LINEAR, "lost.moved @ self._margin_size + ", "", LOST),
    Mutant("lost: the first layer's forgotten", LINEAR, "error = known.error if first else", "error =", LOST),
    Mutant("checker: near a half is sure", LEVEL_CHECK, "- level) > _HALF:", "- level) > 1:", LEVELS),
    Mutant(
        "checker: constants between layers cost nothing",
        READ_LINEAR,
        "np.maximum(found.size - np.abs(found.bias), 0.0)",
        "0 * found.size",
        READ_ONNX,
    ),
    Mutant("checker: two layers as their product", READ_LINEAR, "sizes=found.sizes,", "sizes=None,", READ_ONNX),
    Mutant("checker: roundings of the last layer alone", READ_LINEAR, "_LOOSE, before.terms", "_LOOSE, 0", READ_ONNX),
    Mutant("checker: a layer before may overflow", READ_LINEAR, "return min(before.most_in, ", "return max(2.0**120, ", READ_ONNX),
    Mutant("checker: a clip with any end", READ_ONNX_FILE, "or ends[1] < _LARGEST", "", READ_ONNX),
    Mutant("checker: dropout that is told to train", READ_ONNX_FILE, 'self._constant(name, "b").any()', "False", READ_ONNX),
    Mutant("checker: Keras's list, not its wires", READ_KERAS_FILE, "name in reversed(order)]", "name in named]", READ_KERAS),
    Mutant("checker: a constant that comes and goes", READ_LINEAR, "self.size + np.abs(more)", "np.abs(self.offset)", READ_ONNX),
    Mutant("checker: softmax overlooked", STEPS, 'self._end = "float softmax"', 'self._end = ""', READ_ONNX),
    Mutant("checker: a second QUANTIZE", LITERT_READ, "if not (before or after) or", "if before and", READ_LITERT),
    Mutant("checker: a RESHAPE to any grid", LITERT_READ, "self._integers(place) != self._grid:", "False:", READ_LITERT),
    Mutant("checker: accumulators of any size", LITERT_READ, "largest.max() >= 2**31", "largest.max() < 0", READ_LITERT),
    Mutant(
        "checker: any node is delegated",
        LITERT_READ,
        "delegate or alone or (plain",
        "delegate or alone or (True or plain",
        READ_LITERT,
    ),
    Mutant("checker: sampled is valid", CHECK, '"sampled" if counts.sampled_parts else "valid"', '"valid"', READ_CLI),
    Mutant(
        "checker: margins below 0 of runs", CHECK, "if claimed < 0 or", "if claimed < -9 or", ("tests/certificates/test_fields.py",),
    ),
    Mutant(
        "checker: Keras layers by class alone",
        "relrob/certificates/checking/reading/keras.py",
        "if layer.number else",
        "if False else",
        READ_KERAS,
    ),
    Mutant("checker: any maximum", LEVEL_CHECK, "or sum(lowered) > region.room", "or True", LEVELS),
    Mutant("checker: features moved in part", LEVEL_CHECK, "if not region.whole or not", "if not", LEVELS),
    Mutant("checker: moved inputs forgotten", DERIVE, "added += _matrix(", "added += 0 * _matrix(", LOST),
    Mutant("checker: moved inputs forgotten at the end", DERIVE, "doubt = (_matrix(", "doubt = (0 * _matrix(", LOST),
    # errors of margins, point by point
    Mutant("pointwise: what a layer makes dropped", POINTWISE, "on, layer.made, np.clip", "on, 0.0, np.clip", NEAR),
    Mutant("pointwise: switched neurons dropped", POINTWISE, "np.float64) @ switched", "np.float64) @ (0 * switched)", NEAR),
    Mutant("pointwise: off from 0 on", POINTWISE, "-(layer.runtime[layer.kept] + layer.folded)", "0 * layer.folded", NEAR),
    Mutant("pointwise: on from 0 on", POINTWISE, "layer.low >= layer.runtime", "layer.low >= 0", NEAR),
    Mutant("pointwise: errors of the layers before dropped", POINTWISE, "np.where(on[:, None], passed, 0.0)", "(0 * passed)", NEAR),
    Mutant("pointwise: the winner's doubt dropped", POINTWISE, "> error + doubt[:, None]", "> error", NEAR),
    Mutant("pointwise: the last layer's dropped", POINTWISE, "        every = last\n", "        every = 0 * last\n", NEAR),
    # the paper's search
    Mutant("tree: the last maximum", TREE, "self.children or (), key", "(self.children or ())[::-1], key", SEARCHED),
    Mutant("tree: rewards of the child alone", TREE, "node.visits + 1, node.parent", "node.visits + 1, None", SEARCHED),
    Mutant("tree: walks on when wrong", TREE, "going[~(wrong | beyond)]", "going[~beyond]", SEARCHED),
    Mutant("tree: in the order of steps", TREE, "for each in seen]), axis=1)[order]", "for each in seen]), axis=1)", SEARCHED),
    Mutant("tree: rewards of any rollout", TREE, "rewards[going[at]] =", "rewards[going[0]] =", SEARCHED),
    Mutant("tree: strict looks beyond", TREE, "looked = ~beyond if", "looked = ~(beyond & False) if", SEARCHED),
    Mutant("tree: children after the end", TREE, "alive = int(ends[0]) if len(ends)", "alive = len(free) if len(ends)", SEARCHED),
    Mutant("tree: the cheapest is the farthest", FOUND, "int(costs.argmax())", "int(costs.argmin())", SEARCHED),
    Mutant("tree: a fooled quantised network is robust", FOUND, "return Set.RFP if fooled", "return Set.RFP if False", SEARCHED),
    Mutant("tree: refuted labels kept", FOUND, "self._said[number][at] = self._right", "return None", SEARCHED),
    Mutant("repick: none taken", REPICK, "taken.update(feature)", "pass", REPICKED),
    Mutant("repick: equals displace", REPICK, "away[fresh] > away[start]", "away[fresh] >= away[start]", REPICKED),
    Mutant("repick: rows before channels", REPICK, "image.shape), -1, 0)", "image.shape), 0, 0)", REPICKED),
    Mutant("repick: an image counts once a set", REPICK, "return np.sort(first)", "return np.arange(len(masks))", REPICKED),
    # the store
    Mutant("store: seals are not compared", SEALS, "or not _same(row, stored[at][1])", "or False", STORED),
    Mutant("store: the run's seal is not compared", SEALS, "if kept != [(run.text(config),)]:", "if not kept:", STORED),
    Mutant("store: seals without witnesses", SEALS, "list(vars(self).values())", "[self.record]", STORED),
    Mutant("store: configuration not sealed", SEALS, "json.dumps([config, self.rows", "json.dumps([self.rows", STORED),
    Mutant("store: what is forgotten stays in the seal", "relrob/store/run_directory.py", "run.changed(seal, -1)", "run", STORED),
    Mutant("store: older rows pass for sealed ones", OLDER, "index, FORMAT, run)", "index, 4, run)", STORED),
    Mutant("store: witnesses against verdicts", OLDER, "            if wrong:", "            if False:", STORED),
    Mutant("store: an empty file is damage", FILE_OF_STORE, "return not tables and not", "return False and not", STORED),
    Mutant("pool: workers hear Ctrl-C", POOL, "signal.SIG_BLOCK, {signal.SIGINT}", "signal.SIG_BLOCK, set()", POOLED),
    Mutant("pool: Ctrl-C while a worker is started", POOL, "held.append(number)", "handler(number, frame)", POOLED),
    # .tflite: the file is what is modelled
    Mutant("two QUANTIZE in a row", WALK, "if last is not None and not dense:", "if False:", READ),
    Mutant("RESHAPE to another grid", WALK, "grid_of(before) != grid_of(after)", "False", READ),
    Mutant(
        "int8 weights behind DEQUANTIZE", WALK,
        'if source.type != "FLOAT16" or target.type != "FLOAT32" or source.scales is not None:', "if False:", READ,
    ),
    Mutant("sparse weights as they lie", FLAT, "if tensor.sparsity is not None:", "if False:", READ),
    Mutant("left shift never overflows", LIMITS, "left > 30 or largest << left >= _INT32", "left > 30", READ),
    Mutant("reference never overflows", LIMITS, "largest * float(scales.max()) >= _INT32 - 256", "False", READ),
    Mutant("sums never wrap", LIMITS, "if largest >= _INT32:", "if False:", READ),
    Mutant("certificates without rules", WRITE, "if not has_rules(opened.network, any(leaf.bound for leaf in leaves)):",
           "if False:", RULED),
    Mutant("certificates of balls without rules", f"{WRITE[:-3]}_ball.py", "if not has_rules(network, bounds=True):",
           "if False:", RULED),
    Mutant("certificates of several files", WRITE, "if sha256_bytes(data) != network.sha256:", "if False:", RULED),
    Mutant("rounds by the pixels", LENGTHS, """(node.op_type == "Loop" and _all(given[:2]).value)""", "False", LONG),
    Mutant("until the pixels say so", LENGTHS, "if first and given_back[:1] and given_back[0].value:", "if False:", LONG),
    Mutant("one round of a loop is like all", LENGTHS, "if after == carried:", "if True:", LONG),
    Mutant("loops in branches", LENGTHS, "self._guarded, self._guarded or whole.value", "self._guarded, False", LONG),
    Mutant("sizes by the pixels", LENGTHS, "if any(size.value for size in sizes) or", "if", LONG),
    Mutant("shapes of what was picked", LENGTHS, "picked = node.op_type in _PICKS and whole.value", "picked = False", LONG),
    Mutant("logarithms in batches", "relrob/networks/onnx/apart.py", '"Abs Acosh ', '"Abs Log Acosh ', PLACES),
    Mutant("sums in batches", "relrob/networks/onnx/apart.py", "return inner and (last or", "return inner and (True or", PLACES),
    Mutant("sigmoids in batches", "relrob/networks/keras/wiring.py", '"linear", "relu", "relu6"', '"linear", "sigmoid", "relu6"',
           PLACES),
    Mutant("ties in batches", TALLY, "if self._first.best_batch > 1 and len(near := near_ties(outputs)):",
           "near = np.zeros(0, int)\n        if False:", PLACES),
    Mutant("float layers in batches", LITERT, "isinstance(layer, FloatFull)\n        or", "", KERNEL),
    Mutant("floats of black boxes in batches", LITERT, "elif step.kind not in _EXACT.split() and", "elif False and", KERNEL),
    Mutant("what XNNPACK leaves in batches", LITERT, "left_by_delegate(data) if", "frozenset[int]() if", KERNEL),
    Mutant("weights to replace in batches", "relrob/networks/onnx/apart.py", "if model.ir_version >= _OVERRIDDEN and",
           "if False and", PLACES),
    Mutant("traced Keras alone", "relrob/networks/keras/runtime.py", "if not np.allclose(traced, stepped,",
           "if not np.allclose(traced, traced,", ("tests/networks/keras/test_files.py",)),
    Mutant("loops of LiteRT", "relrob/networks/litert/info.py", "if _builtin(code) in _LOOPS:", "if False:",
           ("tests/networks/litert/test_runtime.py",)),
    Mutant("half precision modelled", KERNELS, "if read_flat(data).halved and has_halves():", "if False:", KERNEL),
    Mutant("half precision of AMX forgotten", KERNELS, """any("fp16" in line""", """any("avx512_fp16" in line""", KERNEL),
    Mutant("kernel by the runtime's name", KERNELS, "if node.position in taken else", "if True else", KERNEL),
    Mutant("softmax of the batch is apart", ROWS_APART, "if not walk.first(operator):", "if False:", ALONE),
    Mutant("reductions of the batch are apart", ROWS_APART, "len(gone) != len(axes) or 0 in gone", "len(gone) != len(axes)", ALONE),
    Mutant("mixing graphs run in batches that agree", LITERT, "if apart else 1", "if True else 1", ALONE),
    Mutant("mixing graphs run in batches", LITERT, "apart = network.apart and not", "apart = not", ALONE),
    Mutant("halves round alike in a batch", LITERT,
           "(isinstance(layer, Quantise) and graph.widths[0] % _BLOCK != 0)", "False", KERNEL),
    Mutant("scales along the inputs on XNNPACK", LIMITS, "layer.turned and kernel == \"xnnpack\"", "False", READ),
    # values
    Mutant("arrays can be written to", "relrob/domain/arrays.py", "copy.flags.writeable = False", "pass", DOMAIN),
    Mutant("views of writable arrays", "relrob/domain/arrays.py", "holder = holder.base", "holder = None", DOMAIN),
    Mutant(
        "keras weights by name",
        f"{KERAS}/weights.py",
        "zip(owners, filled, strict=True)",
        "((layer, weights[layer.name]) for layer in owners)",
        WIRED,
    ),
    Mutant(
        "keras archives by name",
        f"{KERAS}/weights.py",
        "for layer in layers:\n        snake",
        "for layer in sorted(layers, key=str):\n        snake",
        WIRED,
    ),
    Mutant(
        "the last of the list for the output",
        f"{KERAS}/wiring.py",
        "named, here, found = _named(model), model.outputs[0]",
        "named, here, found = _named(model), Tensor(model.layers[-1].name, 0, 0)",
        WIRED,
    ),
    Mutant(
        "a missing layer skipped",
        f"{KERAS}/files.py",
        """        raise NetworkError(f"{where} is named in layer_names and is not there", "a whole file", "copy it again")""",
        "        return []",
        WIRED,
    ),
    Mutant("training ignored", f"{KERAS}/calls.py", '"training": (None, False)', '"training": (None, False, True)', WIRED),
    Mutant("a setting ignored", f"{KERAS}/settings.py", "if rule is None:", "if rule is None and False:", WIRED),
    Mutant(
        "a normalisation along another axis",
        f"{KERAS}/layers.py",
        "wide[axes[-place] - 1]",
        "wide[len(shape) - place]",
        WIRED,
    ),
    Mutant(
        "a function that restores is let through",
        "relrob/networks/keras/savedmodel_file.py",
        "if node.saveable_objects or node.registered_saver:",
        "if node.registered_saver:",
        ("tests/networks/keras/test_savedmodel.py",),
    ),
    Mutant(
        "a folded copy is quantised",
        "relrob/compress/source.py",
        "return reference.dense is not None and not reference.folded",
        "return reference.dense is not None",
        ("tests/compress/test_source.py",),
    ),
    Mutant("digest without the label", "relrob/domain/query.py", "region, self.label]", "region]", DOMAIN),
    Mutant("digest without the runtime", "relrob/domain/query.py", "self.network.runtime, ", "", DOMAIN),
    Mutant("keras: batches of what mixes", "relrob/networks/keras/runtime.py", "if not network.apart:", "if False:",
           ("tests/networks/keras/test_savedmodel.py",)),
    Mutant("witness for any verdict", "relrob/domain/verdict.py", "(self.status is Status.NOT_ROBUST) !=", "None is", DOMAIN),
)  # fmt: skip


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the packages and tests that may be spoilt."""
    with tempfile.TemporaryDirectory(prefix="relrob-mutants-") as name:
        folder, ignored = Path(name), shutil.ignore_patterns("__pycache__", "*.gz")
        for part in ("relrob", "solvers", "tests", "datasets"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for archive in (ROOT / "datasets").rglob("*.gz"):
            (folder / archive.relative_to(ROOT)).symlink_to(archive)
        shutil.copy(ROOT / "pyproject.toml", folder)
        with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(QUICK)
        yield folder


def spoilt(mutant: Mutant) -> str:
    """The text of the file with the bug in it. Raises ValueError when the place is not there
    exactly once."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} occurs {text.count(mutant.old)} times in {mutant.file}"
        )
    return text.replace(mutant.old, mutant.new)


def fails(tests: tuple[str, ...], folder: Path, seconds: float = 300) -> bool:
    """Does one of these tests fail, or take longer, in the copy? Raises RuntimeError when they
    cannot be run."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", *tests]
    try:
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (0, 1):
        raise RuntimeError(
            f"pytest ended with {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        )
    return run.returncode == 1


def killed(mutant: Mutant, folder: Path) -> bool:
    """Do the tests fail with this bug? Puts the file back."""
    target = folder / mutant.file
    target.write_text(spoilt(mutant), encoding="utf-8")
    try:
        return fails(mutant.tests, folder)
    finally:
        shutil.copy(ROOT / mutant.file, target)


def main(words: list[str]) -> int:
    """Run those whose name holds every word, after the tests passed without any."""
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    survivors = 0
    with copied() as folder:
        if fails(tuple(sorted({test for mutant in chosen for test in mutant.tests})), folder, 3600):
            sys.stderr.write("the tests fail without any planted bug; mend that first\n")
            return 2
        for mutant in chosen:
            dead = killed(mutant, folder)
            survivors += not dead
            sys.stdout.write(f"{'killed  ' if dead else 'SURVIVED'} {mutant.name}\n")
            sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
