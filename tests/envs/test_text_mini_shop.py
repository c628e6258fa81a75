"""The shop: ranking, filters, pages, and the share that a purchase earns."""

import pytest
from text_worlds import begun

from stepcredit.envs import text
from stepcredit.envs.text.mini_shop import Item, Plan, Shop

WANTED = Item("red", "cotton", "shirt", "M", 30)
ITEMS = (
    Item("red", "wool", "shirt", "M", 20),
    Item("red", "cotton", "shirt", "L", 30),
    Item("red", "cotton", "shirt", "M", 30),
    Item("blue", "cotton", "shirt", "M", 31),
    Item("red", "cotton", "dress", "M", 10),
    Item("green", "silk", "scarf", "S", 50),
)


def shop():
    episode = text.get("mini_shop")().episode()
    episode.reset(seed=0)
    episode._state = Shop(Plan(ITEMS, WANTED))
    return episode


def does(episode, *actions):
    return [episode.step(action) for action in actions][-1]


@pytest.mark.parametrize(("item", "share"), [(1, 3 / 4), (2, 3 / 4), (3, 1), (4, 2 / 4), (5, 0), (6, 0)])
def test_a_purchase_earns_the_share_that_fits(item, share):
    world = text.get("mini_shop")()
    (bought,) = world.act(Shop(Plan(ITEMS, WANTED), (item - 1,), item - 1), world.read("buy"))
    assert (bought.reward, bought.state.bought) == (share, True)


def test_results_stand_by_words_that_match_then_by_number():
    episode = shop()
    lines = does(episode, "search Red COTTON shirt!")[0].splitlines()
    assert lines == [
        "5 found:",
        "2: red cotton shirt, $30",
        "3: red cotton shirt, $30",
        "1: red wool shirt, $20",
        "4: blue cotton shirt, $31",
        "5: red cotton dress, $10",
    ]


def test_sizes_are_told_on_the_page_of_an_item():
    episode = shop()
    assert "size" not in does(episode, "search shirt")[0]
    assert does(episode, "open item 3")[0] == "You look at item 3: red cotton shirt, size M, $30."
    assert does(episode, "back")[0].startswith("4 found:")
    assert does(episode, "back")[0] == "You are on the front page."


def test_filters_narrow_what_was_found():
    episode = shop()
    does(episode, "search shirt", "filter by size m")
    assert episode.state == "found 1 3 4"
    does(episode, "filter by price $30")
    assert episode.state == "found 1 3"
    assert does(episode, "filter by color blue")[4]["reason"] == "nothing would be left"
    assert does(episode, "filter by color loud")[4]["reason"] == "there is no color 'loud'"
    assert does(episode, "filter by price cheap")[4]["reason"] == "'cheap' is no price"
    assert does(episode, "filter by weight 3")[4]["valid"] is False


def test_only_what_is_on_the_page_can_be_opened():
    episode = begun("mini_shop", items=40)
    does(episode, "search shirt dress jacket scarf skirt")
    shown, hidden = episode.state.split()[1:6], episode.state.split()[6]
    assert episode.fork().step(f"open {shown[-1]}")[4]["valid"]
    assert not episode.fork().step(f"open {hidden}")[4]["valid"]
    assert not episode.fork().step("open 0")[4]["valid"]


def test_what_finds_nothing_or_is_not_there_is_refused():
    episode = shop()
    for action in ("search spaceship", "search 🐦", "filter by size M", "open 1", "back", "buy"):
        assert not does(episode, action)[4]["valid"]
    assert episode.state == "front page"


def test_one_item_fits_in_every_catalogue():
    world = text.get("mini_shop")()
    for seed in range(50):
        start = world.start(seed)
        assert max(world.fit(start, i) for i in range(12)) == 1
