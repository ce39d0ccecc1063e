//! `preview`: what the policy does to Pods.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Console,
    output::{Outcome, Output, Shown, print},
};
use crate::{
    admission_policy::{Reach, labels},
    capabilities::{Answer, Host, HostCall, HostRequest, reason_unanswered, unanswered},
    cluster::Cluster,
    evaluation::Evaluation,
    failure::Failure,
    flyte_pod,
    input::{Input, Reading, Subject},
    kube,
    mask::Mask,
    module,
    policy_server::{NAMESPACE, PolicyServer},
    rbac::service_account_user,
    session::{Recorder, Replay},
    settings_source::SettingsSource,
};

/// Shows what the policy does to Pods
///
/// The Pods may also be in Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs: the Pod that the controller would
/// create is shown. The values of Secrets are masked.
#[derive(Debug, Args)]
pub(super) struct Preview {
    /// Files with Pods, Pod templates or AdmissionReviews, in YAML or JSON; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A ClusterAdmissionPolicy or AdmissionPolicy, also among other objects: its settings, what it is granted, and which Pods reach it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The settings alone, or the policy that has them; every Pod reaches the policy then
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    settings: Option<PathBuf>,
    /// The cluster: files with Secrets, Roles, RoleBindings, Namespaces and other Kubernetes objects; may be repeated
    #[arg(long, value_name = "FILE")]
    cluster: Vec<PathBuf>,
    #[command(flatten)]
    kube: kube::Options,
    /// The namespace of what says none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Where the Pod template is in a custom resource, such as spec.driver.template; may be repeated
    #[arg(long, value_name = "PATH")]
    template_path: Vec<String>,
    /// Who creates the Pods; not for an AdmissionReview [default: the controller of a workload, an administrator otherwise]
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// A group of that user; may be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// Takes out what Flyte's webhook has added to Pods that exist, before the policy is asked
    #[arg(long)]
    strip_flyte: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Diff)]
    output: Output,
    /// Prints the values of Secrets
    #[arg(long)]
    show_values: bool,
    /// The policy's module [default: the one in this program, or else policy.wasm]
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Writes what the policy asks of the cluster to a session file of kwctl's format, with the values of Secrets
    #[arg(long, value_name = "FILE", conflicts_with = "replay", requires = "show_values")]
    record: Option<PathBuf>,
    /// Answers from a session file instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    replay: Option<PathBuf>,
}

impl Preview {
    pub(super) fn run(&self, console: &Console) -> Result<ExitCode, Failure> {
        let input = self.input()?;
        let settings = match (&self.policy, &self.settings) {
            (Some(path), _) => SettingsSource::of_policy(path)?,
            (None, Some(path)) => SettingsSource::read(path)?,
            (None, None) => SettingsSource::defaults(),
        };
        let policy = settings.policy.as_ref().filter(|_| self.policy.is_some());
        let account = policy.and_then(|policy| policy.service_account.as_deref());
        let world = self.world(&input, account.unwrap_or(SERVICE_ACCOUNT))?;
        let recorder = Arc::new(Recorder::new(world.answers));
        let grants = policy.map_or_else(|| Ok(module::grants()?), |policy| policy.grants())?;
        let host = Host::new(Arc::clone(&recorder), grants);
        let module = module::load(self.wasm.as_deref())?;
        settings.validate(&module)?;

        let mut shown = Vec::new();
        for mut subject in input.subjects {
            let (written, changed) = self.without_flyte(&mut subject);
            let labels = world
                .namespaces
                .get(subject.review.request.namespace.as_deref().unwrap_or_default());
            let reach = policy.map_or(Reach::Yes(Vec::new()), |policy| {
                policy.reach(&subject.review.request, labels)
            });
            shown.push(match reach {
                Reach::No(reason) => {
                    self.mask(&[], written)
                        .apply_to_option(&mut subject.review.request.object);
                    Shown {
                        notes: changed,
                        ..Shown::new(subject, Outcome::NotReached(reason))
                    }
                }
                Reach::Yes(mut notes) => {
                    let evaluation = module.validate(&host, &subject.review.request, &settings.settings);
                    Self::answered(&subject, &evaluation)?;
                    if evaluation.calls.iter().any(reads) {
                        notes.extend(world.unchecked.clone());
                    }
                    notes.extend(changed);
                    let mask = self.mask(&evaluation.calls, written);
                    Self::masked(subject, evaluation, &mask, notes)?
                }
            });
        }
        if let Some(path) = &self.record {
            recorder.save(path)?;
        }
        let webhook = policy.map_or("clusterwide-00-secret-injector", |policy| policy.unique_name.as_str());
        print(&shown, self.output, webhook, console)
    }

    /// The Pods, created by whom the options say.
    fn input(&self) -> Result<Input, Failure> {
        let reading = Reading {
            template_paths: &self.template_path,
            namespace: &self.namespace,
        };
        let mut input = Input::read(&self.files, &reading)?;
        let Some(user) = &self.user else {
            return Ok(input);
        };
        for subject in &mut input.subjects {
            if subject.is_request {
                let message = "an AdmissionReview says who makes the request: leave --as out";
                return Err(Failure::at(&subject.name, message));
            }
            subject.review.request.user_info = json!({"username": user, "groups": self.groups});
        }
        Ok(input)
    }

    /// Who answers the policy running in a server of this service account.
    fn world(&self, input: &Input, service_account: &str) -> Result<World, Failure> {
        let namespaces = input.namespaces.iter().map(named_labels).collect();
        let mut world = World {
            answers: Box::new(NoCluster),
            namespaces,
            unchecked: None,
        };
        if self.kube.is_given() {
            world.answers = Box::new(self.kube.connect()?);
            world.unchecked = Some(format!(
                "the account of the kubeconfig has read these Secrets; whether the policy server may was not checked: ask `kubectl auth \
                 can-i get secrets --namespace NAMESPACE --as {}`",
                service_account_user(NAMESPACE, service_account)
            ));
            return Ok(world);
        }
        if let Some(session) = &self.replay {
            world.answers = Box::new(Replay::from_file(session).map_err(|error| Failure::at("--replay", error))?);
        } else if !self.cluster.is_empty() {
            let cluster = Cluster::from_files(&self.cluster)?;
            world
                .namespaces
                .extend(cluster.objects_of("v1", "Namespace").map(named_labels));
            let server = PolicyServer::new(cluster, service_account);
            world.unchecked = server.unchecked();
            world.answers = Box::new(server);
        }
        Ok(world)
    }

    /// What the policy makes of a question that nobody answered says nothing.
    fn answered(subject: &Subject, evaluation: &Evaluation) -> Result<(), Failure> {
        let open = evaluation
            .calls
            .iter()
            .find_map(|call| Some((call.request.as_ref()?, reason_unanswered(&call.answer)?)));
        let Some((request, reason)) = open else {
            return Ok(());
        };
        let question = match request {
            HostRequest::KubernetesGetResource {
                kind, name, namespace, ..
            } => format!(
                "reads the {kind} {name:?} in the namespace {:?}",
                namespace.as_deref().unwrap_or_default()
            ),
            HostRequest::KubernetesCanI { request, .. } => format!(
                "asks whether {:?} may get the Secret {:?} in the namespace {:?}",
                request.user,
                request.resource_attributes.name.as_deref().unwrap_or_default(),
                request.resource_attributes.namespace.as_deref().unwrap_or_default()
            ),
        };
        Err(Failure::at(
            &subject.name,
            format!("with these settings the policy {question}, and {reason}"),
        ))
    }

    /// Returns the values that Flyte's webhook wrote into a Pod, with their names, and a note on what it did to the Pod.
    fn without_flyte(&self, subject: &mut Subject) -> (Vec<(String, String)>, Vec<String>) {
        let Some(pod) = &mut subject.review.request.object else {
            return (Vec::new(), Vec::new());
        };
        if !flyte_pod::is_changed(pod) {
            return (Vec::new(), Vec::new());
        }
        let values = flyte_pod::values(pod);
        let note = match self.strip_flyte {
            true => format!(
                "Flyte's webhook had changed this Pod; taken out before the policy was asked: {}",
                flyte_pod::strip(pod).join(", ")
            ),
            false => "Flyte's webhook has changed this Pod already, so this is not what becomes of a Pod that the policy gets first: \
                      leave out what it added with --strip-flyte"
                .to_owned(),
        };
        (values, vec![note])
    }

    /// Masks what the policy read, and what Flyte's webhook wrote, unless values are to be shown.
    fn mask(&self, calls: &[HostCall], written: Vec<(String, String)>) -> Mask {
        if self.show_values {
            return Mask::default();
        }
        let mut mask = Mask::of(calls);
        let shown = written.into_iter().map(|(name, value)| {
            let shown = format!("<the value of the variable {name}>");
            (value, shown)
        });
        mask.add(shown);
        mask
    }

    fn masked(
        mut shown: Subject,
        mut evaluation: Evaluation,
        mask: &Mask,
        notes: Vec<String>,
    ) -> Result<Shown, Failure> {
        let before = shown.review.request.object.clone().unwrap_or(Value::Null);
        let mut after = evaluation.response.patched(&before)?;
        mask.apply(&mut after);
        mask.apply_to_option(&mut shown.review.request.object);
        evaluation.response.mask(mask);
        let before = shown.review.request.object.clone().unwrap_or(Value::Null);
        if evaluation.response.allowed {
            evaluation.response.set_patch(&before, &after);
        }
        Ok(Shown {
            notes,
            ..Shown::new(
                shown,
                Outcome::Evaluated {
                    evaluation: Box::new(evaluation),
                    after,
                },
            )
        })
    }
}

/// The service account of the policy server in `deploy`.
const SERVICE_ACCOUNT: &str = "secret-injector";

/// What is around the policy.
struct World {
    answers: Box<dyn Answer>,
    /// The labels of the namespaces that are known.
    namespaces: BTreeMap<String, Labels>,
    /// What is not known of the policy server's rights.
    unchecked: Option<String>,
}

type Labels = BTreeMap<String, String>;

fn reads(call: &HostCall) -> bool {
    matches!(call.request, Some(HostRequest::KubernetesGetResource { .. })) && call.answer.is_ok()
}

fn named_labels(namespace: &Value) -> (String, Labels) {
    let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
    (name.to_owned(), labels(&namespace["metadata"]["labels"]))
}

/// Answers nothing.
struct NoCluster;

impl Answer for NoCluster {
    fn answer(&self, _: &HostRequest) -> Result<String, String> {
        Err(unanswered(
            "no cluster was given: name a file with the Secrets, Roles and RoleBindings that there are with --cluster FILE (an empty \
             file is a cluster that has none)",
        ))
    }
}
