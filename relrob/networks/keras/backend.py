"""The import of Keras, on TensorFlow and with its own defaults, or an error in one line before it.

The environment (KERAS_BACKEND) or a file (keras.json, in KERAS_HOME or the home directory) may name
another backend. The file may also name another epsilon or order of axes. The meaning of a network
file must depend on none of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from relrob.errors import UsageError
from relrob.registry import load
from relrob.system.quiet import quiet_native

_WANTED: Final = "tensorflow"
_DEFAULTS: Final = (
    ("floatx", "float32"),
    ("epsilon", 1e-7),
    ("image_data_format", "channels_last"),
)


def load_on_tensorflow(target: str) -> Any:
    """The object behind "module:attribute", whose module imports Keras. Raises UsageError."""
    check_backend()
    # TensorFlow prints messages from its import on.
    with quiet_native():
        try:
            found = load(target)
        except ValueError as error:
            raise UsageError(
                f"Keras does not start ({error})", "a keras.json of its own", f"rm {_file()}"
            ) from error
        for name, value in _DEFAULTS:
            load(f"keras.config:set_{name}")(value)
    return found


def check_backend() -> None:
    """Raise UsageError where Keras would run on anything but TensorFlow."""
    asked = os.environ.get("KERAS_BACKEND")
    if asked and asked != _WANTED:
        raise UsageError(f"Keras runs on {asked}", _WANTED, "unset KERAS_BACKEND")
    if asked:
        return
    try:
        settings = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    named = settings.get("backend", _WANTED) if isinstance(settings, dict) else _WANTED
    if named != _WANTED:
        raise UsageError(f"Keras runs on {named} ({_file()})", _WANTED, f"KERAS_BACKEND={_WANTED}")


def _file() -> Path:
    """The path at which Keras reads its settings."""
    home = Path.home()
    base = home if os.access(home, os.W_OK) else Path("/tmp")  # noqa: S108 (as Keras itself does)
    return Path(os.environ.get("KERAS_HOME", base / ".keras")).expanduser() / "keras.json"
