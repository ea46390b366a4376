//! What was measured: tables that print as Markdown and save as JSON.

use std::fmt;

use serde::Serialize;

/// One section's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    /// One for each column; `None` where it doesn't apply.
    values: Vec<Option<f64>>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&'static str]) -> Self {
        Self {
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; columns without a value stay empty.
    pub(crate) fn row(&mut self, case: impl Into<String>, values: &[Option<f64>]) {
        let mut values = values.to_vec();
        values.resize(self.columns.len(), None);
        self.rows.push(Row {
            case: case.into(),
            values,
        });
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    /// The value in `column` of the row `case`.
    pub(crate) fn value(&self, case: &str, column: usize) -> Option<f64> {
        let row = self.rows.iter().find(|it| it.case == case)?;
        *row.values.get(column)?
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        let wide = self.rows.iter().map(|it| it.case.len()).max().unwrap_or(0);
        writeln!(f, "| {:wide$} | {} |", "", self.columns.join(" | "))?;
        write!(f, "|:{:-<wide$}-|", "")?;
        for column in &self.columns {
            write!(f, "{:-<1$}:|", "", column.len() + 1)?;
        }
        for Row { case, values } in &self.rows {
            write!(f, "\n| {case:wide$} |")?;
            for (value, column) in values.iter().zip(&self.columns) {
                write!(f, " {:>1$} |", number(*value), column.len())?;
            }
        }
        writeln!(f)
    }
}

/// As many digits as mean something.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(it) if it.abs() < 10.0 => format!("{it:.2}"),
        Some(it) if it.abs() < 100.0 => format!("{it:.1}"),
        Some(it) => {
            let digits = format!("{:.0}", it.abs());
            let mut grouped = if it < 0.0 { "-" } else { "" }.to_owned();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

/// The middle one of an odd number of values, the lower middle of an even number.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_prints_as_markdown() {
        let mut table = Table::new("Idle", &["bytes", "ratio"]);
        table.row("one topic", &[Some(1_234_567.0), Some(1.0 / 3.0)]);
        table.row("two", &[Some(99.96)]);
        let expected = "### Idle\n\n|           | bytes | ratio |\n|:----------|------:|------:|\n\
                        | one topic | 1,234,567 |  0.33 |\n| two       | 100.0 |       |\n";
        assert_eq!(table.to_string(), expected);
        assert_eq!(table.value("two", 0), Some(99.96));
        assert_eq!(number(Some(-845.0)), "-845");
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
