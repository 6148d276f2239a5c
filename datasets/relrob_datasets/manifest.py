"""The data sets with a name: official files with their checksums, addresses and terms.

MD5 sums are those of torchvision and the publishers' pages; SHA-256 sums are those of TensorFlow
Datasets, Keras and the Ruby port of torchvision. The SHA-256 sums of the embedded MNIST were
computed from the files, whose MD5 sums are the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relrob.errors import DatasetError

TRAIN, TEST = ("train",), ("test",)
BOTH = ("train", "test")
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class File:
    """One official file. `splits`: those that it holds, or holds a part of. `size` in bytes, 0
    where it is unknown. Raises DatasetError without a checksum."""

    name: str
    splits: tuple[str, ...]
    size: int = 0
    md5: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if not (self.md5 or self.sha256):
            raise DatasetError(f"{self.name} has no checksum", "an md5 or a sha256")


@dataclass(frozen=True)
class Form:
    """The files of one of the formats in which a data set is published.

    `loader`: "module:function" of (paths, split) -> (images, labels).
    """

    files: tuple[File, ...]
    loader: str

    def of(self, split: str) -> tuple[File, ...]:
        """The files of one split, in reading order."""
        return tuple(file for file in self.files if split in file.splits)


@dataclass(frozen=True)
class Manifest:
    """A data set with a name. The first of the `forms` is fetched, from the `urls` in turn; a user
    may bring any of them. `splits`: (name, images) each."""

    name: str
    title: str
    urls: tuple[str, ...]
    forms: tuple[Form, ...]
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: tuple[tuple[str, int], ...]
    licence: str
    credit: str
    embedded: Path | None = None

    def form_in(self, folder: Path, split: str) -> Form | None:
        """The first form whose files of that split are all in the folder."""
        for form in self.forms:
            files = form.of(split)
            if files and all((folder / file.name).is_file() for file in files):
                return form
        return None

    def check_split(self, split: str) -> None:
        """Raise DatasetError for a split that the data set does not have."""
        if split not in dict(self.splits):
            raise DatasetError(
                f"data set {self.name!r} has no split {split!r}", ", ".join(dict(self.splits))
            )


MNIST = Manifest(
    name="mnist",
    title="MNIST handwritten digits",
    urls=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    forms=(
        Form(
            (
                File(
                    "train-images-idx3-ubyte.gz",
                    TRAIN,
                    9912422,
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                File(
                    "train-labels-idx1-ubyte.gz",
                    TRAIN,
                    28881,
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                File(
                    "t10k-images-idx3-ubyte.gz",
                    TEST,
                    1648877,
                    "9fb629c4189551a2d022fa330f9573f3",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                File(
                    "t10k-labels-idx1-ubyte.gz",
                    TEST,
                    4542,
                    "ec29112dd5afa0611ce80d1b7f02629c",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
            "relrob_datasets.idx:read",
        ),
    ),
    classes=DIGITS,
    image_shape=(28, 28, 1),
    splits=(("train", 60000), ("test", 10000)),
    licence="CC BY-SA 3.0",
    credit="Yann LeCun, Corinna Cortes, Christopher J.C. Burges",
    embedded=Path(__file__).parent / "mnist",
)

FASHION_MNIST = Manifest(
    name="fashion-mnist",
    title="Fashion-MNIST, Zalando's article images",
    urls=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    forms=(
        Form(
            (
                File(
                    "train-images-idx3-ubyte.gz",
                    TRAIN,
                    26421880,
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                File(
                    "train-labels-idx1-ubyte.gz",
                    TRAIN,
                    29515,
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                File(
                    "t10k-images-idx3-ubyte.gz",
                    TEST,
                    4422102,
                    "bef4ecab320f06d8554ea6380940ec79",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                File(
                    "t10k-labels-idx1-ubyte.gz",
                    TEST,
                    5148,
                    "bb300cfdad3c16e7a12a480ee83cd310",
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            "relrob_datasets.idx:read",
        ),
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    image_shape=(28, 28, 1),
    splits=(("train", 60000), ("test", 10000)),
    licence="MIT",
    credit="Han Xiao, Kashif Rasul, Roland Vollgraf (Zalando SE)",
)

_CIFAR = "relrob_datasets.cifar:read"

CIFAR10 = Manifest(
    name="cifar10",
    title="CIFAR-10 tiny colour images",
    urls=("https://www.cs.toronto.edu/~kriz/",),
    forms=(
        Form(
            (
                File(
                    "cifar-10-binary.tar.gz",
                    BOTH,
                    170052171,
                    "c32a1d4ab5d03f1284b67883e8d87530",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            _CIFAR,
        ),
        Form(
            (
                File(
                    "cifar-10-python.tar.gz",
                    BOTH,
                    md5="c58f30108f718f92721af3b95e74349a",
                    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                ),
            ),
            _CIFAR,
        ),
        Form(
            (
                File(
                    "data_batch_1.bin",
                    TRAIN,
                    sha256="cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                ),
                File(
                    "data_batch_2.bin",
                    TRAIN,
                    sha256="a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                ),
                File(
                    "data_batch_3.bin",
                    TRAIN,
                    sha256="bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                ),
                File(
                    "data_batch_4.bin",
                    TRAIN,
                    sha256="014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                ),
                File(
                    "data_batch_5.bin",
                    TRAIN,
                    sha256="755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                ),
                File(
                    "test_batch.bin",
                    TEST,
                    sha256="8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
            ),
            _CIFAR,
        ),
        Form(
            (
                File("data_batch_1", TRAIN, md5="c99cafc152244af753f735de768cd75f"),
                File("data_batch_2", TRAIN, md5="d4bba439e000b95fd0a9bffe97cbabec"),
                File("data_batch_3", TRAIN, md5="54ebc095f3ab1f0389bbae665268c751"),
                File("data_batch_4", TRAIN, md5="634d18415352ddfa80567beed471001a"),
                File("data_batch_5", TRAIN, md5="482c414d41f54cd18b22e5b47cb7c3cb"),
                File("test_batch", TEST, md5="40351d587109b95175f43aff81a1287e"),
            ),
            _CIFAR,
        ),
    ),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    image_shape=(32, 32, 3),
    splits=(("train", 50000), ("test", 10000)),
    licence="none stated by its authors",
    credit="Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
)

SVHN = Manifest(
    name="svhn",
    title="Street View House Numbers, cropped digits",
    urls=("http://ufldl.stanford.edu/housenumbers/",),
    forms=(
        Form(
            (
                File(
                    "train_32x32.mat",
                    TRAIN,
                    182040794,
                    "e26dedcc434d2e4c54c9b2d4a06d8373",
                    "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
                ),
                File(
                    "test_32x32.mat",
                    TEST,
                    64275384,
                    "eb5a983be6a315427106f1b164d9cef3",
                    "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
                ),
            ),
            "relrob_datasets.svhn:read",
        ),
    ),
    classes=DIGITS,
    image_shape=(32, 32, 3),
    splits=(("train", 73257), ("test", 26032)),
    licence="non-commercial use only",
    credit="Yuval Netzer, Tao Wang, Adam Coates, Alessandro Bissacco, Bo Wu, Andrew Y. Ng, 2011",
)

MANIFESTS: tuple[Manifest, ...] = (MNIST, FASHION_MNIST, CIFAR10, SVHN)
NAMES = ", ".join(manifest.name for manifest in MANIFESTS)


def find(name: str) -> Manifest | None:
    """The manifest of that name, or None."""
    return next((manifest for manifest in MANIFESTS if manifest.name == name), None)
