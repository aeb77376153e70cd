"""A finished model on its way to the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mergesearch.errors import InputError, MergeSearchError
from mergesearch.parents.card import CARD

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """What is uploaded, and where to.

    Attributes:
        folder: Folder of the model.
        name: Repository, `ORG/NAME`.
        private: Whether a new repository is private.
        files: Path of each file in the folder, with its size in bytes.
    """

    folder: Path
    name: str
    private: bool
    files: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, folder: Path, name: str, *, private: bool) -> Upload:
        """Return what there is to upload of a folder; hidden files stay where they are.

        Raises:
            InputError: The folder holds no model with a card, or the name is not a repository's.
        """
        if _ID.fullmatch(name) is None:
            raise InputError(f"{name!r} is not a repository's name", expected="ORG/NAME")
        if not folder.is_dir() or not (folder / CARD).is_file():
            raise InputError(
                f"no folder with a {CARD}",
                where=folder,
                fix="make one: search build RECIPE --to upload -o DIR",
            )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        named = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
        files = [(path, size) for path, size in named if not path.startswith(".")]
        return cls(folder, name, private, files)

    def run(self) -> str:
        """Make the repository where there is none, upload the files, and return its address.

        The hub's client shows its own progress. Files that are there already are not sent again.

        Raises:
            MergeSearchError: The hub refuses, or cannot be reached.
        """
        import huggingface_hub
        from huggingface_hub import errors

        api = huggingface_hub.HfApi(library_name="mergesearch")
        try:
            url = api.create_repo(self.name, private=self.private, exist_ok=True)
            api.upload_folder(
                repo_id=self.name,
                folder_path=self.folder,
                allow_patterns=[path for path, _ in self.files],
                commit_message="Upload a merge made with mergesearch",
            )
        except (errors.HfHubHTTPError, errors.HFValidationError) as error:
            raise self._failed(error, "log in with write access: hf auth login") from error
        except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError) as error:
            raise self._failed(error, "try again; what is there is not sent again") from error
        return str(url)

    def _failed(self, error: Exception, fix: str) -> MergeSearchError:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return MergeSearchError(f"the upload failed: {first}", where=self.name, fix=fix)
