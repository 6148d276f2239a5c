"""Bugs for gradients, and for the attacks that take steps along them."""

from tests.mutants.planting import Mutant

_PGD = ("tests/attacks/test_pgd.py",)
_STEPS = ("tests/attacks/test_steps.py",)
_PROTOCOL = ("tests/attacks/test_protocol.py",)
_GRADIENTS = ("tests/attacks/test_gradients.py",)
_EMULATIONS = ("tests/attacks/test_emulations.py",)

MUTANTS = (
    Mutant(
        "attack: a proposal may leave [0, 1]",
        "relrob/attacks/attack.py",
        "np.clip(proposed, 0.0, 1.0)",
        "np.clip(proposed, -1.0, 2.0)",
        _PROTOCOL,
    ),
    Mutant(
        "attack: the replay runs a batch",
        "relrob/attacks/attack.py",
        "found = labels(opened.replayer.outputs(proposed))",
        "found = labels(opened.evaluator.outputs(proposed))",
        _PROTOCOL,
    ),
    Mutant(
        "goal: a target reached by any label",
        "relrob/attacks/goal.py",
        "return np.asarray(found == self.targets[rows])",
        "return np.asarray(found != self.labels[rows])",
        _PROTOCOL,
    ),
    Mutant(
        "victim: queries counted once a batch",
        "relrob/attacks/victim.py",
        "np.add.at(self.queries, rows, 1)",
        "self.queries[rows] += 1",
        _PROTOCOL,
    ),
    Mutant(
        "victim: chunks of a jacobian start again",
        "relrob/attacks/victim.py",
        "            left = left[len(logits) :]\n",
        "",
        _GRADIENTS,
    ),
    Mutant(
        "dlr: the fourth logit twice",
        "relrob/attacks/losses.py",
        "(third, -0.5), (fourth, -0.5)",
        "(fourth, -0.5), (fourth, -0.5)",
        _PROTOCOL,
    ),
    Mutant(
        "projection: ends rounded to the nearest float",
        "relrob/attacks/projection.py",
        "    least = np.where(least < low, np.nextafter(least, np.float32(2)), least)\n",
        "",
        _PGD,
    ),
    Mutant(
        "projection: L2 moves too long by a rounding",
        "relrob/attacks/projection.py",
        "factors[out] *= 1 - _SHORTER * 4.0**number",
        "break",
        _PGD,
    ),
    Mutant(
        "pgd: never projected",
        "relrob/attacks/pgd.py",
        "here = around.nearest(here + np.asarray(moves, np.float32))",
        "here = here + np.asarray(moves, np.float32)",
        _PGD,
    ),
    Mutant(
        "restarts: broken images run again",
        "relrob/attacks/restarts.py",
        "        left = left[open_ones]\n",
        "",
        _PGD,
    ),
    Mutant(
        "ifgsm: clean means the last image",
        "relrob/attacks/iterated.py",
        "return Around(images, radius, Norm.LINF).nearest(here + moves)",
        "return Around(here, radius, Norm.LINF).nearest(here + moves)",
        _STEPS,
    ),
    Mutant(
        "ifgm: the mean of the batch",
        "relrob/attacks/iterated.py",
        "    return victim.pulled(images, rows, seeds)[1]\n",
        "    return victim.pulled(images, rows, seeds)[1] / np.float32(len(images))\n",
        _STEPS,
    ),
    Mutant(
        "ifgm: model space is pixel space",
        "relrob/attacks/iterated.py",
        "lambda slopes: unit * slopes",
        "lambda slopes: slopes",
        _STEPS,
    ),
    Mutant(
        "apgd: gaps of checkpoints never shrink",
        "relrob/attacks/apgd_run.py",
        "gap = max(gap - max(int(0.03 * self.steps), 1), int(0.06 * self.steps), 1)",
        "gap = max(gap, int(0.06 * self.steps), 1)",
        _PGD,
    ),
    Mutant(
        "apgd: the step is never halved",
        "relrob/attacks/apgd_run.py",
        "self._steps = np.where(halve[:, None], self._steps / 2, self._steps)",
        "self._steps = self._steps * np.float32(1)",
        _PGD,
    ),
    Mutant(
        "apgd-t: the clean label is a target",
        "relrob/attacks/apgd.py",
        'kind="stable")[:, 1:]',
        'kind="stable")[:, :-1]',
        _PGD,
    ),
    Mutant(
        "pixels: the contract has no slope",
        "relrob/attacks/pixels.py",
        "gradients = gradients * self._factor",
        "gradients = gradients * np.float32(1)",
        _GRADIENTS,
    ),
    Mutant(
        "pixels: channels stay reversed",
        "relrob/attacks/pixels.py",
        "return gradients if self._bgr is None else",
        "return gradients if True else",
        _GRADIENTS,
    ),
    Mutant(
        "tape: probabilities for logits",
        "relrob/attacks/tape_gradients.py",
        "        last.activation = keras.activations.linear\n",
        "",
        _GRADIENTS,
    ),
    Mutant(
        "straight through: beyond the codes too",
        "relrob/attacks/chain_gradients.py",
        "inside = None if step.end else _inside(exact, codes.least, codes.most)",
        "inside = None",
        _EMULATIONS,
    ),
    Mutant(
        "steps: SAME pads more before than after",
        "relrob/networks/litert/flow.py",
        "found.append((total // 2, total - total // 2))",
        "found.append((total - total // 2, total // 2))",
        _EMULATIONS,
    ),
    Mutant(
        "steps: a mean counts its padding",
        "relrob/attacks/flow_gradients.py",
        "    if step.padding or not padded:\n",
        "    if True:\n",
        _EMULATIONS,
    ),
    Mutant(
        "weights: the zero point of a product for its scale",
        "relrob/networks/onnx/weighted.py",
        "bias, scale, zero = (6, 7, 8) if gemm else (8, 6, 7)",
        "bias, scale, zero = (8, 6, 7) if conv else (6, 7, 8)",
        ("tests/networks/test_weighted.py", *_EMULATIONS),
    ),
)
