"""labels.txt has a line for each class, for every reader; names of every kind are in tests/test_names.py."""

from pathlib import Path

import pytest

from convsearch.search.export.labels import read_labels, write_labels
from convsearch.spaces.errors import InputError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "labels.txt"


def test_a_line_break_is_written_as_its_escape(file: Path) -> None:
    write_labels(file, ["a\u2028b", "c\nd", "Zaunkönig 2"])
    assert read_labels(file, 3) == [r"a\u2028b", r"c\nd", "Zaunkönig 2"]


def test_an_earlier_file_that_has_other_breaks_in_its_names_is_read_by_its_lines(file: Path) -> None:
    file.write_bytes("a\u2028b\nc\r\nd\n".encode())
    assert read_labels(file, 3) == ["a\u2028b", "c\r", "d"]


def test_another_number_of_labels_than_outputs_is_refused(file: Path) -> None:
    write_labels(file, ["a", "b"])
    with pytest.raises(InputError, match=r"labels\.txt: 2 labels, but the model has 3 outputs"):
        read_labels(file, 3)


def test_labels_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"labels\.txt: the labels cannot be read"):
        read_labels(file, 1)
