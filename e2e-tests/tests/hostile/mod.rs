//! Pods that nobody would write, and what has to hold for each of them. The property tests and the fuzz target
//! `validate_pods` share them.

pub mod case;
pub mod laws;
