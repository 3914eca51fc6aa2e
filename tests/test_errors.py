"""Errors are two short texts: what is wrong and what to do."""

from palate.errors import MAX_MESSAGE, DataError


def test_a_message_and_its_hint_are_kept_apart() -> None:
    error = DataError("It is broken.", hint="Mend it.")
    assert (error.message, error.hint, str(error)) == (
        "It is broken.",
        "Mend it.",
        "It is broken. Mend it.",
    )


def test_a_prompt_that_is_too_long_loses_its_middle() -> None:
    error = DataError("start " + "x" * 300_000 + " end.", hint="y" * 300_000)
    assert len(error.message) < MAX_MESSAGE + 20
    assert error.message.startswith("start x")
    assert error.message.endswith("x end.")
    assert len(str(error)) < 2 * MAX_MESSAGE + 50
