"""Two tables in, a model out: run this file as it is, or cell by cell in a notebook.

    .venv/bin/python examples/quickstart.py

It makes its tables itself, as frames of polars; frames of pandas or pyarrow do as well.
"""

# %% Two tables: who did what when, and what the items are
import polars as pl

from palate import Dataset, Recommender, World

shop = World(num_users=120, num_items=60, events_per_user=8, seed=0, pictures=False)
orders, products = shop.frames()
print(orders.head(3))
print(products.head(3))

# %% One dataset: columns are guessed, values checked, and the report says how
dataset = Dataset.from_frames(orders, products, name="my shop")
print(dataset.report)

# %% One model, and what it recommends: ids, titles, scores and reasons
model = Recommender.train(dataset, "itemknn")
user = str(dataset.interactions.users.ids[0])
for item in model.recommend(user, n=5, reasons=1):
    because = f", because of {item.reasons[0].title}" if item.reasons else ""
    print(f"{item.rank}. {item.title} ({item.item_id}), score {item.score:.2f}{because}")

# %% Many users at once, as a frame
users = [str(user_id) for user_id in dataset.interactions.users.ids[:20]]
lists: pl.DataFrame = model.recommend(users, n=3).to_polars()
print(lists.head(6))

# %% Somebody new, with filters
first, second = (str(item_id) for item_id in dataset.catalog.vocabulary.ids[:2])
print(model.recommend(history=[first, second], n=3, filters=["price<60"]).to_polars())

# %% How good is it? Ranked against the whole catalogue, on events it never saw
print(model.evaluate("test"))
