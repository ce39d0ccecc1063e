//! The manager `aws`.

#![forbid(unsafe_code)]

use crate::injection::Injection;
use crate::managers::{Context, Manager, Miss};
use crate::requests::SecretRequest;
use crate::settings::fields::{Fields, SettingsError};

/// The manager `aws`.
#[derive(Debug)]
pub struct Aws;

impl Aws {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(_fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        Ok(Self)
    }
}

impl Manager for Aws {
    fn inject(&self, _request: &SecretRequest, _context: &Context<'_>) -> Result<Injection, Miss> {
        Err(Miss::NotHere("being written".to_owned()))
    }
}
