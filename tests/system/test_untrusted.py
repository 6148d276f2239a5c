"""Foreign files that would crash, hang or fill their reader: each is one line of `RelrobError`, and
each is made here."""

from __future__ import annotations

import gzip
import json
import logging
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from onnx import TensorProto, helper
from PIL import Image

from relrob.cli.main import handler
from relrob.errors import LONGEST, DatasetError, NetworkError, RelrobError, UsageError, printable
from relrob.networks import first
from relrob.networks.first import try_network
from relrob.networks.litert.flatbuffer import verify
from relrob.study import networks
from relrob.study.request import Request
from relrob.study.spec import read_spec
from relrob.system import child
from relrob_datasets import first as data_first
from relrob_datasets import load, load_guarded
from relrob_datasets.pickles import load_inert
from tests.make_networks import write_keras1
from tests.support import random_dense

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.tflite"))
SHAPE = (6, 6, 1)


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Iterator[None]:
    yield
    child.close()


def line(path: Path, **options: Any) -> str:
    """The one line that comes of reading the file first."""
    with pytest.raises(RelrobError) as caught:
        try_network(path, image_shape=SHAPE, classes=4, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_good_file_passes_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = write_keras1(random_dense(0, (36, 5, 4)), tmp_path / "a.h5")
    before = path.read_bytes()
    try_network(path, image_shape=SHAPE, classes=4)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_endless_loop_of_an_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "SECONDS", 2.0)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("c", TensorProto.BOOL, []),
            value("v", TensorProto.FLOAT, [None, 36]),
        ],
        [value("d", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, [None, 36])],
    )
    rounds = helper.make_tensor("m", TensorProto.INT64, [], [2**62])
    nodes = [
        helper.make_node("Loop", ["m", "", "x"], ["y"], body=body),
        helper.make_node("Gemm", ["y", "k"], ["z"]),
    ]
    weights = helper.make_tensor("k", TensorProto.FLOAT, [36, 4], [0.5] * 144)
    ends = [value("x", TensorProto.FLOAT, ["n", 36])], [value("z", TensorProto.FLOAT, ["n", 4])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *ends, [rounds, weights]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "loop.onnx")
    assert "was not read within 2 s" in line(tmp_path / "loop.onnx")


def test_arrays_that_take_no_room_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hole.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"d"])
        group = file.create_group("d")
        group.attrs["weight_names"] = np.array([b"d_W", b"d_b"])
        group.create_dataset("d_W", (36, 2**24), np.float32, chunks=(36, 1024))
        group.create_dataset("d_b", (2**24,), np.float32, chunks=(1024,))
    assert path.stat().st_size < 100_000
    assert "claims 2,415,919,104 bytes" in line(path)


def test_an_archive_that_unpacks_to_more_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "config.json",
            json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": []}}),
        )
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(20):
                member.write(bytes(1 << 24))
    assert "needed more than" in line(path, memory=0.1)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_whole_flat_buffers_pass_and_damaged_ones_are_refused(path: Path) -> None:
    data = path.read_bytes()
    verify("a", data)
    for end in range(0, len(data), 61):
        with pytest.raises(NetworkError, match="not a whole"):
            verify("a", data[:end])
    rng, refused = np.random.default_rng(0), 0
    for _ in range(2000):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] = int(rng.integers(256))
        try:
            verify("a", bytes(changed))
        except NetworkError:
            refused += 1
    assert refused > 20


def _operator(model: Any) -> Any:
    return model.subgraphs[0].operators[0]


def _constant(model: Any) -> Any:
    """A buffer that a tensor of more than one value fills."""
    return next(each for each in model.buffers if each.data is not None and len(each.data) > 16)


EDITS: dict[str, Callable[[Any], None]] = {
    "operator code": lambda model: setattr(_operator(model), "opcodeIndex", 77),
    "tensor 77": lambda model: setattr(_operator(model), "inputs", [77, 1, 2]),
    "tensor -2": lambda model: setattr(_operator(model), "outputs", [-2]),
    "tensor 99": lambda model: setattr(model.subgraphs[0], "inputs", [99]),
    "buffer 500": lambda model: setattr(model.subgraphs[0].tensors[0], "buffer", 500),
    "not UTF-8": lambda model: setattr(model.subgraphs[0].tensors[0], "name", b"\xff\xfe"),
    "name of": lambda model: setattr(model.subgraphs[0].tensors[0], "name", b"a" * 20_000),
    "shape": lambda model: setattr(model.subgraphs[0].tensors[0], "shape", [2**20, 2**20]),
    "bytes of data": lambda model: setattr(_constant(model), "data", np.zeros(3, np.uint8)),
    "buffer beyond": lambda model: vars(_constant(model)).update(offset=9, size=2**40),
}


@pytest.mark.parametrize("said", EDITS)
def test_indices_and_sizes_of_a_flat_buffer_are_checked(said: str) -> None:
    data = GOLDEN[0].read_bytes()
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    EDITS[said](model)
    builder = Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(NetworkError, match=said):
        verify("a", bytes(builder.Output()))


def test_shared_tables_are_counted_as_often_as_they_are_named() -> None:
    builder = Builder(0)
    schema.BufferStart(builder)
    buffers = _vector(builder, schema.ModelStartBuffersVector, schema.BufferEnd(builder), 1)
    schema.TensorStart(builder)
    tensors = _vector(builder, schema.SubGraphStartTensorsVector, schema.TensorEnd(builder), 5000)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = _vector(builder, schema.ModelStartSubgraphsVector, schema.SubGraphEnd(builder), 5000)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    data = bytes(builder.Output())
    assert len(data) < 50_000
    with pytest.raises(NetworkError, match=f"more than {len(data) // 4:,} objects"):
        verify("a", data)


def _vector(builder: Any, start: Callable[[Any, int], Any], place: int, count: int) -> int:
    """A vector that names one table so many times."""
    start(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def test_a_data_set_that_claims_more_than_the_limit(tmp_path: Path) -> None:
    header = (
        repr({"descr": "|u1", "fortran_order": False, "shape": (2**32 // 784, 784)}).encode()
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header)
        archive.writestr("labels.npy", b"")
    with pytest.raises(DatasetError, match=r"needed more than 2 GiB.*--memory 4"):
        load_guarded(str(tmp_path / "bomb.npz"), "test")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("table", [False, True])
def test_what_is_no_regular_file_among_pictures_is_never_opened(
    kind: str, table: bool, tmp_path: Path
) -> None:
    (tmp_path / "0").mkdir()
    Image.new("L", (6, 6)).save(tmp_path / "0/a.png")
    odd = tmp_path / "0/b.png"
    {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": Path.mkdir}[
        kind
    ](odd)
    if table:
        (tmp_path / "labels.csv").write_text("filename,label\n0/a.png,0\n0/b.png,1\n")
    with pytest.raises(DatasetError, match="is not a regular file"):
        load(str(tmp_path))


def test_a_pickle_cannot_ask_for_a_table_larger_than_itself() -> None:
    with pytest.raises(DatasetError, match="remembers a value as number 536870912"):
        load_inert(b"\x80\x02Nr" + struct.pack("<I", 2**29) + b".")
    assert load_inert(b"\x80\x02]q\x01K\x05a.") == [5]


def test_a_name_of_gigabytes_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    size = 80 << 20
    head = tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, size
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(
            head.tobuf(tarfile.GNU_FORMAT)
            + b"a" * size
            + tarfile.TarInfo("x").tobuf()
            + bytes(1024)
        )
    with pytest.raises(DatasetError, match=f"a header of {size} bytes"):
        load(str(path))


STUDY = '[[grid]]\nname = "g"\nradius = ["1"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a." * 2000 + "a = 1\n" + STUDY, "dots"),
        ("x = " + "[" * 5000 + "]" * 5000 + "\n" + STUDY, "deeply"),
        ("x = " + "1" * 5000 + "\n" + STUDY, "digits"),
        (
            STUDY
            + "seed = "
            + str(list(range(200)))
            + "\nevaluations = "
            + str(list(range(1, 200))),
            "runs",
        ),
        (
            "".join(
                f"[[grid]]\nname = 'g{n}'\nradius={list(map(str, range(1, 2000)))}\n"
                for n in range(6)
            ),
            "more than",
        ),
    ],
)
def test_studies_that_would_take_for_ever_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_spec("s", text, {}, {})


def test_messages_escape_and_cap_what_they_quote() -> None:
    given = "layer \x1b]0;pwn\x07\x85\u202e\u200b" + "x" * 10_000 + "end"
    told = str(NetworkError(given, "é, 好", "\x00"))
    assert told.isprintable()
    assert r"\u001b]0;pwn\u0007" in told
    assert r"\u202e\u200b" in told
    assert "end; accepted: é, 好; try: " in told
    assert len(told) < 3 * LONGEST
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\u001b"


def test_log_records_are_escaped() -> None:
    record = logging.LogRecord("relrob", logging.WARNING, "", 0, "%s", ("\x1b[2Jname",), None)
    assert handler().format(record) == r"relrob: \u001b[2Jname"


def test_files_of_our_own_start_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a child was asked for")

    path = write_keras1(random_dense(0, (784, 5, 10)), tmp_path / "a.h5")
    for module in (first, data_first):
        monkeypatch.setattr(module, "guarded", refused)
    monkeypatch.setattr(networks, "cached_reference", lambda *arguments: path)
    data = load_guarded("mnist", "test")
    assert networks.reference_network(Request("1"), data, lambda event: None).classes == 10
    with pytest.raises(AssertionError, match="asked for"):
        networks.reference_network(Request("1", reference=str(path)), data, lambda event: None)
