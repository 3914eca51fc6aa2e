"""SASRec of RecBole 1.2.1, for a minute, in RecBole's own environment.

``python recbole_sasrec.py EVENTS SECONDS``; see ``stopwatch.py``.
"""

import tempfile
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from stopwatch import Stopwatch, read_arguments

SETTINGS: dict[str, object] = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "place",
    "load_col": {"inter": ["user_id", "item_id", "place"]},
    "MAX_ITEM_LIST_LENGTH": 50,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": ""},
    "hidden_size": 64,
    "inner_size": 256,
    "n_layers": 2,
    "n_heads": 2,
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "train_batch_size": 2048,
    "epochs": 1,
    "seed": 1,
    "use_gpu": False,
    "show_progress": False,
}


def write_atomic_file(events: Path, folder: Path) -> None:
    """Write the events under RecBole's own header; it cuts off the last two of each user itself."""
    lines = events.read_text(encoding="utf-8").splitlines()[1:]
    kept = ["\t".join(line.split("\t")[:3]) for line in lines]
    (folder / "shop").mkdir()
    (folder / "shop" / "shop.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\tplace:float", *kept]) + "\n", encoding="utf-8"
    )


def main() -> None:
    """Train until the time is up and print the JSON line."""
    given = read_arguments()
    with tempfile.TemporaryDirectory() as name:
        write_atomic_file(given.events, Path(name))
        places = {"data_path": name, "checkpoint_dir": name}
        config = Config(model="SASRec", dataset="shop", config_dict=SETTINGS | places)
        init_seed(config["seed"], config["reproducibility"])
        train, _, _ = data_preparation(config, create_dataset(config))
        model = get_model("SASRec")(config, train.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
        watch = Stopwatch(train, given.seconds)
        # The one step of its trainer that is training alone: no evaluation, no checkpoint.
        trainer._train_epoch(watch, epoch_idx=0)
        watch.report(len(train))


if __name__ == "__main__":
    main()
