//! The whole of `validate` on Pods that the API server would accept, see `e2e-tests/tests/hostile`.
#![no_main]

#[path = "../../e2e-tests/tests/hostile/mod.rs"]
mod hostile;

use hostile::case::Case;
use libfuzzer_sys::fuzz_target;
use secret_injector_policy::admission;

fuzz_target!(|bytes: &[u8]| {
    let cluster = Case::cluster();
    hostile::laws::check(&Case::from_bytes(bytes), &mut |payload| {
        admission::validate(payload, &cluster)
    });
});
