#!/usr/bin/env python3
"""Compares the policy's reader of protobuf's text format with PyPI protobuf's, google.protobuf.text_format.

Texts are made by a grammar and by changing those of fuzz/corpus/text_format, most of which come from the golden vectors.
The policy follows Go, as Flyte uses it, and Python differs from that in places: each is in DIFFERENCES here and in
docs/contributing/hardening.md. Any other difference is a failure, and so is one of the list that does not come up.
"""
import argparse
import base64
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import warnings

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "hardening.md"
FLYTE_ALPHABET = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "abcdefghijklmnopqrstuvwxyz123456")
MOUNTS = ["ANY", "ENV_VAR", "FILE"]
STRINGS = ["group", "group_version", "key", "env_var"]

# What the policy refuses and Python takes, by the policy's message.
REFUSED = {
    "octal escapes of one or two digits": "an octal escape in this string is not",
    "hexadecimal escapes of one digit": r"\\[xX] in this string is not followed by 2 hexadecimal digits",
    "unknown escapes": r"a backslash before .* is no escape",
    "other white space": r"unexpected byte 0x(0b|0c|1c|1d|1e|1f|c2|e1|e2|e3)",
    "digits of other scripts": r"unexpected byte 0x(d9|db|ef)",
    "unknown numbers of the enum": r"mount_requirement is ANY \(0\), ENV_VAR \(1\) or FILE \(2\), found [-+0-9]",
    "an empty field set again": "is set twice",
}


SPACE = rb"(?:\s|#[^\n]*\n)*"


def octal_number(match):
    return match[1] + match[2] + b"0o" + match[3]


# What the two read differently otherwise: how that is written for Python to mean what it means for the policy.
REWRITTEN = {
    "bytes that are no UTF-8": (rb"[\x80-\xff]", lambda match: b"\\x%02x" % match[0][0]),
    "the escape \\?": (rb"\\(?:\?()|.)", lambda match: b"?" if match[1] is not None else match[0]),
    "the escape \\X": (rb"\\(?:X()|.)", lambda match: rb"\x" if match[1] is not None else match[0]),
    "surrogates": (
        rb"\\(?:(?:u|U0000)[dD]([89a-fA-F])[0-9a-fA-F]{2}|.)",
        lambda match: rb"\ufffd" if match[1] is not None else match[0],
    ),
    "an escaped backslash by its number": (
        rb"\\(?:(?:u|U0000)005[cC]()|.)",
        lambda match: rb"\\" if match[1] is not None else match[0],
    ),
    "octal numbers": (rb"(mount_requirement%s:%s)([-+]?)0([0-7_]+)" % (SPACE, SPACE), octal_number),
}
DIFFERENCES = [*REFUSED, *REWRITTEN]


def secret_class():
    """flyteidl.core.Secret."""
    file = descriptor_pb2.FileDescriptorProto(name="security.proto", package="flyteidl.core", syntax="proto3")
    message = file.message_type.add(name="Secret")
    field = descriptor_pb2.FieldDescriptorProto
    for number, name in enumerate(["group", "group_version", "key", "mount_requirement", "env_var"], 1):
        added = message.field.add(name=name, number=number, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
        if name == "mount_requirement":
            added.type = field.TYPE_ENUM
            added.type_name = ".flyteidl.core.Secret.MountType"
    mounts = message.enum_type.add(name="MountType")
    for number, name in enumerate(MOUNTS):
        mounts.value.add(name=name, number=number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("flyteidl.core.Secret"))


SECRET = secret_class()


def reference(text):
    """What Python reads in `text`; None where it refuses it."""
    secret = SECRET()
    try:
        text_format.Parse(text, secret)
    except (text_format.ParseError, ValueError):  # The latter for bytes that are no UTF-8, and for great numbers.
        return None
    value = {name: getattr(secret, name) for name in STRINGS}
    number = secret.mount_requirement
    return {**value, "mount_requirement": MOUNTS[number] if 0 <= number < len(MOUNTS) else number}


def ours(texts, decoder):
    lines = [base64.b32encode(text).decode().rstrip("=").translate(FLYTE_ALPHABET) + "\n" for text in texts]
    run = subprocess.run([decoder], input="".join(lines), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in run.stdout.rstrip("\n").split("\n")]
    assert len(answers) == len(texts), "an answer for each text"
    return answers


def is_utf8(text):
    try:
        text.decode()
    except ValueError:
        return False
    return True


def explanation(text, our):
    """The names of the listed differences that explain why Python reads `text` differently; None if they do not."""
    rewritten, names = text, []
    for name, (pattern, replacement) in REWRITTEN.items():
        if name == "bytes that are no UTF-8" and is_utf8(text):
            continue
        before = rewritten
        rewritten = re.sub(pattern, replacement, rewritten, flags=re.DOTALL)
        if rewritten != before:
            names.append(name)
    refused = our.get("refused")
    if names and reference(rewritten) == (None if refused else our):
        return names
    if refused and "is not UTF-8" in refused and re.search(r"['\"]\s*[^\S \t\r\n]", text.decode(errors="replace")):
        # It ends a string of which the next one has the rest of a character.
        return ["other white space"]
    return next(([name] for name, message in REFUSED.items() if refused and re.search(message, refused)), None)


class Grammar:
    """Texts that are mostly messages, and mostly right."""

    def __init__(self, source):
        self.source = source

    def maybe(self, chance):
        return self.source.random() < chance

    def text(self):
        names = [*STRINGS, "mount_requirement"]
        self.source.shuffle(names)
        names = names[: self.source.randint(0, 5)]
        if self.maybe(0.1):
            names.append(self.source.choice(names or STRINGS))
        fields = [self.field(name) for name in names]
        return b"".join([self.space(), *fields, b"# end" if self.maybe(0.1) else b""])

    def field(self, name):
        if self.maybe(0.02):
            return self.source.choice(
                [b"[a.b/c]: {}", b"[x]: 'a'", b"key {}", b"key < >", b"1: 'a'", b"unknown: 'a'", b"KEY: 'a'", b",", b";",
                 b"}", b"key: ['a']", b"key: 1", b"key: a", b"-", b"'key': 'a'", b"group.key: 'a'", b"\xc3\xa9: 'a'"]
            ) + self.space()
        separator = self.source.choice([b"", b"", b" ", b",", b";", b",;"] if self.maybe(0.3) else [b"\n"])
        value = self.mount() if name == "mount_requirement" else self.strings()
        colon = b"" if self.maybe(0.01) else b":"
        return b"".join([name.encode(), self.space(), colon, self.space(), value, self.space(), separator, self.space()])

    def space(self):
        if self.maybe(0.75):
            return b""
        return self.source.choice(
            [b" ", b" ", b"\t", b"\n", b"\r\n", b"\r", b"# comment\n", b"#\n", b"# '\xe2\x82\xac\"\\\n", b"#\xff\n"]
            + ([b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\xa0", b"\xe2\x80\xa8", b"\0"] if self.maybe(0.1) else [])
        )

    def mount(self):
        numbers = ["0", "1", "2", "3", "-0", "+1", "-1", "0x2", "0X1", "0b1", "0B10", "0o2", "01", "002", "00", "08", "0x",
                   "0_1", "1_0", "_1", "1_", "0x_1", "2147483648", "9" * 30, "1.0", "1e0", "2f", "٢"]
        names = ["ANY", "ENV_VAR", "FILE", "file", "ENV-VAR", "FILE2", "'FILE'", "[FILE]", "<FILE>", "true", ""]
        return self.source.choice(MOUNTS if self.maybe(0.7) else numbers + names).encode()

    def strings(self):
        count = 1 if self.maybe(0.8) else self.source.choice([0, 2, 2, 2, 2, 3, 3, 3])
        return self.space().join(self.string() for _ in range(count))

    def string(self):
        quote = self.source.choice([b"'", b'"'])
        body = b"".join(self.piece(quote) for _ in range(self.source.choice([0, 1, 2, 3, 6])))
        return quote + body + (quote if self.maybe(0.99) else self.source.choice([b"", b"'", b'"']))

    def piece(self, quote):
        digits = lambda length, alphabet="0123456789abcdefABCDEF": "".join(self.source.choices(alphabet, k=length))
        kind = self.source.random()
        if kind < 0.5:
            other = b'"' if quote == b"'" else b"'"
            return self.source.choice(
                [b"password", b"a", b" ", b"#", b"\t", b"\r", b"7", b"e", other, b"\0", b"{}", "é".encode(), "日".encode(),
                 "\U0001f511".encode(), "\u2028".encode()]
            )
        if kind < 0.7:
            return b"\\" + self.source.choice(list("abfnrtv?'\"\\")).encode()
        if kind < 0.985:
            return self.source.choice(
                ["\\0" + digits(2, "01234567"), "\\1" + digits(2, "01234567"), "\\x" + digits(1, "01234567") + digits(1),
                 "\\X" + digits(1, "01234567") + digits(1), "\\u" + digits(4), "\\u00" + digits(2), "\\ud8" + digits(2),
                 "\\U0000" + digits(4), "\\U0001" + digits(4), "\\u005c", "\\xe2\\x82\\xac", "\\342\\202\\254",
                 "\\xC3\\251", "\\x7f"]
            ).encode()
        return self.source.choice(
            ["\\", "\\e", "\\8", "\\é", "\\\U0001f511", "\\N{BULLET}", "\\" + digits(1, "01234567"),
             "\\" + digits(2, "01234567"), "\\" + digits(3), "\\x" + digits(1), "\\x" + digits(2), "\\X" + digits(2), "\\x",
             "\\u" + digits(3), "\\U00110000", "\\400", "\\xff", "\n", "\\\n"]
        ).encode()


def changed(text, others, source):
    """`text` with a few changes."""
    parts = [b"'", b'"', b"\\", b":", b"#", b"\n", b" ", b",", b";", b"[", b"{", b"0", b"x", b"u", b"\xff", b"\0", b"\x0c",
             b"key", b"mount_requirement: 1", b"''", b"\\x4", b"\\?"]
    for _ in range(source.randint(1, 3)):
        start = source.randint(0, len(text))
        end = min(len(text), start + source.choice([0, 1, 1, 2, 8]))
        inserted = source.choice(
            [b"", source.choice(parts), bytes([source.randrange(256)]), text[start:end] * 2, source.choice(others)[start:]]
        )
        text = text[:start] + inserted + text[end:]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("decoder", help="fuzz/examples/decode.rs, built")
    parser.add_argument("--count", type=int, default=200_000, help="how many texts to make")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # Python's, about escapes that it does not know.
    source = random.Random(arguments.seed)
    known = [path.read_bytes() for path in sorted((ROOT / "fuzz" / "corpus" / "text_format").iterdir())]
    grammar = Grammar(source)
    made = [
        grammar.text() if number % 2 else changed(source.choice(known), known, source)
        for number in range(arguments.count)
    ]
    texts = sorted(set(known + made))
    seen = collections.Counter()
    unexplained = []
    for text, our in zip(texts, ours(texts, arguments.decoder)):
        their = reference(text)
        if our == their:
            seen["the same value"] += 1
        elif "refused" in our and their is None:
            seen["both refuse"] += 1
        else:
            names = explanation(text, our)
            for name in names or []:
                seen[name] += 1
            if names is None:
                unexplained.append((text, our, their))
    print(f"{len(texts)} texts:")
    for name, count in seen.most_common():
        print(f"{count:>8}  {name}")
    for text, our, their in unexplained[:10]:
        print(f"\n{text}\n  policy: {our}\n  Python: {their}", file=sys.stderr)
    document = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    problems = [f"{len(unexplained)} differences are not in the list"] if unexplained else []
    problems += [f"no text shows the difference: {name}" for name in DIFFERENCES if not seen[name]]
    problems += [f"{DOCUMENT.name} does not mention: {name}" for name in DIFFERENCES if name not in document]
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
