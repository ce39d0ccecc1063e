//! Decodes Flyte's requests, one in base32 a line, for `fuzz/text_format/compare.py`: prints what each asks for as JSON,
//! or why it cannot be decoded.

use std::io::{self, BufRead, BufWriter, Write};

use secret_injector_policy::requests::flyte;
use serde_json::json;

fn main() -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let answer = match flyte::decode(&line?) {
            Ok(secret) => json!({
                "group": secret.group,
                "group_version": secret.group_version,
                "key": secret.key,
                "mount_requirement": secret.mount.name(),
                "env_var": secret.env_var,
            }),
            Err(error) => json!({"refused": error.to_string()}),
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}
