//! What managers may know of the Pod, the settings and the cluster.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::access::PodRules;
use crate::cluster::Questions;
use crate::options::Options;
use crate::pod::Pod;

/// What managers may know of the Pod and the settings.
pub(crate) struct Context<'a> {
    /// The settings that all managers share.
    pub options: &'a Options,
    /// Whether a reason may suggest another key. Where a Pod goes without what nobody serves, a suggestion would be made
    /// for each of its requests.
    pub suggests: bool,
    /// The namespace of the admission request.
    pub namespace: &'a str,
    pub service_account: &'a str,
    /// Who asked for the Pod.
    pub user: User<'a>,
    /// The cluster, as far as the host lets the policy see it.
    pub cluster: &'a Questions<'a>,
    /// What the settings' `access` says of this Pod.
    pub rules: &'a PodRules<'a>,
    /// The Pod as it came in.
    pub pod: &'a Pod<'a>,
    pub notes: Notes,
}

/// What managers have read of the Pod, each of another type.
#[derive(Default)]
pub(crate) struct Notes(RefCell<Vec<Rc<dyn Any>>>);

/// Who made the admission request.
#[derive(Clone, Copy, Default)]
pub(crate) struct User<'a> {
    pub name: &'a str,
    pub groups: &'a [&'a str],
}

impl Context<'_> {
    /// Returns the Pod's namespace and service account.
    pub(crate) fn owner(&self) -> (&str, &str) {
        (self.namespace, self.service_account)
    }

    /// Returns what `read` reads of the Pod. It is read once for all requests: a Pod may have thousands of labels and
    /// annotations.
    pub(crate) fn of_pod<T: 'static>(&self, read: impl FnOnce(&Pod<'_>) -> T) -> Rc<T> {
        let mut notes = self.notes.0.borrow_mut();
        let known = notes.iter().find_map(|note| Rc::clone(note).downcast().ok());
        known.unwrap_or_else(|| {
            let made = Rc::new(read(self.pod));
            notes.push(Rc::<T>::clone(&made));
            made
        })
    }
}
