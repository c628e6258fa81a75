"""Commands in their folder: what lasts, what cannot be reached, what ends."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import skip_or_fail
from stepcredit.errors import StepCreditError
from stepcredit.sandbox import process, shell
from stepcredit.sandbox.process import SandboxError
from stepcredit.sandbox.shell import check_shell, run_command

FILES = {"a.txt": "1\n2\n", "d/b.log": "x", "e/": ""}


@pytest.fixture(autouse=True)
def sandbox():
    try:
        check_shell()
    except StepCreditError as error:
        skip_or_fail("sandbox", str(error))


def output(command, **limits):
    return run_command(FILES, command, **limits).output


def test_names_folders_and_contents_last():
    ran = run_command(FILES, "mv a.txt e/; mkdir -p x/y; wc -l < e/a.txt > n.txt; rm d/b.log; echo said; exit 3")
    assert ran == ({"d/": "", "e/a.txt": "1\n2\n", "n.txt": "2\n", "x/y/": ""}, "said\n", 3)


def test_links_and_pipes_do_not_last_nor_rights_and_times():
    ran = run_command(FILES, "ln -s a.txt l; ln -s /usr u; mkfifo p; chmod 000 a.txt; touch -d 2020-01-01 d/b.log")
    assert ran.files == FILES


def test_bytes_and_names_of_any_kind_come_back():
    files = {"ü b\n.txt": "é\x00\udcff", "-rf": "$(x)", "'\"": ""}
    assert run_command(files, "true").files == files
    assert run_command({}, "printf '\\377' > 'a b'").files == {"a b": "\udcff"}


def test_both_streams_are_told_in_order_up_to_a_limit():
    assert output("echo a; echo b >&2; echo c") == "a\nb\nc\n"
    assert output("yes", output=100) == "y\n" * 50
    assert "a" * 5 not in output("kill -SEGV $$")
    assert run_command({}, "kill -SEGV $$").status == -11


def test_the_same_command_gives_the_same():
    command = "ls -laR; find .; stat -c %Y a.txt; echo $$; hostname; id; env | sort; sleep 60 & echo $!"
    assert run_command(FILES, command) == run_command(FILES, command)


def test_no_file_of_this_machine_but_programs_can_be_read(tmp_path):
    (tmp_path / "secret").write_text("hidden")
    told = output(f"cat {tmp_path}/secret /etc/passwd /etc/hostname {__file__} /proc/1/environ; ls /")
    assert "hidden" not in told
    assert told.count("No such file or directory") == 5
    assert {"files", "usr", "tmp"} <= set(told.split()) <= set(told.split()) - {"home", "root", "proc", "sys", "var"}


def test_nothing_outside_the_folder_can_be_written():
    told = output("for p in /x /usr/x /usr/bin/x /dev/x /lib/x; do echo hi > $p; done; touch /bin/sh; rm /bin/sh")
    assert told.count("Read-only file system") == 6
    assert told.count("Permission denied") == 1
    assert not Path("/usr/x").exists()


def test_what_is_left_in_tmp_is_gone():
    assert output("echo hi > /tmp/q; cat /tmp/q") == "hi\n"
    assert "No such file" in output("cat /tmp/q")


def test_there_is_no_network():
    python = 'import socket; socket.create_connection(("127.0.0.1", 22), 1)'
    assert "refused" in output(f"python3 -c '{python}' 2>&1 | tail -1") or "unreachable" in output(
        f"python3 -c '{python}'"
    )
    assert output("cat /sys/class/net/*/address").endswith("No such file or directory\n")
    listed = output("python3 -c 'import socket; print(socket.if_nameindex())'")
    assert listed in ("[(1, 'lo')]\n", "sh: 1: python3: not found\n")


def test_it_has_no_rights_and_sees_no_process():
    told = output("id -u; mount -t tmpfs none /tmp; chroot / true; unshare -U true; kill -9 -1; kill -9 1; echo alive")
    assert told.startswith("1000\n")
    assert told.count("must be superuser") == 1
    assert told.endswith("alive\n")
    assert "No space left" in told or "unshare" in told


def test_the_environment_does_not_come_along(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    assert "hidden" not in output("env")


@pytest.mark.parametrize("command", ["while :; do :; done", "sleep 60", "cat", "sleep 60 & wait"])
def test_what_takes_too_long_is_stopped(command):
    if command == "cat":
        assert output(command) == ""
        return
    with pytest.raises(SandboxError, match=r"more than 0\.3 seconds"):
        run_command(FILES, command, seconds=0.3)


def test_what_goes_on_in_the_background_ends_with_the_command():
    ran = run_command(FILES, "(trap '' HUP TERM; sleep 60; echo late > late.txt) & (setsid sleep 60 &) ; echo now")
    assert ran == (FILES, "now\n", 0)


def test_sizes_are_bounded():
    ran = run_command({}, "head -c 3000000 /dev/zero > big; ls big", room=100_000)
    assert len(ran.files["big"]) <= 100_000
    many = run_command({}, "for i in $(seq 1000); do : > f$i; done", most=50)
    assert len(many.files) < 60
    assert "No space left" in many.output


def test_memory_is_bounded():
    assert "MemoryError" in output("python3 -c 'x = bytearray(10**9)'", memory=200 * 2**20) + "MemoryError" * (
        "not found" in output("python3 -c 1")
    )


def test_a_fork_bomb_ends():
    with suppress(SandboxError):
        run_command(FILES, "f() { f | f & f; }; f & sleep 60", seconds=0.3)
    assert output("echo fine") == "fine\n"


def test_a_tree_too_deep_to_read_is_refused():
    deep = "i=0; while [ $i -lt 100 ]; do mkdir " + "d" * 200 + " && cd " + "d" * 200 + "; i=$((i+1)); done"
    with pytest.raises(SandboxError, match="cannot be read"):
        run_command({}, deep)


@pytest.mark.parametrize("command", ["a\x00b", "\ud800", "x" * 30_000])
def test_what_no_shell_can_take_is_refused(command):
    with pytest.raises(SandboxError, match="a command is text"):
        run_command(FILES, command)


def test_the_folder_itself_may_be_emptied():
    assert run_command(FILES, "rm -rf /files/* /files").files == {}


def test_nothing_is_left_running_or_on_disk(monkeypatch):
    started, popen = [], subprocess.Popen

    def remembered(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(process.subprocess, "Popen", remembered)
    run_command({"strange-name-of-a-test": ""}, "touch other-strange-name /tmp/third-strange-name; sleep 60 &")
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0].pid, 0)
    assert not list(Path("/tmp").glob("*strange*"))


def test_where_no_sandbox_can_be_made_no_command_runs(monkeypatch, tmp_path):
    """A kernel that refuses namespaces: the process says so before it starts anything."""
    broken = tmp_path / "child.py"
    source = Path(shell._CHILD).read_text(encoding="utf-8")
    assert "NEW_USER | NEW_NS" in source
    broken.write_text(source.replace("NEW_USER | NEW_NS", "0x1 | NEW_NS"), encoding="utf-8")
    monkeypatch.setattr(shell, "_CHILD", str(broken))
    with pytest.raises(StepCreditError, match=r"no sandbox for commands here: .*unshare"):
        run_command(FILES, "echo ran")


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(StepCreditError, match="darwin"):
        run_command(FILES, "true")
