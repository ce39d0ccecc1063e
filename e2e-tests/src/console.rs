//! The lines that a policy writes to waPC's console.
//!
//! waPC's host sends them to the crate `log`, from the thread that runs the guest. So this is a logger that keeps, for
//! the current thread, what was logged while [`capture`] ran.

use std::{cell::RefCell, sync::Once};

use log::{LevelFilter, Log, Metadata, Record};

struct Console;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

static INSTALL: Once = Once::new();

/// Runs `f`, and returns the console's lines with its result. There are none in a program that has a logger already.
pub(crate) fn capture<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    INSTALL.call_once(|| {
        if log::set_logger(&Console).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    });
    LINES.set(Some(Vec::new()));
    let result = f();
    (result, LINES.take().unwrap_or_default())
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("wapc::")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        // waPC puts "Guest module <id>: " before the guest's own words.
        let line = text.split_once(": ").map_or(text.as_str(), |(_, line)| line);
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push(line.to_owned());
            }
        });
    }

    fn flush(&self) {}
}
