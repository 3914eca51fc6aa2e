"""Types and shapes at every function edge, checked while the tests run.

The hook of jaxtyping alone checks the parameters of each call twice and binds them in between,
whether it speaks of shapes or not, which takes longer than all the work of a small test. Here they
are checked once, and only a call that speaks of shapes remembers them until it returns. What is
checked is the same.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from types import FunctionType
from typing import ForwardRef, ParamSpec, TypeVar, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

Thing = TypeVar("Thing")
Given = ParamSpec("Given")
Returned = TypeVar("Returned")

_jaxtyped = jaxtyping.jaxtyped
_beartype = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


def install(package: str) -> None:
    """Check whatever of the package is imported from now on."""
    vars(jaxtyping)["jaxtyped"] = lambda **how: partial(checked, **how)  # what the hook calls
    jaxtyping.install_import_hook(package, "beartype.beartype")


def checked(thing: Thing, *, typechecker: object) -> Thing:
    """Return a function that checks its calls; of a class, that which makes its objects."""
    if inspect.isclass(thing):
        if dataclasses.is_dataclass(thing) and "__init__" in vars(thing):
            thing.__init__ = checked(thing.__init__, typechecker=typechecker)
        return thing
    parts = list(_parts(getattr(thing, "__annotations__", {}).values()))
    # What it yields later, and names that it alone finds: both are better known to jaxtyping.
    later = inspect.isgeneratorfunction(thing) or inspect.iscoroutinefunction(thing)
    named = any(isinstance(part, str | ForwardRef) for part in parts)
    if later or named or not isinstance(thing, FunctionType):
        return _jaxtyped(thing, typechecker=typechecker)
    shapes = any(inspect.isclass(x) and issubclass(x, jaxtyping.AbstractArray) for x in parts)
    return _remembering(_beartype(thing)) if shapes else _beartype(thing)


def _remembering(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Let the axes of one name agree for as long as a call takes."""

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        __tracebackhide__ = True
        with _jaxtyped("context"):
            return function(*args, **kwargs)

    return call


def _parts(annotations: Iterable[object]) -> Iterable[object]:
    """Every annotation and all that it is made of."""
    for annotation in annotations:
        yield annotation
        yield from _parts(annotation if isinstance(annotation, list) else get_args(annotation))
