import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.records import Blame, Message, Origin, Rollout, Step, ToolCall
from stepcredit.data.redact import Redactor, length_class

# In pieces, so that scanners of this repository do not take them for real ones.
SECRETS = {
    "openai": "sk-" + "proj-abcdefghijklmnopqrstuvwxyz0123",
    "anthropic": "sk-" + "ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "github": "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "github fine": "github_" + "pat_11ABCDEFG0123456789_abcdefghijkl",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "slack": "xoxb" + "-123456789012-abcdefghijkl",
    "hugging face": "hf_" + "abcdefghijABCDEFGHIJ0123456789",
    "gitlab": "glpat" + "-0123456789abcdefghij",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "stripe": "sk_" + "live_0123456789abcdefABCDEF",
    "base64": "a1B2c3D4e5F6g7H8i9J0" * 10,
}
KEY = "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE" + " KEY-----"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "use {} now", "key={};", '{{"x": "{}"}}', "https://h/p?token={}&a=1", "\n{}\n"]
)
def test_a_token_of_a_known_shape_goes_and_what_stands_around_it_stays(secret, around):
    clean = Redactor()
    left, right = around.format("\0").split("\0")
    out = clean.text(around.format(secret))
    assert secret not in out and secret[8:24] not in out
    assert out.startswith(left) and out.endswith(right)
    assert sum(clean.taken.values()) >= 1


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter2&user=x", "hunter2"),
        ('{"password": "correct horse battery"}', "correct horse battery"),
        (r"{\"password\": \"hunter2\"}", "hunter2"),
        ("DB_PASSWORD: 'p4ss w0rd!'", "p4ss w0rd!"),
        ("postgres://bob:s3cret@db.example/x", "s3cret"),
        ("Authorization: Bearer abc.def-0123456789", "abc.def-0123456789"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("Cookie: session=abc; id=2", "session=abc"),
        ("curl -H 'X-Api-Key: 12345678abcd' u", "12345678abcd"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("client_secret: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
        (KEY + "\nafter", "MIIEow"),
        (KEY[:60], "MIIEow"),
        ("https://hooks.slack.com/services/T000/B000/XXXXYYYY", "XXXXYYYY"),
        ("https://s3/x?X-Amz-Signature=0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_what_a_name_or_a_place_makes_a_secret_goes(text, secret):
    out = Redactor().text(text)
    assert secret not in out and "[removed: " in out


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog.",
        "max_tokens: 512, tokens=100, token_count: 12345678",
        "token = tokenizer.encode(text, 3)",
        "the secret: be kind to all of them",
        "sorted(rows, key=lambda r: r[0])",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "-" * 300 + "\n" + "=" * 300 + "\n" + "A" * 300,
        "Basic arithmetic operations help; bearer of bad news",
        "/usr/lib/python3/dist-packages/some_package/with/a/rather/long/path/module.py",
        "passwords are hard to choose",
        "é 漢字 \U0001f600 \ud800",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    clean = Redactor()
    assert clean.text(text) == text
    assert not clean.taken


@given(st.text(max_size=200))
def test_taking_secrets_out_twice_changes_nothing_more(text):
    once = Redactor().text(text)
    assert Redactor().text(once) == once


def test_a_whole_rollout_is_cleaned_and_images_and_numbers_stay():
    secret = SECRETS["openai"]
    image = "data:image/png;base64," + "iVBORw0KGgo" * 40
    rollout = Rollout(
        group="p",
        rollout=f"run {secret}",
        outcome=1.0,
        task=f"use {secret}",
        context=[Message(role="system", content=f"key {secret}", images=[image])],
        evidence={"note": secret},
        steps=[
            Step(
                text=f"I use {secret}",
                reasoning=secret,
                tool_calls=[
                    ToolCall(name="curl", arguments={"headers": {"Authorization": "xyz"}, "password": 1234, "n": 3})
                ],
                observation=f"ok {secret}",
                replies=[Message(role="tool", content=None)],
                evidence={"value": 0.25},
                origin=Origin(error=f"401 for {secret}", cost=0.5),
                extra={"env": {"OPENAI_API_KEY": "short"}, secret: [secret]},
            )
        ],
        blame=[Blame(by="judge", reason=f"leaks {secret}", evidence={"token": secret})],
        extra={"config": [{"api_key": "abc"}]},
    )
    clean = Redactor()
    out = clean.rollout(rollout)
    assert secret not in repr(out) and secret[8:] not in repr(out)
    (step,) = out.steps
    assert step.evidence == {"value": 0.25} and step.origin.cost == 0.5
    assert out.context[0].images == [image]
    assert step.tool_calls[0].arguments["n"] == 3
    assert "removed" in step.tool_calls[0].arguments["headers"]["Authorization"]
    assert "removed" in step.tool_calls[0].arguments["password"]
    assert "removed" in step.extra["env"]["OPENAI_API_KEY"]
    assert "removed" in out.extra["config"][0]["api_key"]
    assert clean.taken.total() >= 14
    assert secret in repr(rollout), "the rollout that was given is left as it was"


TABLES = {
    "CSV": ('name,password,age\nbob,{},3\nann,"{}",4\n\nbob,secret99,3', ["hunter2", "s3,cret"]),
    "CSV with another end of lines": ("name;pwd\r\nbob;{}\r\n", ["hunter2"]),
    "tabs": ("id\ttoken\n1\t{}\n2\tword\n3\t{}", ["abc123def456", "zz9zz9zz9"]),
    "Markdown": ("| user | `Password` |\n|---|:--|\n| bob | {} |\n| ann | null |\nthe | rest | is", ["hunter2"]),
    "psql": ("psql> \\\n id | api_key\n----+-----\n  7 | {}\n(1 row)", ["AbCd1234EfGh"]),
    "bordered": ("| -- | -- |\n| id | password |\n| -- | -- |\n| 1 | {} |", ["swordfish"]),
    "mysql": ("+----+----------+\n| id | password |\n+----+----------+\n|  1 | {} |\n+----+-----+", ["swordfish"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_of_tables_that_are_named_so_are_secret(name):
    shown, secrets = TABLES[name]
    clean = Redactor()
    left = [f"[removed: secret by its column, {length_class(len(s))}]" for s in secrets]
    assert clean.text(shown.format(*secrets)) == shown.format(*left)
    assert clean.taken == {"secret by its column": len(secrets)}


@pytest.mark.parametrize(
    "text",
    [
        "token | pos\ncats | NN\nrunning | VBG",  # words, not keys
        "name, password\nThen, continue",  # prose
        "Field,Type\npassword,string\nuser,text",  # the line of names is above
        "password,secret\nstring,required\nnull,***",
        "user | passed\nbob | sometimes",
        "user,password\nbob,abc",
        "user|password\nbob|not set yet",
        "a | password\nb | c | dddddd",
        "a password\nb hunter2",
        "x" * 500 + ",password\nb,hunter2",
    ],
)
def test_what_only_looks_like_such_a_table_stays(text):
    assert Redactor().text(text) == text


def test_a_rollout_without_secrets_is_itself():
    rollout = Rollout(group="p", rollout=0, steps=[Step(text="nothing to hide", evidence={"value": 1.0})])
    assert Redactor().rollout(rollout) is rollout


def test_what_is_left_tells_the_kind_and_the_class_of_length_alone():
    assert Redactor().text(f"password={'x1' * 20}") == "password=[removed: password, 32 to 63 characters]"
    assert [length_class(n) for n in (7, 8, 15, 16, 511, 512)] == [
        "under 8 characters",
        "8 to 15 characters",
        "8 to 15 characters",
        "16 to 31 characters",
        "128 to 511 characters",
        "512 or more characters",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "password=" * 20_000,
        "-----BEGIN PRIVATE" + " KEY-----" * 10_000,
        "://" * 50_000,
        "a1b2" * 50_000,
        "x-key-" * 9_000,
        "x-eyJ" * 60_000,
        "data:\n  a: b" * 30_000,
        "a|password\n" + "b|hunter22\n" * 20_000,
        "password|a\n" * 20_000,
        'x,password\n"' + 'a""' * 60_000,
    ],
)
def test_long_hostile_text_ends(text):
    assert isinstance(Redactor().text(text), str)
