//! A program that runs while this lives, and can be sent signals.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

pub(crate) struct Process {
    program: String,
    args: Vec<String>,
    ready: &'static str,
    child: Option<Child>,
}

impl Process {
    /// Starts it and waits until it has written a line with `ready` in it. With an error, it has ended before.
    pub(crate) fn start(program: &str, args: &[&str], ready: &'static str) -> Result<Self, String> {
        let mut process = Self {
            program: program.to_owned(),
            args: args.iter().map(|&it| it.to_owned()).collect(),
            ready,
            child: None,
        };
        process.again()?;
        Ok(process)
    }

    /// Starts it once more, as it was.
    pub(crate) fn again(&mut self) -> Result<(), String> {
        let child = Command::new(&self.program)
            .args(&self.args)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let child = child.map_err(|error| format!("{} can't be started: {error}", self.program))?;
        let child = self.child.insert(child);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains(self.ready));
        // It would wait for whoever doesn't read.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        ready
            .then_some(())
            .ok_or_else(|| format!("{} {:?} doesn't start", self.program, self.args))
    }

    /// Sends it a signal by its name, as `kill` does.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it where it stands.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it ended with, once it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
