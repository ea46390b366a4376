//! `bennu gen presence`

use clap::Args;
use minijinja::context;

use super::project::Project;
use super::{Plan, edit};
use crate::error::{Failure, Result};
use crate::name::TypeName;
use crate::template::Templates;

/// Adds a handler that says more of who is present, a test of it, and tells the endpoint.
#[derive(Debug, Args)]
pub(super) struct Presence {
    /// What the handler is called.
    #[arg(default_value = "Presence")]
    name: String,
}

impl Presence {
    pub(super) fn plan(&self, project: &Project) -> Result<Plan> {
        let TypeName { name, module } = TypeName::parse(&self.name)?;
        let handled =
            project.chains(|chain| chain.calls.iter().any(|it| it.method == "presence_handler"));
        if let Some((source, _)) = handled.first() {
            return Err(Failure::new(format_args!(
                "{} names a presence handler already, and an endpoint has one; add to that",
                source.path.display()
            )));
        }
        let library = project.module("crate");
        let library = library
            .ok_or_else(|| Failure::new("src/lib.rs can't be read as Rust; mend it first"))?;
        let values = context! { name => name.as_str() };
        let (mut plan, templates) = (Plan::default(), Templates::new()?);
        let handler = include_str!("../../templates/gen/presence.rs.jinja");
        let file = project.folder.join(format!("src/{module}.rs"));
        plan.changes.make(file, templates.render(handler, &values)?);
        match edit::add_module(&library.text, &library.file, &module) {
            Some(text) => plan.changes.edit(&library.path, library.text.clone(), text),
            None => return Err(project.has_module(&module, library)),
        }
        if project.tests_share("endpoint") {
            let test = include_str!("../../templates/gen/presence_test.rs.jinja");
            plan.changes
                .make(project.test_file(&module), templates.render(test, &values)?);
        } else {
            plan.left
                .push("a test: tests/support/mod.rs has no function `endpoint`".to_owned());
        }

        // Where the endpoint is made, before its sockets are mounted.
        let (call, path) = (
            format!(".presence_handler({name})"),
            format!("crate::{module}::{name}"),
        );
        let edited = match &*project.chains(|chain| chain.base_is_endpoint) {
            [(source, chain)] => {
                edit::insert_call(&source.text, chain, 0, &call).and_then(|text| {
                    let file = syn::parse_file(&text).ok()?;
                    Some((
                        source.path.clone(),
                        source.text.clone(),
                        edit::add_use(&text, &file, &path),
                    ))
                })
            }
            _ => None,
        };
        match edited {
            Some((path, before, after)) => plan.changes.edit(path, before, after),
            None => plan.left.push(format!(
                "tell the endpoint before sockets are mounted: .presence_handler({path})"
            )),
        }
        Ok(plan)
    }
}
