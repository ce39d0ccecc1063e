//! What the agent reads in Vault, and the template that makes a file of it.

use std::fmt::Write as _;

/// How Vault keeps a secret: where its fields are in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// [KV version 1](https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v1): in `.Data`.
    Kv1,
    /// [KV version 2](https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2): in `.Data.data`.
    Kv2,
    /// A [database](https://developer.hashicorp.com/vault/docs/secrets/databases): the file holds all fields, in the
    /// agent's default template.
    Database,
}

impl Engine {
    /// Returns the engine that the group version `version` names.
    pub(super) fn named(version: &str) -> Option<Self> {
        [Self::Kv1, Self::Kv2, Self::Database]
            .into_iter()
            .find(|engine| engine.name() == version)
    }

    /// Returns the group version that asks for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kv1 => "kv1",
            Self::Kv2 => "kv2",
            Self::Database => "db",
        }
    }
}

/// A secret in Vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source<'r> {
    pub(super) engine: Engine,
    pub(super) path: &'r str,
    /// The number of the version, where not the newest is asked for.
    pub(super) version: Option<&'r str>,
}

impl<'r> Source<'r> {
    /// Returns the secret at `path` that the group version asks for.
    pub(super) fn new(path: &'r str, group_version: &'r str, default: Engine) -> Result<Self, String> {
        let (engine, version) = match Engine::named(group_version) {
            Some(engine) => (engine, None),
            None if group_version.is_empty() => (default, None),
            None if !is_version(group_version) => {
                return Err(format!(
                    "the group version {group_version:?} is neither an engine (kv1, kv2 or db) nor the number of a version \
                     of a KV 2 secret; leave it out, or name one of these"
                ));
            }
            None if default != Engine::Kv2 => {
                return Err(format!(
                    "the group version {group_version:?} is a version of a KV 2 secret, but the setting kvVersion is 1: leave \
                     it out, as KV 1 has no versions"
                ));
            }
            None => (default, Some(group_version)),
        };
        // The agent's default template does not quote the path.
        if engine == Engine::Database && !path.chars().all(is_plain) {
            return Err(format!(
                "{path:?} cannot be the path of a database role: it may hold letters, digits, '-', '_', '.' and '/'"
            ));
        }
        if !path.chars().all(is_path) {
            return Err(format!(
                "{path:?} cannot be a path in Vault: it may hold letters, digits and any of -_./@+=,~ as the agent reads it \
                 as a URL"
            ));
        }
        Ok(Self { engine, path, version })
    }

    /// Returns the template that writes the field `key`, in the language of
    /// [Consul Template](https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#secret), which
    /// is that of Go's `text/template`; `None` for the agent's own.
    pub(super) fn template(&self, key: &str) -> Option<String> {
        if self.engine == Engine::Database {
            return None;
        }
        let field = self.field(key);
        Some(self.with_secret(&[&self.check(key, &field), "{{ ", &field, " }}"]))
    }

    /// Returns Flyte's template for the field `key`, which may be in the Pod already.
    pub(super) fn flyte_template(&self, key: &str) -> String {
        self.with_secret(&["{{ ", &self.field(key), " }}"])
    }

    /// Returns the template that writes a file of variables: the field `key` under `name`, between single quotes.
    ///
    /// It fails where the kubelet would not read the value back (KEP-3721), and names the reason, never the value.
    pub(super) fn env_template(&self, key: &str, name: &str) -> String {
        let field = self.field(key);
        let line = format!(
            "{{{{ $v := print {field} }}}}\
             {{{{ if or (eq $v \"\") (gt (len $v) 32768) (sprig_contains \"'\" $v) (sprig_contains \"\\U0000000d\\U0000000a\" $v) \
             (sprig_contains \"\\U00000000\" $v) }}}}{{{{ sprig_fail \"{name}: its value is empty, longer than 32768 bytes, or has \
             a single quote, CR LF or NUL, which an env file cannot hold: ask for a file\" }}}}{{{{ end }}}}\
             {name}='{{{{ $v }}}}'{{{{ \"\\U0000000a\" }}}}"
        );
        self.with_secret(&[&self.check(key, &field), &line])
    }

    /// Returns the template that writes all fields into a file with this extension.
    pub(super) fn whole_template(&self, extension: &str) -> String {
        let data = self.data();
        let check = self.fail_if(data, r#""invalid""#, "it has no fields");
        match extension {
            "env" => self.with_secret(&[&check, "{{ range $k, $v := ", data, " }}", DOTENV_LINE, "{{ end }}"]),
            "yaml" => self.with_secret(&[&check, "{{ toYAML ", data, " }}"]),
            _ => self.with_secret(&[&check, "{{ toJSON ", data, " }}"]),
        }
    }

    /// Returns where the agent has the fields.
    fn data(&self) -> &'static str {
        if self.engine == Engine::Kv2 {
            ".Data.data"
        } else {
            ".Data"
        }
    }

    /// Returns the template's expression for the field `key`.
    fn field(&self, key: &str) -> String {
        let data = self.data();
        if is_field(key) {
            [data, ".", key].concat()
        } else {
            ["(index ", data, " \"", &escaped(key), "\")"].concat()
        }
    }

    /// Returns what fails where the field `key`, which is `expression`, is no text. Null is `invalid` among
    /// [Go's kinds](https://pkg.go.dev/reflect#Kind), and Go writes it as `<no value>` or `<nil>`. So is a field that `index` does
    /// not find: the agent's error_on_missing_key is about fields after a dot alone.
    fn check(&self, key: &str, expression: &str) -> String {
        let problem = ["the field ", &escaped(key), " is missing, null, an object or a list"].concat();
        self.fail_if(expression, r#""invalid" "map" "slice""#, &problem)
    }

    fn fail_if(&self, expression: &str, kinds: &str, problem: &str) -> String {
        let parts = [
            "{{ if sprig_has (sprig_kindOf ",
            expression,
            ") (sprig_list ",
            kinds,
            ") }}{{ sprig_fail \"",
            &escaped(self.path),
            ": ",
            problem,
            "\" }}{{ end }}",
        ];
        parts.concat()
    }

    /// Returns the template that writes `parts`, in which the secret is the dot.
    fn with_secret(&self, parts: &[&str]) -> String {
        let (query, version) = self.version.map_or(("", ""), |version| ("?version=", version));
        // A further argument of secret would make the agent write to the path.
        let begin = ["{{- with secret \"", &escaped(self.path), query, version, "\" -}}"].concat();
        [&begin, &*parts.concat(), "{{- end -}}"].concat()
    }
}

/// One variable of a file that a shell and the libraries for `.env` files read in the same way: they differ in what a backslash and
/// a line end of Windows are between single quotes.
const DOTENV_LINE: &str = concat!(
    r#"{{ if or (not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $k)) "#,
    r#"(sprig_has (sprig_kindOf $v) (sprig_list "invalid" "map" "slice")) "#,
    r#"(regexMatch "['\U0000005c\U0000005c\U0000000d\U00000000]" (print $v)) }}"#,
    r#"{{ sprig_fail (print "the field " $k " cannot be in a dotenv file: its name is not letters, digits and _, or its value is "#,
    r#"null, an object or a list, or has a single quote, a backslash, CR or NUL") }}{{ end }}"#,
    r#"{{ $k }}='{{ $v }}'{{ "\U0000000a" }}"#,
);

/// Returns whether `text` is the number of a version of a KV 2 secret; 0 is the newest, whichever that is.
fn is_version(text: &str) -> bool {
    (1..10).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether Go's templates take `key` after a dot
/// ([lexField](https://cs.opensource.google/go/go/+/master:src/text/template/parse/lex.go)): letters, digits and `_`,
/// no digit first. Of the letters beyond ASCII, those of the blocks Latin-1 to Latin Extended-B.
fn is_field(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit())
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_' || is_latin(character))
}

fn is_latin(character: char) -> bool {
    matches!(character, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ɏ')
}

/// Returns whether a character stands for itself in a template's string, in the agent's configuration and in a path in
/// Vault.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/') || is_latin(character)
}

/// Returns whether a path with this character is the path that Vault gets. The agent parses it as a URL
/// ([vault_read.go](https://github.com/hashicorp/consul-template/blob/main/dependency/vault_read.go)) and keeps the path
/// of that: `?` and `#` end it, `%2e%2e` leaves a directory, and a `:` makes what is in front a scheme. Beyond ASCII,
/// the blocks of letters are taken: those of punctuation hold slashes that look like `/`.
fn is_path(character: char) -> bool {
    is_plain(character)
        || matches!(character, '@' | '+' | '=' | ',' | '~')
        || matches!(character, '\u{c0}'..='\u{1fff}' | '\u{2c00}'..='\u{2fff}' | '\u{3040}'..='\u{d7ff}')
}

/// Returns `text` for a string of
/// [Go's grammar](https://go.dev/ref/spec#String_literals). All but plain characters are escaped, the braces of the
/// template language and of the agent's configuration among them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) {
            escaped.push(character);
        } else {
            let _ = write!(escaped, "\\U{:08x}", u32::from(character));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_version_is_an_engine_or_a_version() {
        for (version, default, expected) in [
            ("", Engine::Kv1, Ok((Engine::Kv1, None))),
            ("kv2", Engine::Kv1, Ok((Engine::Kv2, None))),
            ("db", Engine::Kv2, Ok((Engine::Database, None))),
            ("12", Engine::Kv2, Ok((Engine::Kv2, Some("12")))),
            ("12", Engine::Kv1, Err("kvVersion is 1")),
            ("0", Engine::Kv2, Err("neither an engine")),
            ("007", Engine::Kv2, Err("neither an engine")),
            ("1234567890", Engine::Kv2, Err("neither an engine")),
            ("+1", Engine::Kv2, Err("neither an engine")),
            ("KV1", Engine::Kv2, Err("neither an engine")),
        ] {
            let source = Source::new("a", version, default).map(|source| (source.engine, source.version));
            match (source, expected) {
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (source, expected) => assert_eq!(source, expected.map_err(str::to_owned)),
            }
        }
    }

    #[test]
    fn a_path_names_one_secret() {
        for path in ["secret/data/app", "größe/密码", "kv/a@b.c/x+y=z,~1_-"] {
            assert_eq!(Source::new(path, "", Engine::Kv2).err(), None, "{path}");
        }
        for bad in "%?#:; \\\"'`${}|<>&*\t\u{2028}\u{2215}".chars() {
            let message = Source::new(&format!("a{bad}b"), "", Engine::Kv2).unwrap_err();
            assert!(message.contains("cannot be a path in Vault"), "{message}");
        }
        assert!(Source::new("a+b", "db", Engine::Kv2).is_err());
        assert!(Source::new("a/b_c-1.2", "db", Engine::Kv2).is_ok());
    }

    #[test]
    fn templates_name_the_field_where_the_engine_keeps_it() {
        let template = |engine, path, version, key| Source { engine, path, version }.template(key);
        for (engine, group, key, field, escaped_key) in [
            (Engine::Kv1, "kv/app", "password", ".Data.password", "password"),
            (
                Engine::Kv2,
                "größe/x_y-z.1",
                "schlüssel_1",
                ".Data.data.schlüssel_1",
                "schlüssel_1",
            ),
            (
                Engine::Kv1,
                "a",
                "db-password",
                r#"(index .Data "db-password")"#,
                "db-password",
            ),
            (Engine::Kv2, "a", "1a", r#"(index .Data.data "1a")"#, "1a"),
            (Engine::Kv2, "a", "a.b", r#"(index .Data.data "a.b")"#, "a.b"),
            (
                Engine::Kv2,
                "a",
                "密码",
                r#"(index .Data.data "\U00005bc6\U00007801")"#,
                r"\U00005bc6\U00007801",
            ),
        ] {
            let expected = [
                r#"{{- with secret "GROUP" -}}{{ if sprig_has (sprig_kindOf FIELD) (sprig_list "invalid" "map" "slice") }}"#,
                r#"{{ sprig_fail "GROUP: the field KEY is missing, null, an object or a list" }}{{ end }}{{ FIELD }}"#,
                "{{- end -}}",
            ];
            let expected = expected
                .concat()
                .replace("GROUP", group)
                .replace("FIELD", field)
                .replace("KEY", escaped_key);
            assert_eq!(template(engine, group, None, key), Some(expected));
        }
        assert_eq!(template(Engine::Database, "a", None, "k"), None);
        let newest = template(Engine::Kv2, "a", None, "k").unwrap_or_default();
        assert_eq!(
            template(Engine::Kv2, "a", Some("5"), "k"),
            Some(newest.replacen(r#""a""#, r#""a?version=5""#, 1))
        );
    }

    /// Reads a string of Go's grammar as its scanner does: to the first quote that no backslash escapes.
    fn unquoted(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix('"')?;
        let mut value = String::new();
        loop {
            let character = rest.chars().next()?;
            rest = rest.strip_prefix(character)?;
            match character {
                '"' => return Some((value, rest)),
                '\n' => return None,
                '\\' => {
                    let digits = rest.strip_prefix('U')?.get(..8)?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    rest = rest.get(9..)?;
                }
                other => value.push(other),
            }
        }
    }

    #[test]
    fn every_character_stays_within_its_string() {
        let all: String = (0..=0x2fff)
            .chain(0x1_f600..0x1_f640)
            .filter_map(char::from_u32)
            .collect();
        for text in [
            "",
            r#"\"#,
            r#"""#,
            r#"" }}{{ env "HOME" }}"#,
            "a\nb",
            "`${x}`",
            "\u{2028}",
            all.as_str(),
        ] {
            let quoted = format!("\"{}\"", escaped(text));
            assert_eq!(unquoted(&quoted), Some((text.to_owned(), "")), "{quoted}");
            for delimiter in ["{{", "}}", "${", "\n", "`"] {
                assert!(!quoted.contains(delimiter), "{quoted}");
            }
        }
    }
}
