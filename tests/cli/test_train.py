"""`relrob train`: what it prints, and what it refuses before it trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from relrob.cli.train import command
from relrob.errors import RelrobError
from relrob.networks.load import load_network
from tests.cli.programs import program
from tests.training.small import bars


def train(*words: str) -> str:
    """Standard output; errors are raised."""
    done = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    return done.stdout


def test_a_compressed_network_is_trained_and_measured(tmp_path: Path) -> None:
    data, path = bars(tmp_path), tmp_path / "net.keras"
    options = ["--arch", "lenet5", "--epochs", "1", "--seed", "2", "--compress", "q:08:2"]
    found = json.loads(train("--dataset", data, "-o", str(path), *options, "--json"))
    assert (found["arch"], found["compress"], found["seed"]) == ("lenet5", "q:8:2", 2)
    assert (found["profile"], found["epochs"], found["images"]) == ("quick", 1, 90)
    network = load_network(path, image_shape=(28, 28, 1), classes=3)
    assert found["sha256"] == network.sha256 and 0 <= found["accuracy"] <= 1
    assert [each.name for each in tmp_path.iterdir()] == ["bars.npz", "net.keras"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--arch", "lenet6"], "architecture 'lenet6'; accepted: mlp-512x2"),
        (["--arch", "cifarnet"], "cifarnet reads (32, 32, 3)"),
        (["--profile", "slow"], "profile 'slow'; accepted: quick, full"),
        (["--augment", "spin"], "augment spin"),
        (["--compress", "dorefa"], "compression 'dorefa'; accepted: dorefa:1 to dorefa:16"),
        (["--patience", "0"], "patience 0"),
        (["--start", "nowhere.keras"], "start nowhere.keras"),
    ],
)
def test_mistakes_end_in_one_line(options: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with pytest.raises(RelrobError) as caught:
        train("--dataset", bars(tmp_path), "-o", str(path), *options)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["bars.npz"]


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    """As on a disk of two megabytes, which hold neither the network nor the state of an epoch."""
    data, old = bars(tmp_path), b"an older network"
    (tmp_path / "net.keras").write_bytes(old)
    words = ["train", "--arch", "lenet5", "--epochs", "2", "--dataset", data, "-q"]
    full = program(tmp_path, [*words, "-o", "net.keras"], line='ulimit -f 2000; "$@"')
    assert full.returncode == 2 and "Traceback" not in full.stderr
    (line,) = full.stderr.splitlines()
    assert line.startswith("relrob: cannot write net.keras")
    assert "File too large; try: free" in line
    assert (tmp_path / "net.keras").read_bytes() == old
    left = sorted(each.name for each in tmp_path.iterdir() if each.is_file())
    assert left == ["bars.npz", "net.keras"]
