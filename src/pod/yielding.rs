//! Defaults, which yield: where the Pod has or asks for the same variable or path, the Pod's stays.

use super::document::{Pod, length, name_of};
use super::error::PodError;
use super::init_containers::recognized_templates;
use super::our_names::is_named_as_ours;
use super::work::Work;
use crate::injection::Addition;
use crate::options::Options;
use crate::requests::{Containers, Origin};

/// How much may be read again, in bytes, because defaults yield: the host stops the policy after two seconds.
const MAX_READ: usize = 8 * 1024 * 1024;

/// What an addition counts as when the Pod is read again.
const ADDITION_BYTES: usize = 1024;

impl Pod<'_> {
    /// Adds what `additions` say, and returns what the Pod's author should know. Where a default is in the way of what the Pod
    /// has or asks for, it is taken out of `additions`, or out of a container. Each time, the rest is added anew, so that the
    /// Pod holds nothing of what was left out.
    ///
    /// # Errors
    /// [`PodError`], also where a required default cannot be added for another reason than that the Pod has its own. The Pod may
    /// then hold a part of the additions and is of no use.
    pub(crate) fn add(
        &mut self,
        additions: &mut Vec<Addition<'_>>,
        options: &Options,
    ) -> Result<Vec<String>, PodError> {
        let mut warnings = Vec::new();
        let mut read = 0_usize;
        while additions.iter().any(|addition| addition.request.is_default()) {
            let mut trial = self.clone();
            let mut work = Work::new(additions, options);
            let outcome = trial.add_all(&mut work);
            let mut errors = work.yielding;
            if errors.is_empty() {
                match outcome.err().or(work.doubtful) {
                    None => {
                        *self = trial;
                        warnings.extend(work.warnings);
                        return Ok(warnings);
                    }
                    Some(error) => errors.push(error),
                }
            }
            let additional = additions.len().saturating_mul(ADDITION_BYTES);
            read = read.saturating_add(length(&self.node)).saturating_add(additional);
            if read > MAX_READ {
                return Err(PodError::too_many());
            }
            self.leave_out(errors, additions, &mut warnings)?;
        }
        let mut work = Work::new(additions, options);
        self.add_all(&mut work)?;
        warnings.extend(work.warnings);
        Ok(warnings)
    }

    /// Takes the defaults that `errors` are about out of the containers where they are in the way, and out of `additions`
    /// where no container is left, or where that is of no use.
    ///
    /// # Errors
    /// An error that is about no default, or about one that is required and finds nothing of the Pod's own.
    fn leave_out(
        &self,
        errors: Vec<PodError>,
        additions: &mut Vec<Addition<'_>>,
        warnings: &mut Vec<String>,
    ) -> Result<(), PodError> {
        let mut useless = None;
        let mut is_less = false;
        for error in errors {
            let is_default = |addition: &Addition<'_>| addition.request.is_default() && error.is_about(addition);
            let Some(position) = additions.iter().rposition(is_default) else {
                return Err(error);
            };
            let names = match &error.container {
                Some(name) => vec![name.clone()],
                None => other_containers(additions, position, &error),
            };
            let Some(addition) = additions.get_mut(position) else {
                return Err(error);
            };
            if matches!(addition.request.origin, Origin::Default { required: true, .. }) && !error.is_clash {
                return Err(error);
            }
            let who = match names.as_slice() {
                [] => "the Pod goes".to_owned(),
                [name] => format!("the container {name} goes"),
                names => format!("the containers {} go", names.join(", ")),
            };
            warnings.push(format!("{who} without a default: {error}"));
            useless = Some(position);
            for name in names {
                if !addition.without.contains(&name) {
                    addition.without.push(name);
                    is_less = true;
                }
            }
        }
        // An agent, for one, serves the containers that it likes.
        if let Some(position) = useless.filter(|_| !is_less) {
            additions.remove(position);
        }
        let templates = recognized_templates(self, additions);
        additions.retain(|addition| {
            let mut containers = self.containers(&templates).map(|(_, container)| name_of(container));
            addition.without.is_empty() || containers.any(|name| !is_named_as_ours(name) && addition.reaches(name))
        });
        Ok(())
    }
}

/// Returns the containers of the other addition that an error is about; none where it is for all containers.
fn other_containers(additions: &[Addition<'_>], position: usize, error: &PodError) -> Vec<String> {
    let mut others = additions.iter().enumerate();
    let other = others.find(|(index, addition)| *index != position && error.is_about(addition));
    match other.map(|(_, addition)| &addition.request.containers) {
        Some(Containers::Named(names)) => names.clone(),
        _ => Vec::new(),
    }
}
