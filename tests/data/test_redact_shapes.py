"""Shapes that redaction knows: each goes, in whatever clothes; look-alikes of prose and programs stay."""

import random

import pytest

from stepcredit.data import _redact_find, _redact_shapes
from stepcredit.data.records import Message, Rollout, Step
from stepcredit.data.redact import Redactor

# In pieces, so that scanners of this repository do not take them for real ones.
SK = "sk-" + "proj-abcdefghijklmnopqrstuvwxyz0123"
GHP = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
HEX = "00:c3:4f:11:" * 15
LONG = "".join(random.Random(0).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=160))

FOLDED = [LONG[:64], LONG[64:128], LONG[128:]]
WORDS = ["correct", "horse", "battery", "staple"]
SEED = "abandon ability able about above absent absorb abstract absurd abuse access accident"
SUM = "0123456789abcdef" * 4

SHAPES = {
    # a key in several lines
    "backslash and new line": (f"export K={SK[:14]}\\\n{SK[14:]}", [SK[14:30]]),
    "backslash, new line, indented": (f"k {SK[:14]}\\\r\n    {SK[14:]}", [SK[14:30]]),
    "backslash and new line within JSON": (f'{{"cmd": "k {SK[:14]}\\\\n{SK[14:]}"}}', [SK[14:30]]),
    "strings in a row": (f'key = ("{SK[:14]}"\n       "{SK[14:]}")', [SK[14:30]]),
    "strings added up": (f"key = '{SK[:14]}' + '{SK[14:]}'", [SK[14:30]]),
    "colors of a terminal": (f"key {SK[:10]}\x1b[32m{SK[10:]}\x1b[0m", [SK[10:30]]),
    "characters without width": (f"key {SK[:10]}\u200b{SK[10:]}", [SK[10:30]]),
    "broken by the edge of a screen": (f"the key {GHP[:26]}\n{GHP[26:]}\nnext", [GHP[:26], GHP[26:]]),
    "base64 in lines": ("\n".join(FOLDED), FOLDED),
    "base64 in two lines": ("\n".join(FOLDED[:2]), FOLDED[:2]),
    "base64 in lines within JSON": ("\\n".join(FOLDED), [*FOLDED[:2], LONG[130:]]),
    "base64 in lines, indented": ("\n    ".join(FOLDED) + "\n", FOLDED),
    "hexadecimal of openssl": (f"privateExponent:\n    {HEX[:45]}\n    {HEX[45:]}\nprime1:\n    {HEX}", ["c3:4f"]),
    # letters that look like others
    "wide letters": ("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff1dhunter2zz", ["hunter2"]),
    "wide equals sign": ("password\uff1ahunter2zz", ["hunter2"]),
    "cyrillic letters": ("p\u0430ssw\u043erd=hunter2zz", ["hunter2"]),
    "characters without width in the name": ("pass\u200bword=hunter2zz", ["hunter2"]),
    "wide token": ("key " + "".join(chr(ord(c) + 0xFEE0) for c in SK), ["\uff41\uff42\uff43"]),
    # passwords with spaces
    "yaml": ("db:\n  password: correct horse battery staple\n  port: 1", WORDS),
    "ini": ("[db]\npassword = correct horse battery staple\n", WORDS),
    "env": ("A=1\nDB_PASSWORD=correct horse battery staple\nB=2", WORDS),
    "with a comment": ("password: correct horse battery staple  # old", WORDS),
    "prompt": ("Enter password: correct horse battery staple", WORDS),
    "within JSON": ('{"out": "user: bob\\npassword: correct horse battery staple\\nok"}', WORDS),
    "block of yaml": ("password: |\n  correct horse\n  battery\nport: 1", ["correct", "battery"]),
    "folded block of yaml": ("  api_key: >-\n    abcd1234efgh\n  x: 1", ["abcd1234"]),
    "brackets in .env": ("DB_PASSWORD=hun(ter2),zz;99\n", ["hun(", "ter2", "zz;99"]),
    "anchor of yaml": ("password: &pw hunter2zz", ["hunter2"]),
    "tag of yaml": ("password: !!str hunter2zz", ["hunter2"]),
    # quotes
    "quote within quotes": ("password='hun\\'ter2zz'", ["ter2zz"]),
    "quote within a quoted quote": (r"{\"password\": \"hun\\\"ter2zz\"}", ["ter2zz"]),
    "bytes": ("password=b'hunter2zz'", ["hunter2"]),
    "three quotes": ('password = """hunter2 zz"""', ["hunter2", "zz"]),
    "backticks": ("password: `hunter2 zz`", ["hunter2"]),
    "bold": ("**Password:** hunter2zz", ["hunter2"]),
    "escaped equals sign": ("x?password\\u003dhunter2zz", ["hunter2"]),
    "escaped quotes": ("\\u0022password\\u0022:\\u0022hunter2zz\\u0022", ["hunter2"]),
    "nested JSON": ('{\\\\\\\\\\\\\\"password\\\\\\\\\\\\\\": \\\\\\\\\\\\\\"hunter2zz\\\\\\\\\\\\\\"}', ["hunter2"]),
    "value on the next line": ('{"password":\n        "hunter2zz"}', ["hunter2"]),
    "compared": ("if password == 'hunter2zz' or token != \"hunter2zz\":", ["hunter2"]),
    "longer than 4000": ("password='" + "x1" * 4000 + "'", ["x1x1"]),
    # programs, pages, sentences
    "sshpass": ("sshpass -p hunter2zz ssh me@host", ["hunter2"]),
    "mysql": ("mysql -u root -phunter2zz db", ["hunter2"]),
    "docker": ("docker login -u me -p hunter2zz", ["hunter2"]),
    "openssl": ("openssl rsa -passin pass:hunter2zz -in k", ["hunter2"]),
    "curl": ("curl -s --user=admin:hunter2zz https://x", ["hunter2"]),
    "cdata": ("<password><![CDATA[hunter2zz]]></password>", ["hunter2"]),
    "attribute of a tag": ('<password type="plain">hunter2zz</password>', ["hunter2"]),
    "plist": ("<key>Password</key>\n  <string>hunter2zz</string>", ["hunter2"]),
    "cell of a page": ("<td>Password</td><td>hunter2 zz</td>", ["hunter2"]),
    "cell of a table": ("| Password | hunter2zz |", ["hunter2"]),
    "key of XML": ('<add key="DbPassword" value="hunter2zz"/>', ["hunter2"]),
    "sentence": ("my password is hunter2zz, keep it", ["hunter2"]),
    "sentence with quotes": ('The password is "correct horse"', ["correct"]),
    "other languages": ("Passwort: hunter2zz\nKennwort=hunter2zz", ["hunter2"]),
    "seed phrase": (f"mnemonic: {SEED}", SEED.split()),
    "hash of a password": ("root:$6$" + "saltsalt$" + "abcdefghij/ABCDEFGHIJ0123456789:19000", ["ABCDEFGHIJ"]),
    "aws keys in a row": (f"{AWS},{AWS_SECRET}", [AWS, AWS_SECRET[:20]]),
    "amp": ("https://x/?a=1&amp;sig=0123456789abcdefXYZ", ["0123456789"]),
    "subscription key": ("Ocp-Apim-Subscription-Key: 0123abcd4567efgh", ["0123abcd"]),
    "_auth of npm": ("//registry.example/:_auth=dXNlcjpwYXNzd29yZDEyMw==", ["dXNlcjpw"]),
    "lower-case pass": ("db_pass=hunter2zz", ["hunter2"]),
    "php session": ("PHPSESSID=abcd1234efgh5678", ["abcd1234"]),
    "password without digits": ("password=correcthorse\nclient_secret=abcdefghijklmnopqrstuvwxyz", ["horse", "mnop"]),
    "underscores in quotes": ("client_secret='correct_horse_battery_staple'", ["horse"]),
    # what programs, statements and manifests take
    "item of an environment": ("os.environ['OPENAI_API_KEY'] = 'abcd1234efgh5678'", ["abcd1234"]),
    "default of an environment": ("os.environ.setdefault('API_TOKEN', 'abcd1234efgh5678')", ["abcd1234"]),
    "header of bytes": ("[(b'accept', b'*/*'), (b'x-api-key', b'abcd1234efgh5678')]", ["abcd1234"]),
    "typed": ("db_password: str = 'hunter2zz'\napi_key: Final[str] = \"abcd1234efgh\"", ["hunter2", "abcd1234"]),
    "pair of requests": ("requests.get(u, auth=('admin', 'hunter2zz'))", ["hunter2"]),
    "login of a client": ("smtp.login('me@x.example', 'hunter2zz')", ["hunter2"]),
    "identified by": ("CREATE USER 'a'@'%' IDENTIFIED BY 'hunter2zz';", ["hunter2"]),
    "role": ("ALTER ROLE a WITH PASSWORD 'hunter2zz';", ["hunter2"]),
    "oracle": ("jdbc:oracle:thin:scott/hunter2zz@//h:1521/s\nsqlplus scott/hunter2zz@s", ["hunter2"]),
    "redis": ("redis-cli -h h -a hunter2zz ping\nrequirepass hunter2zz\n", ["hunter2"]),
    "mongo and ldap": ("mongosh -u me -p hunter2zz\nldapsearch -x -D cn=a -w hunter2zz", ["hunter2"]),
    "httpie": ("http -a admin:hunter2zz https://x", ["hunter2"]),
    "cookie of curl": ("curl -b 'session=abcd1234efgh' https://x", ["abcd1234"]),
    "from a pipe": ("echo 'hunter2zz' | docker login -u me --password-stdin", ["hunter2"]),
    "from a pipe to sudo": ("echo hunter2zz | sudo -S ls; echo 'root:hunter2zz' | sudo chpasswd", ["hunter2"]),
    "powershell": ('ConvertTo-SecureString "hunter2zz" -AsPlainText', ["hunter2"]),
    "dialog of aws": (f"AWS Secret Access Key [None]: {AWS_SECRET}", [AWS_SECRET[:12]]),
    "secret of github": ("gh secret set API_KEY --body hunter2zz", ["hunter2"]),
    "literals": ("kubectl create secret generic s --from-literal=a=hunter2 --from-literal b=hunter3", ["hunter"]),
    "secret of kubernetes": ("data:\n  a: aHVudGVyMg==\n  b.c: aHVudGVyMw==\nkind: Secret\n", ["aHVud"]),
    "secret of kubernetes by hand": ("kind: Secret\nstringData:\n  a: hunter2\n  b: 'c d'\n", ["hunter2", "c d"]),
    "secret of kubernetes as JSON": ('{"data": {"a": "aHVudGVyMg=="}, "kind": "Secret"}', ["aHVud"]),
    "secret of kubernetes as JSON by hand": ('{"kind":"Secret","data":{"a":"aHVudGVyMg=="}}', ["aHVud"]),
    "hash of django": ("pbkdf2_sha256$600000$" + "salt$abcdefghij0123456789ABCDEF=", ["abcdefghij"]),
    "wifi": ('network={ ssid="x" psk="hunter2zz" }', ["hunter2"]),
    **{
        name: (f"use {token} now", [token[8:]])
        for name, token in {
            "nvidia": "nvapi-" + "abcdefghij0123456789ABCD",
            "tavily": "tvly-" + "abcdefghij0123456789ABCD",
            "vault": "hvs." + "abcdefghij0123456789ABCD",
            "databricks": "dapi" + "0123456789abcdef" * 2,
            "atlassian": "ATATT3" + "abcdefghij0123456789ABCD",
            "gitlab runner": "glrt" + "-abcdefghij0123456789",
            "slack app": "xapp" + "-1-A0123456789-abcdef",
            "stripe webhook": "whsec_" + "abcdefghij0123456789ABCD",
            "tailscale": "tskey-" + "auth-abcdefghij0123456789",
            "supabase": "sbp_" + "0123456789abcdef0123",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize(("text", "secrets"), SHAPES.values(), ids=SHAPES)
def test_every_shape_goes_and_stays_away(text, secrets):
    clean = Redactor()
    once = clean.text(text)
    assert not [s for s in secrets if s in once], once
    assert clean.taken.total() == once.count("[removed: ")
    assert Redactor().text(once) == once


HARMLESS = {
    "counts of tokens": "tokens=128, max_tokens: 4096, n_tokens=100000, token_budget=8192, --max-tokens 4096",
    "key of a sort": "rows = sorted(x, key=lambda r: r.key)\nkey = sorted(x)\nkeys = list(d)",
    "types": "def login(user: str, password: str, token: str | None = None) :\n    password: Optional[str] = None",
    "fields": "class User:\n    password: string\n    secret: SecretStr",
    "rule of passwords": "password: must be at least 8 characters",
    "rules of passwords": "Password: is required\n- password: should have a digit and a letter\n",
    "advice": "Passwords are hard; a password is case-sensitive. Your password is too short. The password was changed.",
    "pass of a test": "PASS: 12 tests\nfirst pass: 0.75\npass over the data; pass-through: on\npass = True",
    "pass of a compiler": "custom_pass: CustomGraphModulePass = None\nmy_pass = get_custom_backend_pass_for_device(d)",
    "compared": "if password == other and token != None and secret === other_one:",
    "git": "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad\nAuthor: a <a@b.example>\nindex 83db48f..bf269f4 100644",
    "uuid": "id: 123e4567-e89b-12d3-a456-426614174000, run 0b4f5f2e-6a30-4f5e-9d7c-1d1f0f5b6a77",
    "lock file": f'{{ name = "x", hash = "sha256:{SUM}" }}\nx==1.0 --hash=sha256:{SUM}',
    "integrity": '"integrity": "sha512-' + LONG[:86] + '=="',
    "sums in two lines": f"{SUM}\n" * 2,
    "sums and files": f"{SUM}  a.txt\n" * 20,
    "address": "https://example.com:8080/a/b?page=2&sort=key&x=1#top and http://localhost:3000/@scope/name",
    "mail": "write to bob@example.com, see git@github.com:owner/name.git",
    "shell": "mkdir -p build/release && cp -u a.txt b.txt && ssh -p 22 host && docker run -p 8080:80 -u 10:10 image",
    "curl": "curl -s -o out.json https://example.com/a",
    "continued line": "docker run \\\n    --name a-long-name-of-something \\\n    --rm image-of-something",
    "strings in a row": 'raise ValueError("this is the first half of it, "\n      "and this is the second half")',
    "long names": "test_that_a_rather_long_name_of_a_function_stays_where_it_is_and_is_not_taken_for_a_token",
    "path": "/usr/lib/python3/dist-packages/some_package/with/a/rather/long/path/module.py",
    "html": '<div class="row" data-key="x"><span id="pass">Token</span><a href="/key">Key</a></div>',
    "table": "| Password | Role |\n|---|---|\n| required | admin |",
    "prose": "The secret of the key is to pass the token on; basic arithmetic helps.",
    "price": "It costs $5$ or $6 to $7; $x$ and $y$ and $$z$$.",
    "colors": "\x1b[32mPASSED\x1b[0m tests/test_a.py::test_b \x1b[31mFAILED\x1b[0m",
    "letters": "пароли и ключи \uff08\u6f22\u5b57\uff09 caf\xe9 \U0001f600",
    "hexadecimal dump": "00000000: 7f45 4c46 0201 0100  .ELF....\n00000010: 0300 3e00 0100 0000  ..>.....",
    "calls": "username, password = get_auth_from_url(proxy)\ntoken = _get_token_of_this()",
    "names": "unk_token=self.a_rather_long_name_of_it,\napi_key = settings.key_of_the_provider)",
    "functions": "def _is_hf_hub_download_enabled_by(x):\n    return hf_raise_for_status_of_it",
    "address with a path": f"https://github.com/owner/name/blob/{SUM[:40]}/src/package/models/some/of/them/long/module.py",
    "sql": "CREATE TABLE users (password TEXT NOT NULL, token VARCHAR(40)); SELECT password FROM users WHERE id = 12",
    "items": "vocab[token] = len(vocab)\nd['key'] = 'value_number_12'\nrow['tokens'] = 'between 100 and 200'",
    "pairs": "(('group', 'rollout_0123456789')), ('monkey', 'banana_0123456789'), ['token', 'count']",
    "typed": "token: str = '<end_of_text>'\napi_key: str = ''\npassword: str | None = None\ntoken: int = 50256",
    "config map": "data:\n  a: hello\n  b: world\nkind: ConfigMap\n---\nkind: Deployment\ndata:\n  c: d\n",
    "secrets by name": "secretKeyRef:\n  kind: SecretStore\nspec:\n  data:\n    - remote\n",
    "options": "ls -a folder_name; grep -w word_here file; git commit -a -m text; ssh -p 2222 host; tail -b 12",
    "pipes": "echo 'hello world' | wc -l; echo done | sudo tee /etc/x; printf '%s' abcdef | docker load",
    "mac": "ether 00:1b:44:11:3a:b7 priv: 15",
}  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_look_alikes_stay(text):
    clean = Redactor()
    assert clean.text(text) == text
    assert not clean.taken


def test_an_image_stays_an_image():
    image = f"data:image/png;base64,{LONG * 20}"
    rollout = Rollout(group="g", rollout=0, steps=[Step(text="x", replies=[Message(role="user", images=[image])])])
    assert Redactor().rollout(rollout) is rollout


def test_tokens_in_a_list_go_one_by_one():
    clean = Redactor()
    assert clean.text(f"{GHP}\n{GHP}\n{SK}\n").count("[removed: ") == 3
    assert clean.taken == {"token": 2, "API key": 1}


def test_what_overlaps_goes_once_with_the_kind_of_the_widest():
    clean = Redactor()
    assert clean.text(f'password="my {SK} too"') == 'password="[removed: password, 32 to 63 characters]"'
    assert clean.taken == {"password": 1}


@pytest.mark.parametrize(
    "unit", ["key=", "password", "://a:b", "token ", "curl -u a:", "x-key", "api_key=", "name: ", "begin"]
)
def test_a_shape_is_tried_once_at_each_of_its_words_and_nowhere_else(unit, monkeypatch):
    tried = []

    class Counted:
        def __init__(self, pattern):
            self.pattern = pattern

        def match(self, text, place):
            tried.append(place)
            return self.pattern.match(text, place)

    shapes = tuple(s._replace(head=Counted(s.head)) for s in _redact_shapes.SHAPES)
    monkeypatch.setattr(_redact_find, "SHAPES", shapes)
    counts = []
    for n in (100, 400):
        tried.clear()
        _redact_find.found(unit * n)
        counts.append(len(tried))
        words = sum((unit * n).count(w.decode()) for s in shapes for w in s.words)
        assert len(tried) <= words
    assert counts[1] <= 4 * counts[0] + len(shapes)


def test_a_text_without_a_word_of_a_shape_tries_none(monkeypatch):
    def never(*_):
        raise AssertionError("tried")

    monkeypatch.setattr(_redact_find, "_at", never)
    assert _redact_find.found("The quick brown fox jumps over the lazy dog, again and again.\n" * 50) == []
