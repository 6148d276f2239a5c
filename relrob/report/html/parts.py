"""What a page is made of: a verdict, then sections of tables, figures, cards and sentences.

A page is a value. Text in it is plain text, which the template escapes; only figures hold markup,
which `relrob.report.html.charts` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from markupsafe import Markup


class Tone(StrEnum):
    """What a colour says; a word always says it too."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    DIM = "dim"
    PLAIN = ""


@dataclass(frozen=True)
class Picture:
    """An image as a data URI. `source` is "" where the page has no room for it any more."""

    source: str
    alt: str

    @property
    def there(self) -> bool:
        """Is it shown?"""
        return bool(self.source)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: words, or a picture or a chart before them."""

    text: str
    tone: Tone = Tone.PLAIN
    picture: Picture | None = None
    chart: Markup | None = None
    link: str = ""


@dataclass(frozen=True)
class Column:
    """A column. `hint`: what it holds, where its name does not say it."""

    name: str
    numeric: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Line:
    """A row; `key`: the value that a filter looks at; `anchor`: a name that links lead to."""

    cells: tuple[Cell | str, ...]
    key: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A table. `keys`: values of a filter by the word `filtered`; with them, rows can be filtered
    and sorted. `tall`: it scrolls in a window of its own. `stacked`: on a phone the cells of a row
    stand one below the other, which reads best where they are sentences. Raises ValueError for a
    ragged row."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    keys: tuple[str, ...] = ()
    filtered: str = ""
    tall: bool = False
    stacked: bool = False

    def __post_init__(self) -> None:
        if any(len(row.cells) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.caption}: rows of other lengths than {len(self.columns)}")


@dataclass(frozen=True)
class Figure:
    """A chart with its caption. `name`: what readers by ear are told; no two on a page share it."""

    kind: ClassVar[str] = "figure"
    chart: Markup
    caption: str
    name: str


@dataclass(frozen=True)
class Strip:
    """Some images of a set: its `name`, what it means, and how many more there are."""

    name: str
    meaning: str
    pictures: tuple[tuple[Picture, str], ...]
    note: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Strips:
    """Sets as rows of pictures."""

    kind: ClassVar[str] = "strips"
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Card:
    """An image of which something must be said: pictures with captions, charts, sentences."""

    title: str
    badge: str
    tone: Tone
    pictures: tuple[tuple[Picture, str], ...]
    charts: tuple[tuple[Markup, str], ...]
    sentences: tuple[str, ...]
    anchor: str = ""


@dataclass(frozen=True)
class Cards:
    """Cards side by side."""

    kind: ClassVar[str] = "cards"
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Notes:
    """Sentences, one below the other; with a tone, in a box."""

    kind: ClassVar[str] = "notes"
    sentences: tuple[str, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Terms:
    """Names and what they stand for. `code`: texts to copy, such as digests and commands."""

    kind: ClassVar[str] = "terms"
    pairs: tuple[tuple[str, str], ...]
    code: bool = False


Block = Table | Figure | Strips | Cards | Notes | Terms


@dataclass(frozen=True)
class Section:
    """A heading, a sentence that says what is below, and the blocks."""

    anchor: str
    title: str
    intro: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """A number that a reader looks for first."""

    name: str
    value: str
    note: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Page:
    """A whole page. `subject`: "relrob audit" or the like; `verdict`: a few words, with their
    `tone`; `sentences`: what they mean, for a reader who knows no set names."""

    subject: str
    title: str
    verdict: str
    tone: Tone
    sentences: tuple[str, ...]
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footer: str
