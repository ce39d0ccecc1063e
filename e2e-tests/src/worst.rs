//! What the worst inputs of a test cost: the slowest evaluation and the largest answer, for `make growth`.

use std::cell::RefCell;
use std::time::Duration;

#[derive(Default)]
struct Worst {
    slowest: Duration,
    largest: usize,
}

thread_local! {
    /// A test has a thread of its own, which has the test's name.
    static WORST: RefCell<Worst> = RefCell::default();
}

/// Notes an evaluation of the running test: the processor time that it took, and the bytes of its answer.
pub fn note(took: Duration, answer: usize) {
    WORST.with_borrow_mut(|worst| {
        worst.slowest = worst.slowest.max(took);
        worst.largest = worst.largest.max(answer);
    });
}

/// Prints a row of a table where the variable WORST is set.
impl Drop for Worst {
    fn drop(&mut self) {
        if std::env::var_os("WORST").is_some() && !self.slowest.is_zero() {
            let thread = std::thread::current();
            let test = thread
                .name()
                .and_then(|name| name.rsplit("::").next())
                .unwrap_or_default();
            eprintln!("| `{test}` | {} | {} |", self.slowest.as_millis(), self.largest / 1024);
        }
    }
}
