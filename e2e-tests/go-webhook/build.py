"""Builds the webhook in Go beside it: build.py DIRECTORY PROGRAM.

Go and the libraries come from Debian's packages, which are unpacked into DIRECTORY and installed nowhere. It takes
Python 3, dpkg-deb, and some 70 MB from deb.debian.org.
"""

import hashlib
import lzma
import os
import pathlib
import re
import subprocess
import sys
import urllib.request

DEBIAN = "https://deb.debian.org/debian"
RELEASE = "trixie"
GO = "golang-1.24"
WANTED = [f"{GO}-go", "golang-k8s-api-dev", "golang-google-protobuf-dev"]


def get(path: str) -> bytes:
    with urllib.request.urlopen(f"{DEBIAN}/{path}") as answer:
        return answer.read()


def index() -> dict[str, dict[str, str]]:
    """The packages of the release for this machine, by their names."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    text = lzma.decompress(get(f"dists/{RELEASE}/main/binary-{architecture}/Packages.xz")).decode()
    paragraphs = (dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.M)) for paragraph in text.split("\n\n"))
    return {package["Package"]: package for package in paragraphs if "Package" in package}


def closure(packages: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """What is wanted, and of what that depends on, all that is Go's."""
    found: dict[str, dict[str, str]] = {}
    names = list(WANTED)
    while names:
        name = names.pop()
        if name in found or name not in packages:
            continue
        found[name] = packages[name]
        depends = re.findall(r"(?:^|, )(golang-[\w.+-]+)", packages[name].get("Depends", ""))
        names.extend(depends)
    return list(found.values())


def unpack(package: dict[str, str], directory: pathlib.Path) -> None:
    archive = get(package["Filename"])
    if hashlib.sha256(archive).hexdigest() != package["SHA256"]:
        sys.exit(f"{package['Package']}: what was fetched is not what Debian's index says")
    subprocess.run(["dpkg-deb", "-x", "/dev/stdin", str(directory)], input=archive, check=True)


def main(directory: pathlib.Path, program: pathlib.Path) -> None:
    complete = directory / "complete"
    if not complete.exists():
        for package in closure(index()):
            print(package["Package"], package["Version"])
            unpack(package, directory)
        complete.touch()
    goroot = directory / "usr/lib" / GO.replace("golang", "go")
    environment = {
        **os.environ,
        "GOROOT": str(goroot),
        "GOPATH": str(directory / "usr/share/gocode"),
        "GOCACHE": str(directory / "cache"),
        "GO111MODULE": "off",
    }
    source = pathlib.Path(__file__).parent
    subprocess.run([goroot / "bin/go", "vet", "."], cwd=source, env=environment, check=True)
    subprocess.run([goroot / "bin/go", "build", "-o", program, "."], cwd=source, env=environment, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
