"""Mechanical faults for `tools/mutation.py`: where they can be, how they are made, and how they are found again.

A fault is addressed by module and qualified name of a function, by the operator that made it, and by its place among
the operator's sites in that function. What stood there must still be the same text, else the fault applies no longer.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Area of the package: its modules. What a test suite must notice, wherever files move.
AREAS: dict[str, tuple[str, ...]] = {
    "blocks": ("keras_resnet.nets.blocks", "keras_resnet.builder", "keras_resnet.nets.fused"),
    "weights": (
        "keras_resnet.weights.loading",
        "keras_resnet.weights.matching",
        "keras_resnet.weights.pytorch",
        "keras_resnet.weights.legacy_h5",
        "keras_resnet.weights.files",
    ),
    "pipeline": (
        "keras_resnet.data.dataset",
        "keras_resnet.data.pipeline",
        "keras_resnet.data.truth",
        "keras_resnet.data.augment",
        "keras_resnet.data.mixing",
        "keras_resnet.signals.crops",
        "keras_resnet.signals.geometry",
        "keras_resnet.signals.image",
        "keras_resnet.data.records",
    ),
    "optimization": (
        "keras_resnet.training.optimization",
        "keras_resnet.training.lamb",
        "keras_resnet.training.transfer",
        "keras_resnet.training.nets",
        "keras_resnet.training.session",
        "keras_resnet.training.inputs",
        "keras_resnet.training.loop",
    ),
    "quantization": (
        "keras_resnet.nets.compressed",
        "keras_resnet.compression.rewriting",
        "keras_resnet.compression.folding",
        "export.making.representative",
        "export.model.graph",
        "export.formats.tflite",
        "export.formats.litert",
    ),
    "verification": (
        "export.proof.comparison",
        "export.proof.gates",
        "export.proof.golden",
        "export.proof.timing",
        "export.proof.verification",
    ),
    "checkpoints": (
        "keras_resnet.training.checkpoints",
        "keras_resnet.training.callbacks",
        "keras_resnet.training.run",
    ),
    "places": (
        "export.targets.bundle",
        "export.targets.description",
        "export.targets.making",
        "export.targets.table",
        "export.targets.tflm",
        "export.targets.android",
    ),
}


class NotApplicable(Exception):
    """A fault whose function or text is no longer there."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One change of one expression or statement.

    Attributes:
        area: key of `AREAS`.
        module: dotted name.
        function: qualified name within the module, for example `"Keep.on_epoch_end"`.
        operator: key of `OPERATORS`.
        site: place among the operator's sites in the function, from 0.
        before: text that stood there, as `ast.unparse` writes it.
        after: text that the fault puts there.
    """

    area: str
    module: str
    function: str
    operator: str
    site: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """Short address for tables and files: `module:function:operator:site`."""
        return f"{self.module}:{self.function}:{self.operator}:{self.site}"


# ---- operators: from a node to the changed node, None where the node is no site

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def _comparison(node: ast.AST) -> ast.AST | None:
    if not (isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS):
        return None
    node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    return node


def _constant(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool | int | float):
        return None
    value = node.value
    node.value = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else 2 * value or 1.0
    return node


def _sign(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand
    if not (isinstance(node, ast.BinOp) and type(node.op) in _SIGNS) or _is_of_text(node):
        return None
    node.op = _SIGNS[type(node.op)]()
    return node


def _is_of_text(node: ast.BinOp) -> bool:
    """Texts that are joined and paths that are extended: an exception at once, which shows nothing."""
    for side in (node.left, node.right):
        text = ast.unparse(side)
        if text.startswith(("'", '"', "f'", 'f"')) or any(word in text.lower() for word in ("root", "folder", "path")):
            return True
    return False


def _swap(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Call) or len(node.args) < 2 or any(isinstance(a, ast.Starred) for a in node.args[:2]):
        return None
    if ast.dump(node.args[0]) == ast.dump(node.args[1]):
        return None
    if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "getattr", "hasattr", "min", "max", "zip"):
        return None  # either an exception at once, or nothing
    node.args[:2] = reversed(node.args[:2])
    return node


def _drop(node: ast.AST) -> ast.AST | None:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return None
    return ast.Pass()


OPERATORS = {"comparison": _comparison, "constant": _constant, "sign": _sign, "swap": _swap, "drop": _drop}


# ---- functions and sites


def path_of(module: str, root: Path) -> Path:
    """File of a module, a package's `__init__.py` included."""
    path = root.joinpath(*module.split("."))
    file = path.with_suffix(".py")  # beside a folder of the same name, too
    return path / "__init__.py" if path.is_dir() and not file.exists() else file


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods by qualified name; those inside functions belong to these."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes in the order of the source, without what only makes a message, a type or a name for people."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
        return
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child)


def sites(function: ast.FunctionDef, operator: str) -> list[tuple[ast.AST, str, str]]:
    """Places where an operator can make a fault: the node, its text and the changed text."""
    found = []
    for node in _nodes(function):
        if node is function:
            continue
        changed = OPERATORS[operator](copy.deepcopy(node))
        if changed is not None:
            found.append((node, ast.unparse(node), ast.unparse(changed)))
    return found


def every_fault(root: Path) -> list[Fault]:
    """All faults that the operators can make in the modules of `AREAS`, in a fixed order."""
    faults = []
    for area, modules in AREAS.items():
        for module in modules:
            for name, node in functions(ast.parse(path_of(module, root).read_text(encoding="utf-8"))):
                for operator in OPERATORS:
                    for number, (_, before, after) in enumerate(sites(node, operator)):
                        faults.append(
                            Fault(
                                area=area, module=module, function=name, operator=operator, site=number,
                                before=before, after=after,
                            )
                        )  # fmt: skip
    return faults


def _function(fault: Fault, text: str) -> ast.FunctionDef:
    for name, node in functions(ast.parse(text)):
        if name == fault.function:
            return node
    raise NotApplicable(f"{fault.name}: {fault.module} has no function {fault.function} any more")


def _source(fault: Fault, root: Path) -> tuple[Path, str]:
    path = path_of(fault.module, root)
    if not path.is_file():
        raise NotApplicable(f"{fault.name}: there is no module {fault.module} any more")
    return path, path.read_text(encoding="utf-8")


def mutated(fault: Fault, root: Path) -> tuple[Path, str]:
    """File of a fault and the file's text with the fault in it.

    Raises:
        NotApplicable: the function is gone, or another text stands there.
    """
    path, text = _source(fault, root)
    found = sites(_function(fault, text), fault.operator)
    if fault.site >= len(found) or found[fault.site][1:] != (fault.before, fault.after):
        raise NotApplicable(f"{fault.name}: expected `{fault.before}` there")
    node = found[fault.site][0]
    lines = text.encode().splitlines(keepends=True)  # ast counts columns in bytes
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    whole = text.encode()
    # Parentheses: what replaces an operand may bind less than what stood there.
    after = fault.after if isinstance(node, ast.stmt | ast.Constant) else f"({fault.after})"
    return path, (whole[:start] + after.encode() + whole[end:]).decode()


def probed(fault: Fault, root: Path) -> tuple[Path, str]:
    """File of a fault and the file's text with a call in the fault's function that says when it runs."""
    path, text = _source(fault, root)
    node = _function(fault, text)
    first = node.body[1] if len(node.body) > 1 and ast.get_docstring(node) is not None else node.body[0]
    line = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", []))])
    lines = text.splitlines(keepends=True)
    indent = " " * first.col_offset
    lines.insert(line - 1, f'{indent}__import__("mutation_probe").hit({fault.name!r})\n')
    return path, "".join(lines)
