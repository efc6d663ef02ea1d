"""Output folder: writes the encoder's folder completely or not at all, and replaces nothing but an encoder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.config.errors import BadInput
from infra.encoder import FITTED


def check_out(out: Path, *, force: bool) -> None:
    """Raises BadInput unless `out` is new, an empty folder or, with `force`, an encoder folder."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise BadInput(f"--out {out} is there and no folder: name a new one")
    if not any(out.iterdir()):
        return
    if not (out / FITTED).is_file():
        raise BadInput(f"--out {out} holds something else than an encoder: name a new or an empty folder")
    if not force:
        raise BadInput(f"--out {out} holds an encoder already: name another folder, or --force to replace it")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that replaces `out` on success, and is deleted on an error. Raises BadInput."""
    draft, old = (out.parent / f".{out.name}.{os.getpid()}.{suffix}" for suffix in ("new", "old"))
    try:
        draft.mkdir(parents=True)
        yield draft
        if out.exists():
            out.rename(old)
        _rename_or_restore(draft, out, old)
    except OSError as error:
        raise BadInput(f"--out {out} cannot be written: {error.strerror}") from None
    finally:
        for leftover in (draft, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _rename_or_restore(draft: Path, out: Path, old: Path) -> None:
    try:
        draft.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
