"""Which GPU a worker uses."""

from __future__ import annotations

import os

import pytest

from mergesearch.errors import InputError
from mergesearch.runs.workplace import check_gpu, use_gpu


@pytest.mark.parametrize("gpu", ["0", "12", "GPU-8f6d1a2b-0000-1111-2222-333344445555"])
def test_numbers_and_ids_are_gpus(gpu: str) -> None:
    assert check_gpu(gpu) == gpu


@pytest.mark.parametrize("gpu", ["", "-1", "0,1", "all", "1 "])
def test_other_words_are_not(gpu: str) -> None:
    with pytest.raises(InputError, match="is not a GPU"):
        check_gpu(gpu)


def test_only_one_gpu_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "before")
    use_gpu("1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == os.environ["GGML_VK_VISIBLE_DEVICES"] == "1"
