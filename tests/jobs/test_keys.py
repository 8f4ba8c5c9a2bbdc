"""Keys: shown once, kept as digests, in a file that only its owner reads."""

import json
import re
import stat

import pytest

from polyscene.core.clock import DAY_MS, FixedClock
from polyscene.core.errors import ConflictError, InputError, NotFoundError, StoreError
from polyscene.jobs import keys
from polyscene.jobs.workspace import Workspace


@pytest.fixture
def root(tmp_path):
    return Workspace.create(tmp_path / "workspace").root


def test_a_key_is_256_random_bits_and_only_its_digest_is_kept(root):
    text, other = keys.add(root, "shop", "write"), keys.add(root, "reports", "read")
    assert re.fullmatch(r"polyscene_[A-Za-z0-9_-]{43}", text)
    assert text != other
    kept = (root / keys.FILE).read_text()
    assert text not in kept
    assert text.removeprefix(keys.HEAD) not in kept
    assert stat.S_IMODE((root / keys.FILE).stat().st_mode) == 0o600
    assert keys.find(keys.listing(root), text).name == "shop"
    assert keys.find(keys.listing(root), text[:-1]) is None


def test_expiry_and_rate_are_kept(root):
    keys.add(root, "short", "admin", days=0.5, rate=50, clock=FixedClock(DAY_MS))
    (key,) = keys.listing(root)
    assert (key.created, key.expires, key.rate, key.role) == (DAY_MS, DAY_MS + DAY_MS // 2, 50, "admin")


def test_a_revoked_key_is_gone_and_the_others_stay(root):
    text = keys.add(root, "a", "read")
    keys.add(root, "b", "read")
    keys.revoke(root, "a")
    assert [each.name for each in keys.listing(root)] == ["b"]
    assert keys.find(keys.listing(root), text) is None
    with pytest.raises(NotFoundError, match=r"keys: no key 'a'"):
        keys.revoke(root, "a")


@pytest.mark.parametrize(
    ("name", "role", "more", "told"),
    [
        ("", "read", {}, "name ''"),
        ("a b", "read", {}, "name 'a b'"),
        ("../x", "read", {}, "name '../x'"),
        ("x" * 65, "read", {}, "1 to 64"),
        ("a", "root", {}, "unknown role 'root'"),
        ("a", "open", {}, "unknown role 'open'"),
        ("a", "read", {"days": 0}, "duration"),
        ("a", "read", {"rate": -1}, "rate"),
        ("a", "read", {"rate": float("nan")}, "rate"),
    ],
)
def test_odd_keys_are_not_made(root, name, role, more, told):
    with pytest.raises(InputError, match=re.escape(told)):
        keys.add(root, name, role, **more)
    assert not (root / keys.FILE).exists()


def test_a_name_is_given_once(root):
    keys.add(root, "a", "read")
    with pytest.raises(ConflictError, match="polyscene keys revoke a"):
        keys.add(root, "a", "admin")
    assert [each.role for each in keys.listing(root)] == ["read"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"format":2,"keys":[]}', '{"format":1,"keys":[{"name":"a"}]}', "\x00"]
)
def test_a_damaged_file_opens_nothing_and_says_so(root, content):
    (root / keys.FILE).write_text(content)
    with pytest.raises(StoreError, match=r"keys\.json: damaged"):
        keys.listing(root)
    with pytest.raises(StoreError):
        keys.add(root, "b", "read")


def test_the_digest_is_plain_sha256_of_the_whole_key(root):
    from hashlib import sha256

    text = keys.add(root, "a", "read")
    (kept,) = json.loads((root / keys.FILE).read_text())["keys"]
    assert kept["digest"] == sha256(text.encode()).hexdigest()
