//! What the policy says where the setting `dryRun` takes its effect away.

#![forbid(unsafe_code)]

use super::rejection::Rejection;
use super::response::{Response, shortened};
use super::summary::{visible_file, visible_variables};
use crate::injection::Addition;
use crate::json::Writer;
use crate::options::Options;

/// Returns the answer that admits every Pod as it is, and says what `answer` would do.
pub(super) fn without_effect<'a>(answer: Result<Option<Response<'a>>, Rejection>) -> Option<Response<'a>> {
    let written = answer.and_then(|response| {
        let object = response.as_ref().and_then(|response| response.mutated_object.as_ref());
        match object.map(|object| object.write(&mut Writer::default())) {
            Some(Err(_)) => Err(Rejection::invalid_pod()),
            _ => Ok(response),
        }
    });
    match written {
        Ok(response) => response.map(|response| Response {
            mutated_object: None,
            dry_run: true,
            ..response
        }),
        Err(Rejection { code, message }) => {
            let message = shortened(message);
            Some(Response {
                accepted: true,
                warnings: vec![format!("dryRun: would be rejected ({code}): {message}")],
                rejection: format!("{code}: {message}"),
                ..Response::default()
            })
        }
    }
}

/// Returns a sentence for each secret that would be injected: names, never values.
pub(super) fn plan(additions: &[Addition<'_>], pulled: &[&str], options: &Options) -> Vec<String> {
    let mut sentences = Vec::new();
    for addition in additions {
        let mut sentence = format!(
            "dryRun: the secret {:?} would be injected by {}",
            addition.request.secret_name(),
            addition.manager
        );
        let mut names = visible_variables(&addition.injection, options);
        names.extend(visible_file(&addition.injection, options));
        if !names.is_empty() {
            sentence.push_str(" as ");
            sentence.push_str(&names.join(", "));
        }
        sentences.push(sentence);
    }
    for name in pulled {
        sentences.push(format!("dryRun: images would be pulled with the Secret {name:?} too"));
    }
    sentences
}
