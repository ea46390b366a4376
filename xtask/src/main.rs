//! The project's own commands: `cargo xtask` lists them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands talk to the person who runs them"
)]

mod abuse;
mod autobahn;
mod bench;
mod clients;
mod cluster;
mod dependencies;
mod deploy;
mod docs;
mod evidence;
mod generated;
mod layers;
mod parity;
mod program;
mod release;
mod test;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
The project's own commands.

  cargo xtask test [--only STEP[,STEP]] [--long] [--faults] [--keep-going]
      Runs all checks and tests, installing what they need where it may. --long soaks for 20 minutes instead of one,
      abuses a server that is built for release, tries schedules of threads, and all generated applications and clients,
      and builds what would be published. --faults adds the long fault tests, which take some minutes.
      All of them: docs/reliability.md.
  cargo xtask test --list
      Names the steps.
  cargo xtask autobahn [--all] [--write]
      Runs the Autobahn test suite against the echo example: 301 cases, or with --all also those of
      compression, which takes long. --all and --write write docs/autobahn.md.
  cargo xtask bench [--write] [--quick] [--threads N] [--repeats N] [SCENARIO]
      Measures Bennu beside floors, axum's WebSocket and socketioxide: about ten minutes on two cores that do nothing else.
      Tables, ratios and targets go to the screen, figures and plots to target/bench/; --write renews docs/performance.md.
  cargo xtask cluster [--app both|showcase|conformance] [--bus redis|nats] [--port PORT]
      Starts three nodes of the showcase and three of the conformance server behind a load balancer, over Redis
      or NATS, until ctrl-c. The showcase is at port 4000 unless PORT says otherwise, the other at the next one.

With SCREENSHOTS=docs the chromium step renews the pictures in docs/; otherwise they go to target/screenshots/.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["test", rest @ ..] => test::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["cluster", rest @ ..] => cluster::run(rest),
        ["autobahn", rest @ ..] => autobahn::run(rest),
        [other, ..] => Err(format!("there is no command {other:?}\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}
