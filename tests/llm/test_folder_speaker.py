"""A folder of weights answers: what is bound is scored exactly, and batches change nothing."""

import math
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from palate.errors import ConfigError
from palate.llm.budget import Budget, Budgeted, Limits
from palate.llm.cache import Cached
from palate.llm.folder.scoring import score_options, score_plainly
from palate.llm.folder.speaker import FolderSpeaker
from palate.llm.folder.weights import Weights
from palate.llm.reply import ChoiceScores, NoReplyError, Reply
from palate.llm.request import Message, Sampling, SpeakerRequest, ask
from palate.llm.speaker import Speaker, choice_logprobs

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
KINDS = ["llama", "qwen2", "templated"]


@pytest.fixture(scope="module")
def folders(
    pretrained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    templated = tmp_path_factory.mktemp("weights") / "templated"
    shutil.copytree(pretrained["llama"], templated)
    (templated / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return {**pretrained, "templated": templated}


@pytest.fixture(scope="module", params=KINDS)
def speaker(folders: dict[str, Path], request: pytest.FixtureRequest) -> FolderSpeaker:
    return FolderSpeaker.open(folders[request.param], batch_size=3)


def test_it_is_a_speaker_with_a_name_of_its_content(
    folders: dict[str, Path], speaker: FolderSpeaker
) -> None:
    assert isinstance(speaker, Speaker)
    names = {FolderSpeaker.open(folders[kind]).name for kind in KINDS}
    assert len(names) == 3
    assert speaker.name in names


def test_the_template_of_the_model_is_used_where_it_has_one(folders: dict[str, Path]) -> None:
    spoken = [Message("system", "Be brief."), Message("user", "Hi")]
    assert Weights.open(folders["templated"]).prompt(spoken) == (
        "[system] Be brief.</s>[user] Hi</s>[assistant] "
    )
    assert Weights.open(folders["llama"]).prompt(spoken) == (
        "System: Be brief.\n\nUser: Hi\n\nAssistant: "
    )


OPTIONS = [["A", "B", "C"], ["the user liked it", "no", "which item"], ["it", "item", "item 2"]]


@pytest.mark.parametrize(("options", "after"), [*product(OPTIONS, ["", ","])])
def test_options_have_the_scores_of_whole_texts(
    speaker: FolderSpeaker, options: list[str], after: str
) -> None:
    before = speaker.weights.prompt(ask("Which item will the user like?").messages)
    scores = score_options(speaker.weights, before, options, after=after)
    if not options[1].startswith(options[0]):
        plain = [score_plainly(speaker.weights, before, each) for each in options]
        gaps = {round(a - b, 3) for a, b in zip(scores.logprobs, plain, strict=True)}
        # Where the tokenizer joins prompt and answer, all options start at an earlier token.
        assert len(gaps) == 1
    assert all(each < 0 for each in scores.logprobs)


def test_a_text_that_begins_another_is_not_preferred_for_that(speaker: FolderSpeaker) -> None:
    """The probabilities of all answers, their end included, add up to no more than one."""
    before = speaker.weights.prompt(ask("How many?").messages)
    options = [str(number) for number in range(30)]
    scores = score_options(speaker.weights, before, options)
    assert sum(map(math.exp, scores.logprobs)) <= 1.0
    assert scores.tokens[0] >= 2, "the end of the answer is a token"


def test_a_choice_is_always_one_of_them(speaker: FolderSpeaker) -> None:
    request = ask("Which?", choices=["the first item", "the second"])
    reply = speaker.reply(request)
    assert reply.value in request.choices
    assert (reply.binding, reply.text, reply.scores) == ("scores", reply.value, None)
    assert reply.usage.calls == 1
    (scores,) = choice_logprobs(speaker, [request])
    assert isinstance(scores, ChoiceScores)
    assert request.choices[scores.best] == reply.value


def test_a_schema_is_filled(speaker: FolderSpeaker) -> None:
    schema = {
        "type": "object",
        "properties": {
            "letter": {"enum": ["A", "B"]},
            "stars": {"type": "integer", "minimum": 1, "maximum": 5},
            "reason": {"type": "string", "maxLength": 12},
        },
    }
    request = SpeakerRequest(ask("Which?").messages, schema=schema, max_tokens=4)
    reply = speaker.reply(request)
    assert isinstance(reply.value, dict)
    assert 4 < reply.usage.tokens_out <= speaker.cost_limit(request).tokens_out
    assert list(reply.value) == ["letter", "stars", "reason"]
    assert reply.value["letter"] in ("A", "B")
    assert reply.binding == "scores"


def test_a_batch_says_what_each_prompt_is_told_alone(speaker: FolderSpeaker) -> None:
    requests = [
        *(
            replace(ask(text), max_tokens=6)
            for text in ("Hi", "Which item is next?", "a b c d e f")
        ),
        ask("Which?", choices=["A", "B"]),
        replace(ask("Go on"), max_tokens=3),
        replace(ask("Draw"), max_tokens=6, sampling=Sampling(temperature=1.0, seed=3)),
    ]
    together = speaker.replies(requests)
    alone = [speaker.reply(request) for request in requests]
    assert [each.text for each in together if isinstance(each, Reply)] == [e.text for e in alone]


def test_drawn_answers_follow_their_seed(speaker: FolderSpeaker) -> None:
    def drawn(seed: int) -> str:
        sampling = Sampling(temperature=1.5, seed=seed)
        return speaker.reply(replace(ask("Draw"), max_tokens=12, sampling=sampling)).text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(5)}) > 1


def test_what_is_cut_is_said(speaker: FolderSpeaker) -> None:
    reply = speaker.reply(replace(ask("Go on"), max_tokens=2))
    assert reply.usage.tokens_out <= 2
    assert reply.finish == ("length" if reply.usage.tokens_out == 2 else "stop")
    assert reply.usage.tokens_in == len(
        speaker.weights.tokens(speaker.weights.prompt(ask("Go on").messages))
    )


def test_a_prompt_that_is_too_long_is_an_error_at_its_place(speaker: FolderSpeaker) -> None:
    long, short = ask("word " * 40_000), replace(ask("Hi"), max_tokens=2)
    outcomes = speaker.replies([short, long, short])
    assert [isinstance(each, Reply) for each in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], NoReplyError)
    assert "tokens" in outcomes[1].message


def test_scores_that_fail_their_check_are_not_trusted(folders: dict[str, Path]) -> None:
    weights = Weights.open(folders["llama"])
    forward = weights.model.forward

    def forgetful(**given: object) -> object:
        read = forward(**given)
        return (
            SimpleNamespace(logits=read.logits.roll(1, -1), past_key_values=None)
            if (given.get("past_key_values") is not None)
            else read
        )

    weights.model.forward = forgetful
    with pytest.raises(NoReplyError, match="cannot be bound: the scores of choices differ"):
        FolderSpeaker(weights).reply(ask("Which?", choices=["A", "B"]))


def test_budget_and_cache_hold_for_it(folders: dict[str, Path], tmp_path: Path) -> None:
    budget = Budget(Limits(calls=2))
    speaker = Cached(Budgeted(FolderSpeaker.open(folders["llama"]), budget), tmp_path)
    asked = [ask(f"Which {number}?", choices=["A", "B"]) for number in range(4)]
    assert [isinstance(each, Reply) for each in speaker.replies(asked)] == [
        True,
        True,
        False,
        False,
    ]
    assert budget.spent.calls == 2
    assert [isinstance(each, Reply) for each in speaker.replies(asked[:2])] == [True, True]


@pytest.mark.parametrize("kind", ["t5", "nothing"])
def test_a_folder_that_holds_no_causal_model_is_said(folders: dict[str, Path], kind: str) -> None:
    folder = folders.get(kind, Path("there/is/nothing"))
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        FolderSpeaker.open(folder)
    assert caught.value.hint
