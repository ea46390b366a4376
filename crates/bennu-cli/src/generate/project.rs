//! The application that is added to, as far as its sources say.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, ItemImpl, ItemMod, Type};

use super::chain::{Chain, chains};
use crate::error::{Failure, Result};

/// More isn't read of a project.
const FILES_MAX: usize = 2_000;
const FILE_BYTES_MAX: u64 = 1_000_000;
/// Brackets in brackets. The parser calls itself for each, so deeper files aren't shown to it.
const NESTING_MAX: usize = 200;

/// An application with a library, as `bennu new` makes them.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    /// The name of its library.
    pub(super) library: String,
    /// Whether it has a database, outside of a test's clock.
    pub(super) has_database: bool,
    /// The files of its library that could be read and parsed.
    pub(super) sources: Vec<Source>,
}

/// A file of the library.
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Where it stands: `crate::channels`.
    pub(super) module: String,
    pub(super) text: String,
    pub(super) file: syn::File,
}

/// A type that implements `Socket`.
pub(super) struct SocketSite<'a> {
    pub(super) source: &'a Source,
    /// `UserSocket`
    pub(super) name: String,
    /// `crate::user_socket::UserSocket`
    pub(super) path: String,
    /// The value of its function `channels`, where that is a chain of calls and nothing else.
    pub(super) routes: Option<Chain>,
}

impl Project {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let text = read(&manifest).map_err(|error| {
            Failure::new(format_args!(
                "failed to read {}: {error}; run it in an application's folder, or name that by --path",
                manifest.display()
            ))
        })?;
        let parsed: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let why = error.message();
            Failure::new(format_args!("{} is broken: {why}", manifest.display()))
        })?;
        let lacks = |what: &str| {
            Failure::new(format_args!(
                "{} {what}; applications made by `bennu new` can be added to",
                folder.display()
            ))
        };
        let depends = |on: &str| {
            let table = parsed.get("dependencies").and_then(|it| it.as_table());
            table.is_some_and(|it| it.contains_key(on))
        };
        let name_of = |table: &str| parsed.get(table)?.get("name")?.as_str();
        let package =
            name_of("package").ok_or_else(|| lacks("has no package in its Cargo.toml"))?;
        if !depends("bennu") {
            return Err(lacks("doesn't depend on bennu"));
        }
        if !folder.join("src/lib.rs").is_file() {
            return Err(lacks("has no src/lib.rs"));
        }
        let mut sources = Vec::new();
        read_sources(&folder.join("src"), "crate", &mut sources)?;
        Ok(Self {
            folder: folder.to_owned(),
            library: name_of("lib").unwrap_or(package).replace('-', "_"),
            has_database: depends("sqlx"),
            sources,
        })
    }

    /// The source of a module: `crate::channels`.
    pub(super) fn module(&self, module: &str) -> Option<&Source> {
        self.sources.iter().find(|it| it.module == module)
    }

    /// Whether the tests have a function `name` in what they share.
    pub(super) fn tests_share(&self, name: &str) -> bool {
        let shared = self.folder.join("tests/support/mod.rs");
        let text = read(&shared).unwrap_or_default();
        text.contains(&format!("pub async fn {name}("))
    }

    /// All types that implement `Socket`.
    pub(super) fn sockets(&self) -> Vec<SocketSite<'_>> {
        let mut sites = Vec::new();
        for source in &self.sources {
            collect_sockets(source, &source.module, &source.file.items, &mut sites);
        }
        sites
    }

    /// The chains of calls that mean something to a generator, and where they stand.
    pub(super) fn chains(&self, wanted: impl Fn(&Chain) -> bool) -> Vec<(&Source, Chain)> {
        let all = self.sources.iter().flat_map(|source| {
            let chains = chains(&source.file);
            chains.into_iter().map(move |chain| (source, chain))
        });
        all.filter(|(_, chain)| wanted(chain)).collect()
    }

    /// Where a socket is mounted, if that is written as a text in one place.
    pub(super) fn mount_of(&self, socket: &str) -> Option<String> {
        let chains = self.chains(|chain| chain.calls.iter().any(|it| it.mounts(socket)));
        let [(_, chain)] = &*chains else {
            return None;
        };
        let mut mounts = chain.calls.iter().filter(|it| it.mounts(socket));
        match (mounts.next(), mounts.next()) {
            (Some(mount), None) => mount.text.clone(),
            _ => None,
        }
    }
}

/// The library's files below `folder`, whose module is `module`. Files that aren't Rust as we know it are left out,
/// as are the programs beside the library.
fn read_sources(folder: &Path, module: &str, sources: &mut Vec<Source>) -> Result {
    let failed = |error: io::Error| {
        Failure::new(format_args!("failed to read {}: {error}", folder.display()))
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if sources.len() == FILES_MAX {
            return Err(Failure::new(format_args!(
                "{} has more than {FILES_MAX} files",
                folder.display()
            )));
        }
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_root = module == "crate";
        if kind.is_dir() {
            if !(is_root && name == "bin") {
                read_sources(&path, &format!("{module}::{name}"), sources)?;
            }
            continue;
        }
        let module = match name.strip_suffix(".rs") {
            Some("main") if is_root => continue,
            Some("lib") if is_root => module.to_owned(),
            Some("mod") if !is_root => module.to_owned(),
            Some(name) => format!("{module}::{name}"),
            None => continue,
        };
        sources.extend(read_source(path, module));
    }
    Ok(())
}

fn read_source(path: PathBuf, module: String) -> Option<Source> {
    let text = read(&path).ok()?;
    // The parser takes these two away, and places would be off by them.
    let shifted = text.starts_with('\u{feff}') || text.starts_with("#!/");
    if shifted || nesting(&text) > NESTING_MAX {
        return None;
    }
    let file = syn::parse_file(&text).ok()?;
    Some(Source {
        path,
        module,
        text,
        file,
    })
}

/// The text of a file, if it isn't too long.
fn read(path: &Path) -> io::Result<String> {
    let (file, mut text) = (fs::File::open(path)?, String::new());
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other("it has more than a million bytes")),
        false => Ok(text),
    }
}

/// How deep brackets stand in brackets, at most; those in texts and comments count along.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn collect_sockets<'a>(
    source: &'a Source,
    module: &str,
    items: &[Item],
    sites: &mut Vec<SocketSite<'a>>,
) {
    for item in items {
        match item {
            Item::Impl(item) => sites.extend(socket(source, module, item)),
            Item::Mod(ItemMod {
                attrs,
                ident,
                content: Some((_, items)),
                ..
            }) if !super::chain::is_test(attrs) => {
                collect_sockets(source, &format!("{module}::{ident}"), items, sites);
            }
            _ => {}
        }
    }
}

/// `impl Socket for Name`, for a type of this module.
fn socket<'a>(source: &'a Source, module: &str, item: &ItemImpl) -> Option<SocketSite<'a>> {
    let implemented = &item.trait_.as_ref()?.0;
    if implemented.segments.last()?.ident != "Socket" {
        return None;
    }
    let Type::Path(of) = &*item.self_ty else {
        return None;
    };
    let name = of.path.get_ident()?.to_string();
    let channels = item.items.iter().find_map(|it| match it {
        ImplItem::Fn(function) if function.sig.ident == "channels" => Some(function),
        _ => None,
    });
    let routes = channels.and_then(|function| match &*function.block.stmts {
        [syn::Stmt::Expr(value, None)] => Chain::of(value),
        _ => None,
    });
    Some(SocketSite {
        source,
        path: format!("{module}::{name}"),
        name,
        // A chain on anything but the argument may be a condition or a macro.
        routes: routes.filter(|chain| chain.base_is_name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_not_parsed() {
        assert_eq!(nesting("fn a() { b([c, (d)]) }"), 4);
        assert_eq!(nesting("))) {"), 1);
        let folder = tempfile::tempdir().unwrap();
        let check = |text: &str, parsed: bool| {
            let path = folder.path().join("a.rs");
            fs::write(&path, text).unwrap();
            assert_eq!(read_source(path, String::new()).is_some(), parsed, "{text}");
        };
        check("fn a() {}", true);
        check("fn a( {}", false);
        check(&"// \n".repeat(250_000), true);
        check(&"// \n".repeat(250_001), false);
        check("\u{feff}fn a() {}", false);
        let deep = format!(
            "const A: u8 = {}1{};",
            "(".repeat(50_000),
            ")".repeat(50_000)
        );
        check(&deep, false);
    }
}
