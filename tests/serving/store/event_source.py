"""A program that stores numbered events until it is killed, and says which are acknowledged.

It writes each key to its output only after the store has returned. Keys are sent in order by some
coroutines; of those that its forerunner had not said, it begins again at the first.
"""

import asyncio
import os
import sys

from palate.serving.store import Event, EventWriter, Store

NUM_WRITERS = 8
BATCH = 3


async def main(address: str, numbers: "list[int]", start: int) -> None:
    store = Store.open(address)
    writer = EventWriter(store)
    waiting = iter(numbers)
    following = start

    def next_number() -> int:
        nonlocal following
        for number in waiting:
            return number
        following += 1
        return following - 1

    async def send() -> None:
        while True:
            batch = [next_number() for _ in range(BATCH)]
            await writer.add([event(number) for number in batch], "accumulate")
            os.write(1, "".join(f"{number}\n" for number in batch).encode())

    await asyncio.gather(*(send() for _ in range(NUM_WRITERS)))


def event(number: int) -> Event:
    user_id = f"user-{number % 5}"
    return Event(
        user_id, f"item-{number}", "click", None, 1_700_000_000.0 + number, f"key-{number}"
    )


if __name__ == "__main__":
    lost = [int(number) for number in sys.argv[3].split(",") if number]
    asyncio.run(main(sys.argv[1], lost, int(sys.argv[2])))
