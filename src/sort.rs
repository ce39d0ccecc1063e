//! Sorting.
//!
//! The standard library's sort is 9 KiB of code in the module, and more for each further type that is sorted. This one
//! merges, which takes a tenth of that, and sorts positions, whatever they are positions of.

use std::cmp::Ordering;

/// Sorts `items` by `compare`. Equal ones keep their order.
pub(crate) fn sort_by<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    // Mostly they are few, or in order.
    if items.is_sorted_by(|one, other| compare(one, other).is_le()) {
        return;
    }
    let order = positions(items.len(), &|one, other| match (items.get(one), items.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Ordering::Equal,
    });
    let mut unsorted: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(
        order
            .into_iter()
            .filter_map(|position| unsorted.get_mut(position)?.take()),
    );
}

/// Sorts `items` and drops those that are there already.
pub(crate) fn sort_and_dedup<T: Ord>(items: &mut Vec<T>) {
    sort_by(items, T::cmp);
    items.dedup();
}

/// Returns `items` sorted, each once. Such a list takes a fraction of the module that a `BTreeSet` takes, whose `collect`
/// brings the standard library's sort along.
pub(crate) fn sorted_set<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    sort_and_dedup(&mut items);
    items
}

/// Returns whether a [`sorted_set`] has `name`.
pub(crate) fn has<S: AsRef<str>>(set: &[S], name: &str) -> bool {
    set.binary_search_by(|known| known.as_ref().cmp(name)).is_ok()
}

/// Returns what stands beside `name` in `pairs`, which are sorted by their names.
pub(crate) fn beside<'p, T>(pairs: &'p [(String, T)], name: &str) -> Option<&'p T> {
    let position = pairs.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
    pairs.get(position).map(|(_, value)| value)
}

/// The numbers below `length` in the order of `compare`; those that it finds equal in their own.
pub(crate) fn positions(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    let mut merged = Vec::with_capacity(length);
    let mut sorted = 1;
    while sorted < length {
        for pair in order.chunks(sorted.saturating_mul(2)) {
            let (mut left, mut right) = pair.split_at(sorted.min(pair.len()));
            loop {
                let next = match (left.first(), right.first()) {
                    (Some(one), Some(other)) if compare(*other, *one).is_lt() => &mut right,
                    (Some(_), _) => &mut left,
                    _ => &mut right,
                };
                let Some((first, rest)) = next.split_first() else {
                    break;
                };
                merged.push(*first);
                *next = rest;
            }
        }
        std::mem::swap(&mut order, &mut merged);
        merged.clear();
        sorted = sorted.saturating_mul(2);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_and_equal_ones_keep_their_order() {
        for length in 0..70 {
            let mut items: Vec<(usize, usize)> = (0..length).map(|number| (number * 7 % 10, number)).collect();
            let mut expected = items.clone();
            sort_by(&mut items, |(one, _), (other, _)| one.cmp(other));
            expected.sort_by_key(|(key, _)| *key);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn each_item_is_left_once() {
        let mut items = ["b", "a", "c", "a", "b", "a"].to_vec();
        sort_and_dedup(&mut items);
        assert_eq!(items, ["a", "b", "c"]);
    }
}
