"""The display of a dict in a notebook, which sends no request and changes nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec import Raw

from s3dictionary import S3Dict
from s3dictionary._format import codec
from support.servers import Site


class Page(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        assert {name for name, _ in attributes} <= {"style"}
        self.tags.append(tag)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open[-1] == "td":
            self.cells.append(data)

    @property
    def rows(self) -> list[list[str]]:
        return [self.cells[start : start + 3] for start in range(0, len(self.cells), 3)]

    @property
    def text(self) -> str:
        return " ".join(self.words)


class Printer:
    """As much of IPython's printer as the test needs."""

    def __init__(self) -> None:
        self.said = ""

    def text(self, text: str) -> None:
        self.said += text


def shown(d: S3Dict) -> Page:
    return Page(d._repr_html_())


def printed(d: S3Dict) -> str:
    printer = Printer()
    d._repr_pretty_(printer, cycle=False)
    return printer.said


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def saved(s3: Site, content: dict[Any, Any]) -> S3Dict:
    """A dict that was just loaded, with nothing decoded yet."""
    state(s3, data=content).save()
    d = state(s3)
    s3.requests.clear()
    return d


CONTENT = {"stock": {"apple": 3}, 7: (1,), "when": datetime(2026, 1, 2, tzinfo=timezone.utc), "none": None, "tags": {1}}
ROWS = [
    ["'stock'", "dict (1)", "{'apple': 3}"],
    ["7", "tuple (1)", "(1,)"],
    ["'when'", "datetime", "datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)"],
    ["'none'", "NoneType", "None"],
    ["'tags'", "set (1)", "{1}"],
]


def test_it_shows_address_version_and_a_table_of_keys_types_and_values(moto_s3: Site) -> None:
    d = saved(moto_s3, CONTENT)
    page = shown(d)
    assert d.uri in page.text
    assert "5 keys" in page.text
    assert str(d.etag).strip('"')[:10] in page.text
    assert page.rows == ROWS


def test_what_is_still_json_shows_as_what_is_not(moto_s3: Site) -> None:
    d = saved(moto_s3, CONTENT)
    before = shown(d).rows
    assert dict(d) == CONTENT
    assert shown(d).rows == before


def test_it_shows_what_is_there_now_inside_a_block_and_after_a_rollback(moto_s3: Site) -> None:
    d = saved(moto_s3, {"a": 0, "b": [0]})
    d["a"] = 1
    d["a"] = 2
    assert [row[2] for row in shown(d).rows] == ["2", "[0]"]
    with pytest.raises(ZeroDivisionError), d:
        d["b"].append(1 / (d["a"] - 1))
        d["a"] = 3
        assert [row[2] for row in shown(d).rows] == ["3", "[0, 1.0]"]
        1 / 0  # noqa: B018
    assert [row[2] for row in shown(d).rows] == ["2", "[0]"]


def test_it_shows_whether_there_is_something_unsaved(moto_s3: Site) -> None:
    d = state(moto_s3)
    assert "no file yet" in shown(d).text
    assert "unsaved" not in shown(d).text
    d["jobs"] = []
    assert "unsaved changes" in shown(d).text
    d.save()
    assert "unsaved" not in shown(d).text
    d["jobs"].append(1)
    assert "unsaved changes" in shown(d).text


def test_keys_values_and_the_address_are_escaped(moto_s3: Site) -> None:
    nasty = "<script>alert('&')</script>"
    d = state(moto_s3, file_name=f"{nasty}.json", data={nasty: nasty, "in": [nasty]})
    page = shown(d)
    assert "script" not in page.tags
    assert page.rows == [[repr(nasty), "str", repr(nasty)], ["'in'", "list (1)", repr([nasty])]]
    assert f"{nasty}.json" in page.text


def test_the_first_items_are_shown_and_how_many_more_there_are(moto_s3: Site) -> None:
    page = shown(saved(moto_s3, {f"key{n}": n for n in range(1_030)}))
    assert [row[0] for row in page.rows] == [f"'key{n}'" for n in range(20)]
    assert "1,030 keys" in page.text
    assert "1,010 more" in page.text


def test_looking_sends_nothing_and_leaves_what_is_untouched_untouched(moto_s3: Site) -> None:
    """So the next block costs no more than without the display."""
    d = saved(moto_s3, {"a": [1], "b": {"c": 2}})
    shown(d)
    printed(d)
    assert moto_s3.requests.log == []
    assert not d.changed
    assert [type(item) for item in d._memory.items.values()] == [Raw, Raw]
    with d:
        shown(d)
        assert [type(item) for item in d._memory.items.values()] == [Raw, Raw]


def test_a_big_value_is_not_decoded_to_be_shown(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    big = {"list": list(range(9_000)), "tuple": ("x" * 9_000,), "str": "word " * 9_000, "int": 10**4_000}
    d = saved(moto_s3, big)
    monkeypatch.setattr(codec, "decode", lambda raw: pytest.fail("decoded"))
    page = shown(d)
    assert [row[:2] for row in page.rows] == [
        ["'list'", "list (43.9 kB)"],
        ["'tuple'", "tuple (9.0 kB)"],
        ["'str'", "str (45.0 kB)"],
        ["'int'", "number (4.0 kB)"],
    ]
    assert page.rows[0][2].startswith("[0,1,2,3")
    assert page.rows[1][2].startswith('["xxx')
    assert all(row[2].endswith("…") for row in page.rows)


def test_what_is_shown_is_short_however_big_the_values_are(moto_s3: Site) -> None:
    text, numbers = "x" * 1_000_000, list(range(100_000))
    big = {text: text, "b": text.encode(), "l": [numbers] * 9, "d": {text: numbers}, "deep": [[[[[[1]]]]]]}
    page = shown(state(moto_s3, data=big))
    assert all(len(cell) <= 100 for cell in page.cells)
    assert page.rows[2][1:] == ["list (9)", "[" + "[0, 1, 2, 3, 4, 5, 6, 7, …], " * 3 + "[0, 1, 2, 3…"]
    assert page.rows[4][2] == "[[[[…]]]]"


def test_a_value_that_cannot_show_itself_shows_its_type(moto_s3: Site) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    circular: list[Any] = []
    circular.append(circular)
    d = state(moto_s3, data={"broken": Broken(), "inside": [Broken()], "big": 10**5_000, "circular": circular})
    assert [row[2] for row in shown(d).rows] == ["<Broken>", "<list>", "<int>", "[[[[…]]]]"]


def test_what_is_nested_too_deeply_to_be_decoded_here_shows_too(moto_s3: Site) -> None:
    """Some versions of Python can't decode it with so much of the stack in use."""
    moto_s3.write("state.json", b'{"a": ' + b"[" * 850 + b"]" * 850 + b"}")
    d = state(moto_s3)

    def look(depth: int) -> Page:
        return look(depth - 1) if depth else shown(d)

    assert look(200).rows[0][2].startswith("[[[[")


@pytest.mark.parametrize("content", [{}, {"a": 1, 2: [3, None], "b": {"c": (4,)}}], ids=["empty", "small"])
def test_as_text_a_small_dict_is_its_repr(moto_s3: Site, content: dict[Any, Any]) -> None:
    assert printed(saved(moto_s3, content)) == repr(content)


def test_as_text_a_big_dict_is_short_too(moto_s3: Site) -> None:
    """IPython stores the text in the notebook's file, beside the HTML."""
    text = printed(saved(moto_s3, {f"key{n}": "x" * 9_000 for n in range(50)}))
    assert text.startswith("{'key0': \"xxx")
    assert text.endswith("… and 30 more}")
    assert len(text) < 20 * 120
