//! The init container that writes files where the values are in the Pod.

use crate::injection::{ContainerName, Fetch, FetchContainer};
use crate::managers::fetch::{ContainerSettings, Layout};
use crate::managers::script::{Script, script, script_of, word};

/// Writes the files. The arguments are a path and base64, several times; where a path follows itself, the value goes on. Digits
/// before a path's first slash are the mode of the file.
const SCRIPT: Script = script!("../scripts/flyte.sh", Shell);

/// The longest part of a value in one argument, which Linux limits to
/// [128 KiB](https://man7.org/linux/man-pages/man2/execve.2.html); a multiple of four, so that each part is base64.
const MAX_ARGUMENT: usize = 96 * 1024;

/// Returns the container that writes all files of `fetch`.
pub(super) fn container(fetch: &Fetch<'_>, settings: &ContainerSettings) -> FetchContainer {
    let layout = Layout::new(fetch);
    let mut arguments = vec!["sh".to_owned()];
    for item in fetch.items {
        let mut parts = Vec::new();
        for value in &item.fetched.arguments {
            split(value, &mut parts);
        }
        for target in &item.targets {
            for part in &parts {
                arguments.push(layout.path(target));
                arguments.push(part.clone());
            }
        }
    }
    let command = vec![word("sh"), word("-c"), script_of(&[SCRIPT])];
    let name = ContainerName::Exact("init-embedded-secret");
    settings.container(name, (command, &arguments), Vec::new(), layout.mounts)
}

/// Adds `value` to `parts`, in pieces that are short enough for an argument.
fn split(value: &str, parts: &mut Vec<String>) {
    let mut rest = value;
    while let Some((part, after)) = rest.split_at_checked(MAX_ARGUMENT) {
        parts.push(part.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_several_arguments() {
        for (length, expected) in [
            (0, 1),
            (4, 1),
            (MAX_ARGUMENT - 4, 1),
            (MAX_ARGUMENT + 4, 2),
            (400 * 1024, 5),
        ] {
            let value = "A".repeat(length);
            let mut parts = Vec::new();
            split(&value, &mut parts);
            assert_eq!(parts.len(), expected, "{length}");
            assert_eq!(parts.concat(), value);
            assert!(parts.iter().all(|part| part.len() < 128 * 1024 && part.len() % 4 == 0));
        }
    }
}
