"""The process that `shell` starts. Run as a file, with the standard library alone: it leaves everything before it
starts the command, and starts none if that fails.

What it needs is imported first and files are opened as bytes: once it has left, no module can be read.
"""

# ruff: noqa: PTH102, PTH103, PTH112, PTH114, PTH115, PTH118, PTH123, PTH211

import ctypes
import json
import os
import resource
import signal
import stat
import sys
import time
from contextlib import suppress

NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, REMOUNT, BIND, MOVE, RECURSIVE, PRIVATE = 1, 2, 4, 32, 4096, 8192, 16384, 1 << 18
SET_DUMPABLE, NO_NEW_PRIVILEGES = 4, 38
NOBODY, INSIDE = 65534, 1000
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "etc/alternatives")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/files", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": "/tmp"}
LONG_AGO = 946_684_800  # 2000-01-01
_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    arguments = [None if x is None else x.encode() for x in (source, target, kind)]
    _called(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def _put(file: str, text: str) -> None:
    with open(file, "wb", buffering=0) as opened:
        opened.write(text.encode())


def _leave() -> None:
    """No rights of root, and namespaces of one's own."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # Without this, a process that gave up root may not write its own id map.
        _called(_libc.prctl(SET_DUMPABLE, 1, 0, 0, 0), "prctl")
    uid, gid = os.getuid(), os.getgid()
    _called(_libc.unshare(NEW_USER | NEW_NS | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS), "unshare")
    # Not root inside either: so the command has no rights at all after exec.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE} {uid} 1"), ("gid_map", f"{INSIDE} {gid} 1")):
        _put(f"/proc/self/{name}", text)
    # The command makes no namespaces in which it would have rights again.
    _put("/proc/sys/user/max_user_namespaces", "0")


def _build(room: int, most: int) -> None:
    """A root of programs that cannot be changed, with an empty /files and /tmp in memory."""
    root = next(p for p in ("/tmp", "/mnt", "/var/tmp") if os.path.isdir(p))
    _mount("none", "/", None, RECURSIVE | PRIVATE)
    _mount("none", root, "tmpfs", NO_SUID | NO_DEVICES, "size=64k,nr_inodes=64,mode=755")
    os.makedirs(f"{root}/etc")
    os.makedirs(f"{root}/dev")
    for name in SYSTEM:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{root}/{name}")
            _mount(f"/{name}", f"{root}/{name}", None, BIND | RECURSIVE)
            _mount("none", f"{root}/{name}", None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES)
    for name in ("null", "zero"):
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY))
        _mount(f"/dev/{name}", f"{root}/dev/{name}", None, BIND)
    for name in ("files", "tmp"):
        os.mkdir(f"{root}/{name}")
        size = f"size={room},nr_inodes={most + 8},mode=755"
        _mount("none", f"{root}/{name}", "tmpfs", NO_SUID | NO_DEVICES, size)
    os.utime(root, (LONG_AGO, LONG_AGO))
    _mount("none", root, None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES)
    _called(_libc.sethostname(b"box", 3), "sethostname")
    os.chdir(root)
    _mount(".", "/", None, MOVE)
    os.chroot(".")
    os.chdir("/files")


def _write(files: dict[str, str]) -> None:
    for path in sorted(files):
        folder, _, name = path.encode("utf-8", "surrogateescape").rpartition(b"/")
        if folder:
            os.makedirs(folder, exist_ok=True)
        if name:
            handle = os.open(path.encode("utf-8", "surrogateescape"), os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
            with open(handle, "wb") as file:
                file.write(files[path].encode("utf-8", "surrogateescape"))
    for folder, folders, names in os.walk(b"."):
        for one in [*folders, *names]:
            os.utime(os.path.join(folder, one), (LONG_AGO, LONG_AGO))
    os.utime(b".", (LONG_AGO, LONG_AGO))


def _read() -> dict[str, str]:
    """What is in the folder now: regular files, and folders without any."""
    files = {}

    def failed(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(b".", onerror=failed):
        place = folder[2:] + b"/" if len(folder) > 1 else b""
        if place and not folders and not names:
            files[place.decode("utf-8", "surrogateescape")] = ""
        for name in names:
            if stat.S_ISREG(os.lstat(place + name).st_mode):
                with open(os.open(place + name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    files[(place + name).decode("utf-8", "surrogateescape")] = file.read().decode(
                        "utf-8", "surrogateescape"
                    )
    return dict(sorted(files.items()))


def _become(command: str, memory: int, seconds: float, room: int, output: int) -> None:
    """Turn into the command, within bounds. Never returns."""
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for target, source in ((0, null), (1, output), (2, output)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        for name, value in (
            ("CPU", int(seconds + 0.999)),
            ("AS", memory),
            ("FSIZE", room),
            ("CORE", 0),
            ("NPROC", 16),
            ("NOFILE", 64),
        ):
            what = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(what)[1]
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (limit, limit))
        _called(_libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
        os.umask(0o022)
        os.execve("/bin/sh", [b"sh", b"-c", command.encode("utf-8", "surrogateescape")], ENVIRONMENT)
    finally:
        os._exit(126)


def _wait(process: int, seconds: float) -> int | None:
    """Exit status of the command; None if it was still running. Ends all that it started."""
    until = time.monotonic() + seconds
    found, status = os.waitpid(process, os.WNOHANG)
    while not found and time.monotonic() < until:
        time.sleep(0.002)
        found, status = os.waitpid(process, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return os.waitstatus_to_exitcode(status) if found else None


def _run(given: dict) -> dict:  # type: ignore[type-arg]
    _build(given["room"], given["most"])
    _write(given["files"])
    output = os.memfd_create("output")
    process = os.fork()
    if not process:
        _become(given["command"], given["memory"], given["seconds"], given["room"], output)
    status = _wait(process, 3 * given["seconds"])
    if status is None or -status == signal.SIGXCPU:
        return {"refused": f"the command took more than {given['seconds']:g} seconds"}
    try:
        files = _read()
    except OSError as error:
        return {"refused": f"what the command left cannot be read: {error.strerror}"}
    said = os.pread(output, given["output"], 0).decode("utf-8", "replace")
    return {"files": files, "output": said, "status": status}


def _told(make: object, *arguments: object) -> bytes:
    try:
        told = make(*arguments)  # type: ignore[operator]
    except BaseException as error:
        told = {"broken": f"{type(error).__name__}: {error}"}
    return json.dumps(told).encode("ascii")


def main() -> None:
    """Read what to do from standard input, write what came of it, as JSON."""
    given = json.loads(sys.stdin.buffer.read())
    try:
        _leave()
        inner = os.fork()
    except OSError as error:
        os.write(1, json.dumps({"broken": str(error)}).encode("ascii"))
        return
    if inner:
        os.waitpid(inner, 0)
        return
    # The first process of its namespace: whatever lives there ends with it.
    with open(1, "wb") as out:
        out.write(_told(_run, given))
    os._exit(0)


if __name__ == "__main__":
    main()
