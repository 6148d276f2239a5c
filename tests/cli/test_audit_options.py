"""Options of `relrob audit` that could change nothing: each is refused by name, before a file is
read."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from relrob.cli.audit import command
from relrob.errors import UsageError

PAIR = ("model.onnx", "model_int8.onnx")


def refused(*words: str) -> str:
    """The line about a command line."""
    with pytest.raises(UsageError) as told:
        CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    return str(told.value)


def test_a_policy_is_printed_alone() -> None:
    told = refused(*PAIR, "--print-policy")
    assert told.startswith("REFERENCE, QUANTISED with --print-policy")
    assert refused("--print-policy", "--json").startswith("--json with --print-policy")
    beside = refused("--print-policy", "--max-lost", "3", "--region", "l1", "--workers", "2")
    assert beside.startswith("--region, --workers have no effect with --print-policy; accepted: ")
    done = CliRunner().invoke(command, ["--max-lost", "3", "--print-policy"])
    assert done.exit_code == 0 and "max-lost = 3" in done.stdout


def test_a_seed_needs_something_to_draw() -> None:
    """A sample, or attacks: with either, the missing file is what is wrong."""
    named = (*PAIR, "--images", "0:2", "--seed", "1")
    assert refused(*named).startswith("--seed has no effect with --images and no --attacks")
    for words in ([*named, "--attacks", "fgsm"], [*PAIR, "--seed", "1"]):
        done = CliRunner().invoke(command, words, standalone_mode=False)
        assert "model.onnx" in str(done.exception) and "--seed" not in str(done.exception)
