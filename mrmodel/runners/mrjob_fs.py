"""mrjob's view of HDFS, without a JVM for every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mrjob.fs.hadoop import HadoopFilesystem

from mrmodel import storage
from mrmodel.parallel import map_parallel
from mrmodel.shards.globs import expand_glob, has_magic

_CHUNK = 8 << 20


class NativeFilesystem(HadoopFilesystem):
    """The calls that mrjob's hadoop runner makes, by mrmodel's own storage. mrjob's would start
    ``hadoop fs`` for each: a second or two every time."""

    _puts: list[tuple[str, str]] | None = None

    @contextmanager
    def putting_together(self) -> Iterator[None]:
        """What is put in this context is there at its end, not before."""
        waiting = self._puts = []
        try:
            yield
        finally:
            self._puts = None
        map_parallel(lambda put: self.put(*put), waiting)

    def ls(self, path_glob: str) -> Iterator[str]:
        for uri in _expand(path_glob):
            entry = storage.storage_for(uri).stat(uri)
            if entry is not None and entry.is_dir:
                yield from (e.uri for e in storage.storage_for(uri).ls(uri, recursive=True))
            elif entry is not None:
                yield entry.uri

    def exists(self, path_glob: str) -> bool:
        return any(storage.exists(uri) for uri in _expand(path_glob))

    def mkdir(self, path: str) -> None:
        storage.storage_for(path).mkdir(path)

    def put(self, src: str, path: str) -> None:
        if self._puts is not None:
            self._puts.append((src, path))
            return
        with open(src, "rb") as source, storage.storage_for(path).create(path) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)

    def rm(self, path_glob: str) -> None:
        for uri in _expand(path_glob):
            storage.storage_for(uri).delete(uri)

    def _cat_file(self, path: str) -> Iterator[bytes]:
        with storage.storage_for(path).open(path) as source:
            while chunk := source.read(_CHUNK):
                yield chunk


def _expand(path_glob: str) -> list[str]:
    uri = storage.normalise(path_glob)
    if not has_magic(uri):
        return [uri]
    return [entry.uri for entry in expand_glob(uri, storage.storage_for(uri))]
