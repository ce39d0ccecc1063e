//! Documents that `make bench` and `make bench-go` write into.

use e2e_tests::bench::marks;

use super::markdown::Document;

#[test]
fn there_is_a_place_for_the_figures() {
    for (path, target) in [
        ("docs/contributing/benchmarks.md", "bench"),
        ("docs/contributing/benchmarks.md", "bench-go"),
        ("docs/how-to/size.md", "bench"),
    ] {
        let document = Document::read(path);
        let (from, to) = marks(target);
        for mark in [from, to] {
            assert_eq!(document.text.matches(&mark).count(), 1, "{path}: {mark}");
        }
    }
}
