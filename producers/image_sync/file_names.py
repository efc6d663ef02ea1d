"""File names: which files of a location are pictures, and why others are passed over."""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.console import format_count
from infra.images.formats import is_picture_name, looks_like_picture, media_type

SYSTEM_FOLDERS = {
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "__macosx", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip
"""Folders that storage devices, archives and systems make, in lower case: thumbnails, waste and snapshots."""
UNFINISHED_SUFFIXES = (".crdownload", ".download", ".filepart", ".part", ".partial", ".tmp")
"""Suffixes of downloads and copies in progress: they become pictures under another name."""
SUFFIX = re.compile(r"\.[A-Za-z0-9_]{1,10}$")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_ITEM_ID = 200
"""Characters of an item id (schemas/items.py)."""
MAX_VERDICTS = 100_000
MAX_NAMED = 12
"""Reasons that are printed; the rest are summed up."""


@dataclass(eq=False)
class PictureFilter:
    """Decides which files are pictures, and counts those that are passed over, by reason."""

    passed_over: Counter[str] = field(default_factory=Counter)
    """Files, links and folders that the last scan passed over."""
    _verdicts: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """For a path whose first bytes were read, its mark at that time, and whether it was a picture."""

    def begin(self) -> None:
        """Begin a scan."""
        self.passed_over.clear()

    def pass_over(self, reason: str) -> None:
        """Count something that is passed over."""
        self.passed_over[reason] += 1

    def is_picture(self, path: str, mark: str, read_start: Callable[[], bytes]) -> bool:
        """Whether a file is a picture: by its suffix, else by its first bytes; counts it if it is not.

        `mark` is that of its version. `read_start` reads its first MAGIC_BYTES bytes; its errors are raised.
        """
        name = path.rpartition("/")[2]
        reason = name_reason(name)
        if reason is None and not is_picture_name(name) and not self._begins_as_picture(path, mark, read_start):
            reason = suffix_of(name) or "without a suffix"
        if reason is not None:
            self.pass_over(reason)
        return reason is None

    def line(self) -> str:
        """A sentence like `3 files passed over: 2 .mov, 1 hidden`; empty if no file was passed over."""
        if not self.passed_over:
            return ""
        named = self.passed_over.most_common(MAX_NAMED)
        rest = self.passed_over.total() - sum(count for _, count in named)
        reasons = [f"{count} {reason}" for reason, count in named] + ([f"{rest} others"] if rest else [])
        total = format_count(self.passed_over.total(), "file", "files")
        return f"{total} passed over: {', '.join(reasons)}"

    def _begins_as_picture(self, path: str, mark: str, read_start: Callable[[], bytes]) -> bool:
        known = self._verdicts.get(path)
        if len(self._verdicts) >= MAX_VERDICTS:
            self._verdicts.clear()
        if known is None or known[0] != mark:
            known = self._verdicts[path] = mark, media_type(read_start()) is not None
        return known[1]


def name_reason(name: str) -> str | None:
    """Why a file is passed over for its name alone; None if it may be a picture."""
    if name.startswith("._"):
        return "resource fork of macOS (._)"
    if name.startswith("."):
        return "hidden"
    if name.endswith("~"):
        return "backup (~)"
    suffix = suffix_of(name)
    if suffix in UNFINISHED_SUFFIXES:
        return f"{suffix} (unfinished)"
    if looks_like_picture(name) and not is_picture_name(name):  # also by name, as raw files begin as a TIFF does
        return f"{suffix} (not supported: export it as JPEG)"
    return None


def folder_reason(name: str) -> str | None:
    """Why a folder of this name is passed over; None if it is not."""
    if name.lower() in SYSTEM_FOLDERS:
        return name
    return "hidden folder" if name.startswith(".") else None


def path_reason(path: str) -> str | None:
    """Why no item can have a picture's path as its id; None if one can."""
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 are lone surrogates in Python
        return "its name is not UTF-8: rename it"
    if CONTROL.search(path):
        return "its name has a control character, such as a line end: rename it"
    if len(path) > MAX_ITEM_ID:
        return f"its path has {len(path)} characters, and an item id {MAX_ITEM_ID} at most: move or rename it"
    if not path.strip(" "):
        return "its name is of blanks alone: rename it"
    return None


def suffix_of(name: str) -> str:
    """The suffix of a file name in lower case, if it has a usual one."""
    found = SUFFIX.search(name)
    return found.group().lower() if found and found.start() else ""


def visible_path(path: str) -> str:
    r"""A path as text that any terminal and file takes: bytes that are not UTF-8 become `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
