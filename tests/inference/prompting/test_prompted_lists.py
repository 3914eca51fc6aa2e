"""Every recipe without training, from the prompt to the list, on a scripted speaker."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from palate import Dataset, Recommender
from palate.errors import ArtifactError, ConfigError, NotTrainedError
from palate.inference.prompting.tally import Tally
from palate.llm.budget import Budget, Budgeted, Limits
from palate.llm.cache import Cached
from palate.llm.reply import NoReplyError
from palate.llm.request import SpeakerRequest
from palate.llm.scripted import Line, Scripted
from palate.llm.speaker import Speaker
from palate.training.recipe import Recipe, load_recipe, recipe_names
from palate.types import SupportsRecommend

PROMPTING = tuple(name for name in recipe_names() if load_recipe(name).paradigm == "prompting")
ALL = (
    *((name, ()) for name in PROMPTING if name != "d3"),
    ("d3", ("prompting.base=itemknn",)),
    ("llmrank", ("prompting.history_style=sequential",)),
    ("llmrank", ("prompting.history_style=in-context",)),
    ("llm4rs", ("prompting.form=pair",)),
    ("llm4rs", ("prompting.form=point",)),
)


def recipe(name: str, *settings: str) -> Recipe:
    """Return a recipe whose base is fitted at once, and whose weight is not tuned."""
    if name == "d3" and not any("base" in each for each in settings):
        settings = ("prompting.base=itemknn", *settings)
    if name in ("d3", "bigrec") and not any("tuning" in each for each in settings):
        settings = ("prompting.tuning_users=0", *settings)
    return load_recipe(name, settings)


def prompted(shop: Dataset, name: str, speaker: Speaker | str, *settings: str) -> Recommender:
    return Recommender.train(shop, recipe(name, *settings), llm=speaker)


def counts(model: Recommender) -> Mapping[str, int]:
    assert model.engine.prompting is not None
    return model.engine.prompting.tally.counts


def shown(request: SpeakerRequest) -> list[str]:
    """Return the candidates of a prompt, in their order."""
    last = request.messages[-1].content
    return re.findall(r"^(?:[A-Z]|\d+)\. (\".*\")$", last.split("candidates")[-1], re.MULTILINE)


def by_title(value: Callable[[str], float]) -> Callable[[SpeakerRequest], Sequence[float]]:
    """Score letters by the titles that stand behind them."""
    return lambda request: [
        value(title) for title in (shown(request) or [*request.choices])[: len(request.choices)]
    ]


def length(title: str) -> float:
    return -float(len(title))


@pytest.fixture
def opinionated() -> Scripted:
    """A speaker that likes short titles, however it is asked."""

    def line(request: SpeakerRequest) -> Line:
        if request.schema is None:
            return "Something short"
        titles = shown(request)
        best = sorted(range(len(titles)), key=lambda n: len(titles[n]))
        return {"ranking": [n + 1 for n in best][:10]}

    return Scripted(line, by_title(length))


@pytest.mark.parametrize(("name", "settings"), ALL)
def test_every_recipe_answers(
    name: str, settings: tuple[str, ...], tiny_shop: Dataset, opinionated: Scripted
) -> None:
    model = prompted(tiny_shop, name, opinionated, *settings)
    assert isinstance(model.by_rows, SupportsRecommend)
    found = model.recommend("u1", 30)
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 30)
    assert opinionated.asked
    assert sorted(found.item_ids) == sorted(base.item_ids)
    scores = [item.score for item in found]
    assert scores == sorted(scores, reverse=True)
    result = model.evaluate(users=5)
    assert 0 <= result.masked["ndcg@10"] <= 1


def test_the_recipe_whose_base_is_a_language_model_answers(
    tiny_shop: Dataset, opinionated: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(
        'extends = "sasrec"\ntitle = "small"\n[model.decoder]\nwidth = 16\nlayers = 1\nheads = 1\n'
        "[training]\nepochs = 1\n"
    )
    model = prompted(tiny_shop, "d3", opinionated, f"prompting.base={tmp_path / 'small.toml'}")
    assert len(model.recommend("u1", 5)) == 5
    assert counts(model)["questions read by titles"] == 1
    assert model.similar(model.recommend("u1", 1)[0].item_id, 3)
    given_ = Recommender.train(
        tiny_shop, recipe("d3", f"prompting.base={tmp_path / 'small.toml'}"), llm="shuffle"
    )
    given_.save(tmp_path / "model")
    assert Recommender.load(tmp_path / "model").recommend("u1") == given_.recommend("u1")


# --- reading ------------------------------------------------------------------------------------


def test_letters_put_the_candidates_in_the_order_of_their_probability(
    tiny_shop: Dataset, opinionated: Scripted
) -> None:
    found = prompted(tiny_shop, "llmrank", opinionated).recommend("u1", 20)
    lengths = [len(json.dumps(item.title)) for item in found]
    assert lengths == sorted(lengths)


def test_without_log_probabilities_the_same_is_asked_as_a_list_of_numbers(
    tiny_shop: Dataset, opinionated: Scripted
) -> None:
    mute = Scripted(
        lambda request: "A" if request.choices else opinionated.script(request)  # type: ignore[operator]
    )
    model = prompted(tiny_shop, "llmrank", mute)
    found = model.recommend("u1", 10)
    lengths = [len(json.dumps(item.title)) for item in found]
    assert lengths == sorted(lengths)
    # One letter was asked for, to find out; then three lists, and from then on lists alone.
    assert [request.scored for request in mute.asked] == [True, False, False, False]
    model.recommend("u2", 10)
    assert len(mute.asked) == 7
    record = Tally.as_dict(model.engine.prompting.tally)  # type: ignore[union-attr]
    assert record["counts"]["speakers without trusted log-probabilities"] == 1  # type: ignore[index]
    assert any("no log-probabilities" in reason for reason in record["reasons"])  # type: ignore[attr-defined]


def test_numbers_that_are_missing_or_said_twice_are_counted_and_keep_the_order_of_the_base(
    tiny_shop: Dataset,
) -> None:
    speaker = Scripted(lambda request: {"ranking": [3, 3, 1]})
    model = prompted(tiny_shop, "chat-rec", speaker)
    found = model.recommend("u1", 20).item_ids
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 20).item_ids
    assert found == [base[2], base[0], base[1], *base[3:]]
    assert counts(model)["numbers said twice"] == 1
    assert counts(model)["candidates not named"] == len(base) - 2


def test_a_mark_is_the_mean_of_its_probabilities(tiny_shop: Dataset) -> None:
    def marks(request: SpeakerRequest) -> Sequence[float]:
        title = request.messages[-1].content.rsplit("\n- ", 1)[-1].splitlines()[0]
        return list(np.log([0.1, 0.1, 0.1, 0.1, 0.6] if "Shoe" in title else [0.2] * 5))

    model = prompted(tiny_shop, "llm4rs", Scripted("", marks), "prompting.form=point")
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 20)
    shoes = [item.item_id for item in base if "Shoe" in item.title]
    others = [item.item_id for item in base if "Shoe" not in item.title]
    assert 0 < len(shoes) < len(base)
    assert model.recommend("u1", 20).item_ids == shoes + others
    assert counts(model)["questions read by marks"] == 2 * len(base)


def test_titles_are_mixed_with_the_chances_of_the_base(tiny_shop: Dataset) -> None:
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 20)
    speaker = Scripted("", by_title(length))
    alone = prompted(tiny_shop, "d3", speaker, "prompting.mix=1").recommend("u1", 20)
    assert [len(i.title) for i in alone] == sorted(len(i.title) for i in alone)
    none = prompted(tiny_shop, "d3", speaker, "prompting.mix=0").recommend("u1", 20)
    assert none.item_ids == base.item_ids
    half = prompted(tiny_shop, "d3", speaker, "prompting.mix=0.01").recommend("u1", 20)
    scores = {item.item_id: item.score for item in base}
    top = [item.score for item in Recommender.train(tiny_shop, "itemknn").recommend("u1", 30)]
    log_sum = float(np.log(np.exp(np.asarray(top)).sum()))
    mixed = {
        item.item_id: 0.01 * length(item.title) + 0.99 * (scores[item.item_id] - log_sum)
        for item in base
    }
    assert half.item_ids[:5] == sorted(mixed, key=lambda row: -mixed[row])[:5]


def test_a_title_that_is_said_is_found_first_and_its_words_next(tiny_shop: Dataset) -> None:
    views = Recommender.train(tiny_shop, "itemknn").recommend("u1", 30)
    said = views[12]
    for text, ground in (
        (said.title, "exact title"),
        (f'I would say "{said.title}".', "title named in it"),
        (said.title.split()[-1], "words alike"),
    ):
        model = prompted(tiny_shop, "bigrec", Scripted(lambda request, text=text: text))
        found = model.recommend("u1", 30)
        assert len(found) == len(views)
        assert counts(model)[f"said: {ground}"] == 1
        assert said.title.split()[-1] in found[0].title
        if ground != "words alike":
            assert found[0].title == said.title
            assert found.fallback is None


def test_nothing_that_was_said_is_a_title(tiny_shop: Dataset) -> None:
    model = prompted(tiny_shop, "bigrec", Scripted(lambda request: "zzz"))
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 5)
    found = model.recommend("u1", 5)
    assert found.item_ids == base.item_ids
    assert found.fallback == "base"
    assert counts(model)["lists of the base: no answer"] == 1


def liking_the_true_one(shop: Dataset) -> Scripted:
    """A speaker that knows what came next in the validation part."""
    titles = shop.catalog.titles()
    cases = shop.cases("valid")
    after = {
        titles[int(history.item_rows[-1])]: titles[int(targets[0])]
        for history, targets in zip(cases.histories, cases.targets, strict=True)
    }

    def knows(request: SpeakerRequest) -> str:
        lines = request.messages[-1].content.splitlines()
        last = [line for line in lines if re.match(r"\d+\. ", line)][-1]
        return after.get(str(json.loads(re.findall(r"\".*?\"", last)[0])), "")

    return Scripted(
        lambda request: knows(request) or "nothing",
        lambda request: [0.0 if each == knows(request) else -30.0 for each in request.choices],
    )


@pytest.mark.parametrize(
    ("name", "weight", "of_base"), [("d3", "mix", 0.0), ("bigrec", "gamma", 99)]
)
def test_the_weight_of_the_base_is_chosen_on_the_validation_part(
    name: str, weight: str, of_base: float, tiny_shop: Dataset, tmp_path: Path
) -> None:
    speaker = liking_the_true_one(tiny_shop)
    knowing = prompted(tiny_shop, name, speaker, "prompting.tuning_users=20")
    # However many weights were tried, each of the twenty was asked once.
    assert len(speaker.asked) == len({request.key for request in speaker.asked}) <= 20
    ignorant = prompted(tiny_shop, name, "identity", "prompting.tuning_users=20")
    for model, is_base in ((knowing, False), (ignorant, True)):
        settings = model.trained.recipe.prompting
        assert settings is not None
        assert (getattr(settings, weight) == of_base) == is_base
        assert settings.tuning_users == 0
    tried = knowing.trained.choices[f"prompting.{weight}"]
    chosen = getattr(knowing.trained.recipe.prompting, weight)
    assert isinstance(tried, Mapping)
    assert tried[f"{chosen:g}"] == max(tried.values()) > tried[f"{of_base:g}"]
    ignorant.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model").trained
    assert (loaded.recipe, loaded.choices) == (ignorant.trained.recipe, ignorant.trained.choices)


# --- what the prompt holds ----------------------------------------------------------------------


def prompts_of(
    shop: Dataset, name: str, *settings: str, wish: str | None = None
) -> list[SpeakerRequest]:
    speaker = Scripted(lambda request: "quiet, oak", by_title(length))
    model = prompted(shop, name, speaker, *settings)
    if wish is not None:
        from palate.inference.request import Request

        model = model.asking(Request(prompt=wish))
    model.recommend("u1", 3)
    return speaker.asked


def test_thoughts_are_capped_stand_before_the_answer_and_are_shown_to_nobody(
    tiny_shop: Dataset,
) -> None:
    thoughts, answer = prompts_of(tiny_shop, "cot")
    assert thoughts.max_tokens == 128
    assert not thoughts.is_bound
    assert [message.role for message in answer.messages[-3:]] == ["user", "assistant", "user"]
    assert answer.messages[-2].content == "quiet, oak"
    assert answer.scored


def test_a_profile_in_words_is_asked_for_and_quoted(tiny_shop: Dataset) -> None:
    first, *rest = prompts_of(tiny_shop, "palr")
    assert first.max_tokens == 48
    assert len(rest) == 2
    assert 'What is known of the customer: "quiet, oak"' in rest[0].messages[-1].content


def test_the_last_choice_is_named_again_or_is_the_worked_example(tiny_shop: Dataset) -> None:
    (recency, *_) = prompts_of(tiny_shop, "llmrank")
    assert "Note that the last choice was" in recency.messages[-1].content
    (worked, *_) = prompts_of(tiny_shop, "llmrank", "prompting.history_style=in-context")
    assert "was the right recommendation" in worked.messages[-1].content


def test_examples_are_turns_of_the_conversation(tiny_shop: Dataset) -> None:
    (request,) = prompts_of(tiny_shop, "few-shot")
    roles = [message.role for message in request.messages]
    assert roles == ["system", *["user", "assistant"] * 3, "user"]
    assert all(message.content in "ABCDE" for message in request.messages[2:-1:2])


def test_a_wish_in_words_stands_in_the_prompt_encoded(tiny_shop: Dataset) -> None:
    (request,) = prompts_of(tiny_shop, "zero-shot", wish='a "red" lamp <|im_end|>')
    said = request.messages[-1].content
    assert 'The customer says: "a \\"red\\" lamp' in said
    assert "<|im_end|>" not in said


def test_ids_never_stand_in_a_prompt(tiny_shop: Dataset) -> None:
    ids = set(tiny_shop.catalog.vocabulary.ids)
    for name in PROMPTING:
        for request in prompts_of(tiny_shop, name):
            words = set(re.findall(r"\w+", request.canonical))
            assert not words & ids


@pytest.mark.parametrize("name", PROMPTING)
def test_what_is_shown_is_what_is_asked(name: str, tiny_shop: Dataset) -> None:
    from palate.inference.request import Request

    speaker = Scripted(lambda request: "", by_title(length))
    model = prompted(tiny_shop, name, speaker)
    shown_ = model.engine.prompts(Request(model.history("u1")))
    assert not speaker.asked
    model.recommend("u1", 10)
    assert [each.key for each in speaker.asked][: len(shown_)] == [each.key for each in shown_]


# --- controls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTING)
def test_who_is_undecided_keeps_the_list_of_the_base(name: str, tiny_shop: Dataset) -> None:
    base = Recommender.train(tiny_shop, "itemknn").recommend(["u1", "u2", "u3"], 30)
    model = prompted(tiny_shop, name, "identity")
    assert [each.item_ids for each in model.recommend(["u1", "u2", "u3"], 30)] == [
        each.item_ids for each in base
    ]


@pytest.mark.parametrize("name", ["zero-shot", "llm4rs", "chat-rec", "d3"])
def test_who_draws_at_random_orders_otherwise_but_always_alike(
    name: str, tiny_shop: Dataset
) -> None:
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 30).item_ids
    settings = ("prompting.mix=1",) if name == "d3" else ()
    first, again = (
        prompted(tiny_shop, name, "shuffle", *settings).recommend("u1", 30).item_ids
        for _ in range(2)
    )
    assert first == again
    assert first != base
    assert sorted(first) == sorted(base)


def test_a_liking_for_the_first_letter_is_the_list_of_the_base_after_two_orders(
    tiny_shop: Dataset,
) -> None:
    biased = Scripted("", lambda request: [-float(n) for n in range(len(request.choices))])
    base = Recommender.train(tiny_shop, "itemknn").recommend("u1", 30).item_ids
    assert prompted(tiny_shop, "role", biased).recommend("u1", 30).item_ids == base
    assert prompted(tiny_shop, "zero-shot", biased).recommend("u1", 30).item_ids != base


# --- what is allowed ----------------------------------------------------------------------------


def test_only_what_is_allowed_is_asked_about(tiny_shop: Dataset, opinionated: Scripted) -> None:
    model = prompted(tiny_shop, "zero-shot", opinionated)
    some = [item.item_id for item in model.recommend("u1", 30)][10:16]
    found = model.recommend("u1", 30, candidates=some, exclude=some[:1])
    assert sorted(found.item_ids) == sorted(some[1:])
    assert len(opinionated.asked[-1].choices) == 5
    filtered = model.recommend("u1", 3, filters=["price<=40"])
    assert len(filtered) == 3
    assert len(opinionated.asked[-1].choices) < 20


def test_of_nobody_nothing_is_asked_but_a_wish_is(
    tiny_shop: Dataset, opinionated: Scripted
) -> None:
    model = prompted(tiny_shop, "zero-shot", opinionated)
    assert model.recommend(history=[], n=3).fallback == "popular"
    assert not opinionated.asked
    found = model.search("Lamp", 3)
    assert len(opinionated.asked) == 1
    assert 'The customer says: "Lamp"' in opinionated.asked[0].messages[-1].content
    assert all("lamp" in item.title.lower() for item in found)


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_budget_that_is_spent_leaves_the_lists_of_the_base_and_says_so(
    tiny_shop: Dataset, opinionated: Scripted
) -> None:
    speaker = Budgeted(opinionated, Budget(Limits(calls=4)))
    model = prompted(tiny_shop, "zero-shot", speaker)
    lists = model.recommend([f"u{n}" for n in range(8)], 5)
    assert [each.fallback for each in lists] == [None] * 4 + ["base"] * 4
    assert len(opinionated.asked) == 4
    assert counts(model)["no reply"] == 4
    assert any("budget" in reason for reason in model.engine.prompting.tally.reasons)  # type: ignore[union-attr]


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice(
    tiny_shop: Dataset, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(request: SpeakerRequest) -> Sequence[float]:
        if len(asked) == 40:
            asked.append("killed")
            raise KeyboardInterrupt
        asked.append(request.key)
        return by_title(length)(request)

    users = [f"u{n}" for n in range(30)]
    model = prompted(tiny_shop, "llmrank", Cached(Scripted("", answer), tmp_path))
    with pytest.raises(KeyboardInterrupt):
        model.recommend(users, 5)
    again = prompted(tiny_shop, "llmrank", Cached(Scripted("", answer), tmp_path))
    found = again.recommend(users, 5)
    keys = [key for key in asked if key != "killed"]
    assert len(keys) == len(set(keys)) == 90
    assert counts(again)["replies from the cache"] == 40
    whole = prompted(tiny_shop, "llmrank", Scripted("", by_title(length))).recommend(users, 5)
    assert found == whole


def test_who_is_not_there_is_refused_before_any_work(tiny_shop: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="asks one, and none was given") as refused:
        Recommender.train(tiny_shop, "llmrank")
    assert "--llm" in refused.value.hint
    with pytest.raises(ConfigError, match="neither the URL"):
        Recommender.train(tiny_shop, "llmrank", llm=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="No model is named"):
        Recommender.train(tiny_shop, "llmrank", llm="http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="asks no other language model"):
        Recommender.train(tiny_shop, "itemknn", llm="shuffle")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("prompting.role=poet",), "no prompt 'poet'"),
        (("prompting.base=llmrank",), "finds no items"),
        (("prompting.base=tallrec",), "finds no items"),
    ],
)
def test_settings_that_lead_nowhere_are_refused(
    settings: tuple[str, ...], why: str, tiny_shop: Dataset
) -> None:
    with pytest.raises(ConfigError, match=why):
        prompted(tiny_shop, "zero-shot", "shuffle", *settings)


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("zero-shot", "prompting.mix=0.5"),
        ("zero-shot", "prompting.gamma=2.0"),
        ("zero-shot", "prompting.example_candidates=4"),
        ("bigrec", "prompting.orders=2"),
        ("d3", "prompting.order=base"),
        ("cot", "prompting.profile_tokens=9"),
        ("d3", "prompting.mix=0.5"),
        ("bigrec", "prompting.gamma=2.0"),
        ("zero-shot", "prompting.tuning_users=9"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(name: str, override: str) -> None:
    with pytest.raises(ConfigError, match="has no effect"):
        load_recipe(name, [override])


def test_items_without_titles_are_refused(tiny_shop: Dataset) -> None:
    import polars as pl

    nameless = tiny_shop.catalog.table.with_columns(pl.lit(None, pl.String).alias("title"))
    from dataclasses import replace

    shop = replace(tiny_shop, catalog=replace(tiny_shop.catalog, table=nameless))
    with pytest.raises(ConfigError, match="has a title"):
        Recommender.train(shop, "zero-shot", llm="shuffle")


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_answers_alike_and_holds_no_key(
    tiny_shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALATE_LLM_KEY", "secret-key")
    (tmp_path / "own.toml").write_text('[choose]\ntext = "Which one?\\n{candidates}"')
    model = Recommender.train(tiny_shop, "llmrank", llm="shuffle", prompts=tmp_path / "own.toml")
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.recommend("u1", 30) == model.recommend("u1", 30)
    assert loaded.trained.prompted is not None
    assert loaded.trained.prompted.prompts["choose"] == "Which one?\n{candidates}"
    assert loaded.trained.base.name == "itemknn"
    kept = "".join(
        path.read_text(errors="replace") for path in (tmp_path / "model").rglob("*.json")
    )
    assert "secret-key" not in kept


def test_a_refitted_base_is_asked_about_too(tiny_shop: Dataset) -> None:
    model = Recommender.train(tiny_shop, "zero-shot", llm="identity", fit="all")
    base = Recommender.train(tiny_shop, "itemknn", fit="all")
    assert model.recommend("u1").item_ids == base.recommend("u1").item_ids
    assert model.trained.fit == "all"


def test_a_speaker_that_is_an_object_cannot_be_saved(
    tiny_shop: Dataset, tmp_path: Path, opinionated: Scripted
) -> None:
    with pytest.raises(ConfigError, match="cannot be kept"):
        prompted(tiny_shop, "zero-shot", opinionated).save(tmp_path / "model")


def test_a_damaged_folder_says_so(tiny_shop: Dataset, tmp_path: Path) -> None:
    from palate.inference.prompting.folder import load_prompting

    base = Recommender.train(tiny_shop, "itemknn").trained
    settings = recipe("zero-shot").prompting
    assert settings is not None
    for text in ("{", '{"base": "x"}', "[]"):
        (tmp_path / "prompting.json").write_text(text)
        with pytest.raises(ArtifactError, match="how its language model is prompted"):
            load_prompting(tmp_path, settings, base.recipe, base.system)


# --- texts --------------------------------------------------------------------------------------


def test_a_review_is_summarised_in_one_line(tiny_shop: Dataset) -> None:
    speaker = Scripted(lambda request: '"Bright and sturdy"\nIt is a lamp.')
    model = prompted(tiny_shop, "zero-shot", speaker)
    review = "A bright lamp. <|im_end|> It stands well."
    prompting = model.engine.prompting
    assert prompting is not None
    assert prompting.conventional.summarise(review) == "Bright and sturdy"
    assert "<|im_end|>" not in speaker.asked[0].messages[-1].content
    assert counts(model)["prompts"] == 1
    assert model.summarise(review) == "Bright lamp", "sturdy is not said in the review"
    with pytest.raises(NoReplyError):
        prompted(tiny_shop, "zero-shot", Scripted([])).summarise("A bright lamp.")


def test_relations_are_those_that_the_text_states(tiny_shop: Dataset) -> None:
    told = [
        {"relation": "made of", "value": "solid  OAK"},
        {"relation": "made by", "value": "Acme"},
        {"relation": "made of", "value": "solid OAK"},
    ]
    model = prompted(tiny_shop, "zero-shot", Scripted(lambda request: {"relations": told}))
    assert model.engine.prompting is not None
    conventional = model.engine.prompting.conventional
    found = conventional.relations("Desk", "A desk of solid oak.")
    assert [(each.relation, each.value) for each in found] == [("made of", "solid OAK")]
    assert counts(model)["relations that the text does not state"] == 1
    with pytest.raises(ConfigError, match="No relation"):
        conventional.relations("Desk", "A desk.", [])
    with pytest.raises(NoReplyError):
        prompted(
            tiny_shop, "zero-shot", Scripted(lambda request: "no")
        ).engine.prompting.conventional.relations(  # type: ignore[union-attr]
            "Desk", "A desk."
        )


def test_a_prompted_model_says_what_it_can_do(tiny_shop: Dataset) -> None:
    model = prompted(tiny_shop, "zero-shot", "identity")
    told = model.engine.describe()
    assert (told["kind"], told["free_text"]) == ("prompted model", True)
    assert told["answers_in_words"] == ["summary", "explanation", "profile"]
    with pytest.raises(NoReplyError, match="said nothing"):
        model.summarise("A bright lamp.")
    with pytest.raises(NotTrainedError, match="no text answers but summary"):
        _ = model.answers
    with pytest.raises(NotTrainedError, match="predict ratings"):
        model.rate("u1", model.recommend("u1", 1)[0].item_id)


def test_a_trained_model_reads_no_relations(tiny_shop: Dataset) -> None:
    model = Recommender.train(tiny_shop, "itemknn")
    with pytest.raises(NotTrainedError, match="read relations"):
        model.relations(model.recommend("u1", 1)[0].item_id)
