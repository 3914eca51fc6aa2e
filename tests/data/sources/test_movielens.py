"""The raw files of MovieLens, a few lines of each edition."""

from pathlib import Path

import pytest

from palate.data.sources.movielens import is_movielens, read_movielens
from palate.errors import DataError


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert is_movielens(folder)
    return folder


def test_100k(tmp_path: Path) -> None:
    flags = "|".join("1" if place in (1, 5) else "0" for place in range(19))
    film = f'7|Am\xe9lie "x" (2001)|25-Apr-2001||http://there|{flags}\n'.encode("latin-1")
    files = {
        "u.data": b"1\t7\t5\t881250949\n2\t7\t3\t881250950\n",
        "u.item": film,
        "u.user": b"1|24|M|technician|85711\n2|53|F|other|94043\n",
    }
    source = read_movielens(write(tmp_path, files))
    assert source.events.table.row(0) == ("1", "7", "5", "881250949")
    assert source.items is not None
    movie = source.items.table.row(0, named=True)
    assert (movie["title"], movie["year"]) == ('Amélie "x" (2001)', 2001)
    assert movie["categories"] == ["Action", "Comedy"]
    assert source.users is not None
    assert source.users.table["age"].to_list() == [24, 53]


def test_1m(tmp_path: Path) -> None:
    files = {
        "ratings.dat": b"1::7::5::978300760\n2::7::3::978302109\n",
        "movies.dat": "7::Caf\xe9 (1995)::Drama|War\n".encode("latin-1"),
        "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n",
    }
    source = read_movielens(write(tmp_path, files))
    assert source.events.table.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert source.items is not None
    assert source.items.table["title"].to_list() == ["Café (1995)"]
    assert source.items.table["categories"].to_list() == [["Drama", "War"]]
    assert source.users is not None
    assert source.users.table["occupation"].to_list() == ["K-12 student", "self-employed"]


def test_latest(tmp_path: Path) -> None:
    files = {
        "ratings.csv": b"userId,movieId,rating,timestamp\n1,7,3.5,978300760\n",
        "movies.csv": b'movieId,title,genres\n7,"Story, The (1995)",(no genres listed)\n8,X,A|B\n',
        "tags.csv": b"userId,movieId,tag,timestamp\n1,7,dry,1\n2,7,dry,2\n2,7,odd,3\n",
    }
    source = read_movielens(write(tmp_path, files))
    assert source.items is not None
    assert source.items.table["tags"].to_list() == [["dry", "odd"], []]
    assert source.items.table["categories"].to_list() == [None, ["A", "B"]]


def test_a_cut_line_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.dat": b"1::7::5::978300760\n\n2::7::3\n"})
    with pytest.raises(DataError, match=r"ratings.dat', line 3: 3 fields where 4 were wanted"):
        read_movielens(tmp_path)


def test_other_films_are_a_table_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
    (tmp_path / "movies.csv").write_text("movie_id,name\n2,Toy Story\n")
    assert not is_movielens(tmp_path)
    (tmp_path / "movies.csv").write_text('"movieId","title","genres"\r\n2,Toy Story,Comedy\r\n')
    assert is_movielens(tmp_path)
