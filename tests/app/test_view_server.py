"""The server: who may ask, what no request can do, and answers while the index is still being made."""

import re
import time

import pytest
from view_kit import HOSTILE, full, needed, save, serving, some

from stepcredit.data.records import Rollout, Step

needed()

from stepcredit.app.view import server  # noqa: E402
from stepcredit.app.view.answers import Head  # noqa: E402
from stepcredit.app.view.building import Order  # noqa: E402
from stepcredit.app.view.growing import Growing  # noqa: E402
from stepcredit.app.view.looking import Looking  # noqa: E402
from stepcredit.app.view.marks import Marks  # noqa: E402
from stepcredit.app.view.memory import Memory  # noqa: E402
from stepcredit.app.view.rows import RUN_COLUMNS, part  # noqa: E402
from stepcredit.app.view.store import Store, cache_folder  # noqa: E402
from stepcredit.data import Batch  # noqa: E402


def looking(tmp_path, rollouts=None, **options):
    batch = Batch.from_records(rollouts or some())
    return Looking(Memory([part(batch, [], names=[])], Head(title="mine")), Marks([tmp_path / "a.marks"]), **options)


@pytest.fixture
def ask(tmp_path):
    look = looking(tmp_path)
    with serving(look) as asking:
        asking.look = look
        yield asking


def test_every_answer_has_the_shape_that_the_page_knows(ask):
    state = ask.get("/api/state")
    assert state["mode"] == "server" and state["counts"] == {"groups": 2, "runs": 5, "steps": 10}
    assert state["reading"]["done"] is True and state["writable"] is True and state["token"]
    assert {"name", "title"} <= state["error_types"][0].keys()
    runs = ask.get("/api/runs")
    assert tuple(runs["columns"]) == RUN_COLUMNS and runs["total"] == 5
    run = ask.get("/api/run/1")
    assert run["n"] == 3 and run["siblings"] and run["marks"] == []
    page = ask.get("/api/run/1/steps?from=1&to=2")
    assert (page["from"], page["to"]) == (1, 2) and [s["i"] for s in page["steps"]] == [1]
    assert ask.get("/api/run/1/text/0/text") == {"text": "thinks about look 0"}
    assert ask.get("/api/search?q=about+drop")["total"] == 1
    assert ask.get("/api/agreement") == {"raters": [], "pairs": [], "counts": {}}


def test_pages_of_steps_are_bounded(tmp_path):
    rollout = Rollout(group="p", rollout=0, steps=[Step(text=str(i)) for i in range(350)])
    with serving(looking(tmp_path, [rollout])) as ask:
        page = ask.get("/api/run/0/steps?from=120&to=9999")
        assert (page["from"], page["to"], len(page["steps"])) == (120, 220, 100)
        assert ask.get("/api/run/0/steps?from=900&to=901")["steps"] == []
        assert len(ask.get("/api/run/0/steps")["steps"]) == 100


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]"]
)
def test_a_foreign_name_for_this_machine_is_refused(ask, host):
    for path in ("/", "/api/state", "/api/runs"):
        answer = ask(path, Host=host)
        assert answer.status == 403 and b"token" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:80"])
def test_the_names_of_this_machine_are_let_in(ask, host):
    assert ask("/api/state", Host=host).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://127.0.0.1.evil.example"])
def test_another_site_can_neither_read_nor_write(ask, origin):
    token = ask.look.token
    assert ask("/api/runs", Origin=origin).status == 403
    sent = ask("/api/marks", {"id": 1, "step": 0, "label": -1}, Origin=origin, X_Stepcredit_Token=token)
    assert sent.status == 403 and ask.look.marks.all() == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_a_browser_calls_cross_site_is_refused(ask, site):
    assert ask("/api/runs", Sec_Fetch_Site=site).status == 403
    assert ask("/", Sec_Fetch_Site=site).status == 200, "a link may lead to the page"
    assert ask("/api/runs", Sec_Fetch_Site="same-origin").status == 200


def test_a_mark_needs_the_token_of_the_page(ask):
    given = {"id": 1, "step": 2, "label": -1, "error": "wrong_turn", "note": HOSTILE, "rater": "ben"}
    kind = {"Content_Type": "application/json"}
    for token in ({}, {"X_Stepcredit_Token": "x"}, {"X_Stepcredit_Token": "é"}):
        assert ask("/api/marks", given, **kind, **token).status == 403
    token = {"X_Stepcredit_Token": ask.look.token}
    assert ask("/api/marks", given, Content_Type="text/plain", **token).status == 415
    stored = ask("/api/marks", given, **kind, **token)
    assert stored.status == 200 and stored.json().items() >= given.items()
    assert [m["note"] for m in ask.get("/api/marks")["marks"]] == [HOSTILE]
    assert ask.get("/api/runs")["columns"]["marks"] == [0, 1, 0, 0, 0]
    assert ask.get("/api/run/1")["marks"][0]["rater"] == "ben"


@pytest.mark.parametrize(
    "given",
    [
        {"id": 99, "step": 0, "label": 1},
        {"id": 1, "step": 3, "label": 1},
        {"id": 1, "step": -2, "label": 1},
        {"id": True, "step": 0, "label": 1},
        {"id": 1, "step": 0, "label": 5},
        {"id": 1, "step": 0, "label": "1"},
        {"id": 1, "step": 0, "label": True},
        {"id": 1, "step": 0, "note": ["x"]},
        {"id": "../x", "step": 0},
        {},
        [],
        b"{",
        b"[" * 100_000,
    ],
)
def test_what_is_no_mark_is_refused(ask, given):
    answer = ask("/api/marks", given, X_Stepcredit_Token=ask.look.token, Content_Type="application/json")
    assert answer.status == 400 and answer.json()["error"]
    assert ask.look.marks.all() == []


def test_a_mark_that_is_too_large_is_not_read(ask):
    sent = b'{"note": "' + b"x" * 2_000_000 + b'"}'
    answer = ask("/api/marks", sent, X_Stepcredit_Token=ask.look.token, Content_Type="application/json")
    assert answer.status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/assets/page.html",
        "/api/run/..%2f..%2fetc%2fpasswd",
        "/api/run/0/text/0/..%2f..%2f..%2fetc%2fpasswd",
        "/api/run/-1",
        "/api/run/999999999999999",
        "/api/run/99999999999999999999999",
        "/api/run/1e3",
        "/api/run/0x1",
        "/api/run/%D9%A3",
        "/api/run/0/text/-2/text",
        "/api/run/0/text/0/__class__",
        "/api/run/0/text/0/",
        "/api/group/999",
        "/api/tree/..%2f..%2fetc%2fpasswd",
        "/api/nothing",
        "/file:///etc/passwd",
        "/api/run/0/text/0/%00",
    ],
)
def test_no_path_leads_to_a_file_or_an_error_of_ours(ask, path):
    answer = ask(path)
    assert answer.status == 404 and b"root:" not in answer.body
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("query", ["from=x", "from=-1", "to=1e3", "from=%D9%A3", "from=" + "9" * 40])
def test_a_place_that_is_no_number_is_refused(ask, query):
    assert ask(f"/api/run/0/steps?{query}").status == 400


def test_every_answer_carries_what_keeps_browsers_safe(ask):
    for path in ("/", "/api/state", "/api/runs", "/nothing"):
        headers = ask(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "aiohttp" not in headers["Server"]


def test_the_page_allows_exactly_its_own_script_and_style(ask):
    answer = ask("/")
    policy = answer.headers["Content-Security-Policy"]
    inline = re.findall(r"<script>(.*?)</script>", answer.body.decode(), re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    assert len(inline) == 1 and inline[0].startswith(server.page.assets()[1][:1000])
    assert set(re.findall("'sha256-[^']+'", policy)) == {server.page.allowed(style), server.page.allowed(inline[0])}


def test_script_in_every_field_stays_text(tmp_path):
    hostile = full(HOSTILE, HOSTILE, 0.0, HOSTILE, text=HOSTILE)
    look = looking(tmp_path, [hostile])
    look.answers.head.title = look.answers.head.source = HOSTILE
    with serving(look) as ask:
        before = ask("/").body.decode().partition("<script>")[0]
        assert "document.title" in before and "<img" not in before
        assert before.count("<script") == 2, "state and runs, as JSON"
        assert ask.get("/api/state")["title"] == HOSTILE
        assert ask.get("/api/run/0")["group"] == HOSTILE
        answer = ask("/api/run/0/steps")
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.json()["steps"][0]["text"].startswith(HOSTILE)


def test_texts_with_halves_of_characters_are_answered(tmp_path):
    rollout = Rollout(group="\ud800", rollout=0, task="\ud800", steps=[Step(text="\ud83d", extra={"big": 10**40})])
    with serving(looking(tmp_path, [rollout])) as ask:
        assert ask.get("/api/run/0/steps")["steps"][0]["text"] == "\ud83d"
        assert ask.get("/api/runs")["total"] == 1
        assert ask("/").status == 200


def test_beyond_this_machine_addresses_are_let_in_but_no_names(tmp_path):
    with serving(looking(tmp_path), hosts=("0.0.0.0", "*")) as ask:
        assert ask("/api/state", Host="192.168.1.5:80").status == 200
        assert ask("/api/state", Host="[fe80::1]:80").status == 200
        assert ask("/api/state", Host="evil.example").status == 403


def test_answers_come_while_the_index_is_being_made(tmp_path):
    rollouts = [full(f"task {g}", r, float(r), "look", "go") for g in range(12) for r in range(2)]
    order = Order((str(save(tmp_path / "runs.jsonl", rollouts)),), methods=("grpo",), diagnose=("contrast",), steps=8)
    store = Store(order, cache_folder(tmp_path / "cache"))
    look = Growing(store, Marks([tmp_path / "a.marks"]))
    with serving(look) as ask:
        assert ask.get("/api/state")["reading"]["done"] is False
        assert ask("/api/runs").status == 503 and ask("/").status == 200
        store.start()
        seen = []
        while not (state := ask.get("/api/state"))["reading"]["done"]:
            seen.append(state["counts"]["runs"])
            if state["counts"]["runs"]:
                assert ask.get("/api/runs")["total"] >= state["counts"]["runs"]
                assert ask.get("/api/run/0")["n"] == 2
            time.sleep(0.01)
        assert state["reading"]["error"] is None and seen == sorted(seen)
        assert ask.get("/api/runs")["total"] == 24 and ask.get("/api/run/23")["next"] is None
        assert ask("/api/group/3").status == 200
    look.close()


def test_files_that_are_none_are_told_to_the_page(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"what": "is this"}\n')
    look = Growing(Store(Order((str(tmp_path / "runs.jsonl"),)), cache_folder(tmp_path / "cache")))
    with serving(look) as ask:
        look.store.start()
        while not (state := ask.get("/api/state"))["reading"]["done"]:
            time.sleep(0.01)
        assert "runs.jsonl" in state["reading"]["error"]
        assert ask("/api/runs").status == 503
    look.close()
