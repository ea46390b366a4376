//! Long churn.
use crate::{Result, server::Program};

/// How long, and with how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
}
pub(crate) async fn run(_options: &Options, _program: &Program) -> Result<bool> {
    Err("not yet".to_owned())
}
