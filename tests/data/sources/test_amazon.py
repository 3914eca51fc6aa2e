"""The raw files of the Amazon reviews, a few lines of each edition."""

import gzip
from pathlib import Path

import pytest

from palate.data.sources.amazon import find_reviews, is_amazon, read_amazon
from palate.errors import DataError

REVIEW_2014 = (
    b'{"reviewerID": "A1", "asin": "B1", "helpful": [2, 3], "reviewText": "ok",'
    b' "overall": 5.0, "summary": "Fine", "unixReviewTime": 1369699200}\n'
)
META_2014 = (
    b"{'asin': 'B1', 'title': \"Men's &amp; more\", 'price': 9.5, 'imUrl': 'http://i/1.jpg',"
    b" 'categories': [['Beauty', 'Hair'], ['Beauty', 'Care']], 'brand': 'Lux'}\n"
)


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_2014(tmp_path: Path) -> None:
    reviews = put(tmp_path, "reviews_Beauty_5.json.gz", REVIEW_2014 * 2)
    put(tmp_path, "meta_Beauty.json.gz", META_2014)
    assert find_reviews(tmp_path) == reviews
    source = read_amazon(reviews)
    assert source.name == "Beauty"
    review = source.events.table.row(1, named=True)
    assert (review["user_id"], review["item_id"], review["rating"]) == ("A1", "B1", 5.0)
    assert (review["review_title"], review["helpful_up"], review["helpful_total"]) == ("Fine", 2, 3)
    assert source.items is not None
    item = source.items.table.row(0, named=True)
    assert item["categories"] == ["Beauty", "Hair", "Care"]
    assert (item["price"], item["image_url"]) == ("9.5", "http://i/1.jpg")


def test_2014_reviews_as_literals(tmp_path: Path) -> None:
    line = REVIEW_2014.replace(b'"', b"'").replace(b"'ok'", b'"it\'s"')
    source = read_amazon(put(tmp_path, "reviews_X.json", line))
    assert source.events.table["review_text"].to_list() == ["it's"]


def test_2014_bare_ratings(tmp_path: Path) -> None:
    path = put(tmp_path, "ratings_Beauty.csv", b"A1,B1,5.0,1369699200\nA2,B1,1.0,1369699201\n")
    assert is_amazon(path)
    assert read_amazon(path).events.table["user_id"].to_list() == ["A1", "A2"]


def test_2018(tmp_path: Path) -> None:
    line = (
        b'{"overall": 4.0, "vote": "1,003", "verified": true, "reviewerID": "A1", "asin": "B1",'
        b' "unixReviewTime": 1514764800, "style": {"Size:": " L"}}\n'
    )
    meta = b'{"asin": "B1", "category": ["Toys", "Cars"], "description": ["One.", "Two."],'
    reviews = put(tmp_path, "Toys_5.json.gz", line)
    put(tmp_path, "meta_Toys.json.gz", meta + b' "title": "var getTime = 1", "price": "$5"}\n')
    source = read_amazon(reviews)
    assert source.events.table["votes"].to_list() == ["1,003"]
    assert source.items is not None
    item = source.items.table.row(0, named=True)
    assert (item["title"], item["description"]) == (None, "One. Two.")
    assert item["categories"] == ["Toys", "Cars"]


def test_2023(tmp_path: Path) -> None:
    line = (
        b'{"rating": 5.0, "title": "Nice", "text": "Very", "asin": "B0", "user_id": "U",'
        b' "parent_asin": "B1", "timestamp": 1588687728923, "helpful_vote": 0,'
        b' "verified_purchase": true}\n'
    )
    meta = (
        b'{"main_category": "All Beauty", "title": "Soap", "price": null, "store": "Lux",'
        b' "categories": [], "images": [{"large": "http://l", "hi_res": null}],'
        b' "description": [], "parent_asin": "B1"}\n'
    )
    reviews = put(tmp_path, "All_Beauty.jsonl.gz", line)
    put(tmp_path, "meta_All_Beauty.jsonl.gz", meta)
    source = read_amazon(reviews)
    row = source.events.table.row(0, named=True)
    assert (row["item_id"], row["review_title"], row["timestamp"]) == ("B1", "Nice", 1588687728923)
    assert source.items is not None
    item = source.items.table.row(0, named=True)
    assert (item["brand"], item["categories"], item["image_url"]) == (
        "Lux",
        ["All Beauty"],
        "http://l",
    )


def test_nothing_is_run(tmp_path: Path) -> None:
    reviews = put(tmp_path, "reviews_X.json", REVIEW_2014)
    put(tmp_path, "meta_X.json", META_2014 + b"__import__('os').getcwd()\n")
    with pytest.raises(DataError, match=r"meta_X.json', line 2: not an object"):
        read_amazon(reviews)


def test_a_cut_review_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "reviews_X.json", REVIEW_2014 + REVIEW_2014[:50])
    with pytest.raises(DataError, match=r"line 2: not an object"):
        read_amazon(path)


def test_a_document_of_one_long_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('{"user_id": {' + " " * (17 * 2**20) + "}}")
    assert not is_amazon(path)
