import re
from importlib.resources import files

import pytest


def _texts(folder):
    found = files("polyscene.serve").joinpath(folder)
    return {each.name: each.read_text(encoding="utf-8") for each in found.iterdir() if each.is_file()}


TEXTS, SHARED = _texts("console"), _texts("page")
SCRIPTS = "\n".join(text for name, text in TEXTS.items() if name.endswith(".js"))
CALLS = "\n".join(text for name, text in TEXTS.items() if name.endswith(".js") and "words_" not in name)


def _words(name, texts=TEXTS):
    return dict(re.findall(r'^ +"?([\w:-]+)"?: "(.*)",$', texts[name], re.MULTILINE))


@pytest.mark.parametrize("path", ["", "/users/u%2F1", "/items/%3Cscript%3E", "/items/..%2f..%2fapp.py"])
def test_every_address_of_the_console_gives_the_same_page(client, path):
    reply = client.get(f"/console{path}")
    assert (reply.status_code, reply.text) == (200, TEXTS["index.html"])
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_each_file_is_served_with_its_type_and_a_tag(client):
    named = re.findall(r'(?:src|href)="((?:/console|/page)/[^"]+\.\w+)"', TEXTS["index.html"])
    assert {"/console/main.js", "/console/style.css", "/page/base.css"} <= set(named)
    for path in {*named, *(f"/console/{name}" for name in TEXTS if name != "index.html")}:
        reply = client.get(path)
        assert reply.status_code == 200, path
        assert ("javascript" in reply.headers["content-type"]) == path.endswith(".js")
        again = client.get(path, headers={"if-none-match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_every_import_leads_to_a_file():
    for name, text in TEXTS.items():
        for path in re.findall(r'from "(\.[^"]+)"', text):
            folder, _, file = path.rpartition("/")
            assert file in (TEXTS if folder == "." else SHARED), f"{name}: {path}"


def test_text_of_the_service_never_becomes_markup():
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", SCRIPTS)
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=", TEXTS["index.html"])
    assert not [url for url in re.findall(r"https?://[^\s\"')]+", SCRIPTS) if "www.w3.org" not in url]


def test_both_languages_say_everything_with_the_same_holes():
    english, chinese = _words("words_en.js"), _words("words_zh.js")
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_word_that_is_used_exists_and_every_word_is_used():
    words, shared = set(_words("words_en.js")), set(_words("words.js", SHARED))
    said = set(re.findall(r'\bsay\(\s*"([\w:-]+)"', CALLS))
    said |= set(re.findall(r'data-(?:word|label|hint)="([\w-]+)"', TEXTS["index.html"]))
    assert said <= words | shared
    quoted = set(re.findall(r'"([\w-]+)"', CALLS)) | said
    assert {
        key for key in words - quoted - shared if ":" not in key and not key.startswith("role-")
    } == set()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_console_itself_is_read_only(client, method):
    assert getattr(client, method)("/console/users/u1").status_code == 405
