//! The programs of a cluster: started, looked after, and ended with it.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::program::root;

/// How often it's seen whether all still run.
const LOOKS_EVERY: Duration = Duration::from_millis(200);
/// Long enough for the balancer and the clients to see that a node is gone.
const PAUSE: Duration = Duration::from_secs(1);
const LISTENS_TIME_MAX: Duration = Duration::from_secs(10);

/// The programs that run while this lives.
#[derive(Default)]
pub(super) struct Parts {
    running: Vec<Part>,
}

struct Part {
    /// What people know it by.
    name: String,
    child: Child,
    /// A node is started again. Where anything else ends, all end.
    again: Option<Again>,
}

/// How a node is started when it has ended.
struct Again {
    program: String,
    args: Vec<String>,
    /// When, if it has ended.
    at: Option<Instant>,
}

impl Parts {
    pub(super) fn start(&mut self, program: &str, args: &[&str]) -> Result<(), String> {
        let child = spawn(program, args)?;
        self.running.push(Part {
            name: program.to_owned(),
            child,
            again: None,
        });
        Ok(())
    }

    /// Starts a program and reads what it writes up to a line with `ready` in it, which is returned with the program's pid.
    pub(super) fn start_until(
        &mut self,
        program: &str,
        args: &[&str],
        ready: &str,
    ) -> Result<(String, u32), String> {
        self.start(program, args)?;
        let last = self.running.last_mut();
        let child = &mut last.ok_or_else(|| format!("{program} is lost"))?.child;
        let stdout = child.stdout.take().ok_or("its output can't be read")?;
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains(ready));
        // Nobody wants the rest, but somebody has to read it.
        thread::spawn(move || lines.for_each(drop));
        let line = line.ok_or_else(|| format!("{program} ended before it was ready"))?;
        Ok((line, child.id()))
    }

    /// What was started last is the node `name`, which is started again with `args` when it ends.
    pub(super) fn again(&mut self, name: String, program: &str, args: &[&str]) {
        if let Some(last) = self.running.last_mut() {
            last.name = name;
            last.again = Some(Again {
                program: program.to_owned(),
                args: args.iter().map(|&arg| arg.to_owned()).collect(),
                at: None,
            });
        }
    }

    /// Waits until somebody listens on each of these ports.
    pub(super) fn listens(&mut self, ports: impl Iterator<Item = u16>) -> Result<(), String> {
        let deadline = Instant::now() + LISTENS_TIME_MAX;
        for port in ports {
            while let Err(error) = TcpStream::connect(("127.0.0.1", port)) {
                self.look()?;
                if Instant::now() > deadline {
                    return Err(format!("nothing listens on port {port}: {error}"));
                }
                thread::sleep(LOOKS_EVERY);
            }
        }
        self.look()
    }

    /// Starts nodes again that end, until something else ends: it says what.
    pub(super) fn wait(&mut self) -> Result<(), String> {
        loop {
            self.look()?;
            thread::sleep(LOOKS_EVERY);
        }
    }

    fn look(&mut self) -> Result<(), String> {
        for part in &mut self.running {
            part.look()?;
        }
        Ok(())
    }
}

impl Part {
    fn look(&mut self) -> Result<(), String> {
        let Self { name, child, again } = self;
        if let Some(again) = again
            && let Some(at) = again.at
        {
            if Instant::now() >= at {
                let args: Vec<&str> = again.args.iter().map(String::as_str).collect();
                *child = spawn(&again.program, &args)?;
                if let Some(stdout) = child.stdout.take() {
                    thread::spawn(move || {
                        let lines = BufReader::new(stdout).lines();
                        lines.map_while(Result::ok).for_each(drop);
                    });
                }
                again.at = None;
                println!("{name} is started again (pid {})", child.id());
            }
            return Ok(());
        }
        let ended = match child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let ended = format!("{name} (pid {}) has ended: {ended}", child.id());
        match again {
            Some(again) => {
                again.at = Some(Instant::now() + PAUSE);
                println!("{ended}");
                Ok(())
            }
            None => Err(format!("{ended}, and so has the cluster")),
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for part in self.running.iter_mut().rev() {
            // It may have ended by itself.
            let _ = part.child.kill();
            let _ = part.child.wait();
        }
    }
}

fn spawn(program: &str, args: &[&str]) -> Result<Child, String> {
    // Whatever becomes of this program, they end with it.
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", program])
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    child.map_err(|error| format!("{program} can't be started by setpriv: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_ends_is_started_again_and_anything_else_ends_all() {
        let mut parts = Parts::default();
        parts.start("false", &[]).unwrap();
        parts.again("node a".to_owned(), "sleep", &["60"]);
        let first = parts.running[0].child.id();
        parts.running[0].child.wait().unwrap();
        parts.look().unwrap();
        let again = parts.running[0].again.as_mut().unwrap();
        assert!(again.at.is_some());
        again.at = Some(Instant::now());
        parts.look().unwrap();
        assert_ne!(parts.running[0].child.id(), first);

        parts.start("false", &[]).unwrap();
        parts.running[1].child.wait().unwrap();
        let why = parts.look().unwrap_err();
        assert!(why.starts_with("false (pid "), "{why}");
        assert!(why.contains("exit status: 1"), "{why}");
    }
}
