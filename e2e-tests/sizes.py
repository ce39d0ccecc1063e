#!/usr/bin/env python3
"""Prints how many bytes of code each crate has in a WebAssembly module that still has its names: see `make sizes`.

A function counts for the crate that defines it, generic ones too, wherever they are used. What the compiler has inlined
counts for the function that it is in.
"""
import collections
import re
import sys


class Reader:
    def __init__(self, data):
        self.data, self.place = data, 0

    def byte(self):
        self.place += 1
        return self.data[self.place - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def take(self, count):
        self.place += count
        return self.data[self.place - count : self.place]

    def text(self):
        return self.take(self.number()).decode()

    def parts(self):
        """Kind and content of each section, or subsection."""
        while self.place < len(self.data):
            kind = self.byte()
            yield kind, Reader(self.take(self.number()))


def imported_functions(section):
    count = 0
    for _ in range(section.number()):
        section.text(), section.text()
        if section.byte() == 0:
            section.number()
            count += 1
        else:
            sys.exit("the module imports something else than functions")
    return count


def names_of(section):
    names = {}
    for kind, part in section.parts():
        if kind == 1:
            for _ in range(part.number()):
                index = part.number()
                names[index] = part.text()
    return names


def crate_of(symbol):
    """The crate in one of Rust's two kinds of mangled names; C's names have none."""
    if found := re.match(r"_R.*?C(?:s[0-9A-Za-z]*_)(\d+)_?", symbol):
        return symbol[found.end() : found.end() + int(found[1])]
    if found := re.match(r"_ZN(\d+)", symbol):
        part = symbol[found.end() : found.end() + int(found[1])]
        inside = re.search(r"([a-z_0-9]+)\.\.", part.replace("$u20$", " "))
        return inside[1] if inside and part.startswith("_$") else part
    return "C library and linker"


def main():
    data = open(sys.argv[1], "rb").read()
    sizes, names, imported, other = [], {}, 0, collections.Counter()
    for kind, section in Reader(data[8:]).parts():
        if kind == 0:
            if section.text() == "name":
                names = names_of(Reader(section.data[section.place :]))
        elif kind == 2:
            imported = imported_functions(section)
        elif kind == 10:
            sizes = [len(section.take(section.number())) for _ in range(section.number())]
        else:
            other["constants" if kind == 11 else "the rest"] += len(section.data)
    crates = collections.Counter()
    for index, size in enumerate(sizes, imported):
        crates[crate_of(names.get(index, ""))] += size
    print("| Crate | Bytes |\n| --- | --: |")
    for name, size in crates.most_common():
        print(f"| {name} | {size:,} |")
    for name, size in other.most_common():
        print(f"| ({name}) | {size:,} |")
    print(f"| (all) | {sum(crates.values()) + sum(other.values()):,} |")


if __name__ == "__main__":
    main()
