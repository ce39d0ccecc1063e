//! What a Pod says to the Vault Agent injector itself.

#![forbid(unsafe_code)]

use std::rc::Rc;

use super::annotations::{
    AGENT_CACHE_ENABLE, AGENT_ENABLE_QUIT, AGENT_INJECT_CONTAINERS, AGENT_INJECT_FILE, AGENT_INJECT_SECRET,
    AGENT_INJECT_TEMPLATE, AGENT_INJECT_TEMPLATE_FILE, AGENT_INJECT_TOKEN, Effect, PREFIX, SECRET_VOLUME_PATH,
    SECRET_VOLUME_PATH_OF, effect, is_identity, is_true,
};
use crate::order::{has, sort_and_dedup, sort_by, sorted_set};

/// The directory of secrets where no annotation names one.
const DEFAULT_DIRECTORY: &str = "/vault/secrets";

/// The names of the agent's own containers.
const AGENT_CONTAINERS: [&str; 2] = ["vault-agent", AGENT_INIT_CONTAINER];

/// The name of the agent's init container.
const AGENT_INIT_CONTAINER: &str = "vault-agent-init";

/// A file that the Pod's own annotations make the agent write.
struct OwnFile<'a> {
    path: String,
    /// The annotation that asks for it, in two parts: its beginning, and the name of the secret.
    annotation: (&'static str, &'a str),
}

/// What the Pod says to the Vault Agent injector itself, read once for all of its requests.
pub(crate) struct AgentOrders<'a> {
    /// The injector's annotations without what they all begin with, by name.
    annotations: Vec<(&'a str, &'a str)>,
    /// The names of those that decide where secrets come from, or what fetches them.
    deciding: Vec<&'a str>,
    /// By path.
    own_files: Vec<OwnFile<'a>>,
    asks: bool,
    injected: bool,
    containers: Containers<'a>,
}

/// Which of the Pod's containers find the agent's files.
#[derive(Default)]
pub(super) struct Containers<'a> {
    /// The value of the annotation that names them; absent where they all do.
    pub(super) list: Option<Rc<str>>,
    /// The names of those that do not.
    pub(super) without: Vec<&'a str>,
    /// The names of those that do, init containers among them.
    pub(super) with: Vec<&'a str>,
    /// The names of init containers that stand before the agent's, in a Pod that has it, or else of all.
    pub(super) before_agent: Vec<&'a str>,
}

impl<'a> AgentOrders<'a> {
    /// Reads the annotations and the names of the containers of a Pod.
    pub(crate) fn new(
        annotations: impl Iterator<Item = (&'a str, &'a str)>,
        init_containers: impl Iterator<Item = &'a str>,
        containers: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut annotations: Vec<(&str, &str)> = annotations
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
            .collect();
        sort_and_dedup(&mut annotations);
        let mut init_containers: Vec<&str> = init_containers.collect();
        let mut containers: Vec<&str> = containers.collect();
        let all = init_containers.len().saturating_add(containers.len());
        let mut before_agent = init_containers.clone();
        if let Some(agent) = before_agent.iter().position(|name| *name == AGENT_INIT_CONTAINER) {
            before_agent.truncate(agent);
        }
        sort_and_dedup(&mut before_agent);
        for list in [&mut init_containers, &mut containers] {
            list.retain(|name| !AGENT_CONTAINERS.contains(name));
        }
        let mut orders = Self {
            deciding: deciding(&annotations),
            annotations,
            own_files: Vec::new(),
            asks: false,
            injected: all > init_containers.len().saturating_add(containers.len()),
            containers: Containers::default(),
        };
        orders.containers = Containers {
            before_agent,
            ..orders.served(init_containers, containers)
        };
        orders.read_own_secrets();
        orders
    }

    /// Returns the value of the annotation `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let place = self.annotations.binary_search_by(|(known, _)| (*known).cmp(name));
        place
            .ok()
            .and_then(|index| self.annotations.get(index))
            .map(|(_, value)| *value)
    }

    /// Returns whether the Pod asks the agent for something itself.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// Returns whether the Pod has the agent's containers already.
    pub(super) fn is_injected(&self) -> bool {
        self.injected
    }

    /// Returns the names of the annotations that decide where secrets come from, or what fetches them.
    pub(super) fn deciding(&self) -> &[&'a str] {
        &self.deciding
    }

    /// Returns which containers find the agent's files.
    pub(super) fn containers(&self) -> &Containers<'a> {
        &self.containers
    }

    fn served(&self, init_containers: Vec<&'a str>, containers: Vec<&'a str>) -> Containers<'a> {
        let list = self.get(AGENT_INJECT_CONTAINERS);
        let named: Option<Vec<&str>> = list.map(|list| sorted_set(list.split(',')));
        let is_served = |name: &&str| named.as_ref().is_none_or(|named| has(named, name));
        let (mut with, mut without): (Vec<&str>, Vec<&str>) = containers.into_iter().partition(is_served);
        with.extend(init_containers);
        sort_and_dedup(&mut with);
        sort_and_dedup(&mut without);
        Containers {
            list: list.map(Rc::from),
            without,
            with,
            before_agent: Vec::new(),
        }
    }

    /// Notes what the Pod asks the agent for itself, and the files that come of it.
    fn read_own_secrets(&mut self) {
        let directory = self.get(SECRET_VOLUME_PATH).unwrap_or(DEFAULT_DIRECTORY);
        let mut secrets: Vec<(&'a str, &'static str)> = Vec::new();
        for (name, value) in &self.annotations {
            // The injector looks at these three in this order.
            let begins = [AGENT_INJECT_SECRET, AGENT_INJECT_TEMPLATE_FILE, AGENT_INJECT_TEMPLATE];
            let secret = begins
                .iter()
                .find_map(|begin| Some((name.strip_prefix(begin)?, *begin)));
            if let Some((secret, begin)) = secret
                && !secret.is_empty()
                && !value.trim().is_empty()
            {
                secrets.push((secret, begin));
            }
        }
        sort_and_dedup(&mut secrets);
        secrets.dedup_by_key(|(secret, _)| *secret);
        let mut files = Vec::with_capacity(secrets.len());
        let mut asks = [AGENT_INJECT_TOKEN, AGENT_CACHE_ENABLE, AGENT_ENABLE_QUIT]
            .iter()
            .any(|name| self.get(name).is_some_and(is_true));
        for (secret, begin) in secrets {
            let own_directory = self.get(&format!("{SECRET_VOLUME_PATH_OF}{secret}"));
            // Those of ours have a directory of their own: a Pod that has been through here has them already.
            asks |= !is_identity(secret) || own_directory.is_none();
            let name = match self.get(&format!("{AGENT_INJECT_FILE}{secret}")) {
                Some(file) if !file.is_empty() => file.to_owned(),
                _ => secret.to_lowercase(),
            };
            files.push(OwnFile {
                path: cleaned(&format!("{}/{name}", own_directory.unwrap_or(directory))),
                annotation: (begin, secret),
            });
        }
        if self.get(AGENT_INJECT_TOKEN).is_some_and(is_true) {
            files.push(OwnFile {
                path: cleaned(&format!("{directory}/token")),
                annotation: (AGENT_INJECT_TOKEN, ""),
            });
        }
        sort_by(&mut files, |file, other| {
            (&file.path, file.annotation).cmp(&(&other.path, other.annotation))
        });
        self.own_files = files;
        self.asks = asks;
    }

    /// Returns the annotations, in two parts, that make the agent write at `path`, above or below it, but for those of the
    /// secret `identity`.
    pub(super) fn files_at(&self, path: &str, identity: &str) -> Vec<(&'static str, &'a str)> {
        let path = cleaned(path);
        let mut found = Vec::new();
        let mut from = |path: &str, fits: &dyn Fn(&str) -> bool| {
            let first = self.own_files.partition_point(|file| file.path.as_str() < path);
            let files = self.own_files.iter().skip(first);
            found.extend(
                files
                    .take_while(|file| fits(&file.path))
                    .map(|file| file.annotation)
                    .filter(|(_, secret)| *secret != identity),
            );
        };
        for (place, _) in path.match_indices('/').skip(1) {
            let above = path.get(..place).unwrap_or_default();
            from(above, &|own| own == above);
        }
        from(&path, &|own| own == path);
        let below = format!("{path}/");
        from(&below, &|own| own.starts_with(&below));
        found
    }
}

/// Returns the names of the annotations that decide where secrets come from, or what fetches them. One that this version
/// of the injector does not know may do so.
fn deciding<'a>(annotations: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let decides = |name: &&str| {
        matches!(
            effect(name),
            None | Some(Effect::Decides | Effect::Patches | Effect::Excludes)
        )
    };
    annotations.iter().map(|(name, _)| *name).filter(decides).collect()
}

/// Returns `path` as the agent cleans it ([path.Clean](https://pkg.go.dev/path#Clean)).
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/a/b", "/a/b"),
            ("//a/./b/", "/a/b"),
            ("/a/../b/c/..", "/b"),
            ("../a", "/a"),
            ("", "/"),
        ] {
            assert_eq!(cleaned(path), clean);
        }
    }

    #[test]
    fn the_pods_own_files_are_found() {
        let annotations = [
            ("vault.hashicorp.com/agent-inject-secret-A", "x"),
            ("vault.hashicorp.com/agent-inject-secret-b", "x"),
            ("vault.hashicorp.com/agent-inject-file-b", "../s/b.txt"),
            ("vault.hashicorp.com/agent-inject-template-c", "x"),
            ("vault.hashicorp.com/secret-volume-path-c", "/s/d"),
            ("vault.hashicorp.com/agent-inject-secret-gone", " "),
            ("vault.hashicorp.com/agent-inject-token", "1"),
            ("vault.hashicorp.com/secret-volume-path", "/v"),
        ];
        let none = || std::iter::empty();
        let orders = AgentOrders::new(annotations.into_iter(), none(), none());
        let secret = |path| {
            let files = orders.files_at(path, "-");
            files
                .iter()
                .map(|(begin, name)| format!("{begin}{name}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(secret("/v/a"), ["agent-inject-secret-A"]);
        assert_eq!(secret("/v/a/b"), ["agent-inject-secret-A"]);
        assert_eq!(secret("/s"), ["agent-inject-secret-b", "agent-inject-template-c"]);
        assert_eq!(secret("/s/d/c"), ["agent-inject-template-c"]);
        assert_eq!(secret("/v/token"), [AGENT_INJECT_TOKEN]);
        assert_eq!(secret("/v/b"), [""; 0]);
        assert!(orders.files_at("/v/a", "A").is_empty());
    }
}
