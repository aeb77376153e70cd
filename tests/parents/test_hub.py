"""Downloads from a hub on this machine: pinned, resumed, used offline, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.adapters import make_tensors, write_adapter
from helpers.hub_server import COMMIT, Hub, serve
from helpers.parents import make_config, make_parent
from huggingface_hub import constants

from mergesearch.errors import CheckpointError
from mergesearch.parents import hub as downloads
from mergesearch.parents import open_checkpoint, pin_parents


def pin(ref: str) -> str:
    """The pinned id of one parent."""
    return pin_parents([ref], {})[ref]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a sharded parent, an adapter and a repository of pickles; an empty cache."""
    model = make_parent(tmp_path / "repositories" / "model", 1, arch="llama", shards=2)
    for name in ("pytorch_model.bin", "consolidated.safetensors", "original/model.safetensors"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"not wanted")
    lora = tmp_path / "repositories" / "lora"
    write_adapter(lora, make_tensors(make_config("llama")))
    pickles = tmp_path / "repositories" / "pickles"
    pickles.mkdir()
    (pickles / "config.json").write_text("{}")
    (pickles / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the hub's own retries
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    folders = {"org/model": model, "org/lora": lora, "org/pickles": pickles}
    with serve(Hub(folders, gated={"org/gated"})) as running:
        _point_to(running.url, monkeypatch)
        yield running


def _point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does in a new process."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", url)


WANTED = {
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_downloads_what_is_needed(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    """Weights, config and tokenizer, told beforehand; no pickles, no second copies; only once."""
    found = open_checkpoint("org/model")
    source = open_checkpoint(str(hub.folders["org/model"]))
    for name, info in source.tensors.items():
        rows = info.shape[0] if len(info.shape) == 2 else 1
        assert (found.rows(name, 0, rows) == source.rows(name, 0, rows)).all()
    assert {name for name, _ in hub.fetched()} == WANTED
    size = sum((hub.folders["org/model"] / name).stat().st_size for name in WANTED)
    told = capfd.readouterr()
    assert f"downloading org/model@0123456789ab: 6 files, {size / 1e9:.3g} GB" in told.err
    assert told.out == ""
    hub.requests.clear()
    open_checkpoint("org/model")
    assert hub.fetched() == []
    assert capfd.readouterr().err == ""


def test_where_no_bar_can_be_drawn_lines_tell_how_far_it_is(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloads, "QUIET_SECONDS", 0.0)
    downloads.download("org/model")
    lines = capfd.readouterr().err.splitlines()
    size = sum((hub.folders["org/model"] / name).stat().st_size for name in WANTED)
    assert f"downloaded {size / 1e9:.3g} of {size / 1e9:.3g} GB" == lines[-1]


def test_pinned_snapshots_need_no_network(hub: Hub) -> None:
    open_checkpoint(f"org/model@{COMMIT}")
    hub.requests.clear()
    open_checkpoint(f"org/model@{COMMIT}")
    assert hub.requests == []


def test_broken_connection_is_taken_up_where_it_broke(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the file is asked for, and the whole is what the hub holds."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.break_after = 40_000
    folder = downloads.download("org/model")
    shard = "model-00002-of-00002.safetensors"
    assert (shard, None) in hub.fetched()
    assert (shard, "bytes=40000-") in hub.fetched()
    assert (folder / shard).read_bytes() == (hub.folders["org/model"] / shard).read_bytes()


def test_finished_files_are_kept(hub: Hub) -> None:
    """A download that ends early goes on with the files that are missing."""
    shard = hub.folders["org/model"] / "model-00002-of-00002.safetensors"
    content = shard.read_bytes()
    folder = downloads.download("org/model")
    (folder / shard.name).resolve().unlink()
    (folder / shard.name).unlink()
    hub.requests.clear()
    downloads.download("org/model")
    assert hub.fetched() == [(shard.name, None)]
    assert (folder / shard.name).read_bytes() == content


def test_pins(hub: Hub, tmp_path: Path) -> None:
    """Ids of the hub take the commit; what is local, bundled, pinned or overridden stays."""
    pinned = f"org/model@{COMMIT}"
    assert pin("org/model") == pinned
    assert pin("org/model@main") == pinned
    assert pin(pinned) == pinned
    assert pin("demo:base") == "demo:base"
    assert pin("org/model+org/lora") == f"{pinned}+org/lora@{COMMIT}"
    assert pin("demo:base+org/lora") == f"demo:base+org/lora@{COMMIT}"
    local = tmp_path / "org" / "local"
    local.mkdir(parents=True)
    assert pin(str(local)) == str(local)
    assert pin("org/local") == "org/local"
    refs = ["org/model", "org/other", "org/other+org/lora"]
    assert pin_parents(refs, {"org/other": local}) == {
        "org/model": pinned,
        "org/other": "org/other",
        "org/other+org/lora": f"org/other+org/lora@{COMMIT}",
    }


def test_a_local_folder_of_that_name_wins(hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(hub.folders["org/model"], tmp_path / "org" / "model")
    open_checkpoint("org/model")
    assert hub.requests == []


def test_adapters_are_downloaded(hub: Hub) -> None:
    found = open_checkpoint("org/model+org/lora")
    model, lora = hub.folders["org/model"], hub.folders["org/lora"]
    local = open_checkpoint(f"{model}+{lora}")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (found.rows(name, 0, 64) == local.rows(name, 0, 64)).all()
    mixed = open_checkpoint("org/other+org/lora", {"org/other": model})
    assert (mixed.rows(name, 0, 64) == local.rows(name, 0, 64)).all()


@pytest.mark.parametrize("offline", [True, False])
def test_a_snapshot_is_used_without_network(
    offline: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stay offline, or with a hub that does not answer."""
    open_checkpoint("org/model")
    _cut_off(offline, monkeypatch)
    assert pin("org/model") == f"org/model@{COMMIT}"
    for ref in ("org/model", f"org/model@{COMMIT}"):
        assert "model.norm.weight" in open_checkpoint(ref).tensors


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_and_snapshot(
    offline: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut_off(offline, monkeypatch)
    for ref in ("org/model", f"org/model@{COMMIT}"):
        with pytest.raises(CheckpointError, match="cannot be reached, and its cache") as caught:
            open_checkpoint(ref)
        assert f"--parent {ref}=FOLDER" in str(caught.value)


def test_an_unfinished_snapshot_is_not_used_without_network(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = downloads.download("org/model")
    (folder / "model-00002-of-00002.safetensors").unlink()
    _cut_off(True, monkeypatch)
    with pytest.raises(CheckpointError, match="holds no complete copy"):
        open_checkpoint("org/model")


def _cut_off(offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if offline:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        _point_to("http://127.0.0.1:9", monkeypatch)


@pytest.mark.parametrize(
    ("ref", "message", "fix"),
    [
        ("org/absent", "no such repository", "hf auth login"),
        (f"org/absent@{COMMIT}", "no such repository", "--parent org/absent@"),
        ("org/gated", "the repository is gated", "accept its terms"),
        (f"org/gated@{COMMIT}", "the repository is gated", "accept its terms"),
        ("org/model@v9", "no such revision", "a branch, tag or commit"),
        (f"org/model@{'0' * 40}", "no such revision", "a branch, tag or commit"),
        ("org/pickles", "holds no safetensors", "convert its weights"),
        ("org/model+org/absent", "no such repository", "hf auth login"),
        ("org/sub/model", "no folder for the parent", "--parent org/sub/model=FOLDER"),
        ("org/model@../x", "no such revision", "a branch"),
    ],
)
def test_refused_with_its_reason(ref: str, message: str, fix: str, hub: Hub) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(ref)
    assert fix in str(caught.value)
    assert all(method == "HEAD" for method, path, _ in hub.requests if "/resolve/" in path)


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("org/name", True),
        ("Qwen/Qwen2.5-0.5B_x@main", True),
        ("org/name@refs/pr/3", True),
        ("name", False),
        ("org/name/more", False),
        ("./folder/name", False),
        ("../name", False),
        ("/org/name", False),
        ("org/na me", False),
        ("org/name@", False),
        ("demo:base", False),
    ],
)
def test_form_of_an_id(ref: str, expected: bool) -> None:
    assert downloads.is_id(ref) is expected
