"""An object store in memory that keeps what real ones do: an object appears whole, and each reader reads on its own.

fsspec's own file system in memory does neither: a file is there, empty, from its opening on, and all that read it share
one position.
"""

import io
import uuid

import fsspec
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem


class ObjectStore(MemoryFileSystem):
    protocol = "objects"

    def _open(self, path, mode="rb", data=None, **options):
        if mode == "rb":
            return MemoryFile(self, path, super()._open(path, mode, **options).getvalue())
        if data is None:
            return Put(self, path)
        return super()._open(path, mode, data=data, **options)


class Put(io.BytesIO):
    """What is written of an object, which appears when it is closed."""

    def __init__(self, store, path):
        super().__init__()
        self.store, self.path = store, path

    def close(self):
        if not self.closed:
            self.store.pipe_file(self.path, self.getvalue())
        super().close()


def object_store(protocol="objects"):
    """The URI of an empty one."""
    return f"fsspec+{protocol}:///{uuid.uuid4().hex}"


fsspec.register_implementation(ObjectStore.protocol, ObjectStore, clobber=True)
