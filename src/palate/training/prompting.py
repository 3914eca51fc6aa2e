"""The settings of a recipe that trains nothing but asks a language model about a base's list."""

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

MOST_LETTERS = 26

AskingForm = Literal["list", "pair", "point", "say"]
"""How candidates are asked about: several at once, two at a time, each by itself with a mark from 1
to 5, or not at all: then the model says a title of its own."""

Reading = Literal["letters", "indices", "titles"]
"""How an answer is read: by the log-probability of each candidate's letter or title, or as a list
of numbers under a schema."""

HistoryStyle = Literal["sequential", "recency", "in-context"]
"""LLMRank's three: in order; and then the last item named again; the last as a worked example."""


class SpendingConfig(BaseModel):
    """What asking may cost, from each opening of the model on; none means no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: NonNegativeInt | None = None
    tokens_in: NonNegativeInt | None = None
    tokens_out: NonNegativeInt | None = None
    seconds: NonNegativeFloat | None = None
    money: NonNegativeFloat | None = None
    price_in: NonNegativeFloat = 0.0
    """Of a million tokens read."""
    price_out: NonNegativeFloat = 0.0
    """Of a million tokens written."""


class PromptingConfig(BaseModel):
    """Which candidates are asked about, what the prompt holds, and how the answer is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = "itemknn"
    """The recipe, or its TOML file, whose list is put in order."""
    form: AskingForm = "list"
    read: Reading = "letters"
    """Of lists; two are told apart by their letters, marks by their digits."""
    candidates: int = Field(default=20, ge=2, le=100)
    """How many of the base's best are asked about; what follows them keeps its place."""
    group: NonNegativeInt = 0
    """Candidates of one question; 0 asks about all at once."""
    orders: PositiveInt = 1
    """How often all are asked about: every second time in the mirrored order of the time before,
    so that a liking for a place in the list evens out. The results are averaged by Borda's count.
    """
    order: Literal["shuffled", "base"] = "shuffled"
    """Whether candidates are shown in a random order or in the base's own."""
    history: PositiveInt = 10
    """Newest events shown."""
    history_style: HistoryStyle = "sequential"
    describe: bool = False
    """Whether an item is shown with brand, categories and price, or by its title alone."""
    role: str = "recommender"
    """Name of the prompt that says who is asked; empty says nothing."""
    examples: int = Field(default=0, ge=0, le=8)
    """Worked examples, from the training histories nearest to the one at hand."""
    example_candidates: int = Field(default=5, ge=2, le=MOST_LETTERS)
    """Candidates of one example of a list."""
    profile: Literal["none", "facts", "words"] = "none"
    """What is said of the customer beside the history: what is frequent in it, or keywords that
    the model is asked for first."""
    profile_tokens: PositiveInt = 48
    reasoning: NonNegativeInt = 0
    """Tokens in which the model may think first; they are shown to nobody but itself."""
    top: NonNegativeInt = 0
    """Indices asked for at most; 0 means all."""
    tuning_users: NonNegativeInt = 0
    """Users of the validation part by whom ``mix`` or ``gamma`` is chosen; 0 takes it as it is."""
    mix: float = Field(default=1.0, ge=0, le=1)
    """Weight of the model's log-probability of a title against the base's."""
    normalise: bool = False
    """Whether the log-probability of a title is that of a mean token, as if all were equally long.
    """
    gamma: NonNegativeFloat = 1.0
    """Power by which the base's score draws items nearer to what was said."""
    say_tokens: PositiveInt = 32
    seed: NonNegativeInt = 0
    """Of the orders, and of what stands beside the true item in an example."""
    spending: SpendingConfig = SpendingConfig()

    @model_validator(mode="after")
    def _check_letters(self) -> "PromptingConfig":
        if self.form == "list" and self.read == "letters" and self.at_once > MOST_LETTERS:
            raise ValueError(
                f"there are {MOST_LETTERS} letters for {self.at_once} candidates: set group, fewer "
                "candidates, or read = 'indices'"
            )
        if self.form == "list" and self.group == 1:
            raise ValueError("a group of one has nothing to compare: set form = 'point'")
        return self

    @property
    def at_once(self) -> int:
        """Candidates of one question."""
        if self.form == "pair":
            return 2
        if self.form in ("point", "say"):
            return 1
        if self.read == "titles":
            return self.candidates
        return min(self.group or self.candidates, self.candidates)

    @property
    def unread(self) -> dict[str, str]:
        """The settings that nothing reads, given the others, each with the reason."""
        lists, says = self.form == "list", self.form == "say"
        indices, titles = lists and self.read == "indices", lists and self.read == "titles"
        why = f"form is {self.form!r}"
        chosen = "it is chosen on the validation part (tuning_users)" if self.tuning_users else ""
        found = {
            "read": "" if lists else why,
            "group": why if not lists else "the titles are not shown" if titles else "",
            "candidates": why if says else "",
            "orders": why if says else "the titles are not shown" if titles else "",
            "order": why if says else "the titles are not shown" if titles else "",
            "top": "" if indices else f"read is {self.read!r}" if lists else why,
            "mix": chosen if titles else f"read is {self.read!r}" if lists else why,
            "tuning_users": "" if titles or says else "there is nothing to tune",
            "normalise": "" if titles else f"read is {self.read!r}" if lists else why,
            "gamma": chosen if says else why,
            "say_tokens": "" if says else why,
            "example_candidates": "there are no examples"
            if not self.examples
            else ""
            if lists and not titles
            else "an example of this form has no list",
            "profile_tokens": "" if self.profile == "words" else f"profile is {self.profile!r}",
        }
        return {f"prompting.{name}": reason for name, reason in found.items() if reason}

    @property
    def made_of(self) -> str:
        """One line about its parts, for people."""
        what = {
            "list": f"{self.candidates} candidates of {self.base}",
            "pair": f"{self.candidates} candidates of {self.base}, two at a time",
            "point": f"{self.candidates} candidates of {self.base}, one at a time",
            "say": f"a title that is said, found in the catalogue, drawn to {self.base}",
        }
        read = {"point": "marks from 1 to 5", "say": "free words", "pair": "letters"}
        parts = [what[self.form], f"read by {read.get(self.form, self.read)}"]
        parts += [f"in groups of {self.group}"] if self.form == "list" and self.group else []
        parts += [f"{self.orders} orders"] if self.orders > 1 else []
        parts += [f"history {self.history_style}"]
        parts += [f"{self.examples} examples"] if self.examples else []
        parts += [f"profile of {self.profile}"] if self.profile != "none" else []
        parts += [f"reasons in {self.reasoning} tokens"] if self.reasoning else []
        if self.tuning_users:
            parts.append("its weight chosen on the validation part")
        elif self.mix < 1:
            parts.append(f"mixed {self.mix:g} to {1 - self.mix:g}")
        return "; ".join(["nothing is trained but the base", *parts])
