"""Find a credit method or a selector by name: files in `methods/` and `select/`, entry points of the groups
`stepcredit.credit` and `stepcredit.select`, a path to a file."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, util
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from stepcredit.credit.card import Card, Preset
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import OpenSet

Kind = Literal["method", "selector", "preset"]


@dataclass(frozen=True)
class Method:
    """A credit method or selector as the house sees it: function, card, the columns it needs, the options it takes.

    name: as asked for ("gigpo", "gigpo@verl-agent", "rloo"). base: the method whose formula it is.
    """

    name: str
    base: str
    function: Callable[..., Any]
    card: Card
    presets: Mapping[str, Preset]
    preset: Preset | None = None
    of: Kind = "method"

    @property
    def kind(self) -> Kind:
        """What it is: "preset" is another reading of a method or selector (`of`)."""
        return self.of if self.preset is None else "preset"

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns without which it cannot run."""
        return tuple(self.column(n) for n, p in _columns(self.function).items() if p.default is p.empty)

    @property
    def uses(self) -> tuple[str, ...]:
        """Columns that it takes where they are there."""
        return tuple(self.column(n) for n, p in _columns(self.function).items() if p.default is not p.empty)

    def column(self, parameter: str) -> str:
        """The column that fills a parameter: the one of its name, unless the preset takes another."""
        return self.preset.columns.get(parameter, parameter) if self.preset else parameter

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults, the preset's applied."""
        given = dict(self.preset.options) if self.preset else {}
        return {
            n: given.get(n, p.default)
            for n, p in inspect.signature(self.function).parameters.items()
            if p.kind is p.KEYWORD_ONLY
        }

    @property
    def grouping(self) -> Callable[..., Mapping[str, Any]] | None:
        """`grouping` of the method's module: columns in, {label: [S] cells} out. None: it compares no steps."""
        made: dict[str, Any] = getattr(inspect.unwrap(self.function), "__globals__", {})
        return made.get("grouping")

    @property
    def waives(self) -> dict[str, str]:
        """Properties of the contract that are false by design, of method, preset and options together: why."""
        pooled = [n for n, v in self.card.pools.items() if self.options.get(n) == v]
        over = {"other_prompts": f"{', '.join(pooled)}: statistics of the whole batch"} if pooled else {}
        return {**over, **self.card.waives, **self._preset_waives}

    @property
    def holds(self) -> frozenset[str]:
        """Invariances that are declared: of the card at the defaults, of a preset its own."""
        return frozenset(self.preset.holds if self.preset else self.card.holds)

    def given(self, options: Mapping[str, Any]) -> "Method":
        """The method with these options set, as if they were a preset; options that change nothing change nothing."""
        if all(self.options.get(n) == v for n, v in options.items()):
            return self
        columns = self.preset.columns if self.preset else {}
        changed = Preset(self.check_options(options), "as given", columns=columns, waives=dict(self._preset_waives))
        return replace(self, preset=changed)

    @property
    def _preset_waives(self) -> Mapping[str, str]:
        return self.preset.waives if self.preset else {}

    def check_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options to call with, the preset's included; numbers may be given as text ("0.95").

        Raises:
            UnknownName: no such option. StepCreditError: a value that the option does not take.
        """
        out = dict(self.preset.options) if self.preset else {}
        return {**out, **convert_options(self.name, self.function, self.options, given)}


def convert_options(
    who: str, function: Callable[..., Any], known: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Options as the function annotates them; numbers may be given as text.

    Args:
        who: for errors. known: option -> default.

    Raises:
        UnknownName: no such option. StepCreditError: a value that the option does not take.
    """
    hints, out = get_type_hints(function), {}
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"option of {who}", name, known)
        if callable(value):
            out[name] = value
            continue
        plain = value.item() if hasattr(value, "item") else value
        if isinstance(plain, str):
            plain = re.sub(r"^(-?)\.(?=\d)", r"\g<1>0.", plain)
            if _takes_list(hints.get(name), plain):
                plain = [part.strip() for part in plain.split(",")]
        try:
            out[name] = msgspec.convert(plain, hints.get(name, Any), strict=False)
        except TypeError:  # an option that also takes functions or mappings: given as it is
            out[name] = plain
        except msgspec.ValidationError as error:
            choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
            hint = f"one of: {', '.join(map(str, choices))}" if choices else f"the default is {known[name]!r}"
            raise StepCreditError(f"option {name}={value!r} of {who}: {error}", hint=hint) from None
        if out[name] != out[name]:
            raise StepCreditError(f"option {name}={value!r} of {who}", hint=f"the default is {known[name]!r}")
    return out


def _takes_list(hint: Any, text: str) -> bool:
    """Whether text stands for a list: the option takes nothing else, or it takes one too and the text has commas."""
    if get_origin(hint) in (Union, UnionType):
        return "," in text and any(_takes_list(one, text) for one in get_args(hint))
    return get_origin(hint) in (list, tuple, Sequence, Iterable, Collection)


def _columns(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY and n not in ("layout", "tree")}


class Shelf:
    """Members of one open set that are functions of columns with a card: credit methods, selectors.

    Args:
        set: where the members are. kind: what a member is called in lists.
    """

    def __init__(self, set: OpenSet, kind: Kind) -> None:
        self._set, self._kind = set, kind

    @cache  # noqa: B019
    def systems(self) -> dict[str, str]:
        """Presets that are published systems: their own name -> `base@preset`."""
        out = {}
        for base in self._set.built_in():
            for label, preset in getattr(self._set.load(base), "PRESETS", {}).items():
                if preset.system:
                    out[preset.system] = f"{base}@{label}"
        return out

    def names(self, *, presets: bool = False) -> list[str]:
        """Every member and every preset that is a system of its own; with `presets` every `member@preset` too."""
        out = {*self._set.names(), *self.systems()}
        if presets:
            out |= {f"{m.base}@{label}" for n in list(out) if (m := self.get(n)).preset is None for label in m.presets}
        return sorted(out)

    def get(self, name: str) -> Method:
        """The member of this name: "gigpo", "gigpo@verl-agent", "rloo", "my_method.py", "my_method.py@preset".

        Raises:
            UnknownName: no such member or preset.
        """
        base, _, label = (name, "", "") if name.endswith(".py") else name.partition("@")
        if not label and base in self.systems():
            base, _, label = self.systems()[base].partition("@")
        module, function_name = self._module(base)
        method = self._checked(name, base, module, function_name)
        if not label:
            return method
        if label not in method.presets:
            raise UnknownName(f"preset of {base}", label, method.presets)
        return replace(method, preset=method.presets[label])

    def _module(self, base: str) -> tuple[ModuleType, str]:
        path = Path(base)
        if path.suffix == ".py":
            if not path.is_file():
                raise StepCreditError(f"no file {base!r} to load a {self._set.kind} from")
            spec = util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise StepCreditError(f"{base!r} is not a Python module")
            module = util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module, path.stem
        if base in self._set.built_in():
            return self._set.load(base), base
        if base not in self._set.names():
            raise UnknownName(self._set.kind, base, self.names())
        function = self._set.load(base)
        return import_module(function.__module__), function.__name__

    def _checked(self, name: str, base: str, module: ModuleType, function_name: str) -> Method:
        function, card = getattr(module, function_name, None), getattr(module, "CARD", None)
        if not callable(function) or not isinstance(card, Card):
            raise StepCreditError(
                f"{module.__name__} is no {self._set.kind}: it must define CARD (a stepcredit.credit.Card) and a "
                f"function {function_name!r} whose positional parameters are columns"
            )
        return Method(name, base, function, card, getattr(module, "PRESETS", {}), of=self._kind)


METHODS = Shelf(OpenSet("credit method", "stepcredit.credit.methods", "stepcredit.credit"), "method")
SELECTORS = Shelf(OpenSet("selector", "stepcredit.credit.select", "stepcredit.select"), "selector")
names, get = METHODS.names, METHODS.get
