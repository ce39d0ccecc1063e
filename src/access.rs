//! Who may ask for what.

#![forbid(unsafe_code)]

use crate::managers::Context;
use crate::names::Glob;
use crate::requests::SecretRequest;
use crate::settings::fields::{Fields, SettingsError};

/// One rule of the settings' `access`: Pods in these namespaces, with these service accounts, may ask for these
/// secrets.
#[derive(Debug, Clone)]
pub struct Rule {
    namespaces: Vec<Glob>,
    service_accounts: Vec<Glob>,
    secrets: Vec<Glob>,
}

impl Rule {
    /// Reads an item of `access`. A field that is left out allows all.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let namespaces = patterns(&mut fields, "namespaces")?;
        let service_accounts = patterns(&mut fields, "serviceAccounts")?;
        let secrets = patterns(&mut fields, "secrets")?;
        if let Some(pattern) = secrets
            .iter()
            .find(|pattern| !pattern.contains(['/', '*', '?']) && !pattern.starts_with("arn:"))
        {
            return Err(fields.invalid(
                "secrets",
                &format!(
                    "holds {pattern:?}, which no secret fits: they are written as group/key, those of AWS as their ARN"
                ),
            ));
        }
        fields.finish()?;
        let globs = |patterns: Vec<String>| patterns.iter().map(|pattern| Glob::new(pattern)).collect();
        Ok(Self {
            namespaces: globs(namespaces),
            service_accounts: globs(service_accounts),
            secrets: globs(secrets),
        })
    }

    fn allows(&self, namespace: &str, service_account: &str, secret: &str) -> bool {
        let fits = |globs: &[Glob], text: &str| globs.iter().any(|glob| glob.fits(text));
        fits(&self.namespaces, namespace)
            && fits(&self.service_accounts, service_account)
            && fits(&self.secrets, secret)
    }
}

fn patterns(fields: &mut Fields<'_>, name: &'static str) -> Result<Vec<String>, SettingsError> {
    if fields.is_null(name) {
        return Err(fields.invalid(name, "has nothing under it: list patterns, or leave it out for all"));
    }
    let Some(patterns) = fields.take::<Vec<String>>(name)? else {
        return Ok(vec!["*".to_owned()]);
    };
    if patterns.is_empty() {
        return Err(fields.invalid(
            name,
            "is empty, so that the rule allows nothing: list patterns, or leave it out",
        ));
    }
    Ok(patterns)
}

/// Returns the name of the key `key` of `group` in rules.
pub fn name(group: &str, key: &str) -> String {
    format!("{group}/{key}")
}

/// Whether `rules` let a Pod of `service_account` in `namespace` ask for `secret`; without rules, every Pod may ask for
/// everything.
pub fn allows(rules: Option<&[Rule]>, secret: &str, namespace: &str, service_account: &str) -> bool {
    rules.is_none_or(|rules| rules.iter().any(|rule| rule.allows(namespace, service_account, secret)))
}

/// Why a manager is not asked for a request that [`allows`] does not let through, and what can be done about it. `secret`
/// is what the manager would find, see [`Manager::access_name`](crate::managers::Manager::access_name).
pub fn refusal(request: &SecretRequest, secret: &str, context: &Context<'_>) -> String {
    let alone = if secret == name(&request.group, &request.key) {
        ""
    } else {
        " (this manager goes by nothing else)"
    };
    format!(
        "no rule of the policy's setting access lets a Pod of the service account {:?} in the namespace {:?} ask for the \
         secret {secret:?}{alone}; ask the cluster's operator for such a rule",
        context.service_account, context.namespace,
    )
}
