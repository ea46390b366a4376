//! Metrics as the text that Prometheus reads.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

use std::fmt::{self, Display, Write};

use super::metrics::{Kind, Metrics};

impl Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in &self.families {
            if family.samples.is_empty() {
                continue;
            }
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            writeln!(f, "# HELP {} {}", family.name, family.help)?;
            writeln!(f, "# TYPE {} {kind}", family.name)?;
            for sample in &family.samples {
                f.write_str(&sample.name())?;
                for (at, (name, value)) in sample.labels().enumerate() {
                    let before = if at == 0 { '{' } else { ',' };
                    write!(f, "{before}{name}=\"{}\"", Escaped(value))?;
                }
                if sample.labels().len() > 0 {
                    f.write_char('}')?;
                }
                writeln!(f, " {}", sample.value())?;
            }
        }
        Ok(())
    }
}

/// A label's value: three characters have to be escaped.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let shown = Escaped("a\\b\"c\nd é").to_string();
        assert_eq!(shown, r#"a\\b\"c\nd é"#);
    }
}
