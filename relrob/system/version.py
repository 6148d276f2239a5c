"""The version, where every part can read it."""

from typing import Final

VERSION: Final = "0.1.0"
