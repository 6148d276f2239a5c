"""Planted bugs: each is put into a copy of the source tree, and the tests must notice it.

A module for each room of the code that is spoilt.
"""

from tests.mutants import (
    attacks,
    audit_gate,
    audit_pair,
    audit_runtimes,
    audit_weights,
    beside,
    bounding,
    branching,
    certificates,
    compress,
    datasets,
    deciding,
    domain,
    inputs,
    judging,
    networks,
    networks_keras,
    networks_litert,
    networks_onnx,
    queries,
    regions,
    relative,
    solvers,
    store,
    study,
    testing,
)
from tests.mutants.planting import CORE, Mutant, copied, fails, killed, spoilt

MUTANTS: tuple[Mutant, ...] = (
    *attacks.MUTANTS,
    *audit_gate.MUTANTS,
    *audit_runtimes.MUTANTS,
    *audit_pair.MUTANTS,
    *audit_weights.MUTANTS,
    *beside.MUTANTS,
    *bounding.MUTANTS,
    *branching.MUTANTS,
    *certificates.MUTANTS,
    *compress.MUTANTS,
    *datasets.MUTANTS,
    *deciding.MUTANTS,
    *domain.MUTANTS,
    *inputs.MUTANTS,
    *judging.MUTANTS,
    *networks.MUTANTS,
    *networks_keras.MUTANTS,
    *networks_litert.MUTANTS,
    *networks_onnx.MUTANTS,
    *queries.MUTANTS,
    *regions.MUTANTS,
    *relative.MUTANTS,
    *solvers.MUTANTS,
    *store.MUTANTS,
    *study.MUTANTS,
    *testing.MUTANTS,
)
__all__ = ["CORE", "MUTANTS", "Mutant", "copied", "fails", "killed", "spoilt"]
