"""One tree of errors. Each message says what was given, what is accepted and what to try."""

from __future__ import annotations


class RelrobError(Exception):
    """A mistake that the user can mend; the command line prints its one line and exits with `exit_code`."""

    exit_code = 2

    def __init__(self, given: str, accepted: str = "", hint: str = "") -> None:
        """`given`: what was wrong; `accepted`: what would be right; `hint`: what to try. One line in all."""
        parts = [given.strip().rstrip(".")]
        if accepted:
            parts.append(f"accepted: {accepted.strip().rstrip('.')}")
        if hint:
            parts.append(f"try: {hint.strip().rstrip('.')}")
        super().__init__(" ".join("; ".join(parts).split()))


class UsageError(RelrobError):
    """An option or argument has no meaning here."""


class DatasetError(RelrobError):
    """Images or labels cannot be read, or are not images and labels."""


class ChecksumError(DatasetError):
    """A file is not the one that its manifest names."""


class NetworkError(RelrobError):
    """A network file cannot be read, or holds what relrob does not run."""


class UnsupportedLayerError(NetworkError):
    """A layer or operator outside the supported set; the message names it and its position."""


class ShapeError(NetworkError):
    """A network does not fit the images or the classes."""


class QuantiseError(RelrobError):
    """A network cannot be quantised in the scheme asked for."""


class RegionError(RelrobError):
    """A region of perturbed images is not well defined, or too large for what was asked of it."""


class CertificateError(RelrobError):
    """A file is no certificate that this version reads, or the network that it speaks of is not there."""


class StoreError(RelrobError):
    """A run directory cannot be used: another configuration, a full disk, not a run directory."""


class AlarmError(RelrobError):
    """A network did what was proved that it does not: a bug of relrob's, or of the machine. Nothing is pronounced."""

    exit_code = 4
