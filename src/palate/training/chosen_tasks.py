"""The tasks of a recipe that are possible with the data."""

from palate.language.tasks.material import Material
from palate.language.tasks.task import Task
from palate.training.config import TasksConfig


def chosen_tasks(material: Material, config: TasksConfig) -> tuple[list[Task], list[float]]:
    """Return the tasks that have a share and that the data allows, and their shares."""
    shares = {family: share for family, share in config.shares.items() if share > 0}
    offered = [(family.offered(material, config), share) for family, share in shares.items()]
    chosen = [(task, share) for task, share in offered if task is not None]
    return [task for task, _ in chosen], [share for _, share in chosen]
