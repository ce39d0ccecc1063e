//! Who may ask for what.

use crate::json::fields::{Fields, SettingsError};
use crate::names::Glob;
use crate::patterns::{self, Patterns};
use crate::requests::SecretRequest;

/// One rule of the settings' `access`: Pods in these namespaces, with these service accounts, may ask for these
/// secrets.
pub(crate) struct Rule {
    namespaces: Patterns,
    service_accounts: Patterns,
    secrets: Vec<Glob>,
}

impl Rule {
    /// Reads an item of `access`. A list that is left out allows all.
    pub(crate) fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let namespaces = Patterns::from_fields(&mut fields, "namespaces", patterns::namespace)?;
        let service_accounts = Patterns::from_fields(&mut fields, "serviceAccounts", patterns::service_account)?;
        let secrets = Patterns::from_fields(&mut fields, "secrets", patterns::secret)?;
        let place = fields.place().to_owned();
        fields.finish()?;
        if !namespaces.are_given() && !service_accounts.are_given() && !secrets.are_given() {
            let problem = "has no condition, so that every Pod may ask for everything: write namespaces: [\"*\"] if that is \
                           meant";
            return Err(SettingsError::new(&place, problem));
        }
        Ok(Self {
            namespaces,
            service_accounts,
            secrets: secrets.into_globs(),
        })
    }

    /// Returns whether the rule is about a Pod's namespace and service account.
    fn is_for(&self, namespace: &str, service_account: &str) -> bool {
        self.namespaces.fit(namespace) && self.service_accounts.fit(service_account)
    }
}

/// Returns the name of the key `key` of `group` in rules.
pub(crate) fn name(group: &str, key: &str) -> String {
    format!("{group}/{key}")
}

/// The rules that are about one Pod's namespace and service account.
pub(crate) struct PodRules<'s> {
    namespace: &'s str,
    service_account: &'s str,
    /// The patterns for secrets; `None` where the settings have no rules, and every Pod may ask for everything.
    secrets: Option<Vec<&'s Glob>>,
}

/// The most work that matching a Pod's requests with rules may take: the bytes of the requests, for each pattern and
/// manager. The host stops the policy after two seconds.
const MAX_MATCHED: usize = 256 * 1024 * 1024;

impl<'s> PodRules<'s> {
    /// Picks the rules for Pods of `service_account` in `namespace`.
    pub(crate) fn new(rules: Option<&'s [Rule]>, namespace: &'s str, service_account: &'s str) -> Self {
        let secrets = |rules: &'s [Rule]| {
            let own = rules.iter().filter(|rule| rule.is_for(namespace, service_account));
            own.flat_map(|rule| &rule.secrets).collect()
        };
        Self {
            namespace,
            service_account,
            secrets: rules.map(secrets),
        }
    }

    /// Returns whether the settings have rules at all.
    pub(crate) fn are_given(&self) -> bool {
        self.secrets.is_some()
    }

    /// Returns whether the Pod may ask for `secret`, which is named as in rules.
    pub(crate) fn allow(&self, secret: &str) -> bool {
        self.secrets
            .as_ref()
            .is_none_or(|globs| globs.iter().any(|glob| glob.fits(secret)))
    }

    /// Returns whether `requests` can be matched for so many managers in time. The settings may make names of them that are
    /// `longer`.
    pub(crate) fn are_few_for(&self, requests: &[SecretRequest], managers: usize, longer: usize) -> bool {
        let patterns = self.secrets.as_ref().map_or(0, Vec::len);
        let lengths = requests
            .iter()
            .map(|request| request.group.len().saturating_add(request.key.len()));
        let bytes = lengths.fold(requests.len().saturating_mul(longer), usize::saturating_add);
        bytes.saturating_mul(patterns).saturating_mul(managers) <= MAX_MATCHED
    }

    /// Says why a manager is not asked for a request that [`Self::allow`] does not let through, and what can be done about
    /// it. `secret` is what the manager would find, named as in rules.
    pub(crate) fn refusal(&self, request: &SecretRequest, secret: &str) -> String {
        let asked = request.asked();
        let asked_for = name(&asked.group, &asked.key);
        let what = if secret == asked_for {
            format!("the secret {secret:?}")
        } else if secret == asked_for.to_ascii_lowercase() {
            format!("the secret {secret:?} (in the settings of this manager, {{path}} is in lower case)")
        } else if request.asked.is_some() {
            format!("the secret {secret:?} (the setting names of this manager makes it of {asked_for:?})")
        } else if secret == "/" {
            "what this manager gives to every request alike, whatever its group and key".to_owned()
        } else {
            format!("the secret {secret:?} (this manager goes by nothing else)")
        };
        format!(
            "no rule of the policy's setting access lets a Pod of the service account {:?} in the namespace {:?} ask for \
             {what}; ask the cluster's operator for such a rule",
            self.service_account, self.namespace
        )
    }
}
