//! Tries many inputs on a target, made from its corpus and from each other: for machines without a fuzzer.

use std::time::Instant;

use bennu_fuzz::{Mutator, TARGETS, corpus, target};
use clap::Parser;

/// Tries many inputs on Bennu's decoders. What is found is told by a panic, and the input before it.
#[derive(Debug, Parser)]
struct Options {
    /// One target; all of them when it's left out.
    target: Option<String>,
    /// Inputs for each target.
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// Another one gives other inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[expect(clippy::print_stdout, reason = "it's what a program is for")]
fn main() {
    let options = Options::parse();
    let names: Vec<&str> = match &options.target {
        Some(name) => vec![name],
        None => TARGETS.iter().map(|it| it.name).collect(),
    };
    for name in names {
        let target = target(name);
        let mut mutator = Mutator::new(corpus(name), options.seed);
        let began = Instant::now();
        for _ in 0..options.executions {
            let input = mutator.input();
            if let Err(panic) = std::panic::catch_unwind(|| (target.run)(&input)) {
                println!("{name} fails with {}", input.escape_ascii());
                std::panic::resume_unwind(panic);
            }
        }
        let took = began.elapsed();
        println!(
            "{name}: {} inputs in {:.1} s",
            options.executions,
            took.as_secs_f64()
        );
    }
}
