//! Which manager serves which request, and what happens to those that none serves.

use super::rejection::Rejection;
use super::request::AdmissionRequest;
use crate::access::PodRules;
use crate::cluster::{Cluster, Questions};
use crate::injection::Addition;
use crate::managers::{self, Context, Mapping, NotServed, NotServedKind, Notes};
use crate::pod::PodError;
use crate::requests::{Origin, SecretRequest};
use crate::settings::Settings;

/// The most bytes of secrets that the additions may hold: as many as may be added to a Pod. Many requests may ask for the
/// same large secret, and each addition has a copy of it.
const MAX_SECRETS: usize = 4 * 1024 * 1024;

/// What the requests came to.
#[derive(Default)]
pub(super) struct Outcome<'r> {
    /// What is to be added to the Pod.
    pub(super) additions: Vec<Addition<'r>>,
    /// How many bytes of secrets the additions hold.
    secrets: usize,
    /// The requests that nobody serves, where the Pod may go without.
    pub(super) unserved: Vec<&'r SecretRequest>,
    /// A sentence for each of these.
    pub(super) warnings: Vec<String>,
}

/// Asks the managers for each of `requests`.
///
/// # Errors
/// The first request that nobody serves, where the Pod may not go without; or that the requests cannot be looked at in time.
pub(super) fn serve<'r>(
    admission: &AdmissionRequest<'_>,
    requests: &'r [SecretRequest],
    settings: &'r Settings,
    cluster: &dyn Cluster,
) -> Result<Outcome<'r>, Rejection> {
    let pod = &admission.pod;
    let service_account = pod.service_account()?;
    let namespace = admission.namespace()?;
    let rules = PodRules::new(settings.access.as_deref(), namespace, service_account);
    let mappings = settings.managers.iter().filter_map(|manager| manager.mapping.as_ref());
    let longer = mappings.map(Mapping::length).max().unwrap_or_default();
    if !rules.are_few_for(requests, settings.managers.len(), longer) {
        return Err(Rejection::too_much(
            "the groups and keys that the Pod asks for are so long that they cannot be matched with the rules of the \
             policy's setting access in time; make several Pods",
        ));
    }
    let questions = Questions::new(cluster, requests);
    let groups = admission.groups();
    let context = Context {
        options: &settings.options,
        suggests: !settings.admits_unserved,
        namespace,
        service_account,
        user: admission.user(&groups),
        cluster: &questions,
        rules: &rules,
        pod,
        notes: Notes::default(),
    };
    let mut outcome = Outcome {
        // They are large, and would be moved each time that there is no more room.
        additions: Vec::with_capacity(requests.len()),
        ..Outcome::default()
    };
    for request in requests {
        match managers::serve(&settings.managers, request, &context) {
            Ok(addition) => outcome.add(addition)?,
            Err(not_served) => outcome.go_without(request, &not_served, settings, &questions)?,
        }
    }
    Ok(outcome)
}

impl<'r> Outcome<'r> {
    /// Adds a request that a manager serves.
    ///
    /// # Errors
    /// Where the additions hold more than [`MAX_SECRETS`].
    fn add(&mut self, addition: Addition<'r>) -> Result<(), Rejection> {
        self.secrets = self.secrets.saturating_add(addition.injection.size_of_secrets());
        if self.secrets > MAX_SECRETS {
            return Err(PodError::too_large().into());
        }
        self.additions.push(addition);
        Ok(())
    }

    /// Lets the Pod go without a request that nobody serves, with a warning.
    ///
    /// # Errors
    /// Where it may not.
    fn go_without(
        &mut self,
        request: &'r SecretRequest,
        not_served: &NotServed,
        settings: &Settings,
        questions: &Questions<'_>,
    ) -> Result<(), Rejection> {
        let reason = format!(
            "{} asks for the secret {:?}, which cannot be injected:{}",
            request.origin,
            request.secret_name(),
            not_served.reason
        );
        let may_go_without = match request.origin {
            // The Pod has not asked for it. Whether a store answers must not decide what the Pod gets.
            Origin::Default { required, .. } => !required && not_served.kind != NotServedKind::Unavailable,
            _ => not_served.kind == NotServedKind::NotFound && request.optional.unwrap_or(settings.admits_unserved),
        };
        if may_go_without {
            self.warnings.push(format!("the Pod goes without a secret: {reason}"));
            self.unserved.push(request);
            Ok(())
        } else if questions.exhausted() {
            Err(Rejection::too_much(reason))
        } else {
            Err(Rejection::not_served(not_served.kind, reason))
        }
    }
}
