//! The words of protobuf's text format.
//!
//! Flyte reads it with
//! [`UnmarshalText` of github.com/golang/protobuf](https://github.com/golang/protobuf/blob/master/proto/text_decode.go).
//! That is not the parser of google.golang.org/protobuf: this one wants all three digits of an octal escape and both of
//! a hexadecimal one, knows `\X`, and makes U+FFFD of each surrogate. The
//! [language's specification](https://protobuf.dev/reference/protobuf/textformat-spec/) says otherwise in places.
#![forbid(unsafe_code)]

use super::text_error::{Fault, Problem};

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
                    return Err(Fault {
                        offset,
                        problem: Problem::Byte(first),
                    });
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
        let is_in_word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-+._".contains(byte);
        let length = self.rest.iter().take_while(is_in_word).count();
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        str::from_utf8(word).unwrap_or_default()
    }

    fn text(&mut self, offset: usize) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        while let Some((&quote @ (b'"' | b'\''), rest)) = self.rest.split_first() {
            let Some((body, rest)) = split_at_quote(rest, quote) else {
                return Err(Fault {
                    offset: self.offset(),
                    problem: Problem::Unclosed,
                });
            };
            if let Err(problem) = unescape(body, &mut bytes) {
                return Err(Fault {
                    offset: self.offset(),
                    problem,
                });
            }
            self.rest = rest;
            self.skip_space();
        }
        // Only now: Flyte accepts a character whose bytes come from several strings.
        String::from_utf8(bytes).map_err(|_| Fault {
            offset,
            problem: Problem::NotUtf8,
        })
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

fn unescape(body: &[u8], into: &mut Vec<u8>) -> Result<(), Problem> {
    if !body.contains(&b'\\') {
        into.extend_from_slice(body);
        return Ok(());
    }
    let mut rest = str::from_utf8(body).map_err(|_| Problem::NotUtf8)?;
    while let Some((plain, escape)) = rest.split_once('\\') {
        into.extend_from_slice(plain.as_bytes());
        rest = unescape_one(escape, into)?;
    }
    into.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// Takes the escape that `text` starts with, its backslash gone, and gives the rest.
fn unescape_one<'a>(text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, Problem> {
    let mut characters = text.chars();
    let letter = characters.next().ok_or(Problem::Unclosed)?;
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
            let (byte, rest) = octal(text).ok_or(Problem::Octal)?;
            into.push(byte);
            return Ok(rest);
        }
        'x' | 'X' => {
            let (number, rest) = hexadecimal(rest, 2).ok_or(Problem::Digits { letter, digits: 2 })?;
            into.extend(u8::try_from(number));
            return Ok(rest);
        }
        'u' => return unicode(letter, 4, rest, into),
        'U' => return unicode(letter, 8, rest, into),
        _ => return Err(Problem::Escape(letter)),
    };
    into.push(simple);
    Ok(rest)
}

fn octal(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    Some((u8::from_str_radix(digits, 8).ok()?, rest))
}

fn hexadecimal(text: &str, length: usize) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(length)?;
    // `from_str_radix` alone would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

fn unicode<'a>(letter: char, digits: usize, text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, Problem> {
    let (number, rest) = hexadecimal(text, digits).ok_or(Problem::Digits { letter, digits })?;
    let character = match number {
        0xd800..=0xdfff => char::REPLACEMENT_CHARACTER,
        _ => char::from_u32(number).ok_or(Problem::CodePoint)?,
    };
    into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(input: &[u8]) -> Result<String, Problem> {
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
        let digits = |letter, digits| Problem::Digits { letter, digits };
        let table: [(&[u8], Problem); 27] = [
            (b"'", Problem::Unclosed),
            (b"'a\"", Problem::Unclosed),
            (b"'a\n'", Problem::Unclosed),
            (b"'a' \"", Problem::Unclosed),
            (br"'\'", Problem::Unclosed),
            (br"'\", Problem::Unclosed),
            (b"'\\\n'", Problem::Escape('\n')),
            (br"'\e'", Problem::Escape('e')),
            (br"'\8'", Problem::Escape('8')),
            ("'\\é'".as_bytes(), Problem::Escape('é')),
            (br"'\0'", Problem::Octal),
            (br"'\08'", Problem::Octal),
            (br"'\0+1'", Problem::Octal),
            (br"'\400'", Problem::Octal),
            ("'\\00é'".as_bytes(), Problem::Octal),
            (br"'\x'", digits('x', 2)),
            (br"'\x4'", digits('x', 2)),
            (br"'\x+4'", digits('x', 2)),
            (br"'\X4g'", digits('X', 2)),
            (br"'\x\'4'", digits('x', 2)),
            (br"'\u041'", digits('u', 4)),
            (br"'\u+041'", digits('u', 4)),
            (br"'\U0000041'", digits('U', 8)),
            (br"'\U00110000'", Problem::CodePoint),
            (br"'\xff'", Problem::NotUtf8),
            (b"'\xff'", Problem::NotUtf8),
            (b"'\xe2\\n' '\x82\xac'", Problem::NotUtf8),
        ];
        for (input, expected) in table {
            assert_eq!(text_of(input), Err(expected), "{}", input.escape_ascii());
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
        let fault = |problem| Err(Fault { offset: 1, problem });
        assert_eq!(Lexer::new(b" \x0c").next(), fault(Problem::Byte(0x0c)));
        assert_eq!(Lexer::new(b" \xff").next(), fault(Problem::Byte(0xff)));
    }
}
