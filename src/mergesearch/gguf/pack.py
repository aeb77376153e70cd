"""The bytes of a GGUF before its data, packed in sections that can be kept.

Format: ggml's `docs/gguf.md`. A vocabulary takes longer to pack than everything else in a header,
and is the same for all candidates of a search.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import gguf
from gguf.gguf_writer import WriterState

Keys = tuple[int, bytes]
"""How many keys a section has, and their bytes."""


def writer_without_keys(arch: str = "") -> gguf.GGUFWriter:
    """Return a writer that has not even the key of the architecture, which a new one has."""
    writer = gguf.GGUFWriter(None, arch)
    writer.kv_data[0].clear()
    return writer


def packed_keys(writer: gguf.GGUFWriter) -> Keys:
    """Return the keys that were added to a writer."""
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.HEADER
    writer.write_kv_data_to_file()
    return len(writer.kv_data[0]), buffer.getvalue()


def packed_header(sections: Sequence[Keys], tensors: gguf.GGUFWriter) -> bytes:
    """Return the whole header: magic, version, counts, keys, and the tensors of a writer."""
    buffer = io.BytesIO()
    tensors.fout, tensors.state = [buffer], WriterState.KV_DATA
    tensors.write_ti_data_to_file()
    counts = (len(tensors.tensors[0]), sum(count for count, _ in sections))
    start = struct.pack("<IIQQ", gguf.GGUF_MAGIC, gguf.GGUF_VERSION, *counts)
    return start + b"".join(keys for _, keys in sections) + buffer.getvalue()
