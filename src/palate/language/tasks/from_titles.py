"""What comes next after titles."""

from dataclasses import dataclass

from palate.language.tasks.material import Material
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.task import TaskSettings, Wordings


@dataclass(frozen=True)
class NextFromTitles(NextItem):
    """What comes next after items that are told by their titles alone (LC-Rec).

    The asymmetric prediction of Zheng et al. 2024: asked as the next item is, so that only the
    history tells the two apart.
    """

    name = "from-titles"
    description = "What comes next after a history of titles alone."
    wordings = Wordings(())
    told_by = ("title",)

    @property
    def asked_as(self) -> str:
        """The next item."""
        return NextItem.name

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextFromTitles | None":
        """Needs titles."""
        return cls(settings.max_history) if any(material.titles) else None
