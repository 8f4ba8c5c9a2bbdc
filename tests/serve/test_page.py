import re
from importlib.resources import files

import pytest

PAGE = files("polyscene.serve").joinpath("page")
TEXTS = {each.name: each.read_text(encoding="utf-8") for each in PAGE.iterdir() if each.is_file()}
SCRIPTS = "\n".join(text for name, text in TEXTS.items() if name.endswith(".js"))


def _languages() -> dict[str, dict[str, str]]:
    blocks = re.findall(r"^  (\w\w): \{\n(.*?)^  \},", TEXTS["words.js"], re.DOTALL | re.MULTILINE)
    return {
        code: dict(re.findall(r'^    "?([\w:-]+)"?: "(.*)",$', block, re.MULTILINE))
        for code, block in blocks
    }


def test_the_page_and_each_of_its_files_is_served_with_its_type_and_a_tag(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text)
    assert {"/page/style.css", "/page/main.js"} <= set(named)
    for path in {*named, *(f"/page/{name}" for name in TEXTS if name != "index.html")}:
        reply = client.get(path)
        assert reply.status_code == 200, path
        again = client.get(path, headers={"if-none-match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_page_needs_nothing_from_elsewhere():
    for name, text in TEXTS.items():
        foreign = [url for url in re.findall(r"https?://[^\s\"')]+", text) if "www.w3.org" not in url]
        assert not foreign, f"{name}: {foreign}"


def test_text_of_the_service_never_becomes_markup(client):
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", SCRIPTS)
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=", TEXTS["index.html"])


def test_both_languages_say_everything_with_the_same_holes():
    languages = _languages()
    assert set(languages) == {"en", "zh"}
    assert set(languages["en"]) == set(languages["zh"])
    for key, text in languages["en"].items():
        holes = set(re.findall(r"\{\w+\}", text))
        assert holes == set(re.findall(r"\{\w+\}", languages["zh"][key])), key


def test_every_word_that_is_used_exists_and_every_word_is_used():
    used = set(re.findall(r'say\(\s*"([\w:-]+)"', SCRIPTS))
    used |= {key for pair in re.findall(r'\? "([\w-]+)" : (?:\w+ \? )?"([\w-]+)"', SCRIPTS) for key in pair}
    used |= set(re.findall(r'data-(?:word|label)="([\w-]+)"', TEXTS["index.html"]))
    words = {key for key in _languages()["en"] if not key.startswith("scene:")}
    quoted = set(re.findall(r'"([\w-]+)"', SCRIPTS.replace(TEXTS["words.js"], "")))
    assert not (set(re.findall(r'say\(\s*"([\w:-]+)"', SCRIPTS)) - words)
    assert not (words - used - quoted)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_page_is_read_only(client, method):
    reply = getattr(client, method)("/")
    assert reply.status_code == 405
    assert reply.headers["content-type"] == "application/problem+json"
