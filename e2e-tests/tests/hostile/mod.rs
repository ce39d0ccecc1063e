//! Pods that nobody would write, and what has to hold for each of them. The property tests and the fuzz target
//! `validate_pods` share them.

// Each program that shares them uses a part.
#![allow(dead_code)]

pub mod case;
pub mod laws;
