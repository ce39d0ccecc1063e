//! What an operator may set, and its validation.

use serde_json::value::RawValue;

use crate::access::Rule;
use crate::defaults::DefaultRule;
use crate::json::fields::{Fields, SettingsError};
use crate::managers::ConfiguredManager;
use crate::options::Options;
use crate::pull_secrets::PullSecret;

/// The policy's settings, validated.
pub(crate) struct Settings {
    /// What managers and the Pod need to know.
    pub options: Options,
    /// `onUnserved: warn`: whether a Pod is admitted without a secret that no manager serves, with a warning.
    pub admits_unserved: bool,
    /// `managers`, in the order in which they are asked.
    pub managers: Vec<ConfiguredManager>,
    /// `access`: who may ask for what. `None`: every Pod for everything.
    pub access: Option<Vec<Rule>>,
    /// `defaults`: which secrets Pods get without asking for them.
    pub defaults: Vec<DefaultRule>,
    /// `imagePullSecrets`: with which Secrets images are pulled.
    pub pull_secrets: Vec<PullSecret>,
}

/// Fields of Flyte's `webhook:` configuration that are not this policy's, and whose they are
/// ([config.go](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/config/config.go)).
const FLYTE_WEBHOOK_FIELDS: &str = "
certDir: the Kubewarden controller makes and renews the certificates; leave it out
localCert: the Kubewarden controller makes and renews the certificates; leave it out
secretName: the Kubewarden controller keeps the certificates in Secrets of its own; leave it out
listenPort: the policy server listens; leave it out
servicePort: the Kubewarden controller makes the Service; leave it out
serviceName: the Kubewarden controller makes the Service; leave it out
cacheInvalidationPort: the policy server keeps no secrets, so there is no cache to invalidate; leave it out
metrics-prefix: the policy server exports its own metrics; leave it out
metricsPrefix: the policy server exports its own metrics; leave it out
webhookTimeout: set spec.timeoutSeconds of the ClusterAdmissionPolicy instead
namespaceSelector: set spec.namespaceSelector of the ClusterAdmissionPolicy instead
disableCreateMutatingWebhookConfig: the Kubewarden controller registers the webhook; leave it out
kubeClientConfig: the policy server talks to Kubernetes; leave it out
imageBuilderConfig: this policy does not rewrite images; leave it out
secretManagerType: list the managers under managers
secretManagerTypes: list the managers under managers
secretEnvVarPrefix: set envPrefix instead
awsSecretManager: add an item with type: aws to managers instead
gcpSecretManager: add an item with type: gcp to managers instead
azureSecretManager: add an item with type: azure to managers instead
vaultSecretManager: add an item with type: vault to managers instead
embeddedSecretManagerConfig: add an item with type: flyte to managers instead
";

impl Settings {
    /// Reads and checks the settings, a JSON object; `null` and `{}` are the defaults.
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsError> {
        Self::from_fields(Fields::parse(text, "")?)
    }

    fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let options = Options::from_fields(&mut fields)?;
        let admits_unserved = fields.choice("onUnserved", false, &[("reject", false), ("warn", true)])?;
        let managers = managers(&mut fields)?;
        let access = access(&mut fields)?;
        let defaults = fields.list_of("defaults", DefaultRule::from_fields)?;
        let pull_secrets = fields.list_of("imagePullSecrets", PullSecret::from_fields)?;
        if let Some(unknown) = fields.unknown() {
            let mut of_flyte = FLYTE_WEBHOOK_FIELDS.lines().filter_map(|line| line.split_once(": "));
            if let Some((name, whose)) = of_flyte.find(|(name, _)| *name == unknown) {
                return Err(fields.invalid(name, &format!("is not a setting of this policy: {whose}")));
            }
        }
        fields.finish()?;
        Ok(Self {
            options,
            admits_unserved,
            managers,
            access,
            defaults: defaults.unwrap_or_default(),
            pull_secrets: pull_secrets.unwrap_or_default(),
        })
    }

    /// Reads the settings of an admission request, which [`Self::parse`] has checked when the host loaded the policy.
    ///
    /// # Errors
    /// As [`Self::parse`], for what cannot be read.
    pub(crate) fn from_raw(raw: Option<&RawValue>) -> Result<Self, SettingsError> {
        Self::from_fields(Fields::parse(raw.map_or("null", RawValue::get), "")?.checked())
    }
}

fn managers(fields: &mut Fields<'_>) -> Result<Vec<ConfiguredManager>, SettingsError> {
    let Some(managers) = fields.list_of("managers", ConfiguredManager::from_fields)? else {
        let default = Fields::parse(r#"{"type":"kubernetes"}"#, "managers[0]")?;
        return Ok(vec![ConfiguredManager::from_fields(default.checked())?]);
    };
    if managers.is_empty() {
        return Err(fields.invalid(
            "managers",
            "is empty: name a manager, or leave it out for [{type: kubernetes}]",
        ));
    }
    Ok(managers)
}

fn access(fields: &mut Fields<'_>) -> Result<Option<Vec<Rule>>, SettingsError> {
    if fields.is_null("access") {
        return Err(fields.invalid(
            "access",
            "has nothing under it: list rules, write [] so that no Pod may ask for anything, or leave it out so that \
             every Pod may ask for everything",
        ));
    }
    fields.list_of("access", Rule::from_fields)
}
