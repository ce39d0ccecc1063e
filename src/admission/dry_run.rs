//! What the policy says of secrets where the setting `dryRun` keeps it from injecting them.

use std::borrow::Cow;

use super::summary::{visible_file, visible_variables};
use crate::injection::Addition;
use crate::options::Options;

/// Adds a sentence for each secret that would be injected: names, never values.
#[inline(never)] // The module is smaller with it apart.
pub(super) fn add_plan(additions: &[Addition<'_>], pulled: &[&str], options: &Options, sentences: &mut Vec<String>) {
    for addition in additions {
        let mut sentence = format!(
            "dryRun: the secret {:?} would be injected by {}",
            addition.request.secret_name(),
            addition.manager
        );
        if let Some(found) = &addition.injection.found_as {
            sentence.push_str(&format!(", found as {found:?}"));
        }
        let mut names: Vec<Cow<'_, str>> = visible_variables(&addition.injection, options).collect();
        names.extend(visible_file(&addition.injection, options).map(Cow::Owned));
        if !names.is_empty() {
            sentence.push_str(" as ");
            sentence.push_str(&names.join(", "));
        }
        sentences.push(sentence);
    }
    for name in pulled {
        sentences.push(format!("dryRun: images would be pulled with the Secret {name:?} too"));
    }
}
