"""SASRec of Cornac 3.0.1, for a minute, in Cornac's own environment.

``python cornac_sasrec.py EVENTS SECONDS``; see ``stopwatch.py``.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cornac.models.sasrec.recom_sasrec as sasrec
from cornac.data import SequentialDataset
from stopwatch import Stopwatch, read_arguments

BATCH = 512


def read_training_events(events: Path) -> list[tuple[str, str, str, int]]:
    """Return (user, session, item, time) of the training events: one session per user."""
    rows = (line.split("\t") for line in events.read_text(encoding="utf-8").splitlines()[1:])
    return [(user, user, item, int(place)) for user, item, place, part in rows if part == "train"]


def main() -> None:
    """Train until the time is up and print the JSON line."""
    given = read_arguments()
    events = read_training_events(given.events)
    lengths = Counter(user for user, *_ in events)
    # One row per prefix that has a next item; the last batch may be short.
    batches_per_epoch = sum(n - 1 for n in lengths.values()) / BATCH
    watches: list[Stopwatch[object]] = []
    batches_of = sasrec.session_seq_iter

    def timed(*args: object, **settings: object) -> Iterator[object]:
        watches.append(Stopwatch(batches_of(*args, **settings), given.seconds))
        return iter(watches[-1])

    sasrec.session_seq_iter = timed
    sasrec.SASRec(
        embedding_dim=64,
        loss="ce",
        batch_size=BATCH,
        n_sample=256,
        n_epochs=1,
        max_len=50,
        num_blocks=2,
        num_heads=1,
        seed=1,
    ).fit(SequentialDataset.from_usit(events))
    watches[0].report(batches_per_epoch)


if __name__ == "__main__":
    main()
