import pytest

from mrmodel import storage as st
from tests.storage.contract import StorageContract

pytestmark = pytest.mark.hadoop


class TestHdfs(StorageContract):
    @pytest.fixture
    def root(self, cluster, request):
        uri = st.normalise(f"{cluster.namenode}/tmp/storage-{request.node.name}")
        storage = st.storage_for(uri)
        storage.delete(uri)
        storage.mkdir(uri)
        yield uri
        storage.delete(uri)
