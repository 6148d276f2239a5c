"""The founding paper's own procedure (Duncan et al. 2020): a Monte-Carlo tree search of one player
over sets of features.

A node is a set of features. Each round descends from the empty set to a node without children, by
UCT: the first maximum of reward / visits + 0.5 sqrt(ln N / n). The round makes all children of that
node, in the order of the features, and rolls each out. A rollout looks at the image of its set;
then unused features join at random until the image is wrong, or farther than the radius, or no
feature is left. The images that are looked at are the region.

The rollouts of a round are looked at together, one batch a step. Their draws are made before, so
the order of evaluation changes nothing. Source: docs/regions.md, "The search".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import log, sqrt
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Ints

# From masks (n, F) to labels (n,).
See = Callable[[Bools], Ints]


class Costed(Protocol):
    """Features, and the cost of moving some: a RungSet, or Groups of its parts."""

    @property
    def features(self) -> int: ...
    @property
    def budget(self) -> int: ...
    @property
    def denominator(self) -> int: ...
    def cost_units(self, masks: Bools) -> NDArray[Any]: ...


_EXPLORE: Final = 0.5


@dataclass(frozen=True, eq=False)
class Visits:
    """The points that a search looked at, without repetitions, in the original's order.

    `masks` (n, F), `labels` (n,): the clean image first; `evaluations`: looks, repetitions
    included, the clean image excluded.
    """

    masks: Bools
    labels: Ints
    evaluations: int


@dataclass
class _Node:
    """A set of features, the reward of its subtree, and its children once they are made."""

    features: tuple[int, ...]
    parent: _Node | None
    reward: float = 0.0
    visits: int = 0
    children: tuple[_Node, ...] | None = None

    def best(self) -> _Node:
        """The child with the largest UCT value, the first of equals."""
        about = log(self.visits)
        return max(
            self.children or (),
            key=lambda child: child.reward / child.visits + _EXPLORE * sqrt(about / child.visits),
        )

    def earn(self, reward: float) -> None:
        """Add a reward here and to all above."""
        node: _Node | None = self
        while node is not None:
            node.reward, node.visits, node = node.reward + reward, node.visits + 1, node.parent


@dataclass(frozen=True, eq=False)
class _Looks:
    """Images looked at together.

    `rollout` (n,): numbered through all children; `step` (n,): of the rollout, 0 for the child
    itself; `masks` (n, F); `labels` (n,).
    """

    rollout: Ints
    step: Ints
    masks: Bools
    labels: Ints


@final
class TreeSearch:
    """One search over all features of `rungs`, for an image whose label is not `label`.

    `rollouts`: for each child; `evaluations`: the search ends after the round that reaches so many;
    `strict`: images beyond the radius are not looked at.
    """

    def __init__(
        self,
        rungs: Costed,
        see: See,
        label: int,
        rollouts: int,
        evaluations: int,
        strict: bool,
        seed: tuple[int, int],
    ) -> None:
        self._rungs, self._see, self._label, self._strict = rungs, see, label, strict
        self._rollouts, self._limit = rollouts, evaluations
        self._rng = np.random.default_rng(seed)
        self._evaluations = 0
        # From packed masks to labels.
        self._seen = {np.packbits(np.zeros(rungs.features, np.bool_)).tobytes(): label}

    def run(self) -> Visits:
        """Search until a child ends it, the tree is complete, or the evaluations are used up."""
        root = _Node((), None)
        while self._evaluations < self._limit and self._round(root):
            pass
        packed = np.frombuffer(b"".join(self._seen), np.uint8).reshape(len(self._seen), -1)
        masks = np.unpackbits(packed, axis=1, count=self._rungs.features).astype(np.bool_)
        return Visits(masks, np.array(list(self._seen.values()), dtype=np.int64), self._evaluations)

    def _round(self, root: _Node) -> bool:
        """Expand one node; False when that ended the search, or no feature is left to add."""
        node = root
        while node.children is not None:
            if not node.children:
                return False
            node = node.best()
        free = [g for g in range(self._rungs.features) if g not in node.features]
        node.children = tuple(_Node((*node.features, g), node) for g in free)
        if not free:
            return False
        draws = np.array(
            [[self._rng.permutation(len(free) - 1) for _ in range(self._rollouts)] for _ in free]
        )
        masks = np.zeros((len(free), self._rungs.features), dtype=np.bool_)
        masks[:, list(node.features)] = True
        masks[np.arange(len(free)), free] = True
        costs = self._costs(masks)
        beyond = costs > self._rungs.budget
        looked = ~beyond if self._strict else np.ones(len(free), dtype=np.bool_)
        labels = np.full(len(free), self._label)
        labels[looked] = self._see(masks[looked]) if looked.any() else labels[looked]
        ends = np.flatnonzero((labels != self._label) | beyond)
        alive = int(ends[0]) if len(ends) else len(free)
        self._expand(
            node, free, draws, masks[: alive + 1], labels[: alive + 1], looked[: alive + 1], alive
        )
        return not len(ends)

    def _expand(
        self,
        node: _Node,
        free: list[int],
        draws: NDArray[Any],
        masks: Bools,
        labels: Ints,
        looked: Bools,
        alive: int,
    ) -> None:
        """Roll out the first `alive` children, reward them, and record all looks, one rollout after
        another."""
        rollouts, steps = self._rollouts, len(free) - 1
        first = np.flatnonzero(looked)
        self._evaluations += int(np.where(first < alive, rollouts, 1).sum())
        rest = np.array(
            [[g for g in free if g != mine] for mine in free[:alive]], np.int64
        ).reshape(alive, 1, steps)
        turns = np.take_along_axis(rest, draws[:alive].reshape(alive, rollouts, steps), axis=2)
        turns = turns.reshape(alive * rollouts, steps)
        states, rewards = np.repeat(masks[:alive], rollouts, axis=0), np.zeros(alive * rollouts)
        seen = [_Looks(first * rollouts, np.zeros_like(first), masks[first], labels[first])]
        going = np.arange(alive * rollouts)
        for step in range(steps):
            states[going, turns[going, step]] = True
            costs = self._costs(states[going])
            beyond = costs > self._rungs.budget
            if self._strict:
                going, costs, beyond = going[~beyond], costs[~beyond], beyond[~beyond]
            if not len(going):
                break
            batch = states[going]
            said = self._see(batch)
            self._evaluations += len(batch)
            seen.append(_Looks(going, np.full_like(going, step + 1), batch, said))
            wrong = said != self._label
            for at in np.flatnonzero(wrong):
                rewards[going[at]] = float(Fraction(int(costs[at]), self._rungs.denominator))
            going = going[~(wrong | beyond)]
        self._record(seen)
        for child, reward in zip(
            node.children or (), rewards.reshape(alive, rollouts).max(axis=1), strict=False
        ):
            child.earn(float(reward))

    def _record(self, seen: list[_Looks]) -> None:
        """Keep the new points among some looks, one rollout after another."""
        order = np.lexsort(
            [
                np.concatenate([each.step for each in seen]),
                np.concatenate([each.rollout for each in seen]),
            ]
        )
        packed = np.packbits(np.concatenate([each.masks for each in seen]), axis=1)[order]
        for key, label in zip(
            packed, np.concatenate([each.labels for each in seen])[order], strict=True
        ):
            self._seen.setdefault(key.tobytes(), int(label))

    def _costs(self, masks: Bools) -> NDArray[Any]:
        return np.asarray(self._rungs.cost_units(masks))
