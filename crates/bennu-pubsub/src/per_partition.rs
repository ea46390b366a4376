//! What is known of each partition, found without a lock.

use std::{fmt, sync::OnceLock};

const PAGE: usize = 256;

/// A value for each partition, made when it's first asked for and then kept. For those who write adapters: what a broker
/// calls a partition, and which server has it, needn't be found out for each message.
///
/// It takes 4 KiB, and a page for each 256 partitions that are used.
///
/// ```
/// use bennu_pubsub::PerPartition;
///
/// let names = PerPartition::new();
/// assert_eq!(names.get_or_make(7, || "bennu.p.7".to_owned()), "bennu.p.7");
/// assert_eq!(names.get_or_make(7, || unreachable!("it's kept")), "bennu.p.7");
/// ```
pub struct PerPartition<T> {
    pages: Box<[OnceLock<Page<T>>]>,
}

type Page<T> = Box<[OnceLock<T>]>;

impl<T> PerPartition<T> {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self { pages: empty() }
    }

    /// The value for a partition. Of several threads that ask for it first, one makes it.
    pub fn get_or_make(&self, partition: u16, make: impl FnOnce() -> T) -> &T {
        let (page, place) = (usize::from(partition) / PAGE, usize::from(partition) % PAGE);
        let page = self.pages.get(page).map(|it| it.get_or_init(empty));
        match page.and_then(|it| it.get(place)) {
            Some(value) => value.get_or_init(make),
            None => unreachable!("{partition} of {} partitions", PAGE * PAGE),
        }
    }
}

fn empty<T>() -> Box<[OnceLock<T>]> {
    (0..PAGE).map(|_| OnceLock::new()).collect()
}

impl<T> Default for PerPartition<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for PerPartition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages.iter().filter_map(OnceLock::get);
        let known = pages.flatten().filter(|it| it.get().is_some());
        f.debug_struct("PerPartition")
            .field("known", &known.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_value() {
        let values = PerPartition::new();
        let all = [0, 1, 255, 256, 257, 65_534, 65_535];
        for number in all {
            assert_eq!(*values.get_or_make(number, || number), number);
        }
        for number in all {
            assert_eq!(*values.get_or_make(number, || 7), number);
        }
        assert_eq!(format!("{values:?}"), "PerPartition { known: 7, .. }");
    }
}
