//! Templates, and what they are filled with.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use crate::error::{Failure, Result};

/// Fills templates. A line that has nothing but a tag of the template's leaves no trace.
#[derive(Debug)]
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    pub(crate) fn new() -> Result<Self> {
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| broken(&error))?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // It's code that is written, not HTML.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        Ok(Self(environment))
    }

    /// `template` with `values` in it.
    pub(crate) fn render(&self, template: &str, values: &minijinja::Value) -> Result<String> {
        self.0
            .render_str(template, values)
            .map_err(|error| broken(&error))
    }
}

/// Not what whoever runs this could mend; a test fills every template there is.
fn broken(error: &minijinja::Error) -> Failure {
    Failure::new(format_args!("a template of ours is broken: {error:#}"))
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn tags_leave_no_trace_and_values_are_written_as_they_are() {
        let check = |template: &str, expected: &str| {
            let values = context! { yes => true, code => "a < \"b\"" };
            let rendered = Templates::new().unwrap().render(template, &values);
            assert_eq!(rendered.as_deref(), Ok(expected), "{template}");
        };
        check("a\n  {% if yes %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc\n");
        check("let x = {{ code }};\n", "let x = a < \"b\";\n");
    }

    #[test]
    fn a_value_that_is_missing_is_noticed() {
        let rendered = Templates::new()
            .unwrap()
            .render("{{ nothing }}", &context! {});
        assert!(rendered.unwrap_err().to_string().contains("undefined"));
    }
}
