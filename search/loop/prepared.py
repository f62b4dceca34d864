"""A study that is ready to be searched."""

from dataclasses import dataclass

from ...spaces.space import SearchSpace
from ..data.dataset import Dataset
from ..data.splits import Split
from ..shared.database import Database
from ..study.folder import StudyFolder
from ..study.record import Record
from ..study.settings import StudySettings


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to be searched: its folder and what is in it, its data, its space."""

    folder: StudyFolder
    study: StudySettings
    dataset: Dataset
    split: Split
    space: SearchSpace
    record: Record
    database: "Database | None" = None  # of a shared study
