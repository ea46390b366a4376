//! `bennu gen channel`

use std::path::PathBuf;

use clap::Args;
use minijinja::context;

use super::project::{Project, SocketSite};
use super::{Plan, edit};
use crate::error::{Failure, Result};
use crate::name::TypeName;
use crate::template::Templates;

const PATTERN_BYTES_MAX: usize = 128;

/// Adds a channel, a test of it, and the route to it.
#[derive(Debug, Args)]
pub(super) struct Channel {
    /// What the channel is called, as in ChatRoom or chat_room.
    name: String,
    /// The topics that it serves; `name:*` unless it's given.
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// The socket that it belongs to, where there are several.
    #[arg(long, value_name = "NAME")]
    socket: Option<String>,
}

impl Channel {
    pub(super) fn plan(&self, project: &Project) -> Result<Plan> {
        let TypeName { name, module } = TypeName::parse(&self.name)?;
        let pattern = match &self.topic {
            Some(topic) => checked(topic)?,
            None => format!("{module}:*"),
        };
        let socket = self.socket(project)?;
        let mut plan = Plan::default();

        // Beside the other channels, where they have a folder.
        let parent = project
            .module("crate::channels")
            .or_else(|| project.module("crate"));
        let parent = parent
            .ok_or_else(|| Failure::new("src/lib.rs can't be read as Rust; mend it first"))?;
        let folder = match &*parent.module {
            "crate" => project.folder.join("src"),
            _ => project.folder.join("src/channels"),
        };
        let path = format!("{}::{module}::{name}", parent.module);
        let topic = pattern.replace('*', "lobby");
        let shared = socket.name == "UserSocket" && project.tests_share("joined");
        let mount = if shared {
            None
        } else {
            project.mount_of(&socket.name)
        };
        let values = context! {
            name => name.as_str(),
            title => name.as_str(),
            module => module.as_str(),
            topic => topic,
            socket => socket.name.as_str(),
            socket_path => socket.path.as_str(),
            socket_module => socket.source.module.trim_start_matches("crate::"),
            mount => mount.as_deref(),
            crate => project.library.as_str(),
            test => project.test(),
        };
        let templates = Templates::new()?;
        let channel = include_str!("../../templates/gen/channel.rs.jinja");
        let file = folder.join(format!("{module}.rs"));
        plan.changes.make(file, templates.render(channel, &values)?);

        match edit::add_module(&parent.text, &parent.file, &module) {
            Some(text) => plan.changes.edit(&parent.path, parent.text.clone(), text),
            None => return Err(project.has_module(&module, parent)),
        }
        if shared || (mount.is_some() && project.tests_share("endpoint") && has_token(&socket)) {
            let test = include_str!("../../templates/gen/channel_test.rs.jinja");
            let file = project.test_file(&module);
            plan.changes.make(file, templates.render(test, &values)?);
        } else {
            plan.left.push(format!(
                "a test: it isn't plain how a client of {} connects",
                socket.name
            ));
        }
        route(&mut plan, &socket, &pattern, &path, &name)?;
        Ok(plan)
    }

    /// The one that is named, or the only one.
    fn socket<'a>(&self, project: &'a Project) -> Result<SocketSite<'a>> {
        let mut sockets = project.sockets();
        let names: Vec<_> = sockets.iter().map(|it| it.name.clone()).collect();
        if let Some(name) = &self.socket {
            sockets.retain(|it| it.name == *name);
        }
        let there = match &*names {
            [] => "there is no socket; `bennu gen socket NAME` makes one".to_owned(),
            names => format!("say which socket by --socket: {}", names.join(" or ")),
        };
        match (sockets.pop(), sockets.pop()) {
            (Some(socket), None) => Ok(socket),
            _ => Err(Failure::usage(there)),
        }
    }
}

/// Adds the route to the socket's function `channels`, or says how.
fn route(
    plan: &mut Plan,
    socket: &SocketSite<'_>,
    pattern: &str,
    path: &str,
    name: &str,
) -> Result {
    let source = socket.source;
    // A name that means something there already stays what it is.
    let known = source
        .text
        .split(|it: char| !it.is_alphanumeric() && it != '_')
        .any(|it| it == name);
    let called = if known { path } else { name };
    let call = format!(".channel::<{called}>({pattern:?})");
    let Some(chain) = &socket.routes else {
        let place = source.path.display();
        plan.left.push(format!(
            "the route, in `channels` of {place}: .channel::<{path}>({pattern:?})"
        ));
        return Ok(());
    };
    let routes = chain
        .calls
        .iter()
        .map(|it| it.text.as_deref().unwrap_or_default());
    if routes.clone().any(|it| it == pattern) {
        return Err(Failure::new(format_args!(
            "{} has a route for {pattern:?} already; give other topics by --topic",
            socket.name
        )));
    }
    // The first route that matches serves a topic, so a wider one has to come later.
    let wider = |route: &str| {
        let beginning = route.strip_suffix('*');
        beginning.is_some_and(|it| pattern.starts_with(it))
    };
    let after = routes.clone().position(wider).unwrap_or(chain.calls.len());
    let edited = edit::insert_call(&source.text, chain, after, &call);
    let edited = edited.and_then(|text| {
        if known {
            return Some(text);
        }
        let file = syn::parse_file(&text).ok()?;
        Some(edit::add_use(&text, &file, path))
    });
    match edited {
        Some(text) => plan.changes.edit(&source.path, source.text.clone(), text),
        None => plan.left.push(format!("the route: {call}")),
    }
    Ok(())
}

/// Whether the socket's module makes tokens, as those that were made by us do.
fn has_token(socket: &SocketSite<'_>) -> bool {
    let module = socket.source.module.trim_start_matches("crate::");
    if module.contains("::") {
        return false;
    }
    socket.source.file.items.iter().any(|it| match it {
        syn::Item::Fn(function) => function.sig.ident == "token" && function.sig.inputs.len() == 2,
        _ => false,
    })
}

/// A pattern of topics as it may stand in a source: a topic, or a beginning and `*`.
fn checked(pattern: &str) -> Result<String> {
    let refused = |why: &str| {
        Err(Failure::usage(format_args!(
            "{pattern:?} is no pattern of topics: {why}"
        )))
    };
    let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
    if beginning.is_empty() {
        return refused("it has to begin with something, as in room:*");
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return refused("it has more than 128 bytes");
    }
    if beginning.contains('*') {
        return refused("a * may stand at its end only");
    }
    let plain = |it: char| it.is_ascii_graphic() && !"\"\\{}`".contains(it);
    if !beginning.chars().all(plain) {
        return refused("it may have visible characters of ASCII without quotes and braces");
    }
    Ok(pattern.to_owned())
}

impl Project {
    /// Where a test goes.
    pub(super) fn test_file(&self, module: &str) -> PathBuf {
        self.folder.join(format!("tests/{module}.rs"))
    }

    /// The attribute of a test. A paused clock and a database, which is outside of it, don't go together.
    pub(super) fn test(&self) -> &'static str {
        match self.has_database {
            true => "#[tokio::test]",
            false => "#[tokio::test(start_paused = true)]",
        }
    }

    pub(super) fn has_module(&self, module: &str, parent: &super::project::Source) -> Failure {
        let below = parent
            .path
            .strip_prefix(&self.folder)
            .unwrap_or(&parent.path);
        Failure::new(format_args!(
            "{} has a module {module} already, and nothing is overwritten; choose another name",
            below.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_topic_or_a_beginning() {
        let check = |pattern: &str, expected: Result<(), &str>| match (checked(pattern), expected) {
            (Ok(checked), Ok(())) => assert_eq!(checked, pattern),
            (Err(why), Err(part)) => assert!(why.to_string().contains(part), "{why}"),
            (checked, _) => panic!("{pattern}: {checked:?}"),
        };
        check("room:*", Ok(()));
        check("lobby", Ok(()));
        check("*", Err("begin with something"));
        check("", Err("begin with something"));
        check("a*b", Err("at its end only"));
        check("a\"b", Err("without quotes"));
        check("a b", Err("visible"));
        check("a\nb", Err("visible"));
        check(&"a".repeat(129), Err("more than 128"));
    }
}
