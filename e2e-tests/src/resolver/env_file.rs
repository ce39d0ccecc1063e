//! Files of variables, by the rules of the kubelet of Kubernetes 1.35
//! ([KEP-3721](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)):
//! lines `NAME='value'`, where a value may go over several lines and holds no single quote; blank lines and comments.

/// The longest line that the kubelet reads, in bytes.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// The value of the first variable called `key`; none where there is no such variable, or its value is empty.
///
/// # Errors
/// What is wrong with the file, as far as the kubelet reads it.
pub(super) fn value(content: &[u8], key: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    if lines.iter().any(|line| line.len() >= LONGEST_LINE) {
        return Err("a line is too long");
    }
    let mut lines = lines.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    while let Some(line) = lines.next() {
        let line = trim_start(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (name, mut rest) = split_once(line, b'=').ok_or("a line is not NAME='value'")?;
        if name.is_empty() || name.ends_with(b" ") || name.ends_with(b"\t") {
            return Err("a line is not NAME='value'");
        }
        if rest.starts_with(b" ") || rest.starts_with(b"\t") {
            if name == key.as_bytes() {
                return Ok(None);
            }
            continue;
        }
        rest = rest.strip_prefix(b"'").ok_or("a value has no single quotes")?;
        let mut value = Vec::new();
        let after = loop {
            if let Some((last, after)) = split_once(rest, b'\'') {
                value.extend_from_slice(last);
                break trim_start(after);
            }
            value.extend_from_slice(rest);
            value.push(b'\n');
            rest = lines.next().ok_or("a quote is not closed")?;
        };
        if !after.is_empty() && !after.starts_with(b"#") {
            return Err("something follows a closing quote");
        }
        if name == key.as_bytes() {
            return Ok(Some(value).filter(|value| !value.is_empty()));
        }
    }
    Ok(None)
}

fn trim_start(line: &[u8]) -> &[u8] {
    let blank = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &line[blank..]
}

fn split_once(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let position = line.iter().position(|byte| *byte == separator)?;
    Some((&line[..position], &line[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_kubelet_reads_them() {
        let long = format!("A='{}'\n", "x".repeat(65_535));
        for (content, expected) in [
            ("A='1'\n", Ok(Some("1"))),
            ("A='1'", Ok(Some("1"))),
            ("\n# comment\n  A='1' # comment\n", Ok(Some("1"))),
            ("A='1'\nA='2'\n", Ok(Some("1"))),
            ("B='2'\nA='two\n\n lines\n'\n", Ok(Some("two\n\n lines\n"))),
            ("B='\nA='\nA='x'\n", Ok(Some("x"))),
            ("A='a \" \\ $(B) # = ;'\n", Ok(Some("a \" \\ $(B) # = ;"))),
            ("A='1\r\n2'\r\n", Ok(Some("1\n2"))),
            ("B='1'\n", Ok(None)),
            ("A=''\n", Ok(None)),
            ("A= '1'\n", Ok(None)),
            ("", Ok(None)),
            ("A\n", Err("a line is not NAME='value'")),
            ("A ='1'\n", Err("a line is not NAME='value'")),
            ("A=1\n", Err("a value has no single quotes")),
            ("A='1\n", Err("a quote is not closed")),
            ("A='it''s'\n", Err("something follows a closing quote")),
            ("A='1'\nnot read", Ok(Some("1"))),
            (&long, Err("a line is too long")),
        ] {
            let expected = expected.map(|value| value.map(|value| value.as_bytes().to_vec()));
            assert_eq!(value(content.as_bytes(), "A"), expected, "{content}");
        }
    }
}
