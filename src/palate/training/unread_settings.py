"""The settings of a recipe that nothing reads, given the others, each with the reason.

A setting that nothing reads would be a wish that is silently not granted: an override of one is
refused, and so is one in a table of a stage. A setting that turns something on or off is always
read.
"""

from palate.items.codes.rqvae_config import RqVaeConfig
from palate.language.tasks.choice import Choice
from palate.language.tasks.from_titles import NextFromTitles
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.search import Search
from palate.language.tasks.yes_no import YesNo
from palate.models.backbones.tuning import TuningConfig
from palate.training.recipe_settings import LEARNED_CODES, Recipe
from palate.training.stage_plan import StagePlan

Unread = dict[str, str]
"""The reason why nothing reads a setting or a table, by its path."""


def unread_settings(recipe: Recipe, stage: StagePlan) -> Unread:
    """Return the settings that a stage does not read; a path stands for all that begins with it."""
    if recipe.prompting is not None:
        return recipe.prompting.unread
    if recipe.baseline is not None:
        return {}
    return {
        **_of_tasks(stage),
        **_of_training(stage),
        **_of_model(recipe, stage),
        **_of_fusion(recipe, stage),
        **_of_items(recipe, stage),
        **_of_codes(recipe, stage),
        **_of_prior(recipe, stage),
    }


def _unless(read: bool, why: str, *paths: str) -> Unread:
    """Return the paths, each with the reason, unless they are read."""
    return {} if read else dict.fromkeys(paths, why)


def _of_tasks(stage: StagePlan) -> Unread:
    tasks = stage.tasks
    return {
        **_unless(bool(tasks.share(YesNo)), "tasks.yes_no has no share", "tasks.like_above"),
        **_unless(bool(tasks.share(Choice)), "tasks.choice has no share", "tasks.candidates"),
        **_unless(bool(tasks.share(Search)), "tasks.search has no share", "tasks.queries_per_item"),
    }


def _of_training(stage: StagePlan) -> Unread:
    training, words = stage.training, stage.tasks.in_words
    of_sets = ("objective", "set_weight", "negatives", "num_negatives")
    drawn = training.negatives == "uniform" and training.objective != "bce"
    contrasted = training.target_contrast + training.user_contrast > 0
    found = {
        **_unless(drawn, "one negative is drawn per target, or the batch gives them", of_sets[3]),
        **_unless(contrasted, "there is no contrast", "contrast_temperature"),
        **_unless(_in_sets(stage), _why_not("set", stage), *of_sets),
        **_unless(_in_codes(stage), _why_not("codes", stage), "code_weight", "code_temperature"),
        **_unless(
            words,
            "no task is answered in words",
            *("text_weight", "target_contrast", "user_contrast", "contrast_temperature"),
        ),
    }
    settings = [f"tuning.{each}" for each in TuningConfig.model_fields]
    of_tuning = dict.fromkeys(settings, "there is no [training.tuning]")
    if training.tuning is not None:
        of_tuning = _of_tuning("tuning", training.tuning)
    return {f"training.{path}": why for path, why in {**found, **of_tuning}.items()}


def _of_tuning(table: str, tuning: TuningConfig) -> Unread:
    kind, why = tuning.kind, f"what is tuned is {tuning.kind!r}"
    return {
        **_unless(kind == "lora", why, f"{table}.rank", f"{table}.alpha", f"{table}.dropout"),
        **_unless(kind in {"lora", "adapter"}, why, f"{table}.targets"),
        **_unless(kind == "adapter", why, f"{table}.bottleneck"),
        **_unless(kind == "soft-prompt", why, f"{table}.num_tokens"),
    }


def _of_model(recipe: Recipe, stage: StagePlan) -> Unread:
    model, of_sets = recipe.model, _in_sets(stage)
    titles = "title" in _formats(stage) or bool(stage.tasks.share(NextFromTitles))
    of_items = model.fusion.title_reader is not None or model.items_from_titles
    titles = titles or (of_items and _reads_items(recipe, stage))
    found = {
        **_unless(model.cosine, "model.cosine is off", "model.temperature"),
        **_unless(
            of_sets,
            _why_not("set", stage),
            *("model.cosine", "model.temperature", "model.num_queries"),
        ),
        **_unless(titles, "nothing reads titles word by word", "model.title_words"),
        **_unless(stage.tasks.in_words, "no task is answered in words", "model.copies"),
        **_unless(not model.prompts_in_text, "prompts are written as text", "model.copies"),
        **_unless(
            model.backbone is None,
            "model.backbone is a pre-trained model in its place",
            "model.decoder",
        ),
    }
    if model.backbone is not None:
        found |= _of_tuning("model.backbone.tuning", model.backbone.tuning)
    return found


def _of_fusion(recipe: Recipe, stage: StagePlan) -> Unread:
    fusion = recipe.model.fusion
    if not _reads_items(recipe, stage):
        return {"model.fusion": "nothing reads or answers whole items"}
    read = set(recipe.items.modalities) - set(fusion.leaves_out)
    vectors, behaviour = bool({"text", "image"} & read), "behaviour" in read
    no_vectors = "items have neither text nor image vectors"
    found = {
        **_unless(
            recipe.items.text.kind != "auto", "items.text.kind = auto chooses it too", "whiten"
        ),
        **_unless(fusion.use_id, "model.fusion.use_id is off", "id_scale"),
        **_unless(fusion.use_id or behaviour, "there is nothing to hide", "id_dropout"),
        **_unless(behaviour, "items have no behaviour vectors", "behaviour_dropout"),
        **_unless(vectors, no_vectors, "whiten", "vector_dropout", "experts"),
    }
    return {f"model.fusion.{key}": why for key, why in found.items()}


def _of_items(recipe: Recipe, stage: StagePlan) -> Unread:
    items, codes = recipe.items, recipe.codes
    read = set(items.modalities)
    if not _reads_items(recipe, stage):
        read = set()
    read -= set(recipe.model.fusion.leaves_out)
    if codes is not None and _reads_codes(recipe, stage) and codes.index.kind in LEARNED_CODES:
        read |= set(items.modalities) & {*codes.vectors.split("+")}
    unread = {
        f"items.{kind}": f"nothing reads the items' {kind} vectors"
        for kind in ("text", "image", "behaviour")
        if kind not in read
    }
    of_teacher = "the item vectors of the teacher are read in their place"
    return {
        **_unless(
            items.text.kind in {"auto", "tfidf-svd"}, "this kind brings its own", "items.text.dim"
        ),
        **_unless(
            items.text.kind in {"auto", "static", "transformers"},
            "this kind has none",
            "items.text.path",
        ),
        **_unless(items.text.kind in {"auto", "minilm"}, "only minilm has them", "items.text.int8"),
        **_unless(items.image.kind == "transformers", "this kind has none", "items.image.path"),
        **_unless(not recipe.teacher, of_teacher, "items.behaviour"),
        **unread,
    }


def _of_codes(recipe: Recipe, stage: StagePlan) -> Unread:
    codes = recipe.codes
    if codes is None:
        return {}
    if not _reads_codes(recipe, stage):
        return {"codes": "neither answers, model.item_format nor model.fusion.use_codes has codes"}
    of_tokens = "codes" in _formats(stage) or _in_codes(stage)
    index, both = codes.index, "hybrid" in recipe.forms and stage.by_items
    spread = not isinstance(index, RqVaeConfig) or index.diversity > 0
    return {
        **_unless(_in_codes(stage), _why_not("codes", stage), "codes.beams"),
        **_unless(
            both, "there is no hybrid answer", "codes.blend_weights", "codes.boost_fractions"
        ),
        **_unless(of_tokens, "no code is read or generated as a token", "codes.informed_init"),
        **_unless(
            index.kind in LEARNED_CODES, f"{index.kind!r} codes need no vectors", "codes.vectors"
        ),
        **_unless(spread, "codes.index.diversity is 0", "codes.index.clusters"),
    }


def _of_prior(recipe: Recipe, stage: StagePlan) -> Unread:
    scored = _in_sets(stage) and stage.tasks.share(NextItem) > 0
    if recipe.prior is None:
        return {}
    return _unless(scored, "it is added where the next item is answered as a set", "prior")


def _in_sets(stage: StagePlan) -> bool:
    return stage.tasks.by_items and "set" in stage.answers


def _in_codes(stage: StagePlan) -> bool:
    return stage.tasks.by_items and "codes" in stage.answers


def _why_not(answer: str, stage: StagePlan) -> str:
    named = answer in stage.answers
    return "no task is answered by items" if named else f"answers has no {answer!r}"


def _formats(stage: StagePlan) -> set[str]:
    """Return the parts that items of a history are written with, at the start or later."""
    return {*stage.model.item_format, *(stage.curriculum or ())}


def _reads_codes(recipe: Recipe, stage: StagePlan) -> bool:
    return "codes" in _formats(stage) or _in_codes(stage) or recipe.model.fusion.use_codes


def _reads_items(recipe: Recipe, stage: StagePlan) -> bool:
    """Return whether fused items are read or answered, or queries or codes start from them."""
    codes = recipe.codes
    as_tokens = "codes" in _formats(stage) or _in_codes(stage)
    first = codes is not None and codes.informed_init and as_tokens
    return "item" in _formats(stage) or _in_sets(stage) or bool(stage.tasks.share(Search)) or first
