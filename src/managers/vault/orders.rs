//! What a Pod says to the Vault Agent injector itself.

use std::rc::Rc;

use super::annotations::{
    AGENT_CACHE_ENABLE, AGENT_ENABLE_QUIT, AGENT_INJECT_CONTAINERS, AGENT_INJECT_FILE, AGENT_INJECT_SECRET,
    AGENT_INJECT_TEMPLATE, AGENT_INJECT_TEMPLATE_FILE, AGENT_INJECT_TOKEN, Effect, PREFIX, PRESERVE_SECRET_CASE,
    SECRET_VOLUME_PATH, SECRET_VOLUME_PATH_OF, effect, is_identity, is_true,
};
use crate::names::cleaned;
use crate::pod::Pod;
use crate::sort::{beside, has, sort_and_dedup, sort_by, sorted_set};

/// The directory of secrets where no annotation names one.
const DEFAULT_DIRECTORY: &str = "/vault/secrets";

/// The name of the agent's init container.
const AGENT_INIT_CONTAINER: &str = "vault-agent-init";

/// A file that the Pod's own annotations make the agent write.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OwnFile {
    path: String,
    /// The annotation that asks for it, in two parts: its beginning, and the name of the secret.
    annotation: (&'static str, String),
}

/// What the Pod says to the Vault Agent injector itself, read once for all of its requests.
pub(super) struct AgentOrders {
    /// The injector's annotations without what they all begin with, by name.
    annotations: Vec<(String, String)>,
    /// The names of those that decide where secrets come from, or what fetches them.
    pub(super) deciding: Vec<String>,
    /// By path.
    own_files: Vec<OwnFile>,
    /// Whether the Pod asks the agent for something itself.
    pub(super) asks: bool,
    /// Whether the Pod has the agent's containers already.
    pub(super) is_injected: bool,
    pub(super) containers: ServedContainers,
}

/// Which of the Pod's containers find the agent's files.
#[derive(Default)]
pub(super) struct ServedContainers {
    /// The value of the annotation that names them; absent where they all do.
    pub(super) list: Option<Rc<str>>,
    /// The names of those that do not.
    pub(super) without: Vec<String>,
    /// The names of those that do, init containers among them.
    pub(super) with: Vec<String>,
    /// The names of init containers that stand before the agent's, in a Pod that has it, or else of all.
    pub(super) before_agent: Vec<String>,
}

impl AgentOrders {
    /// Reads the annotations and the names of the containers of a Pod.
    pub(super) fn read(pod: &Pod<'_>) -> Self {
        let [init_containers, containers] =
            ["initContainers", "containers"].map(|list| pod.container_names(list).collect::<Vec<_>>());
        Self::new(pod.annotations(), &init_containers, &containers)
    }

    fn new<'p>(
        annotations: impl Iterator<Item = (&'p str, &'p str)>,
        init_containers: &[&str],
        containers: &[&str],
    ) -> Self {
        let annotations = annotations.filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        let annotations = sorted_set(annotations.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // One that this version of the injector does not know may decide where secrets come from, or what fetches them.
        let decides = |name: &&String| match effect(name) {
            None | Some(Effect::Decides | Effect::Patches | Effect::Excludes) => true,
            Some(_) => false,
        };
        let deciding = annotations.iter().map(|(name, _)| name).filter(decides).cloned();
        let mut orders = Self {
            deciding: deciding.collect(),
            annotations,
            own_files: Vec::new(),
            asks: false,
            is_injected: init_containers.iter().chain(containers).any(|name| is_agent(name)),
            containers: ServedContainers::default(),
        };
        orders.containers = orders.served(init_containers, containers);
        orders.read_own_secrets();
        orders
    }

    /// Returns the value of the annotation `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        beside(&self.annotations, name).map(String::as_str)
    }

    /// Returns the directory of secrets that have none of their own: that of the policy's files is `ours`, which the policy
    /// sets where the Pod asks the agent for nothing itself.
    pub(super) fn directory<'d>(&'d self, ours: &'d str) -> &'d str {
        let default = if self.asks { DEFAULT_DIRECTORY } else { ours };
        self.get(SECRET_VOLUME_PATH).unwrap_or(default)
    }

    /// Returns whether the annotation `name` is there and true.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    fn served(&self, init_containers: &[&str], containers: &[&str]) -> ServedContainers {
        let list = self.get(AGENT_INJECT_CONTAINERS);
        let named: Option<Vec<&str>> = list.map(|list| sorted_set(list.split(',')));
        let is_served = |name: &str| named.as_ref().is_none_or(|named| has(named, name));
        let mut found = ServedContainers {
            list: list.map(Rc::from),
            ..ServedContainers::default()
        };
        for name in containers.iter().filter(|name| !is_agent(name)) {
            let place = if is_served(name) {
                &mut found.with
            } else {
                &mut found.without
            };
            place.push((*name).to_owned());
        }
        let mut is_before = true;
        for name in init_containers {
            is_before &= *name != AGENT_INIT_CONTAINER;
            if is_before {
                found.before_agent.push((*name).to_owned());
            }
            if !is_agent(name) {
                found.with.push((*name).to_owned());
            }
        }
        for list in [&mut found.without, &mut found.with, &mut found.before_agent] {
            sort_and_dedup(list);
        }
        found
    }

    /// Notes what the Pod asks the agent for itself, and the files that come of it.
    fn read_own_secrets(&mut self) {
        let directory = self.get(SECRET_VOLUME_PATH).unwrap_or(DEFAULT_DIRECTORY);
        // The injector looks at these three in this order.
        let begins = [AGENT_INJECT_SECRET, AGENT_INJECT_TEMPLATE_FILE, AGENT_INJECT_TEMPLATE];
        let secrets = self.annotations.iter().filter(|(_, value)| !value.trim().is_empty());
        let secrets = secrets.filter_map(|(name, _)| {
            let secret = begins
                .iter()
                .find_map(|begin| Some((name.strip_prefix(begin)?, *begin)));
            secret.filter(|(secret, _)| !secret.is_empty())
        });
        let mut secrets: Vec<(&str, &'static str)> = sorted_set(secrets);
        secrets.dedup_by_key(|(secret, _)| *secret);
        let mut files = Vec::with_capacity(secrets.len());
        let mut asks = [AGENT_INJECT_TOKEN, AGENT_CACHE_ENABLE, AGENT_ENABLE_QUIT]
            .iter()
            .any(|name| self.is_on(name));
        for (secret, begin) in secrets {
            let own_directory = self.get(&format!("{SECRET_VOLUME_PATH_OF}{secret}"));
            // Those of ours have a directory of their own: a Pod that has been through here has them already.
            asks |= !is_identity(secret) || own_directory.is_none();
            let name = match self.get(&format!("{AGENT_INJECT_FILE}{secret}")) {
                Some(file) if !file.is_empty() => file.to_owned(),
                _ if self.keeps_case(secret) => secret.to_owned(),
                _ => secret.to_ascii_lowercase(),
            };
            files.push(OwnFile {
                path: cleaned(&format!("{}/{name}", own_directory.unwrap_or(directory))),
                annotation: (begin, secret.to_owned()),
            });
        }
        if self.is_on(AGENT_INJECT_TOKEN) {
            files.push(OwnFile {
                path: cleaned(&format!("{directory}/token")),
                annotation: (AGENT_INJECT_TOKEN, String::new()),
            });
        }
        sort_by(&mut files, OwnFile::cmp);
        self.own_files = files;
        self.asks = asks;
    }

    /// Returns whether the file of the secret `name` is called as the secret is, and not its lower case.
    fn keeps_case(&self, name: &str) -> bool {
        let own = self.get(&format!("{PRESERVE_SECRET_CASE}-{name}"));
        own.or_else(|| self.get(PRESERVE_SECRET_CASE)).is_some_and(is_true)
    }

    /// Returns the annotations, in two parts, that make the agent write at `path`, above or below it, but for those of the
    /// secret `identity`.
    pub(super) fn files_at(&self, path: &str, identity: &str) -> Vec<(&'static str, &str)> {
        let mut found = Vec::new();
        if self.own_files.is_empty() {
            return found;
        }
        let path = cleaned(path);
        let mut from = |path: &str, fits: &dyn Fn(&str) -> bool| {
            let first = self.own_files.partition_point(|file| file.path.as_str() < path);
            let files = self.own_files.iter().skip(first);
            found.extend(
                files
                    .take_while(|file| fits(&file.path))
                    .map(|file| (file.annotation.0, file.annotation.1.as_str()))
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

fn is_agent(container: &str) -> bool {
    matches!(container, "vault-agent" | AGENT_INIT_CONTAINER)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("vault.hashicorp.com/agent-inject-secret-D", "x"),
            ("vault.hashicorp.com/agent-inject-secret-E", "x"),
            ("vault.hashicorp.com/preserve-secret-case", "true"),
            ("vault.hashicorp.com/preserve-secret-case-A", "f"),
            ("vault.hashicorp.com/preserve-secret-case-E", "no"),
            ("vault.hashicorp.com/secret-volume-path", "/v"),
        ];
        let orders = AgentOrders::new(annotations.into_iter(), &[], &[]);
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
        assert_eq!(secret("/v/D/d"), ["agent-inject-secret-D"]);
        assert_eq!(secret("/v/d"), [""; 0]);
        assert_eq!(secret("/v/e"), ["agent-inject-secret-E"]);
        assert!(orders.files_at("/v/a", "A").is_empty());
    }
}
