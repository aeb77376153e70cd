"""What the installed llama.cpp can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """Features of llama.cpp as llama-cpp-python brings it.

    Attributes:
        version: Version of llama-cpp-python.
        gpu: Whether it can keep layers on a GPU.
        instructions: Instruction sets that its processor kernels were compiled for and use here.
    """

    version: str
    gpu: bool
    instructions: tuple[str, ...]


def features() -> Features:
    """Return the features of the installed llama.cpp."""
    import llama_cpp

    info = llama_cpp.llama_print_system_info().decode()
    _, _, found = info.rpartition("CPU : ")
    names = [part.partition("=")[0].strip() for part in found.split("|") if part.strip()]
    return Features(
        llama_cpp.__version__,
        bool(llama_cpp.llama_supports_gpu_offload()),
        tuple(name for name in names if name),
    )
