"""A tiny workspace, fitted once; each file of tests talks to a real server over its own copy."""

import shutil

import httpx
import pytest

from polyscene.testing.service import live, tiny_workspace


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    return tiny_workspace(tmp_path_factory.mktemp("fitted")).root


@pytest.fixture(scope="module")
def root(fitted, tmp_path_factory):
    return shutil.copytree(fitted, tmp_path_factory.mktemp("copy") / "workspace")


@pytest.fixture(scope="module")
def client(root):
    with live(root) as url, httpx.Client(base_url=url) as client:
        yield client
