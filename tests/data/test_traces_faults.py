"""What strangers' traces did to the readers and the redaction, and must not do again."""

import json

import pytest

from stepcredit.data import read
from stepcredit.data.reading import Reading
from stepcredit.data.records import Rollout, Step
from stepcredit.data.redact import Redactor
from stepcredit.errors import DataError

NAMELESS = {"group": {"a": 1}, "rollout": [1], "outcome": "yes", "steps": {"0": "x"}}


def test_rows_that_name_no_group_stop_a_stream_as_they_stop_a_read(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(NAMELESS) + "\n")
    with pytest.raises(DataError, match="'group' has the wrong type"):
        list(Reading(path).stream())
    with pytest.raises(DataError, match="no row can be used"):
        list(Reading(path, on_error="skip").stream())
    with pytest.raises(DataError):
        read(path)


# In pieces, so that scanners of this repository do not take them for real ones.
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("-----BEGIN PGP PRIVATE" + " KEY BLOCK-----\n\nlQOYBGPabc\n-----END PGP PRIVATE" + " KEY BLOCK-----", "lQOY"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE" + " KEY ----\nP2/56wAAAg", "P2/56w"),
        ("PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\nAAAAgQCabcdefgh\nxyz", "AAAAgQC"),
        ("AccountName=x;AccountKey=" + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsu==;", "Eby8vdM02"),
        ("MYSQL_PWD=hunter2 mysql", "hunter2"),
        ("DB_PASS=hunter2zz", "hunter2"),
        ('{"user": "u", "pass": "hunter2zz"}', "hunter2"),
        ("https://x/?user=a&pass=hunter2zz", "hunter2"),
        ("mysql -u root --password hunter2zz", "hunter2"),
        ("curl -u admin:hunter2zz https://x", "hunter2"),
        ("<password>hunter2zz</password>", "hunter2"),
        ("machine x login y password hunter2zz", "hunter2"),
        ('{"headers": [{"name": "Authorization", "value": "abc123def456"}]}', "abc123def456"),
        ("- name: DB_PASSWORD\n  value: hunter2zz", "hunter2"),
        ("https://a1b2c3d4e5f6a7b8c9d0@github.com/x", "a1b2c3d4"),
        ("postgres://u:p@ssw0rd/x9y@host/db", "ssw0rd"),
        ("SENDGRID_KEY=abcd1234efgh5678", "abcd1234"),
        ("CLIENT_SECRET=abcdefgh", "abcdefgh"),
        ('{"password": "hun\\"ter2zz"}', "ter2zz"),
        ("&quot;password&quot;:&quot;hunter2zz&quot;", "hunter2"),
        ("password%3Dhunter2zz%26u", "hunter2"),
        ("define('DB_PASSWORD', 'hunter2zz');", "hunter2"),
        ('Authorization: Digest username="u", response="deadbeef12345678"', "deadbeef"),
        ("saved_sk-" + "abcdefghijklmnopqrstuvwxyz0123", "abcdefghij"),
        ("https://api.telegram.org/bot123456789:AA" + "Fabcdefghijklmnopqrstuvwxyz123456/send", "Fabcdef"),
    ],
)
def test_secrets_in_the_clothes_of_shells_configurations_and_requests_go(text, secret):
    out = Redactor().text(text)
    assert secret not in out and "[removed: " in out


@pytest.mark.parametrize(
    "text",
    [
        "PWD=/home/me/project\nOLDPWD=/tmp/x",
        "PASS: tests/test_module.py",
        "first pass: 123456 rows",
        "http://host:8080/path?mail=a@b.example",
        "https://docs.example/a/long-path/with-words",
        "--max-token 51200",
        "primary_key = user_identifier_12",
        '{"name": "city", "value": "Lyon in 2024"}',
    ],
)
def test_what_only_looks_like_a_secret_stays(text):
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "value",
    [
        {"headers": [{"name": "Authorization", "value": "hunter2zz"}]},
        [["X-Api-Key", "hunter2zz"]],
        {"args": ["--password", "hunter2zz"]},
        {"password": {"value": "hunter2zz"}},
        {"MYSQL_PWD": "hunter2zz"},
        {"db_pass": "hunter2zz"},
        {"STRIPE_KEY": "hunter2zz"},
        {"password_confirm": "hunter2zz"},
        {"session_id": "hunter2zz"},
    ],
)
def test_names_beside_values_make_them_secrets(value):
    assert "hunter2" not in json.dumps(Redactor().value(value))


def test_a_method_of_credit_may_not_carry_a_secret_out():
    step = Step(text="x", credit={"password=hunter2zz": 0.5})
    clean = Redactor().rollout(Rollout(group="g", rollout="0", steps=[step]))
    assert list(clean.steps[0].credit.values()) == [0.5] and "hunter2" not in str(clean)
