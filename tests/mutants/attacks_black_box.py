"""Bugs for attacks by outputs and labels."""

from tests.mutants.planting import Mutant

_ALL = ("tests/attacks/test_black_box.py",)
_SQUARE = ("tests/attacks/test_square.py",)
_DECISIONS = ("tests/attacks/test_decisions.py",)

MUTANTS = (
    Mutant(
        "decisions: bisection moves the wrong end",
        "relrob/attacks/decisions.py",
        "high[open_[reached]], low[open_[~reached]] = middle[reached], middle[~reached]",
        "low[open_[reached]], high[open_[~reached]] = middle[reached], middle[~reached]",
        _DECISIONS,
    ),
    Mutant(
        "decisions: a point that was not seen to be adversarial",
        "relrob/attacks/decisions.py",
        "points[open_[reached]] = some[reached]",
        "points[open_] = some",
        _DECISIONS,
    ),
    Mutant(
        "decisions: uniform starts look at other pictures",
        "relrob/attacks/decisions.py",
        'if kind == "any":\n            found.append',
        "if kind:\n            found.append",
        _DECISIONS,
    ),
    Mutant(
        "decisions: the last restart is kept",
        "relrob/attacks/decisions.py",
        "better = gaps < least",
        "better = gaps < np.inf",
        _ALL,
    ),
    Mutant(
        "decisions: any image of the call for a target",
        "relrob/attacks/decisions.py",
        "there = np.flatnonzero(labels == targets[row])",
        "there = np.flatnonzero(labels >= 0)",
        _DECISIONS,
    ),
    Mutant(
        "hopskipjump: away from the adversarial side",
        "relrob/attacks/hop_skip_jump.py",
        "np.where(reached, 1.0, -1.0)",
        "np.where(reached, -1.0, 1.0)",
        _DECISIONS,
    ),
    Mutant(
        "hopskipjump: the gradient in place of its sign",
        "relrob/attacks/hop_skip_jump.py",
        "return np.sign(ways)",
        "return ways",
        _DECISIONS,
    ),
    Mutant(
        "boundary: moves that are not orthogonal",
        "relrob/attacks/boundary.py",
        "along = length[:, None] * shares + (gaps * (1 / slant - 1))[:, None]",
        "along = -length[:, None] * shares + (gaps * (1 / slant - 1))[:, None]",
        _DECISIONS,
    ),
    Mutant(
        "boundary: moves that depend on the batch",
        "relrob/attacks/boundary.py",
        "shares = (ways[:, None, :] @ noise.T)[:, 0]",
        "shares = (ways[:, None, :] @ noise.T)[:, 0] * np.float32(1 - 1e-3 * len(rows))",
        _ALL,
    ),
    Mutant(
        "boundary: lengths adapt the wrong way",
        "relrob/attacks/boundary.py",
        "factors = np.where(shares < _FEW, self._attack.adapt, factors)",
        "factors = np.where(shares < _FEW, 1 / self._attack.adapt, factors)",
        _DECISIONS,
    ),
    Mutant(
        "square: no remark without a signal",
        "relrob/attacks/square.py",
        "self.moved[rows] |= losses != self._clean[rows]",
        "self.moved[rows] = True",
        _SQUARE,
    ),
    Mutant(
        "square: a worse square is kept",
        "relrob/attacks/square.py",
        "better = (seen >= losses[rows]) | score.won[rows]",
        "better = seen == seen",
        _SQUARE,
    ),
    Mutant(
        "square: the schedule a step early",
        "relrob/attacks/squares.py",
        "sum(spent > share for share in at)",
        "sum(spent >= share for share in at)",
        _SQUARE,
    ),
    Mutant(
        "square: an L2 perturbation as long as it comes",
        "relrob/attacks/square_moves.py",
        "scaled = moves * (np.float32(self._eps * _SHORT) / lengths)",
        "scaled = moves * np.minimum(1, 2 * np.float32(self._eps * _SHORT) / lengths)",
        _SQUARE,
    ),
    Mutant(
        "pieces: a call too few",
        "relrob/attacks/pieces.py",
        "split = [below, *_split(count - below, sizes)]",
        "split = [below]",
        ("tests/attacks/test_pieces.py",),
    ),
)
