"""Builds the webhook in Go beside it: build.py DIRECTORY PROGRAM.

Go and the libraries come from Debian's packages, which are unpacked into DIRECTORY and installed nowhere. It takes
Python 3, dpkg, and some 70 MB from deb.debian.org.
"""

import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.request

DEBIAN = "https://deb.debian.org/debian"
RELEASE = "trixie"
GO = "golang-1.24"
WANTED = [f"{GO}-go", "golang-k8s-api-dev", "golang-github-golang-protobuf-1-5-dev"]
TIMEOUT = 60
VERSIONS = "versions.json"


def get(path: str) -> bytes:
    with urllib.request.urlopen(f"{DEBIAN}/{path}", timeout=TIMEOUT) as answer:
        return answer.read()


Package = dict[str, str]


def index(architecture: str) -> dict[str, Package]:
    """The packages of the release, by their names and by what they provide."""
    text = lzma.decompress(get(f"dists/{RELEASE}/main/binary-{architecture}/Packages.xz")).decode()
    paragraphs = (dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.M)) for paragraph in text.split("\n\n"))
    packages = [package for package in paragraphs if "Package" in package]
    provided = {name: package for package in packages for [name] in relation(package, "Provides")}
    return provided | {package["Package"]: package for package in packages}


def relation(package: Package, field: str) -> list[list[str]]:
    """The names in a field such as Depends, without versions; several where one of them will do."""
    items = (item for item in package.get(field, "").split(",") if item.strip())
    return [[re.split(r"[\s(:]", name.strip())[0] for name in item.split("|")] for item in items]


def closure(packages: dict[str, Package]) -> list[Package]:
    """What is wanted, and of what that depends on, all that is Go's."""
    found: dict[str, Package] = {}
    wanted = [[name] for name in WANTED]
    while wanted:
        # Where one of several will do, it may be there already once the others are.
        names = wanted.pop(min(range(len(wanted)), key=lambda index: len(wanted[index])))
        available = [packages[name] for name in names if name in packages]
        if not available:
            sys.exit(f"Debian {RELEASE} has no package {' or '.join(names)}")
        if not any(package["Package"] in found for package in available):
            found[available[0]["Package"]] = available[0]
            wanted.extend(names for names in relation(available[0], "Depends") if names[0].startswith("golang-"))
    for name, package in found.items():
        if conflicts := [other for [other] in relation(package, "Conflicts") if other in found and other != name]:
            sys.exit(f"{name} conflicts with {', '.join(conflicts)}")
    return list(found.values())


def unpack(package: Package, directory: pathlib.Path) -> None:
    print(package["Package"], package["Version"])
    archive = get(package["Filename"])
    if hashlib.sha256(archive).hexdigest() != package["SHA256"]:
        sys.exit(f"{package['Package']}: what was fetched is not what Debian's index says")
    subprocess.run(["dpkg-deb", "-x", "/dev/stdin", directory], input=archive, check=True)


def unpack_all(directory: pathlib.Path) -> None:
    """Makes DIRECTORY, unless it holds the same packages already."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    content = json.dumps([DEBIAN, RELEASE, architecture, WANTED])
    marker = directory / "content.json"
    if marker.exists() and marker.read_text() == content:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    packages = closure(index(architecture))
    for package in packages:
        unpack(package, directory)
    versions = {package["Package"]: package["Version"] for package in packages}
    (directory / VERSIONS).write_text(json.dumps(versions))
    marker.write_text(content)


def build(directory: pathlib.Path, program: pathlib.Path) -> None:
    goroot = directory / "usr/lib" / GO.replace("golang", "go")
    # Settings of the developer's own make another program.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))} | {
        "CGO_ENABLED": "0",
        "GO111MODULE": "off",
        "GOCACHE": str(directory / "cache"),
        "GOENV": "off",
        "GOPATH": str(directory / "usr/share/gocode"),
        "GOROOT": str(goroot),
        "GOTOOLCHAIN": "local",
    }
    api = json.loads((directory / VERSIONS).read_text())["golang-k8s-api-dev"]
    linked = f"-X main.api={api.split('-')[0]}"
    for command in (["vet"], ["build", "-ldflags", linked, "-o", program]):
        source = pathlib.Path(__file__).parent
        subprocess.run([goroot / "bin/go", *command, "."], cwd=source, env=environment, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    unpack_all(pathlib.Path(sys.argv[1]).resolve())
    build(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
