//! The [Secrets Store CSI driver](https://secrets-store-csi-driver.sigs.k8s.io/): a volume for each SecretProviderClass,
//! mounted at `<mountPath>/<group>`.
//!
//! The class lives in the Pod's namespace and says which secrets there are and what their files are called. The key is
//! a file's name. Variables come from the Secret that the driver
//! [syncs](https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret) while a Pod mounts the volume,
//! so that a variable brings the volume along.

use serde_json::Value;

use crate::injection::{EnvValue, EnvVar, FileOrigin, Injection, SecretFile};
use crate::json::fields::{Fields, SettingsError};
use crate::json::tree;
use crate::managers::context::Context;
use crate::managers::manager::{Manager, NotServed, Scope, Texts, not_found};
use crate::managers::placeholders::{Values, expand, holds, sample, values};
use crate::managers::{joins, naming, owners};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest};

/// The driver's own name; that of Google Kubernetes Engine's
/// [add-on](https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component) is
/// `secrets-store-gke.csi.k8s.io`.
const DRIVER: &str = "secrets-store.csi.k8s.io";

pub(crate) struct Csi {
    driver: String,
    /// The SecretProviderClass, with placeholders.
    class: String,
    /// The Secret that the class syncs, with placeholders.
    secret: Option<String>,
    /// The Secret with the provider's credentials, with placeholders.
    credentials: Option<String>,
}

impl Csi {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let is_driver = |name: &str| name.len() <= names::DNS_LABEL_LENGTH && names::is_dns_subdomain(name);
        Ok(Box::new(Self {
            driver: fields.valid("driver", DRIVER, is_driver, "is not a CSI driver's name")?,
            class: object_name(fields, "secretProviderClass")?.unwrap_or_else(|| "{group}".to_owned()),
            secret: object_name(fields, "secretName")?,
            credentials: object_name(fields, "nodePublishSecretRef")?,
        }))
    }
}

/// Reads the name of an object in the Pod's namespace, in which placeholders may stand.
fn object_name(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<String>, SettingsError> {
    let Some(text) = fields.take::<String>(name)? else {
        return Ok(None);
    };
    let problem = match expand(&text, &sample()) {
        Err(problem) => problem,
        Ok(made) if !names::is_dns_subdomain(&made) => format!("becomes {made:?}, which is no name of an object"),
        Ok(_) if owners::are_confused(&text, Scope::Namespace, "/", &[]) => CONFUSED.to_owned(),
        Ok(_) => return Ok(Some(text)),
    };
    Err(fields.invalid(name, &problem))
}

const CONFUSED: &str = "makes one name for Pods of different service accounts: the account \"a\" with the group \"b-c\" and the \
                        account \"a-b\" with \"c\"; no character of an object's name tells them apart, so leave out \
                        {serviceAccount}, or the other placeholders";

/// Returns the name that such a text becomes for a request; `what` says what it is the name of.
fn expand_name(text: &str, what: &str, values: &Values) -> Result<String, NotServed> {
    match expand(text, values) {
        Ok(name) if names::is_dns_subdomain(&name) => Ok(name),
        Ok(name) => Err(not_found!(
            "no {what} can have the name {name:?} (at most 253 lower case letters, digits, '-' and '.')"
        )),
        Err(problem) => Err(not_found!("the settings' name of the {what} {problem}")),
    }
}

impl Manager for Csi {
    fn scope(&self) -> Scope {
        Scope::Namespace
    }

    /// The volume shows all files of its class, whatever the key: what chooses the class, the synced Secret or the credentials counts.
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        let chooses = |name: &str| self.texts().any(|text| holds(text, name) || holds(text, "id"));
        (
            if chooses("group") { &request.group } else { "" },
            if chooses("key") { &request.key } else { "" },
        )
    }

    /// The key names a variable's key in the synced Secret. Files have the names that the class gives them.
    fn finds_by(&self, part: &str) -> bool {
        let mut texts = self.texts();
        part == "key" && self.secret.is_some() || texts.any(|text| holds(text, part) || holds(text, "id"))
    }

    fn confused_text(&self, names: &Texts, allowed: &str) -> Option<&str> {
        let allowed = ["/", allowed].concat();
        let mut texts = self.texts().map(String::as_str);
        texts.find(|text| owners::are_confused(text, self.scope(), &allowed, names))
    }

    fn takes_optional(&self) -> bool {
        false
    }

    fn ambiguity(&self, request: &SecretRequest, names: &Texts, context: &Context<'_>) -> Option<String> {
        self.texts()
            .find_map(|text| joins::ambiguity(text, request, names, context.owner(), ("/", "")))
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let asked = request.asked();
        if asked.group.is_empty() || asked.key.is_empty() {
            return Err(not_found!(
                "it needs a group, the SecretProviderClass, and a key, the file's name"
            ));
        }
        let values = values(request, context);
        let class = expand_name(&self.class, "SecretProviderClass", &values)?;
        // The directory is ours to name, in lower case, where flytekit looks; the file is named by the class, which may put
        // it into directories.
        let directory = asked.group.to_ascii_lowercase();
        let parts: Vec<&str> = std::iter::once(directory.as_str())
            .chain(asked.key.split('/'))
            .collect();
        let path = naming::exact_path(&parts)?;
        let env = if request.mount == MountRequirement::EnvVar {
            self.variables(request, context, &values)?
        } else {
            naming::file_variables(asked, context.options, &path)?
        };
        let source = self.volume_source(&class, &values)?;
        let volume = if names::is_dns_label(&class) {
            format!("csi-{class}")
        } else {
            format!("csi-{}", names::short_hash(class.as_bytes()))
        };
        Ok(Injection {
            env,
            file: Some(SecretFile {
                path,
                origin: FileOrigin::Csi { volume, source },
            }),
            source: format!("SecretProviderClass {class}, file {}", asked.key),
            ..Injection::default()
        })
    }
}

impl Csi {
    /// Returns the texts with placeholders.
    fn texts(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.class)
            .chain(&self.secret)
            .chain(&self.credentials)
    }

    /// Returns the `csi` field of the volume that shows the files of `class`.
    fn volume_source(&self, class: &str, values: &Values) -> Result<Value, NotServed> {
        let source = [
            ("driver", self.driver.as_str().into()),
            ("readOnly", true.into()),
            ("volumeAttributes", tree([("secretProviderClass", class.into())])),
        ];
        let credentials = match &self.credentials {
            Some(name) => {
                let name = expand_name(name, "Secret", values)?;
                Some(("nodePublishSecretRef", tree([("name", name.into())])))
            }
            None => None,
        };
        Ok(tree(source.into_iter().chain(credentials)))
    }

    fn variables(
        &self,
        request: &SecretRequest,
        context: &Context<'_>,
        values: &Values,
    ) -> Result<Vec<EnvVar>, NotServed> {
        let Some(secret) = &self.secret else {
            return Err(not_found!(
                "it gives files only; where the SecretProviderClass syncs a Secret (secretObjects), the manager's setting \
                 secretName names it, and it gives variables too"
            ));
        };
        if !names::is_secret_key(&request.key) {
            return Err(not_found!("no Secret can have the key {:?}", request.key));
        }
        let value = EnvValue::SecretKey {
            secret: expand_name(secret, "Secret", values)?,
            key: request.key.clone(),
            optional: request.is_optional(),
        };
        let asked = request.asked();
        naming::variables(asked, context.options, &asked.group, value)
    }
}
