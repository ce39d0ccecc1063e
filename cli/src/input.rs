//! The Pods that people have: in files, in lists, in the templates of workloads.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    rbac::{service_account_groups, service_account_user},
    review::{Form, Review},
    source::{self, Source},
    workload::{self, Created},
    yaml::{self, Yaml},
};

/// How to read files.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// Where Pod templates are in objects of kinds that Kubernetes does not have.
    pub template_paths: &'a [String],
    /// The namespace of what says none.
    pub namespace: &'a str,
}

/// A Pod to ask the policy about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is for a person: `Pod team-a/web`, or `Deployment team-a/web`.
    pub name: String,
    /// The request of the API server.
    pub review: Review,
    /// True if the file has the request itself.
    pub is_request: bool,
}

/// What files hold.
#[derive(Debug, Default)]
pub struct Input {
    /// The Pods.
    pub subjects: Vec<Subject>,
    /// The namespaces, whose labels selectors ask for.
    pub namespaces: Vec<Value>,
    /// What is neither, for a message.
    passed_over: Vec<String>,
}

impl Input {
    /// Reads files; `-` is standard input.
    ///
    /// # Errors
    /// A file that cannot be read, a Pod template that is not there, or no Pod at all.
    pub fn read(paths: &[PathBuf], reading: &Reading<'_>) -> Result<Self, Failure> {
        let mut input = Self::default();
        for source in Source::read_all(paths)? {
            for document in source.documents()? {
                let place = source.place(&document);
                input
                    .add(document.value, reading)
                    .map_err(|failure| Failure::at(place, failure))?;
            }
        }
        if input.subjects.is_empty() {
            return Err(Failure::new(input.nothing(paths)));
        }
        Ok(input)
    }

    fn nothing(&self, paths: &[PathBuf]) -> String {
        let names: Vec<String> = paths.iter().map(|path| source::name(path)).collect();
        let names = names.join(", ");
        match self.passed_over.as_slice() {
            [] => format!("{names}: found no Pod: nothing is in it"),
            found => format!(
                "{names}: found no Pod and nothing with a Pod template, but {}; for a custom resource, name the place of its Pod \
                 template with --template-path",
                few(found)
            ),
        }
    }

    fn add(&mut self, document: Yaml, reading: &Reading<'_>) -> Result<(), Failure> {
        if let Some(Yaml::Sequence(items)) = document.get("items")
            && kind(&document).ends_with("List")
        {
            for (index, item) in items.iter().enumerate() {
                self.add(item.clone(), reading)
                    .map_err(|failure| Failure::at(format!("item {}", index + 1), failure))?;
            }
            return Ok(());
        }
        if let Some(form) = Form::of(&document) {
            self.subjects.push(subject(document, form, reading)?);
            return Ok(());
        }
        if kind(&document) == "Namespace" {
            self.namespaces.push(yaml::to_json(&document)?);
            return Ok(());
        }
        if !document.is_mapping() {
            return Err(Failure::new("this is no Kubernetes object"));
        }
        self.add_workload(&document, reading)
    }

    fn add_workload(&mut self, document: &Yaml, reading: &Reading<'_>) -> Result<(), Failure> {
        let name = describe(document, reading);
        match workload::created(document) {
            Some(Ok(created)) => self.subjects.push(of_controller(name, created, reading)?),
            Some(Err(path)) => return Err(Failure::new(format!("the {name} has no Pod template at {path}"))),
            None if reading.template_paths.is_empty() => self.passed_over.push(name),
            None => {
                for path in reading.template_paths {
                    let created = workload::at_path(document, path).ok_or_else(|| {
                        Failure::new(format!(
                            "the {name} has no Pod template at {path} (--template-path): neither containers nor spec.containers is below it"
                        ))
                    })?;
                    self.subjects
                        .push(of_controller(format!("{name} ({path})"), created, reading)?);
                }
            }
        }
        Ok(())
    }
}

/// Lists names, the first few of them.
pub(crate) fn few(names: &[String]) -> String {
    const FEW: usize = 5;
    let shown = names.get(..FEW).unwrap_or(names).join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn subject(document: Yaml, form: Form, reading: &Reading<'_>) -> Result<Subject, Failure> {
    let described = describe(&document, reading);
    let mut review = Review::from_document(document)?;
    let is_request = form != Form::Pod;
    if !is_request {
        default_namespace(&mut review, reading);
        check_form(&described, &review)?;
    }
    let name = match is_request {
        true => format!(
            "{} {}/{}",
            review.request.kind.kind,
            review.request.namespace.as_deref().unwrap_or_default(),
            review.request.name.as_deref().unwrap_or_default()
        ),
        false => described,
    };
    Ok(Subject {
        name,
        review,
        is_request,
    })
}

/// The Pod of a controller, as that controller's request.
fn of_controller(name: String, created: Created, reading: &Reading<'_>) -> Result<Subject, Failure> {
    let mut review = Review::from_document(created.pod)?;
    default_namespace(&mut review, reading);
    check_form(&name, &review)?;
    if let Some(controller) = created.controller {
        let mut groups = service_account_groups("kube-system");
        groups.sort();
        review.request.user_info = json!({
            "username": service_account_user("kube-system", controller),
            "groups": groups,
        });
    }
    Ok(Subject {
        name,
        review,
        is_request: false,
    })
}

/// The API server refuses a Pod of another form before it asks a policy, which would find nothing in it.
fn check_form(name: &str, review: &Review) -> Result<(), Failure> {
    let pod = review.request.object.as_ref().unwrap_or(&Value::Null);
    let wrong = |field: &str, wanted: &str| Err(Failure::new(format!("the {name}: {field} is no {wanted}")));
    for pointer in ["/metadata", "/metadata/labels", "/metadata/annotations", "/spec"] {
        if pod
            .pointer(pointer)
            .is_some_and(|value| !value.is_null() && !value.is_object())
        {
            return wrong(&pointer[1..].replace('/', "."), "mapping");
        }
    }
    for list in ["containers", "initContainers", "volumes"] {
        let value = &pod["spec"][list];
        let is_list = value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
        if !value.is_null() && !is_list {
            return wrong(&format!("spec.{list}"), "list of mappings");
        }
    }
    Ok(())
}

/// The API server writes the namespace of the request into an object that has none.
fn default_namespace(review: &mut Review, reading: &Reading<'_>) {
    let says_one = |object: &Value| object["metadata"]["namespace"].is_string();
    if !reading.namespace.is_empty() && !review.request.object.as_ref().is_some_and(says_one) {
        review.request.namespace = Some(reading.namespace.to_owned());
    }
}

fn kind(document: &Yaml) -> &str {
    document.get("kind").and_then(Yaml::as_str).unwrap_or_default()
}

fn describe(document: &Yaml, reading: &Reading<'_>) -> String {
    let field = |name: &str| {
        let metadata = document.get("metadata");
        metadata.and_then(|metadata| metadata.get(name)).and_then(Yaml::as_str)
    };
    let kind = match kind(document) {
        "" if field("name").is_none() => return "an object without kind and name".to_owned(),
        "" => "object without kind",
        kind => kind,
    };
    let default = match reading.namespace {
        "" => "default",
        namespace => namespace,
    };
    let namespace = field("namespace").unwrap_or(default);
    let name = field("name")
        .or_else(|| field("generateName"))
        .unwrap_or("without a name");
    format!("{kind} {namespace}/{name}")
}
