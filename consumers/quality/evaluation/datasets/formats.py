"""Dataset formats: all that can be read, and which one a folder has."""

from pathlib import Path

from consumers.quality.evaluation.datasets.deepfashion2 import DEEPFASHION2
from consumers.quality.evaluation.datasets.ilias import ILIAS
from consumers.quality.evaluation.datasets.lookbench import LOOKBENCH
from consumers.quality.evaluation.datasets.mieb import MIEB
from consumers.quality.evaluation.datasets.retrieval_dataset import RetrievalDataset
from consumers.quality.evaluation.datasets.rp2k import RP2K
from consumers.quality.evaluation.datasets.sop import SOP
from infra.config.errors import BadInput

FORMATS = (LOOKBENCH, ILIAS, SOP, DEEPFASHION2, RP2K, MIEB)


def open_dataset(folder: Path, split: str | None, format_name: str | None) -> RetrievalDataset:
    """A split, by default the first one, of the set in a folder; its format is recognised unless it is named.

    Raises BadInput, which names what would be right, for a folder of no or of several formats, and for a split that
    is not there.
    """
    known = [each for each in FORMATS if format_name in (None, each.name)]
    if not known:
        names = ", ".join(each.name for each in FORMATS)
        raise BadInput(f"--format {format_name}: the formats are {names}")
    try:
        found = [(each, root) for each in known if (root := each.find(folder)) is not None]
    except OSError as error:
        raise BadInput(f"--dataset {folder} cannot be read: {error.strerror}") from None
    if not found:
        layouts = "; ".join(f"{each.name} ({each.title}): {each.layout}" for each in known)
        state = "has none of the known sets" if folder.is_dir() else "is no folder"
        raise BadInput(f"--dataset {folder} {state}. What a folder must have: {layouts}")
    if len(found) > 1:
        names = " and ".join(each.name for each, _ in found)
        raise BadInput(f"--dataset {folder} may be of {names}: name one with --format")
    chosen, root = found[0]
    splits = chosen.splits(root)
    if not splits:
        raise BadInput(f"--dataset {folder} has no split of {chosen.title}: it must have {chosen.layout}")
    if split is not None and split not in splits:
        raise BadInput(f"--split {split}: {chosen.title} has {', '.join(splits)} in {root}")
    return chosen.read(root, split or splits[0])
