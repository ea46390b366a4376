//! Chains of method calls in Rust's sources: `routes.channel::<Room>("room:*")`.

use std::ops::Range;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, ExprMethodCall, GenericArgument, ItemFn, ItemMod, Lit, Meta, Type,
};

/// An expression and the methods called on it, one on the value of the other. Ranges are of bytes in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) base: Range<usize>,
    /// Whether the base is a variable.
    pub(super) base_is_name: bool,
    /// Whether it is `Endpoint::new(...)`.
    pub(super) base_is_endpoint: bool,
    pub(super) calls: Vec<Call>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// From its dot to its closing bracket.
    pub(super) range: Range<usize>,
    pub(super) method: String,
    /// The last name of the type it is given: `Room` of `::<rooms::Room>`.
    pub(super) type_name: Option<String>,
    /// Its first argument, where that is a text.
    pub(super) text: Option<String>,
}

impl Chain {
    /// An expression as a chain. One without calls is a chain too.
    pub(super) fn of(expression: &Expr) -> Option<Self> {
        let mut calls = Vec::new();
        let mut base = expression;
        while let Expr::MethodCall(call) = base {
            calls.push(Call::of(call));
            base = &call.receiver;
        }
        calls.reverse();
        let base_is_name = matches!(base, Expr::Path(path) if path.path.get_ident().is_some());
        let base_is_endpoint = matches!(base, Expr::Call(call) if makes_endpoint(call));
        // What has macros within is more than it shows.
        (!matches!(base, Expr::Macro(_))).then(|| Self {
            base: base.span().byte_range(),
            base_is_name,
            base_is_endpoint,
            calls,
        })
    }

    pub(super) fn range(&self) -> Range<usize> {
        let end = self.calls.last().map_or(self.base.end, |it| it.range.end);
        self.base.start..end
    }
}

impl Call {
    fn of(call: &ExprMethodCall) -> Self {
        let start = call.dot_token.span().byte_range().start;
        let end = call.paren_token.span.close().byte_range().end;
        let given = call.turbofish.as_ref().and_then(|it| it.args.first());
        let type_name = given.and_then(|it| match it {
            GenericArgument::Type(Type::Path(path)) => path.path.segments.last(),
            _ => None,
        });
        let text = call.args.first().and_then(|it| match it {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        });
        Self {
            range: start..end,
            method: call.method.to_string(),
            type_name: type_name.map(|it| it.ident.to_string()),
            text,
        }
    }

    /// Whether it mounts a socket of channels.
    pub(super) fn is_mount(&self) -> bool {
        self.type_name.is_some() && ["socket", "socket_with"].contains(&&*self.method)
    }

    /// Whether it mounts this one.
    pub(super) fn mounts(&self, socket: &str) -> bool {
        self.is_mount() && self.type_name.as_deref() == Some(socket)
    }
}

fn makes_endpoint(call: &ExprCall) -> bool {
    let Expr::Path(path) = &*call.func else {
        return false;
    };
    let mut names = path.path.segments.iter().rev().map(|it| &it.ident);
    names.next().is_some_and(|it| it == "new") && names.next().is_some_and(|it| it == "Endpoint")
}

/// `#[cfg(test)]` and `#[test]`, and whatever else names tests.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        let named = it
            .path()
            .segments
            .last()
            .is_some_and(|it| it.ident == "test");
        let condition = match &it.meta {
            Meta::List(list) => {
                list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
            }
            Meta::Path(_) | Meta::NameValue(_) => false,
        };
        named || condition
    })
}

/// All chains of a file that aren't in its tests, none twice as a part of a longer one.
pub(super) fn chains(file: &syn::File) -> Vec<Chain> {
    let mut found = Found(Vec::new());
    found.visit_file(file);
    found.0
}

struct Found(Vec<Chain>);

impl<'ast> Visit<'ast> for Found {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        let mut inner = expression;
        if matches!(expression, Expr::MethodCall(_) | Expr::Call(_)) {
            self.0.extend(Chain::of(expression));
            while let Expr::MethodCall(call) = inner {
                for argument in &call.args {
                    self.visit_expr(argument);
                }
                inner = &call.receiver;
            }
        }
        match inner {
            // It's the base of the chain that was found just now.
            Expr::Call(call) => visit::visit_expr_call(self, call),
            other => visit::visit_expr(self, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chains of a source, as they stand there, with the texts of their calls' first arguments.
    fn found(text: &str) -> Vec<(&str, Vec<&str>)> {
        let file = syn::parse_file(text).unwrap();
        let chains = chains(&file).into_iter().map(|chain| {
            let calls = chain.calls.iter().map(|it| &text[it.range.clone()]);
            (&text[chain.range()], calls.collect())
        });
        chains.collect()
    }

    #[test]
    fn chains_are_found_where_they_stand() {
        let check = |text: &str, expected: &[(&str, &[&str])]| {
            let found = found(text);
            let found: Vec<_> = found.iter().map(|(it, calls)| (*it, &**calls)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("fn a() { 1 + b }", &[]);
        check(
            "// ä\nfn a() { b.c::<D>(\"e\").f() }",
            &[("b.c::<D>(\"e\").f()", &[".c::<D>(\"e\")", ".f()"])],
        );
        check(
            "fn a() { let x = Endpoint::new(b.c()); }",
            &[("Endpoint::new(b.c())", &[]), ("b.c()", &[".c()"])],
        );
        check(
            "fn a() { Endpoint::new(b)\n.c(d.e()) }",
            &[
                ("Endpoint::new(b)\n.c(d.e())", &[".c(d.e())"]),
                ("d.e()", &[".e()"]),
            ],
        );
        check("#[cfg(test)] mod tests { fn a() { b.c() } }", &[]);
        check("#[tokio::test] async fn a() { b.c() }", &[]);
    }

    #[test]
    fn what_a_call_says_is_read() {
        let file = syn::parse_file("fn a() { Endpoint::new(b).socket::<c::D>(\"/e\").f(1) }");
        let chains = chains(&file.unwrap());
        let chain = chains.first().unwrap();
        assert!(chain.base_is_endpoint && !chain.base_is_name);
        let [socket, other] = &*chain.calls else {
            panic!("{chain:?}");
        };
        assert!(socket.mounts("D") && !socket.mounts("c") && !other.is_mount());
        assert_eq!(socket.text.as_deref(), Some("/e"));
        assert_eq!(other.text, None);
    }
}
