"""The tasks of the installed lm-eval by name, without making Python objects of all their files.

lm-eval's own index does, which takes seventeen seconds of processor time; this one takes two.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import lm_eval.tasks
import yaml
from lm_eval.tasks import TaskManager

_KEYS = {"task", "group", "tag", "class", "include"}
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@cache
def installed_tasks(folder: Path = Path(lm_eval.tasks.__file__).parent) -> TaskManager:
    """Return lm-eval's manager of the tasks, groups and tags that YAMLs in a folder define.

    Its `task_index` is the one that lm-eval makes itself (lm_eval/tasks/_index.py). A release of
    lm-eval that indexes tasks in another way makes its own, of its own folder.
    """
    try:
        from lm_eval.tasks._index import TaskIndex

        enter = TaskIndex.process_cfg
    except (ImportError, AttributeError):
        return TaskManager()
    manager = TaskManager(include_defaults=False)
    for path in sorted(folder.rglob("*.yaml"), key=Path.as_posix):
        try:
            enter(_names(path), path, manager.task_index)
        except Exception:  # what is only included, or damaged, defines nothing, as in lm-eval
            continue
    return manager


@lru_cache(maxsize=64)  # files that stand together include the same one
def _names(path: Path) -> dict[str, Any]:
    """What a YAML and those that it includes say of names."""
    document: Any = yaml.compose(path.read_bytes(), _Loader)
    own = {key.value: _plain(value) for key, value in document.value if key.value in _KEYS}
    names: dict[str, Any] = {}
    includes = own.pop("include", [])
    for include in includes if isinstance(includes, list) else [includes]:
        names |= _names(path.parent / include)
    return names | own


def _plain(node: yaml.Node) -> str | list[Any]:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return [inner.value for inner in node.value]
