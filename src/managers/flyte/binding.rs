//! What binds the labels of a Pod, which whoever creates the Pod may choose, to something that an operator decides.

use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::flyte::labels::{DOMAIN, Labels, ORGANIZATION, PROJECT, PodLabels};
use crate::managers::manager::{NotServed, denied, not_found};
use crate::managers::placeholders::Values;
use crate::names;

/// The word with which a setting lets a Pod say what it likes.
const ANY: &str = "any";

/// What the labels of a Pod have to agree with.
pub(crate) struct Binding {
    /// The setting `organization`: the only value of that label; `None` where every value is taken.
    organization: Option<String>,
    /// The setting `podNamespace`.
    pod_namespace: PodNamespace,
}

/// Where the labels of a Pod count.
enum PodNamespace {
    /// In every namespace.
    Any,
    /// In this namespace alone.
    Named(String),
    /// In the namespace that the labels name.
    OfLabels(Template),
}

/// A namespace's name with placeholders for labels.
struct Template {
    /// As in the settings.
    text: String,
    /// The text with [`MARKERS`] in place of the placeholders.
    marked: String,
}

/// Stand for `{organization}`, `{domain}` and `{project}`; no namespace's name can hold them.
const MARKERS: [char; 3] = ['\u{1}', '\u{2}', '\u{3}'];
const MARKED: Labels<'_> = Labels {
    organization: "\u{1}",
    domain: "\u{2}",
    project: "\u{3}",
};

impl Binding {
    /// Reads the settings `organization` and `podNamespace`.
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let pod_namespace = PodNamespace::from_fields(fields)?;
        let given = word(
            fields,
            "organization",
            "write the organization, or any, or leave it out",
        )?;
        let organization = given.filter(|organization| organization != ANY);
        if organization
            .as_ref()
            .is_some_and(|text| text.is_empty() || !names::is_label_value(text))
        {
            return Err(fields.invalid(ORGANIZATION, "cannot be a label's value"));
        }
        Ok(Self {
            organization,
            pod_namespace,
        })
    }

    /// Returns how many of the labels project, domain and organization, in this order, a Pod cannot choose.
    pub(crate) fn bound_labels(&self) -> usize {
        match &self.pod_namespace {
            PodNamespace::Any => 0,
            PodNamespace::OfLabels(template)
                if self.organization.is_none() && !template.marked.contains(MARKED.organization) =>
            {
                2
            }
            _ => 3,
        }
    }

    /// Adds the labels of the Pod to `values`, and returns what the Pod's author should know.
    ///
    /// # Errors
    /// As [`Self::check`].
    #[inline(never)]
    pub(crate) fn add_labels(&self, values: &mut Values, context: &Context<'_>) -> Result<Option<String>, NotServed> {
        let read = context.of_pod(PodLabels::read);
        let labels = read.labels();
        let by_namespace = matches!(self.pod_namespace, PodNamespace::OfLabels(_));
        let needed = [
            (PROJECT, labels.project, by_namespace),
            (DOMAIN, labels.domain, by_namespace),
            (ORGANIZATION, labels.organization, self.organization.is_some()),
        ];
        for (name, label, is_needed) in needed {
            if is_needed && label.is_empty() {
                return Err(not_found!(
                    "the Pod has no label {name:?}, of which this manager makes names"
                ));
            }
            values.push((name, label.to_owned()));
        }
        self.check(&labels, context.namespace)?;
        Ok(self.warning(&labels, context.namespace))
    }

    /// Refuses a Pod whose labels claim what is not its own: it would get the secrets of another project.
    ///
    /// # Errors
    /// [`NotServed`] with the setting that decides.
    pub(super) fn check(&self, labels: &Labels<'_>, namespace: &str) -> Result<(), NotServed> {
        if let Some(organization) = &self.organization
            && organization != labels.organization
        {
            return Err(denied!(
                "the Pod's label organization is {:?}, but this manager's setting organization is {organization:?}. If \
                 the label is right, the setting is not: {TELL}",
                labels.organization
            ));
        }
        match &self.pod_namespace {
            PodNamespace::Any => Ok(()),
            PodNamespace::Named(name) if name == namespace => Ok(()),
            PodNamespace::Named(name) => Err(denied!(
                "this manager's setting podNamespace is {name:?}: Pods in that namespace alone get these secrets, but \
                 this one is in {namespace:?}. If Flyte runs its Pods here, {TELL}"
            )),
            PodNamespace::OfLabels(template) => template.check(labels, namespace),
        }
    }

    /// Returns a warning where the Pod's namespace could belong to other labels as well.
    ///
    /// Of all labels that give one namespace, at most one has neither a domain nor an organization that could begin or
    /// end elsewhere. Only that one is not warned of, so that two projects with one namespace never both go unnoticed.
    pub(super) fn warning(&self, labels: &Labels<'_>, namespace: &str) -> Option<String> {
        let PodNamespace::OfLabels(template) = &self.pod_namespace else {
            return None;
        };
        let domain = (DOMAIN, labels.domain, MARKED.domain);
        let organization = (ORGANIZATION, labels.organization, MARKED.organization);
        let (label, value, _) = [Some(domain), self.organization.is_none().then_some(organization)]
            .into_iter()
            .flatten()
            .find(|(_, value, marker)| template.splits(value, marker))?;
        Some(format!(
            "the namespace {namespace:?} could belong to another project and domain too, because the label {label}, \
             {value:?}, holds what separates labels in this manager's setting podNamespace, {:?}: the policy cannot tell \
             whose secrets a Pod there may have. Whoever runs Flyte can give the {label} another name",
            template.text,
        ))
    }
}

/// What a Pod's author can do about a setting: labels and namespace are Flyte's to write.
const TELL: &str =
    "tell the cluster's administrators, who can change it in spec.settings of the ClusterAdmissionPolicy";

impl PodNamespace {
    fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        const NAME: &str = "podNamespace";
        let given = word(
            fields,
            NAME,
            "write any so that labels count in every namespace, or leave it out for \"{project}-{domain}\"",
        )?;
        let text = given.unwrap_or_else(|| "{project}-{domain}".to_owned());
        if text == ANY {
            return Ok(Self::Any);
        }
        Template::new(text)
            .map(|template| match template.marked.contains(MARKERS) {
                true => Self::OfLabels(template),
                false => Self::Named(template.marked),
            })
            .map_err(|problem| fields.invalid(NAME, &problem))
    }
}

impl Template {
    fn new(text: String) -> Result<Self, String> {
        let sample = Labels {
            organization: "a",
            domain: "a",
            project: "a",
        };
        if !names::is_dns_label(&sample.expand(&text)?) {
            return Err(
                "is not a namespace's name; {project}, {domain} and {organization} may stand in it, and any turns the \
                 check off"
                    .to_owned(),
            );
        }
        let template = Self {
            marked: MARKED.expand(&text)?,
            text,
        };
        let left_out = [(PROJECT, MARKED.project), (DOMAIN, MARKED.domain)]
            .into_iter()
            .find(|(_, marker)| !template.marked.contains(marker));
        if let Some((label, _)) = left_out
            && template.marked.contains(MARKERS)
        {
            return Err(format!(
                "leaves out {{{label}}}, so that a Pod could claim the secrets of every {label}: name both {{project}} and \
                 {{domain}}, or one namespace without placeholders, or any, which turns the check off"
            ));
        }
        if template.separators().any(|separator| !separator.contains('-')) {
            return Err(
                "needs a - between two placeholders: without it, nobody can tell where one label ends".to_owned(),
            );
        }
        Ok(template)
    }

    fn check(&self, labels: &Labels<'_>, namespace: &str) -> Result<(), NotServed> {
        // Every placeholder is known: the settings are checked.
        let expected = labels.expand(&self.text).unwrap_or_default();
        if expected == namespace {
            return Ok(());
        }
        Err(denied!(
            "the Pod's labels say organization {:?}, project {:?} and domain {:?}, whose Pods belong in the namespace \
             {expected:?}, but this one is in {namespace:?}. This manager's setting podNamespace, {:?}, says so. If the \
             labels are right, the setting is not: {TELL}, to the name of the namespace if Flyte runs all Pods in one",
            labels.organization,
            labels.project,
            labels.domain,
            self.text
        ))
    }

    /// Returns the texts between two placeholders.
    fn separators(&self) -> impl Iterator<Item = &str> {
        let behind_first = self.marked.split_once(MARKERS).map(|(_, rest)| rest);
        let between = behind_first.and_then(|rest| rest.rsplit_once(MARKERS));
        between.into_iter().flat_map(|(between, _)| between.split(MARKERS))
    }

    /// Returns true if `value`, in the place of `marker`, could begin or end elsewhere: beside it stands a separator that
    /// is also in it.
    fn splits(&self, value: &str, marker: &str) -> bool {
        let Some((before, after)) = self.marked.split_once(marker) else {
            return false;
        };
        // The separator itself is the first or the last one that is found.
        let begins_elsewhere = before.rsplit_once(MARKERS).is_some_and(|(_, separator)| {
            let text = [separator, value].concat();
            text.get(1..).is_some_and(|text| text.contains(separator))
        });
        let ends_elsewhere = after
            .split_once(MARKERS)
            .is_some_and(|(separator, _)| [value, separator].concat().find(separator) < Some(value.len()));
        begins_elsewhere || ends_elsewhere
    }
}

/// Returns the text in the field `name`; an empty field is an error, because what is left of a line that somebody
/// commented out must not open a gate.
fn word(fields: &mut Fields<'_>, name: &'static str, advice: &str) -> Result<Option<String>, SettingsError> {
    if fields.is_null(name) {
        return Err(fields.invalid(name, &format!("has nothing under it: {advice}")));
    }
    fields.take(name)
}
