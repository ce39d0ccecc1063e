"""Runs src/managers/scripts/write_env.sh in every POSIX shell that is here and reads its output as the kubelet does."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from env_file import parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITE_ENV = ROOT / "src/managers/scripts/write_env.sh"
SHELLS = [shell for shell in (["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
GOOD = {
    "plain": b"secret",
    "shell": b"$HOME $(id) `id` ${X} \\ \\n \" # = ; & | * ? ~ !",
    "option": b"-n -e \\c",
    "percent": b"%s%d%%",
    "lines": b"\n one\n\n#two\nX=y\n\tthree\n\n",
    "cr": b"a\rb\r",
    "spaces": b" \t a \t ",
    "utf8": "é漢😀\ud7ff\ue000\U0010ffff\u0800\u0080".encode(),
    "control": bytes(range(1, 10)) + bytes(range(11, 32)) + b"\x7f",
    "pem": b"-----BEGIN KEY-----\n" + b"A" * 64 + b"\n-----END KEY-----\n",
    "largest": b"x" * 32768,
}
BAD = {
    "quote": (b"it's", "a single quote"),
    "nul": (b"a\0b", "a NUL byte"),
    "crlf": (b"a\r\nb", "a CR LF line end"),
    "empty": (b"", "is empty"),
    "long": (b"x" * 32769, "longer than 32768"),
    "latin1": (b"caf\xe9", "not UTF-8"),
    "latin1 inside": (b"caf\xe9 x", "not UTF-8"),
    "overlong": (b"\xc0\xaf", "not UTF-8"),
    "overlong 3": (b"\xe0\x9f\xbf", "not UTF-8"),
    "overlong 4": (b"\xf0\x8f\xbf\xbf", "not UTF-8"),
    "surrogate": (b"\xed\xa0\x80", "not UTF-8"),
    "above unicode": (b"\xf4\x90\x80\x80", "not UTF-8"),
    "no start": (b"\x80", "not UTF-8"),
    "cut": ("😀".encode()[:3], "not UTF-8"),
}
BAD_NAMES = ["", "1A", "A B", "A=B", "#A", "A\nB", "A'", "é"]

checks = 0


def check(right, what):
    global checks
    checks += 1
    if not right:
        raise SystemExit(f"FAILED: {what}")


def call(shell, name, value, file, before=""):
    script = WRITE_ENV.read_text() + before + '\nwrite_env "$@"\n'
    return subprocess.run([*shell, "-c", script, "sh", name, value, file], capture_output=True, text=True, timeout=60)


with tempfile.TemporaryDirectory() as work:
    value, file = os.path.join(work, "a value"), os.path.join(work, "an env file")
    for shell in SHELLS:
        for name in GOOD:
            pathlib.Path(file).write_bytes(b"")
            for before in "", "set -eu; IFS=0123456789; LC_ALL=C; export LC_ALL":
                pathlib.Path(file).write_bytes(b"")
                pathlib.Path(value).write_bytes(GOOD[name])
                done = call(shell, "_A_" + name, value, file, before)
                check(done.returncode == 0 and not done.stderr, f"{shell} {name}: {done.stderr}")
                content = pathlib.Path(file).read_bytes()
                check(parse(content, "_A_" + name) == GOOD[name], f"{shell} {name}: read back")
        pathlib.Path(file).write_bytes(b"")
        small = [name for name in GOOD if name != "largest"]
        for name in small:
            pathlib.Path(value).write_bytes(GOOD[name])
            check(call(shell, name, value, file).returncode == 0, f"{shell} {name}: appended")
        content = pathlib.Path(file).read_bytes()
        for name in small:
            check(parse(content, name) == GOOD[name], f"{shell} {name}: among others")
        for name, (data, why) in BAD.items():
            pathlib.Path(value).write_bytes(data)
            done = call(shell, "BAD", value, file)
            check(done.returncode == 1 and why in done.stderr, f"{shell} {name}: {done.stderr}")
            check("BAD" in done.stderr and "caf" not in done.stderr, f"{shell} {name}: names the variable only")
            check(pathlib.Path(file).read_bytes() == content, f"{shell} {name}: nothing appended")
        pathlib.Path(value).write_bytes(b"x")
        for name in BAD_NAMES:
            check(call(shell, name, value, file).returncode == 1, f"{shell} name {name!r}: refused")
        check(call(shell, "A", value + " missing", file).returncode == 1, f"{shell}: no value file")
        pathlib.Path(value).write_bytes(b"x" * 32000)
        codes = [call(shell, f"A{n}", value, file).returncode for n in range(3)]
        check(codes == [0, 0, 1], f"{shell}: the file's limit, {codes}")
print(f"write_env: {', '.join(' '.join(shell) for shell in SHELLS)}; {checks} checks: ok")
