"""One name, as bad as it can be, followed to every place where it is shown or stored: it is one line, and only text."""

import io
import json
import os
import shutil
import tempfile
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nasty import NAMES, require_printable
from PIL import Image
from samples import a_study, completed

from convsearch.search.command.terminal import print_text
from convsearch.search.data import Split
from convsearch.search.export import predict
from convsearch.search.export.labels import read_labels, write_labels
from convsearch.search.report import as_json, compare
from convsearch.search.report.study import next_commands, show, study_table
from convsearch.search.sources import open_data
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.settings import StudySettings
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import presets
from convsearch.spaces.drawing.svg import Picture
from convsearch.spaces.errors import InputError, WorkError
from convsearch.spaces.printable import is_utf8, printable

TWO = st.lists(NAMES, min_size=2, max_size=2, unique_by=printable)
FEW = settings(max_examples=30)  # where each takes files


def candidate() -> Candidate:
    return Candidate(architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4),), classes=2))


def study_of(name: str, classes: list[str]) -> StudySettings:
    study = a_study(name=name, space=name)
    source = name if is_utf8(name) else "data"  # other paths are refused
    facts = study.data.model_dump() | {"name": name, "source": source, "classes": tuple(classes), "notes": (name,)}
    return StudySettings.model_validate(study.model_dump() | {"data": facts})


# ---------------------------------------------------------------------- the terminal and the study's files


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def printed(*found: Any) -> str:
    told = io.StringIO()
    with redirect_stdout(told):
        for one in found:
            print_text(one)
    return told.getvalue()


@given(name=NAMES)
def test_a_line_and_an_error_are_printed_on_one_line_and_as_they_are(name: str) -> None:
    shown = name.replace("\n", r"\n")
    assert printed(shown) == printable(shown) + "\n"
    for kind in (InputError, WorkError):
        assert str(kind(shown)) == printable(shown)


@FEW
@given(name=NAMES, classes=TWO)
def test_a_study_of_any_names_is_stored_and_read_and_reported(home: Home, name: str, classes: list[str]) -> None:
    folder = StudyFolder(home.path / "mine")
    shutil.rmtree(folder.path, ignore_errors=True)
    study = study_of(name, classes)
    parts = Split(*(np.array([i]) for i in range(3)))
    with folder.create(study, presets()["tiny"].read_text(encoding="utf-8"), parts):
        pass
    assert folder.read() == study.model_copy(update={"name": "mine"})  # a study is called what its folder is
    shown = (study.name, study.data.name, *study.data.classes, *study.data.notes)
    assert shown == tuple(map(printable, [name, name, *classes, name]))
    record = Record(folder.path)
    record.add(completed(Trial.begin(Proposal(0, {}, candidate()))))
    record.add(Trial.begin(Proposal(1, {}, candidate())).lose("failed", name))
    assert Record(folder.path).trials == record.trials
    told = printed(study_table(home), show(folder), compare.comparison([folder]), *next_commands(home, folder))
    require_printable(told)
    assert f"{printable(name)}"[:20].split("\n")[0].strip() in told
    for document in (as_json.as_json(folder), compare.as_json([folder])):
        again = json.loads(json.dumps(document))
        assert str(again).count(repr(printable(name))) >= 1
        require_printable(json.dumps(document, ensure_ascii=False).replace("\\n", ""))


@given(name=NAMES)
@example("mine\n")
@example("studies/mine")
def test_the_name_of_a_study_is_accepted_or_refused_with_it(home: Home, name: str) -> None:
    try:
        folder = home.study(name)
    except InputError as error:
        assert printable(name) in str(error)  # noqa: PT017 - either is right
    else:
        assert folder.path.parent == home.path
        assert folder.name == name == printable(name)


# ---------------------------------------------------------------------- the data


def on_the_disk(name: str) -> bool:
    """Whether a file may have the name, and is not hidden by it."""
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return False
    return not set("/\0") & set(name) and not name.startswith(".") and size <= 200


@FEW
@given(name=NAMES.filter(on_the_disk))
def test_a_class_and_a_file_of_any_name_are_read_or_refused_with_the_name(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "set"
        for folder, grey in ((name, 0), ("other class", 200)):
            (root / folder).mkdir(parents=True)
            for number in range(2):
                pixels = np.full((8, 8), grey + number, np.uint8)
                Image.fromarray(pixels).save(root / folder / f"{number}{name}.png")
        (root / "other class" / f"{name}.gif").write_bytes(b"no image")
        try:
            found = open_data(str(root), Path(place) / "cache", skip_bad=True)
        except InputError as error:
            assert printable(name) in str(error)  # noqa: PT017 - either is right
        else:
            assert set(found.classes) == {printable(name), "other class"}
            for line in (*found.bad, *found.notes):
                require_printable(line)
                assert "\n" not in line


@FEW
@given(key=NAMES.filter(on_the_disk), stem=NAMES.filter(on_the_disk))
def test_a_file_of_arrays_and_its_keys_may_have_any_name(key: str, stem: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        images, labels = np.zeros((6, 8, 8), np.uint8), np.arange(6) % 2
        path = Path(place) / f"{stem}.npz"
        np.savez(path, x=images, y=labels)
        try:
            assert open_data(str(path), Path(place) / "cache").name == printable(stem)
        except InputError as error:
            assert printable(stem) in str(error)  # noqa: PT017 - either is right
        if is_utf8(key) and not {"x", "y"} & {key}:
            np.savez(Path(place) / "keys.npz", **{key: images})
            with pytest.raises(InputError, match=r"keys\.npz") as refused:
                open_data(str(Path(place) / "keys.npz"), Path(place) / "cache")
            assert printable(key) in str(refused.value)


# ---------------------------------------------------------------------- the bundle, and drawings


@given(classes=st.lists(NAMES, min_size=2, max_size=6))
def test_every_class_is_one_label_for_every_reader_and_printed_as_it_stands_there(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "labels.txt"
    write_labels(file, classes)
    labels = read_labels(file, len(classes))
    assert labels == [printable(name) for name in classes]
    assert labels == file.read_text(encoding="utf-8").splitlines()
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
        assert [predict.one_line(label) for label in labels] == labels
        assert [predict.one_line(name) for name in classes] == labels


@given(name=NAMES)
def test_a_drawing_shows_any_text_as_text(name: str) -> None:
    picture = Picture(100, 100, name, name)
    picture.text(0, 0, name, colour=name.encode("ascii", "ignore").decode() if name.isprintable() else "red")
    root = ET.fromstring(picture.svg())
    texts = {element.tag.rpartition("}")[2]: element.text for element in root}
    assert set(texts) == {"title", "desc", "rect", "text"}
    assert texts["title"] == texts["desc"] == texts["text"] == printable(name)
