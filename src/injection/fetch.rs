//! How the Pod asks a manager for the init containers that fetch its secrets.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::json::{Node, tree};

/// Makes init containers that write secrets into memory volumes: a manager, as the Pod sees it.
pub(crate) trait Fetcher {
    /// Returns the init containers that fetch what `fetch` lists.
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer>;
}

/// A secret that an init container fetches.
#[derive(Clone)]
pub(crate) struct Fetched<'m> {
    /// What makes the init container. Secrets of the same fetcher share containers.
    pub fetcher: &'m dyn Fetcher,
    /// The name of the memory volume for the fetcher's files, when it is free.
    pub volume: &'static str,
    /// What the fetcher needs to fetch the secret; its own matter.
    pub arguments: Vec<String>,
    /// Whether the Pod starts without it where the store does not have it.
    pub optional: bool,
}

impl<'m> Fetched<'m> {
    /// Leaves what `arguments` say to `fetcher`.
    pub(crate) fn new(fetcher: &'m dyn Fetcher, volume: &'static str, arguments: Vec<String>) -> Self {
        Self {
            fetcher,
            volume,
            arguments,
            optional: false,
        }
    }
}

/// Two secrets are the same where one fetcher gets the same arguments. Fetchers are compared by identity: two of equal
/// settings may stand for different stores.
impl PartialEq for Fetched<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.fetcher, other.fetcher)
            && self.arguments == other.arguments
            && self.optional == other.optional
    }
}

/// Arguments may be values of secrets, so there is no derived `Debug`.
impl fmt::Debug for Fetched<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fetched")
    }
}

/// What a manager is to fetch for one Pod.
pub(crate) struct Fetch<'a> {
    /// The secrets, in the order of the requests.
    pub items: &'a [FetchItem<'a>],
    /// Where an init container is to mount the first memory volume: nothing else is mounted there.
    pub directory: &'a str,
}

/// One secret to fetch.
pub(crate) struct FetchItem<'a> {
    /// What the manager put into its injection.
    pub fetched: &'a Fetched<'a>,
    /// Where the value is to be written: one place for each volume that is to hold it.
    pub targets: Vec<FetchTarget>,
}

/// A place for a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchTarget {
    /// The memory volume; an init container mounts it where it likes, see [`FetchContainer::mounts`].
    pub volume: usize,
    /// The path in the volume.
    pub path: String,
    /// The name in a file of variables, where the value is to be written as such a file.
    pub variable: Option<String>,
    /// The permissions of the file, where the request names them.
    pub mode: Option<u16>,
}

/// An init container without its mounts, which [`crate::pod`] adds.
pub(crate) struct FetchContainer {
    /// Its name, or the beginning of it.
    pub name: ContainerName,
    /// The container's fields but for `name` and `volumeMounts`.
    pub spec: Node<'static>,
    /// Which memory volumes it mounts, and where.
    pub mounts: Vec<(usize, String)>,
    /// Further volumes, which it reads.
    pub volumes: Vec<FetchVolume>,
}

/// A volume that an init container reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FetchVolume {
    /// The volume's name, when it is free.
    pub name: &'static str,
    /// What it holds.
    pub source: VolumeSource,
    /// Where the container mounts it.
    pub path: &'static str,
}

/// A volume without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeSource {
    /// The field that holds the source, such as `secret`.
    pub kind: &'static str,
    /// The source, as JSON.
    pub json: Rc<String>,
}

impl VolumeSource {
    pub(crate) fn new(kind: &'static str, json: String) -> Self {
        let json = json.into();
        Self { kind, json }
    }

    /// Returns the volume for comparisons.
    pub(crate) fn to_value(&self) -> Value {
        tree([(self.kind, Node::Made(self.json.clone()).to_value())])
    }
}

/// The name of an init container that we add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerName {
    /// This name, when it is free.
    Exact(&'static str),
    /// This, a dash and a number.
    Numbered(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fetcher that looks like every other one. It has a field, as values without a size may share an address.
    struct Client(u8);

    impl Fetcher for Client {
        fn fetch(&self, _fetch: &Fetch<'_>) -> Vec<FetchContainer> {
            Vec::new()
        }
    }

    #[test]
    fn fetchers_are_compared_by_identity() {
        let (one, other) = (Client(0), Client(0));
        assert_eq!(one.0, other.0);
        let fetched = |client, argument: &str| Fetched::new(client, "secrets", vec![argument.to_owned()]);
        assert_eq!(fetched(&one, "a"), fetched(&one, "a"));
        assert_ne!(fetched(&one, "a"), fetched(&one, "b"));
        assert_ne!(fetched(&one, "a"), fetched(&other, "a"));
    }

    #[test]
    fn arguments_stay_out_of_debug_output() {
        let client = Client(0);
        let fetched = Fetched::new(&client, "secrets", vec!["s3cr3t".to_owned()]);
        assert_eq!(format!("{fetched:?}"), "Fetched");
    }
}
