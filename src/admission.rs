//! From an admission request to a response.

mod defaults;
mod dry_run;
mod rejection;
mod request;
mod response;
mod serving;
mod summary;

use crate::cluster::Cluster;
use crate::names::excerpt;
use crate::options::Options;
use crate::pod::{Pod, STATUS_ANNOTATION};
use crate::requests::{self, Requests};
use crate::settings::Settings;
use defaults::{add_defaults, add_pull_secrets};
use rejection::Rejection;
use request::{AdmissionRequest, may_ask};
use response::{Response, few};
use serving::serve;
use summary::{Summaries, origins};

/// The answer for a request that is none of the policy's business.
const ACCEPTED: &[u8] = br#"{"accepted":true}"#;

/// How many secrets a Pod may ask for. Requests are compared with each other, and the host stops the policy after two
/// seconds; what the status annotation says of a thousand takes a third of the 256 KiB that Kubernetes gives a Pod's
/// annotations.
const MAX_REQUESTS: usize = 1_000;

/// Answers the host's `validate`.
pub fn validate(payload: &[u8], cluster: &dyn Cluster) -> Vec<u8> {
    if !may_ask(payload) {
        return ACCEPTED.to_vec();
    }
    let mut dry_run = false;
    let response = match admit(payload, cluster, &mut dry_run) {
        Ok(None) => return ACCEPTED.to_vec(),
        Ok(Some(response)) => response,
        Err(rejection) => Response::reject(rejection),
    };
    let response = response.of(dry_run);
    response.to_json().unwrap_or_else(|_| {
        let rejected = Response::reject(Rejection::invalid_pod()).of(dry_run);
        rejected.to_json().unwrap_or_default()
    })
}

/// Reads the Pod and what it asks for, and answers as the settings say. Returns nothing where the Pod asks for nothing. Notes
/// the setting `dryRun` as soon as it is known.
fn admit<'a>(payload: &'a [u8], cluster: &dyn Cluster, dry_run: &mut bool) -> Result<Option<Response<'a>>, Rejection> {
    let Some(admission) = AdmissionRequest::read(payload)? else {
        return Ok(None);
    };
    if admission.pod.annotations().any(|(key, _)| key == MIRROR_ANNOTATION) {
        return Ok(mirror(&admission.pod));
    }
    let decoded = decode(&admission.pod);
    let asks = !matches!(&decoded, Ok(Requests { requests, .. }) if requests.is_empty());
    if !asks
        && !admission
            .settings
            .is_some_and(|settings| may_ask(settings.get().as_bytes()))
    {
        return decoded.map(|decoded| Response::warn(decoded.warnings));
    }
    let settings = Settings::from_raw(admission.settings)?;
    *dry_run = settings.options.dry_run;
    inject(admission, decoded?, asks, &settings, cluster)
}

/// Serves the requests and those of the settings, and injects what they came to. Returns nothing where they came to nothing,
/// and the Pod `asks` for nothing itself.
fn inject<'a>(
    admission: AdmissionRequest<'a>,
    Requests {
        mut requests,
        mut warnings,
    }: Requests,
    asks: bool,
    settings: &Settings,
    cluster: &dyn Cluster,
) -> Result<Option<Response<'a>>, Rejection> {
    let options = &settings.options;
    add_defaults(&settings.defaults, &admission, &mut requests, &mut warnings)?;
    let mut outcome = serve(&admission, &requests, settings, cluster)?;
    warnings.extend(outcome.warnings);
    let namespace = admission.namespace()?.to_owned();
    let mut pod = admission.pod;
    warnings.extend(pod.add(&mut outcome.additions, options)?);
    let pulled = add_pull_secrets(&settings.pull_secrets, &mut pod, &namespace, cluster, &mut warnings)?;
    if !asks && outcome.additions.is_empty() && pulled.is_empty() {
        return Ok(Response::warn(warnings));
    }
    let summaries = Summaries::new(&outcome.additions, &pulled, options);
    if !write_status(&mut pod, summaries.status, options)? {
        // In front, as the last ones are cut off where there are many.
        warnings.insert(
            0,
            format!(
                "the annotation {STATUS_ANNOTATION} is left out: the Pod's annotations would take more than the 256 KiB \
                 that Kubernetes allows"
            ),
        );
    }
    if options.dry_run {
        dry_run::add_plan(&outcome.additions, &pulled, options, &mut warnings);
    }
    Ok(Some(Response {
        accepted: true,
        mutated_object: Some(pod.node),
        injected: summaries.audit,
        unserved: origins(&outcome.unserved),
        warnings: few(warnings),
        ..Response::default()
    }))
}

/// Reads what the Pod's annotations ask for.
fn decode(pod: &Pod<'_>) -> Result<Requests, Rejection> {
    if let Some(key) = pod.annotation_without_text(requests::is_request) {
        let key = excerpt(key);
        return Err(Rejection::bad_request(format!(
            "annotation {key} is not a string: quote its value"
        )));
    }
    let mut decoded = requests::from_annotations(pod.annotations()).map_err(Rejection::bad_request)?;
    for request in &mut decoded.requests {
        if let Some(name) = request.containers.primary() {
            pod.primary_container(&request.origin)?.clone_into(name);
            request.containers = std::mem::take(&mut request.containers).normalised();
        }
    }
    let count = decoded.requests.len();
    if count > MAX_REQUESTS {
        return Err(Rejection::too_much(format!(
            "the Pod asks for {count} secrets, and {MAX_REQUESTS} are the most; make several Pods, or keep several values in \
             one secret"
        )));
    }
    Ok(decoded)
}

/// Writes what was injected into the Pod's annotations, where the settings say so. Returns whether there was room for it.
fn write_status(pod: &mut Pod<'_>, status: String, options: &Options) -> Result<bool, Rejection> {
    if options.status_annotation {
        Ok(pod.set_status(status)?)
    } else {
        pod.remove_status()?;
        Ok(true)
    }
}

/// The annotation of a Pod that mirrors a static one
/// ([well-known annotations](https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror)).
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Accepts the mirror of a static Pod as it is: the kubelet runs that Pod already, and the API server lets its mirror refer
/// to no Secret.
fn mirror<'a>(pod: &Pod<'_>) -> Option<Response<'a>> {
    if requests::from_annotations(pod.annotations()).is_ok_and(|requests| requests.requests.is_empty()) {
        return None;
    }
    let warning = format!(
        "the Pod goes without the secrets that it asks for: its annotation {MIRROR_ANNOTATION} says that it is the mirror \
         of a static Pod, which the kubelet runs from a file; run it as a DaemonSet to give it secrets"
    );
    Response::warn(vec![warning])
}
