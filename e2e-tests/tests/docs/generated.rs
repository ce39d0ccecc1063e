//! Documents that `make bench` writes into.

use e2e_tests::bench::MARKS;

use super::markdown::Document;

#[test]
fn there_is_a_place_for_the_figures() {
    for path in ["docs/benchmarks.md", "docs/scaling.md"] {
        let document = Document::read(path);
        for mark in [MARKS.0, MARKS.1] {
            assert_eq!(document.text.matches(mark).count(), 1, "{path}: {mark}");
        }
    }
}
