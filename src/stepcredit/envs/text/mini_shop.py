"""WebShop's shape in a small catalogue: search, filter, look at items, buy the one that fits."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError

VALUES = {
    "color": ("red", "blue", "green", "black", "white"),
    "material": ("cotton", "wool", "linen", "silk"),
    "kind": ("shirt", "dress", "jacket", "scarf", "skirt"),
    "size": ("S", "M", "L"),
}
SEARCH = Tool("search", "search {query}", "Search the shop.", {"query": "words, such as red cotton shirt"})
FILTER = Tool(
    "filter",
    "filter by {attribute} {value}",
    "Keep the results that have a value; of price, those that cost at most so much.",
    {"attribute": (*VALUES, "price"), "value": "such as red, cotton, shirt, M or 30"},
)
OPEN = Tool("open", "open {item}", "Look at an item on the page.", {"item": "its number"})
BACK = Tool("back", "back", "Go back to the results, and from there to the front page.")
BUY = Tool("buy", "buy", "Buy the item you look at. This ends the task.")
SHOWN = 5


class Item(NamedTuple):
    """What is for sale; `size` is told on its own page only."""

    color: str
    material: str
    kind: str
    size: str
    price: int


class Plan(NamedTuple):
    """What does not change: the catalogue, and the item that is asked for, with the most it may cost."""

    items: tuple[Item, ...]
    wanted: Item


class Shop(NamedTuple):
    """The page: items found (None: the front page), the item looked at, and whether it was bought."""

    plan: Plan
    found: tuple[int, ...] | None = None
    open: int | None = None
    bought: bool = False


class MiniShop(TextWorld[Shop]):
    """See `mini_shop`."""

    name, tools = "mini_shop", (SEARCH, FILTER, OPEN, BACK, BUY)

    def __init__(self, items: int, horizon: int) -> None:
        self.items, self.horizon = items, horizon

    def start(self, seed: int) -> Shop:
        rng = np.random.default_rng(seed)
        wanted = _item(rng, {})
        # Half of the shop is nearly what is asked for.
        near = [_near(rng, wanted) for _ in range(self.items // 2)]
        others = [_item(rng, {}) for _ in range(self.items - 1 - len(near))]
        items = [wanted, *near, *others]
        limit = wanted.price + int(rng.integers(6))
        order = rng.permutation(len(items)).tolist()
        return Shop(Plan(tuple(items[i] for i in order), wanted._replace(price=limit)))

    def instruction(self, state: Shop) -> str:
        wanted = state.plan.wanted
        return f"Buy a {_title(wanted)}, size {wanted.size}, for at most ${wanted.price}."

    def observe(self, state: Shop) -> str:
        if state.open is not None:
            item = state.plan.items[state.open]
            page = f"item {state.open + 1}: {_title(item)}, size {item.size}, ${item.price}."
            return f"You bought {page}" if state.bought else f"You look at {page}"
        if state.found is None:
            return "You are on the front page."
        lines = [f"{i + 1}: {_title(state.plan.items[i])}, ${state.plan.items[i].price}" for i in state.found[:SHOWN]]
        more = len(state.found) - SHOWN
        return "\n".join([f"{len(state.found)} found:", *lines, *([f"and {more} more"] if more > 0 else [])])

    def key(self, state: Shop) -> str:
        found = "front page" if state.found is None else "found " + " ".join(str(i + 1) for i in state.found)
        return found + ("" if state.open is None else f"; {'bought' if state.bought else 'at'} {state.open + 1}")

    def done(self, state: Shop) -> bool:
        return state.bought

    def actions(self, state: Shop) -> list[str]:
        if state.open is not None:
            return [BUY.form, BACK.form]
        wanted = state.plan.wanted
        kinds = sorted({item.kind for item in state.plan.items})
        queries = [_title(wanted), f"{wanted.color} {wanted.kind}", f"{wanted.material} {wanted.kind}", *kinds]
        out = [SEARCH.write({"query": query}) for query in queries]
        if state.found is None:
            return out
        found = [state.plan.items[i] for i in state.found]
        for attribute in VALUES:
            values = sorted({getattr(item, attribute) for item in found})
            out += [FILTER.write({"attribute": attribute, "value": v}) for v in values if len(values) > 1]
        if min(item.price for item in found) <= wanted.price < max(item.price for item in found):
            out.append(FILTER.write({"attribute": "price", "value": str(wanted.price)}))
        return [*out, *(OPEN.write({"item": str(i + 1)}) for i in state.found[:SHOWN]), BACK.form]

    def act(self, state: Shop, action: Action) -> Sequence[Branch]:
        match action:
            case Action("search", {"query": query}):
                return [Branch(1.0, state._replace(found=self._search(state, query), open=None))]
            case Action("filter", {"attribute": attribute, "value": value}):
                return [Branch(1.0, self._filter(state, attribute.lower(), value))]
            case Action("open", {"item": item}):
                number = re.fullmatch(r"(?:item )?([0-9]{1,4})", item.lower())
                at = int(number[1]) - 1 if number else -1
                if state.open is not None or at not in (state.found or ())[:SHOWN]:
                    raise Refused(f"there is no item {item[:20]!r} on this page")
                return [Branch(1.0, state._replace(open=at))]
            case Action("back"):
                if state.found is None:
                    raise Refused("this is the front page")
                return [Branch(1.0, state._replace(found=None if state.open is None else state.found, open=None))]
            case _:
                if state.open is None:
                    raise Refused("you look at no item")
                return [Branch(1.0, state._replace(bought=True), self.fit(state, state.open))]

    def expert(self, state: Shop) -> str | None:
        wanted = state.plan.wanted
        search = SEARCH.write({"query": _title(wanted)})
        if state.open is not None:
            return BUY.form if self.fit(state, state.open) == 1 else BACK.form
        fits = [i for i in state.found or () if self.fit(state, i) == 1]
        if not fits:
            return search
        found = [state.plan.items[i] for i in state.found or ()]
        if any(item.size != wanted.size for item in found):
            return FILTER.write({"attribute": "size", "value": wanted.size})
        if any(item.price > wanted.price for item in found):
            return FILTER.write({"attribute": "price", "value": str(wanted.price)})
        shown = [i for i in fits if i in (state.found or ())[:SHOWN]]
        return OPEN.write({"item": str(shown[0] + 1)}) if shown else search

    def fit(self, state: Shop, at: int) -> float:
        """Share of color, material, size and price that are as asked; 0 for another kind of thing."""
        item, wanted = state.plan.items[at], state.plan.wanted
        right = [item.color == wanted.color, item.material == wanted.material, item.size == wanted.size]
        return (item.kind == wanted.kind) * (sum(right) + (item.price <= wanted.price)) / 4

    def _search(self, state: Shop, query: str) -> tuple[int, ...]:
        words = set(re.findall(r"[a-z]+", query.lower()[:200]))
        hits = [len(words & set(_title(item).split())) for item in state.plan.items]
        found = sorted((i for i, n in enumerate(hits) if n), key=lambda i: (-hits[i], i))
        if not found:
            raise Refused("nothing is found")
        return tuple(found)

    def _filter(self, state: Shop, attribute: str, value: str) -> Shop:
        if state.found is None or state.open is not None:
            raise Refused("there are no results on this page")
        if attribute == "price":
            most = re.fullmatch(r"\$?([0-9]{1,6})", value)
            if most is None:
                raise Refused(f"{value[:20]!r} is no price")
            keep = [i for i in state.found if state.plan.items[i].price <= int(most[1])]
        else:
            known = {v.lower(): v for v in VALUES.get(attribute, ())}
            if value.lower() not in known:
                raise Refused(f"there is no {attribute[:20]} {value[:20]!r}")
            keep = [i for i in state.found if getattr(state.plan.items[i], attribute) == known[value.lower()]]
        if not keep:
            raise Refused("nothing would be left")
        return state._replace(found=tuple(keep))


def _title(item: Item) -> str:
    return f"{item.color} {item.material} {item.kind}"


def _item(rng: np.random.Generator, given: dict[str, str | int]) -> Item:
    """By chance, but for what is given."""
    drawn = {name: str(rng.choice(values)) for name, values in VALUES.items()}
    price = int(rng.integers(10, 60))
    return Item(**{**drawn, "price": price, **given})  # type: ignore[arg-type]


def _near(rng: np.random.Generator, wanted: Item) -> Item:
    """The item with another price, and one thing about it drawn again."""
    again = str(rng.choice(["color", "material", "size", "price"]))
    price = max(wanted.price + int(rng.integers(-6, 15)), 5)
    return _item(rng, {n: v for n, v in (wanted._asdict() | {"price": price}).items() if n != again})


def mini_shop(*, items: int = 12, horizon: int = 12) -> MiniShop:
    """Buy what is asked for: the share of color, material, size and price that fit, 0 for another kind of thing.

    A list of results does not tell sizes: filter, or look at the item.

    Args:
        items: in the catalogue; half of them differ in one thing from what is asked for. At least one fits.
        horizon: most steps.
    """
    if not 2 <= items <= 500 or horizon < 1:
        raise StepCreditError(f"mini_shop: got {items=}, {horizon=}, expected 2 <= items <= 500 and horizon 1 or more")
    return MiniShop(items, horizon)
