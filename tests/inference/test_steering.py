"""A wish moves the list where it says, leaves it personal, and says what was understood."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from palate.data.dataset import Dataset
from palate.data.item_record import ItemRecord
from palate.inference.engine import Engine, Request
from palate.inference.model_folder import TrainedModel
from palate.inference.request import Answer
from palate.recommender.recommender import Recommender
from palate.recommender.steering import with_steering
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.training.system import Steering

TINY = (
    *("items.text.dim=16", "model.decoder.width=16", "model.decoder.layers=1"),
    *("tasks.max_history=8", "training.epochs=2", "training.tokens_per_batch=2048"),
)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=60, num_items=150, seed=2, pictures=False).dataset()


@pytest.fixture(scope="module")
def trained(shop: Dataset) -> TrainedModel:
    return Recommender.train(shop, load_recipe("urm-small", TINY), seed=1).trained


@pytest.fixture
def engine(trained: TrainedModel) -> Engine:
    return Engine(trained)


@pytest.fixture(scope="module")
def counting(shop: Dataset) -> TrainedModel:
    return Recommender.train(shop, "itemknn").trained


def ask(engine: Engine, user: str, prompt: str | None, n: int = 5, **more: object) -> Answer:
    request = Request(engine.dataset.history(user), n, prompt=prompt)
    return engine.answer([replace(request, **more)])[0]  # type: ignore[arg-type]


def categories(engine: Engine, answer: Answer) -> list[tuple[str, ...]]:
    return [engine.catalogue.view(row).categories for row in answer.rows.tolist()]


def some_category(engine: Engine, at_least: int = 8) -> str:
    labels = engine.catalogue.state.columns.categories
    counts = labels.counts(np.ones(len(engine.catalogue), dtype=bool))
    found = [n for n, count in zip(labels.names, counts, strict=True) if count >= at_least]
    return min(found, key=lambda name: counts[labels.codes[name.casefold()]])


@pytest.mark.parametrize("kind", ["trained", "counting"])
def test_a_category_fills_the_list_for_every_kind_of_model(
    kind: str, request: pytest.FixtureRequest
) -> None:
    engine = Engine(request.getfixturevalue(kind))
    wanted = some_category(engine)
    answer = ask(engine, "u1", f"could I have some {wanted.lower()}?")
    assert all(wanted in found for found in categories(engine, answer))
    assert answer.understood is not None
    assert [(p.kind, p.name) for p in answer.understood.parts] == [("category", wanted)]
    assert answer.understood.fitting == sum(
        wanted in engine.catalogue.view(row).categories for row in range(len(engine.catalogue))
    )


def test_the_list_of_a_wish_is_the_users_own_order_of_what_fits(counting: TrainedModel) -> None:
    engine = Engine(counting)
    wanted = some_category(engine)
    whole = ask(engine, "u2", None, len(engine.catalogue))
    ranked = [row for row in whole.rows.tolist() if wanted in engine.catalogue.view(row).categories]
    assert ask(engine, "u2", f"a few {wanted}").rows.tolist() == ranked[:5]


def test_two_users_with_one_wish_get_lists_of_their_own(engine: Engine) -> None:
    wanted = some_category(engine, 12)
    lists = {tuple(ask(engine, f"u{n}", wanted).rows.tolist()) for n in range(8)}
    assert len(lists) > 4


def test_for_somebody_else_the_own_taste_is_put_aside(engine: Engine) -> None:
    prompt = f"a gift for my sister, who likes {some_category(engine, 20)}"
    unseen = {"exclude_seen": False}
    one, two = (ask(engine, user, prompt, **unseen).rows.tolist() for user in ("u3", "u4"))
    assert one == two
    assert ask(engine, "u3", prompt).fallback is None


def test_what_is_not_wanted_never_comes(engine: Engine) -> None:
    unwanted = some_category(engine, 12)
    answer = ask(engine, "u5", f"whatever you like but no {unwanted}", len(engine.catalogue))
    assert not any(unwanted in found for found in categories(engine, answer))


def test_nonsense_changes_nothing_and_says_so(engine: Engine) -> None:
    plain, answer = ask(engine, "u6", None), ask(engine, "u6", "qwrtz plmkj ☃")
    assert answer.rows.tolist() == plain.rows.tolist()
    np.testing.assert_array_equal(answer.scores, plain.scores)
    assert plain.understood is None
    assert answer.understood is not None
    assert answer.understood.parts == ()
    assert answer.understood.unknown == ("qwrtz", "plmkj")
    assert "nothing" in str(answer.understood)


def test_a_wording_of_the_model_is_an_instruction(engine: Engine, trained: TrainedModel) -> None:
    assert trained.language_model is not None
    wording = trained.language_model.prompts["direct"].unseen[0]
    found = ask(engine, "u7", wording)
    assert found.understood is None
    assert found.rows.tolist() == ask(engine, "u7", wording, steer=False).rows.tolist()


def test_when_too_few_fit_the_closest_follow(engine: Engine) -> None:
    view = engine.catalogue.view(3)
    prompt = f"{view.categories[-1]} by {view.brand} for at most {view.price:g}"
    answer = ask(engine, "u8", prompt, 30, exclude_seen=False)
    assert answer.understood is not None
    fitting = answer.understood.fitting
    assert fitting is not None
    assert 0 < fitting < 30
    assert len(answer.rows) == 30
    held = [
        view.categories[-1] in each.categories
        and each.brand == view.brand
        and each.price is not None
        and each.price <= view.price
        for each in engine.catalogue.views(answer.rows)
    ]
    assert held == [True] * fitting + [False] * (30 - fitting)


def test_requests_with_and_without_wishes_do_not_affect_each_other(engine: Engine) -> None:
    history = engine.dataset.history("u9")
    questions = [
        Request(history, 5, prompt=prompt)
        for prompt in (None, some_category(engine), "qwrtz", "something calm", "under 40")
    ]
    together = engine.answer(questions)
    engine.forget_user_states()
    for one, question in zip(together, questions, strict=True):
        alone = engine.answer([question])[0]
        assert one.rows.tolist() == alone.rows.tolist()
        assert one.understood == alone.understood


def test_filters_candidates_and_exclusions_hold_for_wishes(engine: Engine) -> None:
    wanted = some_category(engine, 12)
    first = ask(engine, "u10", wanted)
    rest = ask(engine, "u10", wanted, exclude=first.rows[:2])
    assert rest.rows[:3].tolist() == first.rows[2:].tolist()
    among = ask(engine, "u10", wanted, candidates=first.rows[1:4])
    assert among.rows.tolist() == first.rows[1:4].tolist()
    scores = engine.scores([Request(engine.dataset.history("u10"), prompt=wanted)])
    np.testing.assert_allclose(scores[0, first.rows], first.scores, rtol=1e-5)


def test_new_items_are_found_by_what_they_are(engine: Engine) -> None:
    wanted = some_category(engine)
    record = ItemRecord("new", title="Plain Thing", brand="Brandnew", categories=(wanted,))
    engine.catalogue.update([record])
    answer = ask(engine, "u11", f"{wanted} by Brandnew")
    assert engine.catalogue.view(int(answer.rows[0])).item_id == "new"


def test_reasons_of_a_wish_are_events_of_the_history(engine: Engine) -> None:
    history = engine.dataset.history("u12")
    request = Request(history, 3, prompt=some_category(engine, 12))
    (answer,) = engine.answer([request])
    found = engine.reasons(request, answer.rows.tolist())
    assert len(found) == 3
    assert all(reason.weight > 0 for each in found for reason in each)


def test_the_wish_task_is_trained_and_its_weights_are_kept(
    trained: TrainedModel, shop: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = trained.language_model
    assert model is not None
    assert "wish" in model.tasks
    again = with_steering(replace(model, steering=Steering()), shop, trained.seed)
    assert again.steering == model.steering
    folder = tmp_path_factory.mktemp("kept") / "model"
    changed = replace(model, steering=Steering(0.25, 3.0, 0.5, 0.75))
    Recommender(replace(trained, system=changed)).save(folder)
    loaded = Recommender.load(folder).trained.language_model
    assert loaded is not None
    assert loaded.steering == changed.steering
    (folder / "steering.json").unlink()


def test_the_model_reads_the_wish_where_that_has_a_share(trained: TrainedModel) -> None:
    model = trained.language_model
    assert model is not None
    prompts = ("something calm", "under 40")
    scores = []
    for share in (0.0, 1.0):
        system = replace(model, steering=Steering(model=share))
        engine = Engine(replace(trained, system=system))
        history = engine.dataset.history("u13")
        scores.append(engine.scores([Request(history, prompt=prompt) for prompt in prompts]))
    assert not np.allclose(scores[0], scores[1])


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_codes_are_searched_among_what_fits(shop: Dataset, form: str) -> None:
    index = "codes.index={kind='residual-kmeans', levels=2, size=4, unique='own-token'}"
    recipe = load_recipe("urm-codes", (*TINY, index, "codes.beams=12", "training.epochs=1"))
    engine = Engine(Recommender.train(shop, recipe, seed=1).trained)
    wanted = some_category(engine, 12)
    answer = ask(engine, "u14", wanted, form=form)
    assert len(answer.rows) == 5
    assert all(wanted in found for found in categories(engine, answer))


def test_a_moved_list_is_what_the_formula_says(counting: TrainedModel) -> None:
    """Two items that fit differ by their own scores alone, whatever the wish."""
    engine = Engine(counting)
    wanted = some_category(engine, 12)
    history = engine.dataset.history("u15")
    plain, moved = engine.scores([Request(history), Request(history, prompt=wanted)])
    fits: Sequence[int] = [
        row
        for row in range(len(engine.catalogue))
        if wanted in engine.catalogue.view(row).categories
    ]
    np.testing.assert_allclose(moved[fits] - plain[fits], 0.0, atol=1e-5)
    others = np.setdiff1d(np.arange(len(plain)), fits)
    assert moved[others].max() < moved[fits].min()
