//! A Markdown page with places that are filled by a program: from `<!-- bench: NAME -->` to `<!-- end -->`.

use crate::Result;

const END: &str = "<!-- end -->";

pub(super) struct Page(pub(super) String);

impl Page {
    /// Replaces what stands in the place `name`.
    pub(super) fn fill(&mut self, name: &str, text: &str) -> Result<()> {
        let begin = format!("<!-- bench: {name} -->\n");
        let missing = || format!("the page has no place for {name:?}");
        let (before, rest) = self.0.split_once(&begin).ok_or_else(missing)?;
        let (_, after) = rest.split_once(END).ok_or_else(missing)?;
        self.0 = format!("{before}{begin}{text}{END}{after}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TITLES;

    #[test]
    fn a_place_is_filled_again_and_again() {
        let mut page = Page("# Page\n<!-- bench: a -->\nold\n<!-- end -->\nrest\n".into());
        page.fill("a", "new\n").unwrap();
        page.fill("a", "newer\n").unwrap();
        assert_eq!(
            page.0,
            "# Page\n<!-- bench: a -->\nnewer\n<!-- end -->\nrest\n"
        );
        assert!(page.fill("b", "new\n").is_err());
    }

    #[test]
    fn the_page_has_a_place_for_all_that_is_measured() {
        let mut page = Page(include_str!("../../../docs/performance.md").into());
        for name in TITLES.iter().chain(&["run", "targets"]) {
            page.fill(name, "").unwrap();
        }
    }
}
