"""What a column holds, as Palate wants it: ids, times, ratings, prices, categories, clean text.

What a person must mend is an error that names the file and the line; what only costs a detail (a
price that is no number) becomes a null. Whatever is guessed, mended or left out is stated in notes,
which the report of the preparation shows.
"""
