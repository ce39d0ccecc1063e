//! The setting `names`: the same name in the code, another secret in each namespace.
//!
//! `{group: "secret/data/{namespace}/{group}"}` finds `secret/data/team-a/db` for a Pod of `team-a` that asks for `db`. What is
//! put in holds letters, digits and `._-` alone, so that it cannot leave the prefix.

use std::rc::Rc;

use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::flyte::binding::Binding;
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::owners::are_confused;
use crate::managers::placeholders::{Values, expand, holds, may_hold, values};
use crate::requests::{Asked, MAX_FIELD_LENGTH, SecretRequest, WHOLE};

/// The fields of the setting, which are the parts of a secret's name, and the manager's role.
const PARTS: [&str; 4] = ["group", "groupVersion", "key", ROLE];
const ROLE: &str = "role";

/// What may stand in a text: what every request has, and then the labels.
#[rustfmt::skip]
const PLACEHOLDERS: [&str; 8] = [
    "group", "groupVersion", "key", "namespace", "serviceAccount", "project", "domain", "organization",
];
const LABELS: usize = 3;

/// By which names a manager finds what Pods ask for.
pub(crate) struct Mapping {
    /// The texts for the parts of a name, and for the role. What has no text stays as it is.
    pub(super) texts: Vec<(&'static str, String)>,
    /// What may be put in beyond letters, digits and a few more.
    allowed: String,
    /// What the labels of a Pod have to agree with, where the texts may have them.
    binding: Option<Binding>,
}

impl Mapping {
    /// Reads the setting `names` of `manager`, whose other settings are `fields`.
    #[inline(never)] // The module is smaller with these functions apart.
    pub(super) fn from_fields(
        names: Option<Fields<'_>>,
        fields: &Fields<'_>,
        manager: &dyn Manager,
    ) -> Result<Option<Self>, SettingsError> {
        let role = manager.role().filter(|role| role.contains('{'));
        if names.is_none() && role.is_none() {
            return Ok(None);
        }
        let mut names = names.unwrap_or_default();
        let allowed = names.take("allowedCharacters")?.unwrap_or_default();
        let has_binding = names.has("podNamespace") || names.has("organization");
        let binding = Binding::from_fields(&mut names)?;
        let mut mapping = Self {
            texts: Vec::new(),
            allowed,
            binding: has_binding.then_some(binding),
        };
        for part in PARTS {
            let (text, place) = if part == ROLE {
                (role.map(str::to_owned), fields)
            } else {
                (names.take(part)?, &names)
            };
            let Some(text) = text else {
                continue;
            };
            if !fields.is_checked()
                && let Err(problem) = mapping.check(part, &text, manager)
            {
                return Err(place.invalid(part, &problem));
            }
            mapping.texts.push((part, text));
        }
        if mapping.texts.is_empty() {
            return Err(names.invalid("group", "is missing: give group, groupVersion or key"));
        }
        if !fields.is_checked()
            && let Some(text) = manager.confused_text(&mapping.texts, &mapping.allowed)
        {
            let part = mapping.texts.iter().find(|(part, _)| holds(text, part));
            let part = part.map_or("group", |(part, _)| *part);
            return Err(names.invalid(part, &format!("{CONFUSED} (in the manager's text {text:?})")));
        }
        names.finish()?;
        Ok(Some(mapping))
    }

    /// Checks the text for a part of a name.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline(never)]
    fn check(&self, part: &str, text: &str, manager: &dyn Manager) -> Result<(), String> {
        if !manager.finds_by(part) {
            return Err(format!(
                "changes nothing: this manager does not find secrets by it (template and csi do where one of their texts has \
                 {{{part}}}, and csi finds by the key with secretName)"
            ));
        }
        let labels = self.binding.as_ref().map_or(0, Binding::bound_labels);
        let mut known = Values::new();
        for name in PLACEHOLDERS.into_iter().take(PLACEHOLDERS.len() - LABELS + labels) {
            known.push((name, String::new()));
        }
        expand(text, &known)?;
        if text.contains(char::is_control) || are_confused(&without_case(text), manager.scope(), &self.allowed, &[]) {
            return Err(CONFUSED.to_owned());
        }
        Ok(())
    }

    /// Returns whether the key is made of the group.
    pub(super) fn puts_group_into_key(&self) -> bool {
        self.texts
            .iter()
            .any(|(part, text)| *part == "key" && holds(text, "group"))
    }

    /// Returns how long the texts are together.
    pub(crate) fn length(&self) -> usize {
        self.texts.iter().map(|(_, text)| text.len()).sum()
    }

    /// Returns the request with the names by which the manager is to look for what `asked` asks for, and what the Pod's
    /// author should know.
    #[inline(never)]
    pub(super) fn apply(
        &self,
        asked: &SecretRequest,
        context: &Context<'_>,
    ) -> Result<(SecretRequest, Option<String>), NotServed> {
        let mut values = values(asked, context);
        let mut warning = None;
        if let Some(binding) = &self.binding {
            warning = binding.add_labels(&mut values, context)?;
        }
        let (mut found, mut role) = (asked.clone(), String::new());
        for (part, text) in &self.texts {
            let made = self.expand(text, &values)?;
            *match *part {
                "group" => &mut found.group,
                "groupVersion" => &mut found.group_version,
                "key" => &mut found.key,
                _ => &mut role,
            } = made;
        }
        if (found.key == WHOLE) != (asked.key == WHOLE) {
            return Err(not_found!(
                "the settings make the key {:?}, and \"*\" stands for all keys",
                found.key
            ));
        }
        let request = asked.clone();
        found.asked = Some(Rc::new(Asked { request, role }));
        Ok((found, warning))
    }

    #[inline(never)]
    fn expand(&self, text: &str, values: &Values) -> Result<String, NotServed> {
        for (name, value) in values {
            let is_wrong = value.split('/').any(|part| matches!(part, "" | "." | ".."))
                || value.contains(|character| !may_hold(character, &self.allowed));
            if is_wrong && holds(text, name) {
                return Err(not_found!(
                    "its {name} {value:?} cannot stand in the name that the settings make: letters, digits and characters of \
                     {:?} can, but no part that is empty, '.' or '..'; an operator can allow more with names.allowedCharacters",
                    ["._-", &self.allowed].concat()
                ));
            }
        }
        match expand(text, values) {
            Ok(made) if made.len() <= MAX_FIELD_LENGTH => Ok(made),
            _ => Err(not_found!(
                "the settings make a name of it that is longer than {MAX_FIELD_LENGTH} bytes"
            )),
        }
    }
}

const CONFUSED: &str = "makes one name for different Pods, or holds a control character: \"{namespace}-{group}\" is \"a-b-c\" for the \
                        namespace \"a\" with the group \"b-c\" and for \"a-b\" with \"c\"; put a character that neither can \
                        hold between the placeholders, such as '/', or leave one out where no such character is allowed";

/// Returns `text` with its own letters in lower case, as some stores take names: an upper-case letter parts nothing.
fn without_case(text: &str) -> String {
    let mut is_placeholder = false;
    let lower = |character: char| {
        is_placeholder = character == '{' || (is_placeholder && character != '}');
        if is_placeholder {
            character
        } else {
            character.to_ascii_lowercase()
        }
    };
    text.chars().map(lower).collect()
}
