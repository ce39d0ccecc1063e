//! Google Cloud's Secret Manager: an init container that fetches all of the Pod's secrets with `gcloud`.
//!
//! Volume, path and image are those of Flyte's
//! [GCP injector](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/gcp_secret_manager.go): the
//! group is the secret, the group version its version, the key plays no part, or, with the
//! setting `key: field`, names a field of it.

use crate::managers::cli::{self, Cli, Located, check_version};
use crate::managers::manager::{NotServed, not_found};
use crate::managers::script::script;
use crate::names;
use crate::requests::SecretRequest;

pub(super) static CLI: Cli = Cli {
    label: "gcp",
    script: script!("scripts/gcp.sh", Shell),
    image: "gcr.io/google.com/cloudsdktool/cloud-sdk:alpine",
    container: "gcp-pull-secret",
    key_may_be_field: true,
    volume: "gcp-secret-vol",
    access_name: cli::access_name,
    locate,
};

fn locate(request: &SecretRequest) -> Result<Located<'_>, NotServed> {
    let (secret, version) = (cli::secret(request), request.group_version.as_str());
    if secret.is_empty() || version.is_empty() {
        return Err(not_found!(
            "it needs a group, the secret, and a group version such as \"latest\""
        ));
    }
    let mut path: Vec<&str> = secret.split('/').collect();
    // To gcloud, a version with '/' is a secret's version by its full name, whatever the secret; in the API's URL, what
    // stands behind '?' or '#' is no name.
    let is_name = match *path.as_slice() {
        [_] | ["projects", _, "secrets", _] => true,
        // The location becomes a part of the host's name.
        ["projects", _, "locations", location, "secrets", _] => names::is_lower(location, "-"),
        _ => false,
    };
    if !is_name || secret.contains(['?', '#']) {
        return Err(not_found!(
            "{secret:?} is no secret's name; it is NAME, projects/PROJECT/secrets/NAME or \
             projects/PROJECT/locations/LOCATION/secrets/NAME"
        ));
    }
    check_version(version)?;
    path.push(version);
    Ok(Located {
        arguments: [secret.to_owned(), version.to_owned()],
        path,
        source: format!("Google Cloud secret {secret}, version {version}"),
        warning: None,
        field: "",
    })
}
