"""YAML with lines, and the many ways in which a file is none."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.tree import MAX_CONFIG_BYTES, Listed, Mapped, Node, Scalar, parse, read_text

FILE = Path("x.yaml")


def tree(text: str) -> Node:
    node, errors = parse(FILE, text)
    assert errors == []
    return node


def refusal(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        parse(FILE, text)
    return str(caught.value)


def test_every_node_knows_its_line() -> None:
    root = tree("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert isinstance(root, Mapped)
    assert root.lines == {"a": 1, "b": 2}
    listed = root.entries["b"]
    assert isinstance(listed, Listed)
    assert [item.line for item in listed.items] == [3, 4]


def test_scalars_stay_text() -> None:
    root = tree("a: 0042\nb: yes\nc: 12:30\n")
    assert isinstance(root, Mapped)
    assert [value.text for value in root.entries.values() if isinstance(value, Scalar)] == ["0042", "yes", "12:30"]


def test_nothing_is_told_from_an_empty_string() -> None:
    root = tree('a:\nb: ""\nc: ~\nd: null\ne: "null"\n')
    assert isinstance(root, Mapped)
    assert {key: value.empty for key, value in root.entries.items() if isinstance(value, Scalar)} == {
        "a": True,
        "b": False,
        "c": True,
        "d": True,
        "e": False,
    }


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert tree("# nothing\n") == Mapped(1)


def test_an_alias_is_the_anchored_node_itself() -> None:
    root = tree("a: &x {c: 1}\nb: *x\n")
    assert isinstance(root, Mapped)
    assert root.entries["a"] is root.entries["b"]


def test_a_nest_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 50)}]" for n in range(1, 30)]
    root = tree("\n".join(lines))
    assert isinstance(root, Mapped)
    assert len(root.entries) == 30


def test_a_key_that_stands_twice_is_told_with_its_path_and_first_line() -> None:
    _, errors = parse(FILE, "health:\n  rise: 3\n  fall: 2\n  rise: 4\n")
    assert [str(error) for error in errors] == [
        "x.yaml:4: health.rise: this key stands twice, first in line 2; remove one of them"
    ]


def test_twice_on_one_line_is_twice_too() -> None:
    assert len(parse(FILE, "{a: 1, a: 2}")[1]) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1, 2\nb: 3\n", "x.yaml:2: this is no YAML"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: this is no YAML"),
        ("a: 1\nb: \x00\n", "x.yaml:2: a control character"),
        ("a: !!python/object:os.system x\n", "x.yaml:1: the tag"),
        ("a: *nothing\n", "the alias *nothing has no anchor"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: a second document"),
        ("? [a, b]\n: c\n", "a key must be a single word"),
        ("[" * 1000, "more than 20 levels deep"),
        ("a: {" * 1000, "more than 20 levels deep"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text: str, says: str) -> None:
    assert says in refusal(text)


SAMPLE = 'proxy: {domain: "v", x: [1, *a, &a b]}\nusers: |\n  text\nb: !tag "q\\x41"\n'


def test_every_prefix_is_read_or_refused() -> None:
    for length in range(len(SAMPLE)):
        with contextlib.suppress(ConfigErrors):
            parse(FILE, SAMPLE[:length])


@settings(max_examples=80)
@given(st.text(alphabet="ab:{}[]&*!|>-?#'\" \n\t\x00\x85é,%@`", max_size=40))
def test_noise_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigErrors):
        parse(FILE, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"none\.yaml:1: cannot be read: No such file"):
        read_text(tmp_path / "none.yaml", 10)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: Is a directory"):
        read_text(tmp_path, 10)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigErrors, match="is larger than"):
        read_text(file, MAX_CONFIG_BYTES)


def test_bytes_that_are_no_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigErrors, match=r"latin\.yaml:2: byte 0xe9 is not UTF-8"):
        read_text(file, 100)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(file, 100) == "a: 1\n"
