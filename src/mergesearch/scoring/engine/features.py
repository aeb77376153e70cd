"""What the installed llama.cpp can do."""

from __future__ import annotations

from dataclasses import dataclass

_PROCESSOR = {"CPU", "BLAS"}


@dataclass(frozen=True)
class Features:
    """Features of llama.cpp as llama-cpp-python brings it.

    Attributes:
        version: Version of llama-cpp-python.
        gpu: Whether it can keep layers on a GPU: it was compiled for one, and finds one.
        gpu_backends: Kinds of GPU that it was compiled for, such as CUDA.
        instructions: Instruction sets that its processor kernels were compiled for and use here.
    """

    version: str
    gpu: bool
    gpu_backends: tuple[str, ...]
    instructions: tuple[str, ...]


def features() -> Features:
    """Return the features of the installed llama.cpp, which looks for GPUs without a word."""
    import llama_cpp

    from mergesearch.scoring.engine.context import log_to

    log_to(None)
    backends = parse_backends(llama_cpp.llama_print_system_info().decode())
    return Features(
        llama_cpp.__version__,
        bool(llama_cpp.llama_supports_gpu_offload()),
        tuple(name for name in backends if name not in _PROCESSOR),
        tuple(backends.get("CPU", ())),
    )


def parse_backends(info: str) -> dict[str, list[str]]:
    """Return the names of each backend's features, by backend, from llama.cpp's line about them.

    >>> parse_backends("CUDA : ARCHS = 900 | USE_GRAPHS = 1 | CPU : AVX2 = 1 | FMA = 1 | ")
    {'CUDA': ['ARCHS', 'USE_GRAPHS'], 'CPU': ['AVX2', 'FMA']}
    """
    backends: dict[str, list[str]] = {}
    names: list[str] = []
    for part in filter(str.strip, info.split("|")):
        backend, colon, first = part.rpartition(" : ")
        if colon:
            names = backends.setdefault(backend.strip(), [])
        names.append(first.partition("=")[0].strip())
    return backends
