"""Image references: from the text of a feed to a picture, or to where workers can read it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.config.errors import BadInput
from infra.config.settings import Settings
from infra.fetching.local_files import find_below, read_below
from producers.facts.picture_links import path_candidates, read_link
from producers.image_packer import ImagePacker, open_packer
from schemas.failures import Code, Rejected
from schemas.items import FileImage, ImageRef

Locate = Callable[[str], ImageRef]
"""Turns a path from a feed into a picture reference; raises Rejected."""


def image_reference(text: str, locate: Locate) -> ImageRef:
    """The reference for a picture in a feed: a URL (http, s3, data), or a path for `locate`; raises Rejected."""
    link = read_link(text)
    if not isinstance(link, str):
        return link
    rejections = []
    for path in path_candidates(link):
        try:
            return locate(path)
        except Rejected as rejection:
            rejections.append(rejection)
    raise rejections[1 if link.startswith("/") and len(rejections) > 1 else 0]


@contextmanager
def open_root(text: str | None, settings: Settings, tenant: str) -> Iterator[Locate]:
    """The Locate for `--image-root` and a tenant, with what it needs until the block ends; raises BadInput."""
    with open_packer(settings, tenant) as packer:
        yield choose_root(text, settings.images.folders_of(tenant), packer)


def choose_root(text: str | None, roots: Mapping[str, Path], packer: ImagePacker | None = None) -> Locate:
    """The Locate for `--image-root`: a name in `roots` (events hold paths), else a folder (pictures are packed).

    `packer`: default, small pictures into events. Raises BadInput if it is neither.
    """
    if text is None:
        return refuse_paths
    if text in roots:
        return named_root(text, roots[text])
    if Path(text).is_dir():
        return FolderImages(Path(text), packer or ImagePacker())
    known = ", ".join(sorted(roots)) or "none"
    raise BadInput(
        f"--image-root {text} is no folder, and no name of this tenant in LOOKSTREAM_IMAGES_ROOTS (it has: {known})"
    )


def refuse_paths(text: str) -> ImageRef:
    """A Locate for feeds without a folder: raises Rejected for every path."""
    raise Rejected(Code.SOURCE_REFUSED, f"`{text[:200]}` is a path: say where pictures lie with --image-root")


@dataclass(frozen=True)
class FolderImages:
    """A Locate that packs the pictures of a folder. Thread-safe."""

    folder: Path
    packer: ImagePacker

    def __call__(self, text: str) -> ImageRef:
        """The packed picture at a path below the folder; raises Rejected or TryLater, and as ContentStore.put."""
        return self.packer.pack(read_below(self.folder, text, self.packer.max_bytes))


def threads_for(locate: Locate) -> int:
    """Rows of a feed that are worth reading at a time; 0: one after the other."""
    return locate.packer.threads if isinstance(locate, FolderImages) else 0


def named_root(name: str, folder: Path) -> Locate:
    """A Locate that sends paths only; workers know the folder by `name`."""

    def locate(text: str) -> ImageRef:
        return FileImage(root=name, path=find_below(folder, text).relative_to(folder.resolve()).as_posix())

    return locate
