"""The reader of checkpoints: it reads what torch reads, and a file cannot make it run code."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.encoder import EncoderUnavailable
from infra.encoder.checkpoint import fold_batch_norms, read_checkpoint
from infra.encoder.lite import checkpoint

UNITS = 49
"""Convolutions of Lite0."""


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_every_tensor_is_the_one_that_torch_reads(variant: int) -> None:
    path = checkpoint(variant)
    expected = list(torch.load(path, map_location="cpu", weights_only=True).values())
    found = list(read_checkpoint(path).values())
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one.numpy(), other)


def test_each_convolution_is_folded_with_its_batch_norm() -> None:
    kernels = fold_batch_norms(read_checkpoint(checkpoint(0)))
    assert len(kernels) == UNITS
    assert kernels["stem"].weight.shape == (32, 3, 3, 3)
    assert all(kernel.bias.shape == kernel.weight.shape[:1] for kernel in kernels.values())


class Attack:
    """Runs a command when it is unpickled as usual."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


def test_a_file_that_names_code_is_refused_and_runs_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pth").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(EncoderUnavailable, match=r"it names (posix|nt) mkdir"):
        read_checkpoint(Path("weights.pth"))
    assert not Path("attacked").exists()


def test_a_file_cannot_take_more_memory_than_its_size(tmp_path: Path) -> None:
    path, number = tmp_path / "weights.pth", (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(b"\x80\x02Nr" + number + b".")  # a memo of so many entries is 16 GB in Python's own unpickler
    with pytest.raises(EncoderUnavailable, match="does not hold the weights"):
        read_checkpoint(path)


@settings(max_examples=50, deadline=None)
@given(at=st.integers(0, 60_000), damage=st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, damage: bytes
) -> None:
    data = bytearray(checkpoint(0).read_bytes())
    data[at : at + len(damage)] = damage
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(data)
    with suppress(EncoderUnavailable):
        read_checkpoint(path)
