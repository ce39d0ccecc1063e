//! Azure Key Vault: an init container that logs in with Microsoft Entra Workload ID and fetches all of the Pod's secrets
//! with `az`.
//!
//! Volume, path and image are those of Flyte's
//! [Azure injector](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/azure_secret_manager.go):
//! the group is the secret's URL, the group version its version, the key plays no part, or, with the
//! setting `key: field`, names a field of it.

use crate::managers::cli::{self, Cli, Located, check_version};
use crate::managers::manager::{NotServed, not_found};
use crate::managers::naming;
use crate::managers::script::script;
use crate::names;
use crate::requests::SecretRequest;

pub(super) static CLI: Cli = Cli {
    label: "azure",
    script: script!("scripts/azure.sh", Shell),
    image: "mcr.microsoft.com/azure-cli:cbl-mariner2.0",
    container: "azure-pull-secret",
    key_may_be_field: true,
    volume: "azure-secret-vol",
    access_name: cli::access_name,
    locate,
};

fn locate(request: &SecretRequest) -> Result<Located<'_>, NotServed> {
    let (url, version) = (cli::secret(request), request.group_version.as_str());
    if url.is_empty() {
        return Err(not_found!(
            "it needs a group, the secret's URL such as https://VAULT.vault.azure.net/secrets/NAME"
        ));
    }
    let Some(name) = name(url) else {
        return Err(not_found!(
            "{url:?} is not a secret's URL; that is https://VAULT.vault.azure.net/secrets/NAME"
        ));
    };
    let mut path = vec![name];
    let mut source = format!("Azure Key Vault secret {url}");
    if !version.is_empty() {
        check_version(version)?;
        path.push(version);
    }
    naming::push_detail(&mut source, "version", version);
    let warning = (!url.contains('/')).then(|| {
        format!(
            "{} asks for {url:?}, which is not a secret's URL, so that az will not find it and the Pod will not start; the \
             group has to be https://VAULT.vault.azure.net/secrets/NAME",
            request.origin
        )
    });
    Ok(Located {
        arguments: [url.to_owned(), version.to_owned()],
        path,
        source,
        warning,
        field: "",
    })
}

/// The name in a secret's URL; a group that is no URL is a name itself, as it is for Flyte, though az refuses it.
///
/// az takes the URL apart with Python's
/// [urlparse](https://docs.python.org/3/library/urllib.parse.html#urllib.parse.urlparse): what stands behind `?`, `#` or `;`
/// is no part of the path. A value that begins with `@` is read from the file of that name. And no secret of
/// [Key Vault](https://learn.microsoft.com/en-us/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers)
/// has a dot in its name, which could make the end of a URL look like the host in an operator's pattern.
fn name(url: &str) -> Option<&str> {
    let parts: Vec<&str> = url.split('/').collect();
    let name = match *parts.as_slice() {
        [name] => name,
        ["https:", "", host, "secrets", name] if is_host(host) && !name.contains('.') => name,
        _ => return None,
    };
    (!name.contains(['?', '#', ';', '@'])).then_some(name)
}

/// Whether `host` is a host's name, with a port where there is one. Of more than one `:`, az and an operator's pattern could
/// take different parts for the host.
pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let is_label = |label: &str| !label.is_empty() && names::is_plain(label, "-");
    name.split('.').all(is_label) && (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
}
