import subprocess
import sys

import pytest

from mrmodel import storage as st
from mrmodel.errors import UsageError

SITE = """<?xml version="1.0"?><configuration>
<property><name>fs.defaultFS</name><value>{}</value></property></configuration>"""


@pytest.fixture
def conf(tmp_path, monkeypatch):
    def write(default):
        (tmp_path / "core-site.xml").write_text(SITE.format(default))
        monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))

    return write


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a/b", "/a/b"),
        ("/a//b/./c/../", "/a/b"),
        ("//a", "/a"),
        ("/", "/"),
        ("file:///a/b/", "/a/b"),
        ("file:/a", "/a"),
        ("file://localhost/a", "/a"),
        ("/a b/{c},%20#é", "/a b/{c},%20#é"),
        ("hdfs://nn:8020/a//b/", "hdfs://nn:8020/a/b"),
        ("hdfs://nn:8020", "hdfs://nn:8020/"),
        ("hdfs://nn/a b/{c},%20#?é", "hdfs://nn/a b/{c},%20#?é"),
        ("HDFS://nn/a", "hdfs://nn/a"),
    ],
)
def test_normalise(given, expected):
    assert st.normalise(given) == expected
    assert st.normalise(expected) == expected


def test_relative_paths_start_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert st.normalise("a/b") == f"{tmp_path}/a/b"


@pytest.mark.parametrize("uri", ["hdfs:///a", "hdfs:/a"])
def test_no_authority_means_the_default_file_system(conf, uri):
    conf("hdfs://nn:9000/")
    assert st.normalise(uri) == "hdfs://nn:9000/a"


def test_the_configuration_under_hadoop_home(conf, tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hadoop").symlink_to(tmp_path)
    conf("hdfs://home")
    monkeypatch.delenv("HADOOP_CONF_DIR")
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    assert st.normalise("hdfs:///a") == "hdfs://home/a"


def test_no_authority_and_no_configuration(monkeypatch):
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    with pytest.raises(UsageError, match="HADOOP_CONF_DIR is not set"):
        st.normalise("hdfs:///a")


def test_no_authority_and_another_default(conf):
    conf("s3a://bucket")
    with pytest.raises(UsageError, match="fs.defaultFS='s3a://bucket'"):
        st.normalise("hdfs:///a")


def test_a_configuration_that_is_not_xml(conf, tmp_path):
    conf("hdfs://nn")
    (tmp_path / "core-site.xml").write_text("<configuration>")
    with pytest.raises(UsageError, match=r"core-site\.xml"):
        st.normalise("hdfs:///a")


@pytest.mark.parametrize("uri", ["", "file://host/a"])
def test_what_is_not_a_place(uri):
    with pytest.raises(UsageError):
        st.normalise(uri)


@pytest.mark.parametrize(
    ("uri", "above", "name"),
    [
        ("/a/b", "/a", "b"),
        ("/a", "/", "a"),
        ("/", "/", ""),
        ("hdfs://nn/a/b c", "hdfs://nn/a", "b c"),
        ("hdfs://nn/a", "hdfs://nn/", "a"),
        ("hdfs://nn/", "hdfs://nn/", ""),
    ],
)
def test_parent_and_basename(uri, above, name):
    assert (st.parent(uri), st.basename(uri)) == (above, name)
    assert not name or st.join(above, name) == uri


def test_relative():
    assert st.relative("hdfs://nn/a/b/c", "hdfs://nn/a") == "b/c"
    assert st.relative("/a/b", "/") == "a/b"


def test_is_local():
    assert st.is_local("a") and st.is_local("file:///a")
    assert not st.is_local("hdfs://nn/a")


def test_a_storage_is_opened_once(tmp_path):
    assert st.storage_for("/a") is st.storage_for(f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [("s3://bucket/x", "s3:// is not supported yet"), ("ftp://h/x", "ftp:// is not known")],
)
def test_unknown_schemes_are_refused_with_those_there_are(uri, said):
    with pytest.raises(UsageError, match=f"{said}; expected a local path or file://, hdfs://"):
        st.storage_for(uri)


def test_importing_storage_loads_nothing_big():
    code = "import sys, mrmodel.storage; print({'pyarrow', 'hdfs_native'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
