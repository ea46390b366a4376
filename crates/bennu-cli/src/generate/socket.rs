//! `bennu gen socket`

use clap::Args;
use minijinja::context;

use super::project::{Project, Source};
use super::{Plan, edit};
use crate::error::{Failure, Result};
use crate::name::TypeName;
use crate::template::Templates;

/// Adds a socket, a test of it, a module for the page, and mounts it.
#[derive(Debug, Args)]
pub(super) struct Socket {
    /// What the socket is called, as in Admin or AdminSocket.
    name: String,
}

impl Socket {
    pub(super) fn plan(&self, project: &Project) -> Result<Plan> {
        let given = TypeName::parse(&self.name)?;
        let short = given
            .module
            .strip_suffix("_socket")
            .unwrap_or(&given.module);
        let TypeName { name, module } = TypeName::parse(&format!("{short}_socket"))?;
        let lacks = |what: &str| {
            Failure::new(format_args!(
                "{what}; docs/sockets.md says how to write a socket"
            ))
        };
        let app = project.sources.iter().find(|it| has_tokens(it));
        let app = app
            .ok_or_else(|| lacks("no `App` with `tokens` was found, which the socket would ask"))?;
        let library = project.module("crate");
        let library = library.ok_or_else(|| lacks("src/lib.rs can't be read as Rust"))?;
        let mount = format!("/{}/socket", short.replace('_', "-"));
        let values = context! {
            name => name.as_str(),
            title => name.as_str(),
            module => module.as_str(),
            app_path => format!("{}::App", app.module),
            salt => module.replace('_', " "),
            mount => mount.as_str(),
            crate => project.library.as_str(),
            js_token => format!("{}Token", camel(short)),
        };
        let (mut plan, templates) = (Plan::default(), Templates::new()?);
        let folder = &project.folder;
        let socket = include_str!("../../templates/gen/socket.rs.jinja");
        plan.changes.make(
            folder.join(format!("src/{module}.rs")),
            templates.render(socket, &values)?,
        );
        match edit::add_module(&library.text, &library.file, &module) {
            Some(text) => plan.changes.edit(&library.path, library.text.clone(), text),
            None => return Err(project.has_module(&module, library)),
        }
        if folder.join("page").is_dir() {
            let js = include_str!("../../templates/gen/socket.js.jinja");
            plan.changes.make(
                folder.join(format!("page/{module}.js")),
                templates.render(js, &values)?,
            );
            plan.left.push(format!(
                "in src/page.rs: .route(\"/{module}.js\", asset(JS, include_str!(\"../page/{module}.js\"))), \
                 and window.{}Token by {module}::token",
                camel(short)
            ));
        }
        if project.tests_share("endpoint") {
            let test = include_str!("../../templates/gen/socket_test.rs.jinja");
            plan.changes
                .make(project.test_file(&module), templates.render(test, &values)?);
        } else {
            plan.left
                .push("a test: tests/support/mod.rs has no function `endpoint`".to_owned());
        }
        mount_it(&mut plan, project, &mount, &module, &name);
        Ok(plan)
    }
}

/// Mounts it behind the sockets that are mounted, where that is in one place, or says how.
fn mount_it(plan: &mut Plan, project: &Project, mount: &str, module: &str, name: &str) {
    let path = format!("crate::{module}::{name}");
    let chains = project.chains(|chain| chain.calls.iter().any(super::chain::Call::is_mount));
    let edited = match &*chains {
        [(source, chain)] => {
            let last = chain.calls.iter().rposition(super::chain::Call::is_mount);
            let after = last.map_or(chain.calls.len(), |it| it + 1);
            let call = format!(".socket::<{name}>({mount:?})");
            edit::insert_call(&source.text, chain, after, &call).and_then(|text| {
                let file = syn::parse_file(&text).ok()?;
                Some((*source, edit::add_use(&text, &file, &path)))
            })
        }
        _ => None,
    };
    match edited {
        Some((source, text)) => plan.changes.edit(&source.path, source.text.clone(), text),
        None => plan.left.push(format!(
            "mount it at the endpoint: .socket::<{path}>({mount:?})"
        )),
    }
}

/// Whether a file has `struct App` with a field `tokens`.
fn has_tokens(source: &Source) -> bool {
    source.file.items.iter().any(|it| match it {
        syn::Item::Struct(item) if item.ident == "App" => {
            let mut names = item.fields.iter().filter_map(|it| it.ident.as_ref());
            names.any(|it| it == "tokens")
        }
        _ => false,
    })
}

/// `tap_racer` as JavaScript writes it: `tapRacer`.
fn camel(module: &str) -> String {
    let mut words = module.split('_').filter(|it| !it.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        name + &initial.to_ascii_uppercase() + rest
    })
}
