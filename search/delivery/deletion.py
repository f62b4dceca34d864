"""Deletes studies, with what MLflow has of them, and decoded images that no study uses.

A study is first renamed aside, so that a kill leaves nothing that looks like one; the next deletion goes on with it.
"""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...spaces.errors import InputError, WorkError
from ..study.contents import ASIDE, Arrays, Contents, StudyContent, contents_of, unused
from ..study.home import Home
from ..system.addresses import masked, sqlite_url
from ..system.files import partial_folder, remove_left
from ..system.lock import alone, deletable, locked
from ..values.words import size
from .reach import FILE, PATIENCE, own_server, reach, registry_trouble, remedy_for

if TYPE_CHECKING:
    from .withdrawal import Delivered


@dataclass(frozen=True)
class Doomed:
    """A study to delete, what MLflow has of it, and what stays, in sentences."""

    study: StudyContent
    delivered: tuple["Delivered", ...]
    stays: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """What goes and what stays, for people."""
        return [
            f"study {self.study.folder.name}: {size(self.study.bytes)}",
            *(f"  {found.text}" for found in self.delivered),
            *(f"  {line}" for line in self.stays),
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """The same for scripts."""
        return {
            "study": self.study.folder.name,
            "bytes": self.study.bytes,
            "mlflow": [found.facts for found in self.delivered],
            "stays": list(self.stays),
        }


@dataclass(frozen=True)
class Plan:
    """What is to be deleted: studies, those whose deletion was killed, data sets, and what else killed processes left.

    `left_bytes` is the size of that last one and of the studies of killed deletions.
    """

    studies: tuple[Doomed, ...]
    deleted: tuple[Doomed, ...]
    arrays: tuple[Arrays, ...]
    left: tuple[Path, ...]
    left_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be deleted."""
        return not (self.studies or self.deleted or self.arrays or self.left)

    @property
    def lines(self) -> list[str]:
        """What goes, for people."""
        lines = [line for one in self.studies for line in one.lines]
        lines += [f"data {one.path.name}: {size(one.bytes)}, used by no study" for one in self.arrays]
        if self.deleted or self.left:
            lines.append(f"left by killed commands: {size(self.left_bytes)}")
        return lines

    @property
    def facts(self) -> dict[str, Any]:
        """The same for scripts; sizes are in bytes."""
        return {
            "studies": [one.facts for one in self.studies],
            "data": [{"data": one.path.name, "bytes": one.bytes} for one in self.arrays],
            "left_bytes": self.left_bytes,
        }


def planned(home: Home, names: Sequence[str], data: bool) -> Plan:
    """Return what deleting these studies, and the data sets that no study uses if `data`, would delete.

    Raises:
        InputError: there is no such study, it is running or a link, or what no study uses cannot be told.
        WorkError: MLflow cannot be reached.
    """
    folders = [home.existing(name) for name in dict.fromkeys(names)]
    contents = contents_of(home)
    named = [one for folder in folders for one in contents.studies if one.folder.name == folder.name]
    for one in named:
        if one.running:
            raise InputError(
                f"the study '{one.folder.name}' is being searched: wait for it, or stop it with Ctrl-C; nothing was "
                "deleted"
            )
        if one.folder.path.is_symlink():
            raise InputError(
                f"{one.folder.path}: a link to {one.folder.path.resolve()}, and only what is in the home itself is "
                "deleted: remove the folder and the link yourself; nothing was deleted"
            )
    arrays = unused(contents, [one.folder.name for one in named]) if data else []
    every = [*named, *contents.deleted]
    stores = _stores(home) if any(one.identity is not None for one in every) else []
    doomed = {one.folder.name: _doomed(one, every, contents, stores) for one in every}
    return Plan(
        studies=tuple(doomed[one.folder.name] for one in named),
        deleted=tuple(doomed[one.folder.name] for one in contents.deleted),
        arrays=tuple(arrays),
        left=contents.left,
        left_bytes=contents.left_bytes,
    )


def delete(home: Home, plan: Plan) -> list[Arrays]:
    """Delete what was planned; each study that was running meanwhile is refused before anything is deleted.

    Returns:
        the data sets that are kept, because something uses them by now.

    Raises:
        InputError: a study is running, or has gone.
        WorkError: MLflow cannot be reached any more; the study is left as it was, but for the runs that have gone.
    """
    names = [one.study.folder.name for one in plan.studies]
    with ExitStack() as held:
        for one in [*plan.studies, *plan.deleted]:
            held.enter_context(alone(one.study.folder.path))
        for name in names:
            home.existing(name)  # another deletion may have been first
        for one in plan.studies:
            path = one.study.folder.path
            aside = path.rename(home.path / ASIDE.format(secrets.token_hex(8)))
            try:
                _withdraw(home, one)
            except WorkError as error:
                aside.rename(path)
                raise WorkError(f"{error}; the study '{path.name}' was not deleted") from error
            shutil.rmtree(aside)
        for one in plan.deleted:
            _withdraw(home, one)
            shutil.rmtree(one.study.folder.path)
    kept = [one for one in plan.arrays if not _deleted(home, one)]
    for place in (home.path, home.data):
        remove_left(place)
    return kept


def _deleted(home: Home, one: Arrays) -> bool:
    """Delete a data set, unless a study has begun with it meanwhile, or is about to; return whether it is gone."""
    with locked(home.data), deletable(one.path) as free:
        # A launch holds its images until its study is there, so that one of the two is seen.
        if not free or any(_uses(study, one) for study in contents_of(home).studies):
            return False
        with partial_folder(home.data) as aside:
            one.path.rename(aside)
    return True


def _uses(study: StudyContent, arrays: Arrays) -> bool:
    """Whether a study uses a data set, or cannot be read and may."""
    return study.settings is None or study.settings.data.folder == arrays.path.name


def _doomed(
    one: StudyContent, every: Sequence[StudyContent], contents: Contents, stores: Sequence[tuple[str, bool]]
) -> Doomed:
    """Return a study to delete with what the stores have of it: none that another study of the home may need."""
    if one.identity is None:
        return Doomed(one, (), () if one in contents.deleted else (_unreadable(one, "its runs in MLflow stay"),))
    copies = [two for two in contents.studies if two not in every and two.identity == one.identity]
    if copies:
        return Doomed(one, (), (f"its runs in MLflow stay: they are those of its copy '{copies[0].folder.name}' too",))
    if one.settings is not None and not one.alone:
        kept = f"{masked(one.settings.storage or '')} keeps the study and its runs, for the other loops"
        return Doomed(one, (), (kept,))
    # One that cannot be read may be shared, and only the home's own store is certainly no other loop's.
    asked = [(address, own) for address, own in stores if own or one.alone]
    notes = () if one.alone or len(asked) == len(stores) else (_unreadable(one, "its runs elsewhere in MLflow stay"),)
    return Doomed(one, tuple(_delivered(one, asked)), notes)


def _unreadable(one: StudyContent, stays: str) -> str:
    return f"{stays}: {one.folder.file} cannot be read, and whose they are cannot be told"


def _delivered(one: StudyContent, stores: Sequence[tuple[str, bool]]) -> Iterator["Delivered"]:
    from .withdrawal import delivered

    for address, own in stores:
        if (found := delivered(one, address, own)) is not None:
            yield found


def _withdraw(home: Home, one: Doomed) -> None:
    for found in one.delivered:
        from .withdrawal import withdraw

        withdraw(home, one.study, found)


def _stores(home: Home) -> list[tuple[str, bool]]:
    """Return the addresses of the stores that may have runs of this home, and whether each is the home's own.

    Raises:
        WorkError: one cannot be reached.
    """
    found = [(server, False)] if (server := own_server(home)) is not None else []
    if (home.path / FILE).exists():
        found.append((sqlite_url(home.path.resolve() / FILE), True))
    for address, _ in found:
        reached, said = reach(address, PATIENCE)
        if reached is False:
            raise WorkError(
                f"MLflow at {masked(address)} cannot be reached: {said}; nothing was deleted. {remedy_for(home)}"
            )
    if found and (trouble := registry_trouble(PATIENCE)) is not None:
        raise WorkError(f"{'; '.join(trouble)}; nothing was deleted")
    return found
