//! Edits of Rust's sources that leave them as rustfmt would have them.

use syn::spanned::Spanned as _;
use syn::{File, Item, UseTree, Visibility};

use super::chain::Chain;

/// rustfmt's `chain_width`: what is longer goes on lines of its own.
const CHAIN_CHARS_MAX: usize = 60;

/// `text` with `.call()` in a chain, behind `after` of its calls. `None` if the chain isn't of this text.
pub(super) fn insert_call(text: &str, chain: &Chain, after: usize, call: &str) -> Option<String> {
    let (base, whole) = (text.get(chain.base.clone())?, chain.range());
    let calls = chain.calls.iter().map(|it| text.get(it.range.clone()));
    let mut calls = calls.collect::<Option<Vec<_>>>()?;
    let (before, rest) = (text.get(..whole.start)?, text.get(whole.end..)?);
    let indent = indent_of(before.rsplit('\n').next().unwrap_or_default());
    let stands = text.get(whole)?;
    if stands.contains('\n') || stands.len() > base.len() + calls.concat().len() {
        // As it stands, comments too, and a line more.
        let own = chain.calls.iter().find_map(|it| {
            let line = text.get(..it.range.start)?.rsplit('\n').next()?;
            line.trim().is_empty().then_some(line)
        });
        let own = own.map_or_else(|| format!("{indent}    "), str::to_owned);
        let last = after.checked_sub(1).and_then(|it| chain.calls.get(it));
        let at = last.map_or(chain.base.end, |it| it.range.end);
        return Some(format!(
            "{}\n{own}{call}{}",
            text.get(..at)?,
            text.get(at..)?
        ));
    }
    calls.insert(after.min(calls.len()), call);
    let line = format!("{base}{}", calls.concat());
    if line.len() <= CHAIN_CHARS_MAX {
        return Some(format!("{before}{line}{rest}"));
    }
    let lines: String = calls
        .iter()
        .map(|it| format!("\n{indent}    {it}"))
        .collect();
    Some(format!("{before}{base}{lines}{rest}"))
}

/// `text` with `mod module;` among its modules, as visible as they are. `None` when there is such a module.
pub(super) fn add_module(text: &str, file: &File, module: &str) -> Option<String> {
    let modules = file.items.iter().filter_map(|it| match it {
        Item::Mod(item) if item.content.is_none() => Some(item),
        _ => None,
    });
    let modules: Vec<_> = modules.collect();
    if modules.iter().any(|it| it.ident == module) {
        return None;
    }
    let visible = match modules.first().map(|it| &it.vis) {
        Some(Visibility::Inherited) => "",
        Some(other) => text.get(other.span().byte_range()).unwrap_or("pub"),
        None => "pub",
    };
    let line = format!("{visible} mod {module};");
    let line = line.trim_start();
    let later = modules
        .iter()
        .find(|it| it.ident.to_string().as_str() > module);
    let at = match (later, modules.last(), file.items.first()) {
        (Some(later), ..) => {
            return Some(insert(text, later.span().byte_range().start, line, "\n"));
        }
        (None, Some(last), _) => last.span().byte_range().end,
        (None, None, Some(first)) => {
            return Some(insert(text, first.span().byte_range().start, line, "\n\n"));
        }
        (None, None, None) => {
            return Some(
                format!("{}\n\n{line}\n", text.trim_end())
                    .trim_start()
                    .to_owned(),
            );
        }
    };
    Some(insert(text, at, &format!("\n{line}"), ""))
}

/// `text` with `use path;` among its imports.
pub(super) fn add_use(text: &str, file: &File, path: &str) -> String {
    let line = format!("use {path};");
    let uses = file.items.iter().filter_map(|it| match it {
        Item::Use(item) => Some(item),
        _ => None,
    });
    let uses: Vec<_> = uses.collect();
    let own = uses.iter().filter(|it| match &it.tree {
        UseTree::Path(path) => path.ident == "crate",
        _ => false,
    });
    let own: Vec<_> = own.collect();
    let later = own.iter().find(|it| {
        let stands = text.get(it.span().byte_range());
        stands.is_some_and(|it| it > line.as_str())
    });
    match (later, own.last(), uses.last(), file.items.first()) {
        (Some(later), ..) => insert(text, later.span().byte_range().start, &line, "\n"),
        (None, Some(last), ..) => {
            insert(text, last.span().byte_range().end, &format!("\n{line}"), "")
        }
        (None, None, Some(last), _) => insert(
            text,
            last.span().byte_range().end,
            &format!("\n\n{line}"),
            "",
        ),
        (None, None, None, Some(first)) => {
            insert(text, first.span().byte_range().start, &line, "\n\n")
        }
        (None, None, None, None) => format!("{line}\n{text}"),
    }
}

/// The lines by which two texts differ, those that go behind `-` and those that come behind `+`.
pub(super) fn difference(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let differences = similar(&before, &after);
    differences
        .into_iter()
        .map(|(sign, line)| format!("  {sign} {line}"))
        .collect()
}

/// What is taken from `before` and put into `after`, in order. Lines are found again as soon as they can be, which
/// tells few insertions well.
fn similar<'a>(mut before: &[&'a str], mut after: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut found = Vec::new();
    loop {
        match (before.split_first(), after.split_first()) {
            (Some((old, olds)), Some((new, news))) if old == new => (before, after) = (olds, news),
            (Some((old, olds)), _) if !after.contains(old) => {
                found.push(('-', *old));
                before = olds;
            }
            (_, Some((new, news))) => {
                found.push(('+', *new));
                after = news;
            }
            // Not reached: what is left of `before` alone isn't in an empty `after`.
            (Some(_), None) | (None, None) => return found,
        }
    }
}

/// `text` with `line` and `end` at a place.
fn insert(text: &str, at: usize, line: &str, end: &str) -> String {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    format!("{before}{line}{end}{after}")
}

fn indent_of(line: &str) -> &str {
    let code = line.trim_start();
    line.get(..line.len() - code.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chain::chains;

    #[test]
    fn a_call_goes_where_rustfmt_would_have_it() {
        let check = |text: &str, after: usize, call: &str, expected: &str| {
            let chains = chains(&syn::parse_file(text).unwrap());
            let edited = insert_call(text, chains.first().unwrap(), after, call);
            assert_eq!(edited.as_deref(), Some(expected));
        };
        check("fn a() { b.c() }", 1, ".d()", "fn a() { b.c().d() }");
        check("fn a() { b.c() }", 0, ".d()", "fn a() { b.d().c() }");
        check(
            "fn a() {\n    routes.channel::<Room>(\"room:*\")\n}",
            1,
            ".channel::<ChatRoom>(\"chat_room:*\")",
            "fn a() {\n    routes\n        .channel::<Room>(\"room:*\")\n        .channel::<ChatRoom>(\"chat_room:*\")\n}",
        );
        check(
            "fn a() {\n    b\n        .c() // see?\n        .d()\n}",
            1,
            ".e()",
            "fn a() {\n    b\n        .c()\n        .e() // see?\n        .d()\n}",
        );
        check(
            "fn a() {\n    let x = Endpoint::new(app)\n        .c();\n}",
            0,
            ".e()",
            "fn a() {\n    let x = Endpoint::new(app)\n        .e()\n        .c();\n}",
        );
    }

    #[test]
    fn a_module_goes_among_the_others() {
        let check = |text: &str, expected: Option<&str>| {
            let edited = add_module(text, &syn::parse_file(text).unwrap(), "m");
            assert_eq!(edited.as_deref(), expected, "{text}");
        };
        check(
            "//! A.\n\nmod a;\nmod z;\n",
            Some("//! A.\n\nmod a;\nmod m;\nmod z;\n"),
        );
        check(
            "pub mod a;\n\nfn b() {}\n",
            Some("pub mod a;\npub mod m;\n\nfn b() {}\n"),
        );
        check(
            "pub(crate) mod a;\n",
            Some("pub(crate) mod a;\npub(crate) mod m;\n"),
        );
        check(
            "//! A.\n\nuse b;\n",
            Some("//! A.\n\npub mod m;\n\nuse b;\n"),
        );
        check("//! A.\n", Some("//! A.\n\npub mod m;\n"));
        check("", Some("pub mod m;\n"));
        check("mod m;\n", None);
    }

    #[test]
    fn an_import_goes_among_the_others() {
        let check = |text: &str, expected: &str| {
            let edited = add_use(text, &syn::parse_file(text).unwrap(), "crate::m::M");
            assert_eq!(edited, expected);
        };
        check(
            "use std::a;\n\nuse crate::{b, c};\n",
            "use std::a;\n\nuse crate::m::M;\nuse crate::{b, c};\n",
        );
        check(
            "use crate::a::A;\n\nfn b() {}\n",
            "use crate::a::A;\nuse crate::m::M;\n\nfn b() {}\n",
        );
        check(
            "use std::a;\n\nfn b() {}\n",
            "use std::a;\n\nuse crate::m::M;\n\nfn b() {}\n",
        );
        check(
            "//! A.\n\nfn b() {}\n",
            "//! A.\n\nuse crate::m::M;\n\nfn b() {}\n",
        );
    }

    #[test]
    fn a_difference_names_the_lines_that_change() {
        let check = |before: &str, after: &str, expected: &[&str]| {
            assert_eq!(difference(before, after), expected);
        };
        check("a\nb\n", "a\nb\n", &[]);
        check("a\nb\n", "a\nx\nb\n", &["  + x"]);
        check("a\nb\nc\n", "a\nx\ny\nc\n", &["  - b", "  + x", "  + y"]);
        check("a\n", "", &["  - a"]);
    }
}
