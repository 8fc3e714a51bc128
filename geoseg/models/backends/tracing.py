"""Graphs of networks, to be rewritten: torch.fx's, where it can follow the network's Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

Rewrite = Callable[[fx.GraphModule], None]

_FAULTS = (ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError, KeyError, IndexError)


def rewritten(network: nn.Module, chip: Tensor, rewrite: Rewrite) -> nn.Module:
    """The network with `rewrite` done to its graph; where that cannot be had, to those of the parts that have one.

    `chip` (batch, band, y, x) is run once, for the shapes that stand in each node's `meta["tensor_meta"]`. The network
    given is used up.
    """
    graph = _graph(network, chip)
    if graph is not None:
        rewrite(graph)
        graph.delete_all_unused_submodules()
        graph.graph.lint()
        graph.recompile()
        return graph
    inputs = _inputs_of_children(network, chip)
    for name, child in list(network.named_children()):
        if name in inputs:
            setattr(network, name, rewritten(child, inputs[name], rewrite))
    return network


def _graph(network: nn.Module, chip: Tensor) -> fx.GraphModule | None:
    """The network's graph with shapes, or None where its path through Python hangs on its input."""
    if hasattr(network, "check_input_shape"):  # smp's; the sizes of tiles were checked when the job was planned
        setattr(network, "check_input_shape", _nothing)  # noqa: B010 - no attribute that mypy knows
    try:
        graph = fx.symbolic_trace(network)
        ShapeProp(graph).propagate(chip)
    except _FAULTS:
        return None
    return graph


def _nothing(chips: Tensor) -> None:
    """Checks nothing."""


def _inputs_of_children(network: nn.Module, chip: Tensor) -> dict[str, Tensor]:
    """What each child got that takes one tensor and was called once."""
    got: dict[str, list[tuple[object, ...]]] = {}
    hooks = [
        child.register_forward_pre_hook(lambda _, args, name=name: got.setdefault(name, []).append(args))
        for name, child in network.named_children()
        if _takes_one(child)
    ]
    try:
        network(chip)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: calls[0][0].detach()
        for name, calls in got.items()
        if len(calls) == 1 and len(calls[0]) == 1 and isinstance(calls[0][0], Tensor)
    }


def _takes_one(module: nn.Module) -> bool:
    """Whether the module's forward has one parameter: with more, their defaults would be lost in a graph."""
    if isinstance(module, nn.ModuleList | nn.ModuleDict) or not any(True for _ in module.children()):
        return False
    parameters = inspect.signature(module.forward).parameters.values()
    return [p.kind for p in parameters] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]


def module_of(node: object, graph: fx.GraphModule) -> nn.Module | None:
    """The module that a node calls; None for other nodes."""
    if isinstance(node, fx.Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def shape_of(node: object) -> tuple[int, ...] | None:
    """The shape of a node's tensor on the chip that was run."""
    found = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    shape = getattr(found, "shape", None)
    return None if shape is None else tuple(shape)


def only_user(node: fx.Node) -> fx.Node | None:
    """The node that alone uses another's value."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def is_called_once(node: fx.Node, graph: fx.GraphModule) -> bool:
    """Whether no other node calls the same module: only then may the module be changed."""
    return bool(sum(n.op == "call_module" and n.target == node.target for n in graph.graph.nodes) == 1)


def put(graph: fx.GraphModule, name: str, module: nn.Module) -> str:
    """Add a module to a graph under a new name, which is returned."""
    taken = set(dict(graph.named_children()))
    number = next(i for i in range(len(taken) + 1) if f"{name}_{i}" not in taken)
    graph.add_module(f"{name}_{number}", module)
    return f"{name}_{number}"


def is_call(node: object, *functions: object) -> bool:
    """Whether a node calls one of these functions (or a tensor's method of that name, given as text)."""
    if not isinstance(node, fx.Node):
        return False
    return bool(node.op in ("call_function", "call_method") and node.target in functions)


def plain_convolution(module: nn.Module | None) -> nn.Conv2d | None:
    """The module as a convolution padded with zeros, or None."""
    if type(module) is not nn.Conv2d or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    return module
