//! Who may ask for what.

#![forbid(unsafe_code)]

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
        let rule = Self {
            namespaces: globs(&mut fields, "namespaces")?,
            service_accounts: globs(&mut fields, "serviceAccounts")?,
            secrets: globs(&mut fields, "secrets")?,
        };
        fields.finish()?;
        Ok(rule)
    }

    fn allows(&self, namespace: &str, service_account: &str, secret: &str) -> bool {
        let fits = |globs: &[Glob], text: &str| globs.iter().any(|glob| glob.fits(text));
        fits(&self.namespaces, namespace)
            && fits(&self.service_accounts, service_account)
            && fits(&self.secrets, secret)
    }
}

fn globs(fields: &mut Fields<'_>, name: &'static str) -> Result<Vec<Glob>, SettingsError> {
    let Some(patterns) = fields.take::<Vec<String>>(name)? else {
        return Ok(vec![Glob::new("*")]);
    };
    if patterns.is_empty() {
        return Err(fields.invalid(
            name,
            "is empty, so that the rule allows nothing: list patterns, or leave it out",
        ));
    }
    Ok(patterns.iter().map(|pattern| Glob::new(pattern)).collect())
}

/// Whether `rules` let a Pod of `service_account` in `namespace` ask for the key `key` of `group`; without rules, every
/// Pod may ask for everything.
pub fn allows(rules: Option<&[Rule]>, group: &str, key: &str, namespace: &str, service_account: &str) -> bool {
    let secret = format!("{group}/{key}");
    rules.is_none_or(|rules| {
        rules
            .iter()
            .any(|rule| rule.allows(namespace, service_account, &secret))
    })
}

/// Why a request that [`allows`] does not let through is rejected, and what can be done about it.
pub fn refusal(request: &SecretRequest, namespace: &str, service_account: &str) -> String {
    format!(
        "no rule of the policy's setting access lets a Pod of the service account {service_account:?} in the namespace \
         {namespace:?} ask for the secret \"{}/{}\"; ask the cluster's operator for such a rule",
        request.group, request.key
    )
}
