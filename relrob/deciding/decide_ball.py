"""The door to the solvers of balls and lattices: accepts -> solve -> replay every proposed witness
-> verdict."""

from __future__ import annotations

from dataclasses import dataclass

from relrob import registry
from relrob.bounding.ball import BallBounds
from relrob.deciding.auto_ball import chained, guarded
from relrob.deciding.pronounce import pronounced
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Verdict, Witness
from relrob.errors import RelrobError, UsageError
from relrob.judging.tally import BOUNDS
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding
from relrob.queries.problem import BallProblem
from relrob.queries.solver import BallSolver
from relrob.regions.ball import BallSet


@dataclass(frozen=True, eq=False)
class BallDecision:
    """One verdict and one finding a network, in the problem's order."""

    verdicts: tuple[Verdict, ...]
    each: tuple[BallFinding, ...]


def decide_ball(problem: BallProblem, name: str = "auto") -> BallDecision:
    """Verdicts of every network. `name`: a solver, or "auto", the first of the registry that takes
    the network, then others.

    A solver that crashes yields UNKNOWN with its reason. Raises UsageError when no solver of that
    name takes a network.
    """
    pairs = [
        _one(problem, opened, solver_for(problem.ball.region, opened.network, name), name == "auto")
        for opened in problem.networks
    ]
    return BallDecision(
        tuple(verdict for verdict, _ in pairs), tuple(finding for _, finding in pairs)
    )


def decide_ball_by(problem: BallProblem, solver: BallSolver) -> BallDecision:
    """Verdicts of every network by one solver, whether or not it is the first of its name. Raises
    UsageError when it takes one of them not."""
    for opened in problem.networks:
        refusal = solver.accepts(problem.ball.region, opened.network)
        if refusal is not None:
            raise UsageError(f"solver {solver.name}: {refusal}", hint="--solver auto")
    pairs = [_one(problem, opened, solver, False) for opened in problem.networks]
    return BallDecision(
        tuple(verdict for verdict, _ in pairs), tuple(finding for _, finding in pairs)
    )


def _one(
    problem: BallProblem, opened: Opened, solver: BallSolver, chain: bool
) -> tuple[Verdict, BallFinding]:
    """By one solver. `chain`: then by others, where its bounds do not tell."""
    finding = (chained if chain else guarded)(solver, problem, opened)
    if finding.proved:
        corners, by = (
            finding.corners or _corners(problem, opened),
            finding.by if finding.least is None else BOUNDS,
        )
        problem.spots.of(opened).ball(problem.ball, problem.label, finding.least, corners, by)
        problem.spots.finish()
    return _pronounce(problem, opened, finding), finding


def _corners(problem: BallProblem, opened: Opened) -> tuple[Doubles, ...]:
    """The moves that a bound over the whole ball points at, where the solver says of none."""
    enclosure = enclosure_of(opened.network)
    if enclosure is None:
        return ()
    bounds = BallBounds(enclosure, problem.ball, problem.label)
    return (bounds.at.hull.maximiser(bounds.margins().gains),)


def solver_for(region: Ball | Lattice, network: Network, name: str) -> BallSolver:
    """The solver of that name, or of "auto" the first, that takes the network in such a region.
    Raises UsageError."""
    if network.black_box:
        raise UsageError(
            f"balls need a modelled network; {network.path} is run as a black box: {network.black_box}",
            hint="--region ladder",
        )
    refusals = []
    for entry in registry.solvers(False, name):
        solver: BallSolver = registry.load(entry.target)()
        refusal = solver.accepts(region, network)
        if refusal is None:
            return solver
        refusals.append(f"solver {entry.method}: {refusal}")
    if not refusals:
        raise UsageError(
            f"solver {name!r} for region {region.kind}",
            f"auto, {registry.names(registry.solvers(False))}",
        )
    raise UsageError(
        f"{network.path} in region {region.kind}: {'; '.join(refusals)}", hint="--region ladder"
    )


def replay_image(
    opened: Opened, ball: BallSet, label: int, image: Floats
) -> tuple[int, float, Witness | None]:
    """(label, margin, witness) of one image on the runtime as deployed; no witness if it is right
    there.

    Raises RelrobError when the image is not one of the region: a solver must never propose such an
    image.
    """
    if not ball.contains(image):
        raise RelrobError(
            "a solver proposed a perturbed image outside the region", hint="reporting this as a bug"
        )
    outputs = opened.replayer.outputs(image[None, :])
    said, margin = int(labels(outputs)[0]), float(margins(outputs, label)[0])
    witness = None if said == label else Witness(image, (), ball.cost(image), said, margin)
    return said, margin, witness


def _pronounce(problem: BallProblem, opened: Opened, finding: BallFinding) -> Verdict:
    """Nothing is NOT_ROBUST without a replayed witness, nothing ROBUST whose clean image is
    wrong."""
    witness, disagreements, margin = None, 0, finding.margin
    proposals = finding.proposals if not finding.proved else (problem.ball.base,)
    for image in proposals:
        _, replayed, witness = replay_image(opened, problem.ball, problem.label, image)
        margin = replayed if margin is None else min(margin, replayed)
        disagreements += (witness is None) != finding.proved
        if witness is not None:
            break
    return pronounced(opened, finding, finding.by, margin, witness, disagreements)
