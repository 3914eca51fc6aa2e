"""Next item after a history of titles."""

from dataclasses import dataclass

from palate.language.tasks.material import Material
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.task import TaskSettings, Wordings


@dataclass(frozen=True)
class NextFromTitles(NextItem):
    """Predict the next item after items that are represented by their titles alone (LC-Rec).

    The asymmetric prediction of Zheng et al. 2024. It shares the wordings of the next item, so that
    only the format of the history differs.
    """

    name = "from-titles"
    description = "What comes next after a history of titles alone."
    wordings = Wordings(())
    history_format = ("title",)

    @property
    def wording_family(self) -> str:
        """The next item."""
        return NextItem.name

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextFromTitles | None":
        """Needs titles."""
        return cls(settings.max_history) if any(material.titles) else None
