//! All cases.

mod bodies;
mod floods;
mod fragments;
mod frames;
mod heads;
mod hurry;
mod messages;
mod pinging;
mod reading;
mod silence;
mod tokens;

use crate::case::Case;

/// All cases, those first that wait.
pub(crate) fn all() -> Vec<Case> {
    let all: [&[Case]; 10] = [
        silence::CASES,
        messages::CASES,
        frames::CASES,
        fragments::CASES,
        heads::CASES,
        tokens::CASES,
        bodies::CASES,
        floods::CASES,
        hurry::CASES,
        reading::CASES,
    ];
    all.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = all().iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
        assert!(!names.contains(&"soak"), "that is a command");
    }
}
