"""A device that is not there: its tensors hold their values in memory and refuse what a GPU would.

On the processor a tensor made without a device, or read by ``numpy`` where it lies, is no fault; on
a GPU it is one. Within :func:`far_device`, tensors on ``FAR`` cannot be mixed with those of the
processor either, and cannot be read by ``numpy`` before they are brought back::

    model.to(FAR)  -->  every operation runs on the processor, on values that are hidden inside
    far + near     -->  RuntimeError

Speed, memory, kernels of its own and bfloat16 are what it does not show.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

FAR = torch.device("meta")
"""What the tensors say of themselves: torch knows this device without any hardware."""

_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default)
_INDEXED = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default)
"""These take indices of the processor too, as CUDA does."""

Tree = TypeVar("Tree")


class FarTensor(Tensor):
    """A tensor on ``FAR`` with its values."""

    near: Tensor

    @staticmethod
    def __new__(cls: type["FarTensor"], near: Tensor) -> "FarTensor":
        far: FarTensor = Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
        )
        far.near = near
        return far

    def tolist(self) -> object:
        return self.near.tolist()

    @classmethod
    def __torch_dispatch__(
        cls,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _run(func, args, kwargs or {})


class _Far(TorchDispatchMode):
    """Sends what is made on ``FAR`` there."""

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _run(func, args, kwargs or {})


def _run(func: OpOverload, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    is_far = any(isinstance(x, FarTensor) for x in tensors)
    where = kwargs.get("device")
    goes_far = is_far if where is None else where == FAR
    if not is_far and not goes_far:
        return func(*args, **kwargs)
    if func is _aten._fused_sdp_choice.default:
        return 0  # plain products: the fused ones are other functions on each device
    _check(func, args, tensors)
    kwargs = {**kwargs, **({} if where is None else {"device": torch.device("cpu")})}
    near = func(*_near(args), **_near(kwargs))
    if not goes_far:
        return near
    far = tree_map_only(Tensor, FarTensor, near)
    return return_and_correct_aliasing(func, args, kwargs, far) if is_far else far


def _check(func: OpOverload, args: tuple[object, ...], tensors: list[Tensor]) -> None:
    """Refuse tensors of two devices where CUDA does."""
    if func in _MOVES:
        return
    indexed = (args[0], *args[2:3])
    held = [x for x in indexed if isinstance(x, Tensor)] if func in _INDEXED else tensors
    near = [x for x in held if not isinstance(x, FarTensor) and x.ndim]
    if near and any(isinstance(x, FarTensor) for x in tensors):
        raise RuntimeError(f"{func} has tensors on two devices; on the processor {near[0].shape}")


def _near(tree: Tree) -> Tree:
    return cast("Tree", tree_map_only(FarTensor, lambda far: far.near, tree))


@contextmanager
def far_device() -> Iterator[None]:
    """Let tensors be made on ``FAR``."""
    with pytest.MonkeyPatch.context() as patch, _Far(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no-op", UserWarning)  # torch takes FAR for empty
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch.optim, "AdamW", _Optimizer)
        patch.setattr(torch, "tensor", _made_of(torch.tensor))
        patch.setattr(torch, "inference_mode", torch.no_grad)  # its tensors cannot be wrapped
        yield


def _made_of(tensor: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return ``torch.tensor`` such that it asks where its values belong."""
    return lambda data, device=None, **rest: tensor(data, **rest).to(device or "cpu")


class _Generator(torch.Generator):
    """Random numbers are drawn on the processor."""

    def __new__(cls: type["_Generator"], device: object = None) -> "_Generator":
        return super().__new__(cls)


class _Optimizer(torch.optim.AdamW):
    """The same steps, by plain operations."""

    def __init__(
        self,
        groups: list[dict[str, object]],
        *,
        fused: bool,
        lr: float,
        betas: tuple[float, float],
    ) -> None:
        assert fused
        super().__init__(groups, lr=lr, betas=betas, foreach=False)
