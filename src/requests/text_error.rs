//! What can be wrong in the text of one of Flyte's annotations.
#![forbid(unsafe_code)]

use thiserror::Error;

use super::model::MAX_FIELD_LENGTH;

/// What is wrong and how many bytes after the text's start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub offset: usize,
    pub problem: Problem,
}

/// What can be wrong in the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A byte that starts no token.
    #[error("unexpected {}", shown_byte(*.0))]
    Byte(u8),
    /// A string without its closing quote on the line where it starts.
    #[error("this string has no closing quote on its line; a line break in it is written \\n")]
    Unclosed,
    /// A string whose bytes are not UTF-8.
    #[error("this string is not UTF-8")]
    NotUtf8,
    /// An escape that does not exist.
    #[error("a backslash before {} is no escape; a backslash itself is written \\\\", .0.escape_default())]
    Escape(char),
    /// An octal escape without three digits, or of more than a byte.
    #[error("an octal escape in this string is not \\000 to \\377, always with three digits")]
    Octal,
    /// An escape with too few digits.
    #[error("\\{letter} in this string is not followed by {digits} hexadecimal digits")]
    Digits {
        /// The letter after the backslash.
        letter: char,
        /// How many digits belong there.
        digits: usize,
    },
    /// An escape beyond Unicode.
    #[error("\\U in this string is greater than \\U0010FFFF")]
    CodePoint,
    /// Something else where a field's name belongs.
    #[error("expected a field's name, found {0}")]
    NotAField(Found),
    /// The name of an extension or of an `Any`. Flyte's webhook crashes on some of these.
    #[error("names in [ ], of extensions or of Any, are not possible here")]
    Extension,
    /// A field that the message does not have.
    #[error("there is no field {0}; the fields are group, group_version, key, mount_requirement and env_var")]
    UnknownField(String),
    /// A field that is set twice.
    #[error("the field {0} is set twice")]
    Repeated(&'static str),
    /// A field's name without `:` after it.
    #[error("expected : after the field {0}")]
    NoColon(&'static str),
    /// Something else where a string belongs.
    #[error("the field {field} wants a string in quotes, found {found}")]
    NotText {
        /// The field.
        field: &'static str,
        /// What is there.
        found: Found,
    },
    /// A string that is too long.
    #[error("the field {0} is longer than {MAX_FIELD_LENGTH} bytes, the most that a request's field may have")]
    TooLong(&'static str),
    /// Not a value of `mount_requirement`.
    #[error("mount_requirement is ANY (0), ENV_VAR (1) or FILE (2), found {0}")]
    UnknownMount(Found),
}

/// What is there, in short, where something else belongs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Found {
    /// The text's end.
    #[error("the end")]
    End,
    /// A punctuation mark.
    #[error("{0}")]
    Symbol(char),
    /// The start of a name or a number.
    #[error("{0}")]
    Word(String),
    /// A quoted string.
    #[error("a string")]
    Text,
}

fn shown_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        char::from(byte).to_string()
    } else {
        format!("byte 0x{byte:02x}")
    }
}
