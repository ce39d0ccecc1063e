//! The words of protobuf's text format.
//!
//! Flyte reads it with
//! [`UnmarshalText` of github.com/golang/protobuf](https://github.com/golang/protobuf/blob/master/proto/text_decode.go).
//! That is not the parser of google.golang.org/protobuf: this one wants all three digits of an octal escape and both of
//! a hexadecimal one, knows `\X`, and makes U+FFFD of each surrogate. The
//! [language's specification](https://protobuf.dev/reference/protobuf/textformat-spec/) says otherwise in places.

use crate::names::excerpt;

/// What is wrong in the text, and how many bytes after its start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) problem: String,
}

impl Fault {
    pub(super) fn new(offset: usize, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { offset, problem }
    }
}

const NOT_CLOSED: &str = "this string has no closing quote on its line; a line break in it is written \\n";
const NOT_UTF8: &str = "this string is not UTF-8";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    End,
    /// One of `<>{}:[];,/`.
    Symbol(char),
    /// Letters, digits and `-+._`: a name or a number.
    Word(&'a str),
    /// All strings that follow each other, as one.
    Text(String),
}

impl Token<'_> {
    /// Describes the token for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::End => "the end".to_owned(),
            Self::Symbol(symbol) => symbol.to_string(),
            Self::Word(word) => excerpt(word).into_owned(),
            Self::Text(_) => "a string".to_owned(),
        }
    }
}

pub(super) struct Lexer<'a> {
    input: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { input, rest: input }
    }

    /// The next token and its offset.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), Fault> {
        self.skip_space();
        let offset = self.offset();
        let Some((&first, rest)) = self.rest.split_first() else {
            return Ok((offset, Token::End));
        };
        let token = match first {
            b'<' | b'>' | b'{' | b'}' | b':' | b'[' | b']' | b';' | b',' | b'/' => {
                self.rest = rest;
                Token::Symbol(char::from(first))
            }
            b'"' | b'\'' => Token::Text(self.text(offset)?),
            _ => {
                let word = self.word();
                if word.is_empty() {
                    return Err(Fault::new(offset, format!("unexpected {}", printable(first))));
                }
                Token::Word(word)
            }
        };
        Ok((offset, token))
    }

    /// Passes over one `,` or `;`.
    pub(super) fn skip_separator(&mut self) {
        self.skip_space();
        if let Some((b',' | b';', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    const fn offset(&self) -> usize {
        self.input.len().saturating_sub(self.rest.len())
    }

    fn skip_space(&mut self) {
        while let Some((first, rest)) = self.rest.split_first() {
            self.rest = match first {
                b' ' | b'\t' | b'\n' | b'\r' => rest,
                b'#' => rest.splitn(2, |&byte| byte == b'\n').nth(1).unwrap_or_default(),
                _ => break,
            };
        }
    }

    fn word(&mut self) -> &'a str {
        let is_in_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_');
        let length = self.rest.iter().take_while(is_in_word).count();
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        str::from_utf8(word).unwrap_or_default()
    }

    fn text(&mut self, offset: usize) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        while let Some((&quote @ (b'"' | b'\''), rest)) = self.rest.split_first() {
            let Some((body, rest)) = split_at_quote(rest, quote) else {
                return Err(Fault::new(self.offset(), NOT_CLOSED));
            };
            unescape(body, &mut bytes).map_err(|problem| Fault::new(self.offset(), problem))?;
            self.rest = rest;
            self.skip_space();
        }
        // Only now: Flyte accepts a character whose bytes come from several strings.
        String::from_utf8(bytes).map_err(|_| Fault::new(offset, NOT_UTF8))
    }
}

/// The string's content, still escaped, and what follows its closing quote.
fn split_at_quote(text: &[u8], quote: u8) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let ends = !escaped && (byte == quote || byte == b'\n');
        escaped = !escaped && byte == b'\\';
        ends
    })?;
    let (body, rest) = text.split_at_checked(end)?;
    let (&last, rest) = rest.split_first()?;
    (last == quote).then_some((body, rest))
}

fn unescape(body: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    if !body.contains(&b'\\') {
        into.extend_from_slice(body);
        return Ok(());
    }
    let mut rest = str::from_utf8(body).map_err(|_| NOT_UTF8)?;
    while let Some((plain, escape)) = rest.split_once('\\') {
        into.extend_from_slice(plain.as_bytes());
        rest = unescape_one(escape, into)?;
    }
    into.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// Takes the escape that `text` starts with, its backslash gone, and gives the rest.
fn unescape_one<'a>(text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut characters = text.chars();
    let letter = characters.next().ok_or(NOT_CLOSED)?;
    let rest = characters.as_str();
    let simple = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '?' => b'?',
        '\'' => b'\'',
        '"' => b'"',
        '\\' => b'\\',
        '0'..='7' => {
            let (byte, rest) =
                octal(text).ok_or("an octal escape in this string is not \\000 to \\377, always with three digits")?;
            into.push(byte);
            return Ok(rest);
        }
        'x' | 'X' => {
            let (number, rest) = hexadecimal(letter, rest, 2)?;
            into.extend(u8::try_from(number));
            return Ok(rest);
        }
        'u' => return unicode(letter, 4, rest, into),
        'U' => return unicode(letter, 8, rest, into),
        _ => {
            let letter = letter.escape_default();
            return Err(format!(
                "a backslash before {letter} is no escape; a backslash itself is written \\\\"
            ));
        }
    };
    into.push(simple);
    Ok(rest)
}

fn octal(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    Some((u8::from_str_radix(digits, 8).ok()?, rest))
}

fn hexadecimal(letter: char, text: &str, length: usize) -> Result<(u32, &str), String> {
    text.split_at_checked(length)
        // `from_str_radix` alone would take a sign.
        .filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|(digits, rest)| Some((u32::from_str_radix(digits, 16).ok()?, rest)))
        .ok_or_else(|| format!("\\{letter} in this string is not followed by {length} hexadecimal digits"))
}

fn unicode<'a>(letter: char, digits: usize, text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, String> {
    let (number, rest) = hexadecimal(letter, text, digits)?;
    let character = match number {
        0xd800..=0xdfff => char::REPLACEMENT_CHARACTER,
        _ => char::from_u32(number).ok_or("\\U in this string is greater than \\U0010FFFF")?,
    };
    into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

fn printable(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        char::from(byte).to_string()
    } else {
        format!("byte 0x{byte:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(input: &[u8]) -> Result<String, String> {
        match Lexer::new(input).next() {
            Ok((_, Token::Text(text))) => Ok(text),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.problem),
        }
    }

    #[test]
    fn strings() {
        let table: [(&[u8], &str); 19] = [
            (br#""a'b""#, "a'b"),
            (br#"'a"b'"#, "a\"b"),
            (br#"'a' "b"'c'"#, "abc"),
            (b"'a' # '\n'b'", "ab"),
            (br"'\a\b\f\n\r\t\v\?\'\\' '\x22'", "\u{7}\u{8}\u{c}\n\r\t\u{b}?'\\\""),
            (br"'\000\101\1011'", "\0AA1"),
            (br"'\x41\X41\x411'", "AAA1"),
            (br"'\xe2\x82\xac'", "€"),
            (br"'\342' '\202\254'", "€"),
            (b"'\xe2' '\x82\xac'", "€"),
            (br"'\xe2' '\x82\xac'", "€"),
            (br"'\u20ac\U000020AC'", "€€"),
            (br"'\ud83d\udd11'", "\u{fffd}\u{fffd}"),
            (br"'\U0000dfff'", "\u{fffd}"),
            (br"'\U0010ffff'", "\u{10ffff}"),
            (br"'\u0000'", "\0"),
            (b"'\0\x01\x7f\r'", "\0\u{1}\u{7f}\r"),
            (br"'#'", "#"),
            (br"''", ""),
        ];
        for (input, expected) in table {
            assert_eq!(text_of(input).as_deref(), Ok(expected), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn broken_strings() {
        let (octal, point) = ("an octal escape", "\\U in this string is greater");
        let not_followed = [
            "\\x in this string is not followed by 2 ",
            "\\X in this string is not followed by 2 ",
            "\\u in this string is not followed by 4 ",
            "\\U in this string is not followed by 8 ",
        ];
        let [x, capital_x, u, capital_u] = not_followed;
        let table: [(&[u8], &str); 27] = [
            (b"'", NOT_CLOSED),
            (b"'a\"", NOT_CLOSED),
            (b"'a\n'", NOT_CLOSED),
            (b"'a' \"", NOT_CLOSED),
            (br"'\'", NOT_CLOSED),
            (br"'\", NOT_CLOSED),
            (b"'\\\n'", "a backslash before \\n is"),
            (br"'\e'", "a backslash before e is"),
            (br"'\8'", "a backslash before 8 is"),
            ("'\\é'".as_bytes(), "a backslash before \\u{e9} is"),
            (br"'\0'", octal),
            (br"'\08'", octal),
            (br"'\0+1'", octal),
            (br"'\400'", octal),
            ("'\\00é'".as_bytes(), octal),
            (br"'\x'", x),
            (br"'\x4'", x),
            (br"'\x+4'", x),
            (br"'\X4g'", capital_x),
            (br"'\x\'4'", x),
            (br"'\u041'", u),
            (br"'\u+041'", u),
            (br"'\U0000041'", capital_u),
            (br"'\U00110000'", point),
            (br"'\xff'", NOT_UTF8),
            (b"'\xff'", NOT_UTF8),
            (b"'\xe2\\n' '\x82\xac'", NOT_UTF8),
        ];
        for (input, expected) in table {
            let problem = text_of(input).unwrap_err();
            assert!(problem.starts_with(expected), "{}: {problem}", input.escape_ascii());
        }
    }

    #[test]
    fn tokens() {
        let mut lexer = Lexer::new(b" # \xff\n-a.1+_:{\t]/;# end");
        let symbol = |offset, symbol| Ok((offset, Token::Symbol(symbol)));
        let expected = [
            Ok((5, Token::Word("-a.1+_"))),
            symbol(11, ':'),
            symbol(12, '{'),
            symbol(14, ']'),
            symbol(15, '/'),
            symbol(16, ';'),
            Ok((22, Token::End)),
            Ok((22, Token::End)),
        ];
        for token in expected {
            assert_eq!(lexer.next(), token);
        }
        for (text, problem) in [(b" \x0c", "unexpected byte 0x0c"), (b" \xff", "unexpected byte 0xff")] {
            let problem = problem.to_owned();
            assert_eq!(Lexer::new(text).next(), Err(Fault { offset: 1, problem }));
        }
    }
}
