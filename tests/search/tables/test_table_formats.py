"""Tables in every form that people have them: text of any separator and encoding, JSON lines, Parquet."""

import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest
from image_files import too_many_open_files
from tables import BREEDS, CSV, NAMES, SaveImage, breeds, read, refused, save_images

from convsearch.search.tables.open import open_table

Make = Callable[[], bytes]
ROWS = list(zip(NAMES, BREEDS, strict=True))


@pytest.fixture
def folder(tmp_path: Path, save_image: SaveImage) -> Path:
    """A folder with the images of the table."""
    save_images(tmp_path / "train", save_image)
    return tmp_path


def parquet(tmp_path: Path, **more: list[object]) -> bytes:
    frame = pd.DataFrame({"id": NAMES, "breed": BREEDS} | more)
    frame.to_parquet(tmp_path / "made.parquet")
    return (tmp_path / "made.parquet").read_bytes()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_whatever_its_separator_its_line_ends_and_its_mark(
    folder: Path, separator: str, end: str, encoding: str
) -> None:
    text = CSV.replace("pug", "Bär").replace(",", separator).replace("\n", end)
    source = read(folder / "labels.csv", text.encode(encoding))
    assert source.classes == ("Bär", "beagle")
    assert breeds(source) == [breed.replace("pug", "Bär") for breed in BREEDS]


@pytest.mark.parametrize("name", ["labels.csv", "labels.TSV", "my labels.csv"])
def test_the_separator_is_known_by_the_content_and_not_by_the_ending(folder: Path, name: str) -> None:
    assert breeds(read(folder / name, CSV.replace(",", ";"))) == list(BREEDS)


def test_values_may_be_in_quotes_and_go_over_several_lines(folder: Path) -> None:
    rows = "".join(f'"{name}", "a ""{breed}"", or\nso",7\n\n' for name, breed in ROWS)
    source = read(folder / "labels.csv", "id,breed,note\n" + rows)
    assert source.classes == (r'a "beagle", or\nso', r'a "pug", or\nso')


def test_a_line_is_counted_as_an_editor_counts_it(folder: Path) -> None:
    assert "line 5: 'nothing'" in refused(folder / "labels.csv", 'id,breed\n0a1,"pug\nor so"\n\nnothing,pug\n')


def test_json_lines_are_read_with_numbers_and_with_keys_that_not_all_have(folder: Path) -> None:
    rows = [f'{{"breed": {number % 2}, "id": "{name}"}}\n' for number, name in enumerate(NAMES)]
    source = read(folder / "labels.jsonl", "".join(rows) + '\n{"id": "0a1", "breed": 1, "note": {"a": [1]}}\n')
    assert source.classes == ("0", "1")
    assert source.labels.tolist() == [0, 1] * 6


def test_parquet_is_read_without_its_columns_of_bytes_and_lists(folder: Path) -> None:
    content = parquet(folder, bytes=[b"x"] * 12, list=[[1]] * 12)
    source = read(folder / "labels.parquet", content)
    assert breeds(source) == list(BREEDS)
    assert "; not read: 'bytes', 'list'" in source.notes[0]
    assert "--label-column list: labels.parquet has lists, structures or bytes there, no text." in refused(
        folder / "labels.parquet", content, label="list"
    )


def test_json_that_becomes_nested_after_many_lines_is_refused_with_the_line(folder: Path) -> None:
    text = '{"id": "0a1", "breed": "pug"}\n' * 1000
    assert "line 1001 has a list under 'breed'" in refused(folder / "a.jsonl", text + '{"id": "0a1", "breed": [1]}\n')
    assert "line 1001 has a mapping under 'breed'" in refused(folder / "a.jsonl", text + '{"breed": {"a": 1}}\n')


def test_the_same_table_in_another_form_is_the_same_data(folder: Path) -> None:
    reversed_rows = "breed,id\r\n" + "".join(f"{breed};train/{name}.jpg\r\n" for name, breed in reversed(ROWS))
    forms: dict[str, bytes | str] = {
        "a.csv": CSV,
        "b.csv": CSV.replace(",", "\t").encode("utf-16"),
        "c.csv": reversed_rows.replace(",", ";"),
        "d.jsonl": "".join(f'{{"id": "{name}", "breed": "{breed}"}}\n' for name, breed in ROWS),
        "e.parquet": parquet(folder),
    }
    assert len({read(folder / name, content).fingerprint for name, content in forms.items()}) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "empty; expected a table whose first line has the names of the columns"),
        (b"\n \n", "empty; expected a table"),
        (b"id\n0a1\n", "has one column, 'id'; expected one of images and one of labels"),
        (b"id,breed\n", "has no rows below the names of its columns"),
        (b"0a1.jpg,pug\n0a2.jpg,pug\n", "the first line is a row already, '0a1.jpg', 'pug'; it must have the names"),
        (b"id,breed\n0a1,pug,2\n", "line 2 has 3 values, the first line 2. Put values into quotes that hold ','"),
        (b"id\tbreed\n0a1\n", "line 2 has 1 values, the first line 2. Put values into quotes that hold a tab"),
        (b'id,breed\n0a1,pug\n0a2,"pug\n', "the quotes in line 3 do not close as they should"),
        (b'id,breed\n0a1,"pug" x\n', "the quotes in line 2 do not close as they should"),
        (b"id,breed\n0a1,pug\n0a2,B\xe4r\n", "line 3 is not UTF-8: byte 0xe4. In Windows-1252 it would be '0a2,Bär'"),
        (b"id,breed\n0a1,B\xc3", "line 2 is not UTF-8: byte 0xc3"),
        (b"\xff\xfei\0d\0,", "damaged: it begins as utf-16-le, but is not"),
        (b"i\0d\0,\0b\0\n\0", "line 1 holds a zero byte: this is no text, or UTF-16 without its mark"),
        (b"id,breed\n" + b"x" * 2**20, "line 2 has more than 1,048,576 characters: this is no table"),
        (b"PK\x03\x04\x14\0", "line 1 holds a zero byte"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line_and_what_would_be_right(
    folder: Path, text: bytes, said: str
) -> None:
    assert said in refused(folder / "labels.csv", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no columns"),
        ("[1]\n", "line 1 is no JSON object; expected an object in each line"),
        ('{"id": "0a1", "breed": "pug"}\n\n{"id"\n', "line 3 is not valid JSON"),
        ("[" * 100_000, "line 1 is not valid JSON"),
        (
            '{"id": "0a1", "breed": ["pug"]}\n',
            "has one column, 'id' beside columns of lists, structures or bytes, 'breed'",
        ),
        ('{"id": "0a1", "breed": "B\xe4r"}\n', "line 1 is not UTF-8"),
    ],
)
def test_what_are_no_json_lines_is_refused_with_the_line(folder: Path, text: str, said: str) -> None:
    assert said in refused(folder / "labels.jsonl", text.encode("latin-1"))


def test_a_damaged_parquet_file_is_refused(folder: Path) -> None:
    content = parquet(folder)
    assert "cannot be read as Parquet: " in refused(folder / "labels.parquet", content[:300])
    assert "cannot be read as Parquet: " in refused(folder / "labels.parquet", content[:40] + content[60:])


def test_the_rows_of_parquet_are_named_by_their_number(folder: Path) -> None:
    (folder / "train" / "0a3.jpg").unlink()
    assert "row 4: '0a3': no such image" in refused(folder / "labels.parquet", parquet(folder))


def test_a_folder_called_like_a_table_is_no_table_and_a_file_of_another_ending_neither(folder: Path) -> None:
    (folder / "labels.json").write_text("[]")
    assert "labels.json is a file; expected a folder" in refused(folder / "labels.json")
    assert ".csv .tsv .parquet .jsonl .ndjson" in refused(folder / "labels.json")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_failure_of_the_machine_is_no_damaged_table(folder: Path, ending: str) -> None:
    made = {"csv": CSV.encode(), "jsonl": b'{"id": "0a1", "breed": "pug"}\n', "parquet": parquet(folder)}
    path = folder / f"labels.{ending}"
    path.write_bytes(made[ending])
    open_table(path, "labels")  # what it imports
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        open_table(path, "labels")


def test_a_long_table_takes_no_memory_for_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,breed\n" + "0a1,pug\n" * 300_000)
    table = open_table(path, "labels.csv")
    next(iter(table.read((0, 1))))  # what is kept for good
    tracemalloc.start()
    try:
        last = list(islice(table.read((0, 1)), 299_999, None))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == [(300_001, ["0a1", "pug"])]
    assert most < 1e6  # bytes
