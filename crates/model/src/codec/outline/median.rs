//! Which of what is counted was used most.

/// The middle one of the numbers; `None` of none.
pub(super) fn median(mut numbers: Vec<u32>) -> Option<u32> {
    let middle = numbers.len() / 2;
    (!numbers.is_empty()).then(|| *numbers.select_nth_unstable(middle).1)
}
