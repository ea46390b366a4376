//! The task of a socket: carries what happens to the machine, and does what it asks for.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    ConnectionError, Event, PushError, Status, channel,
    machine::{ChannelId, Input, Machine, Output},
    options::Options,
    socket::{Command, Token},
    transport::{Dialer, Link, LinkEvent},
};

/// How long what was pushed may take to be written once the socket is disconnected.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);
/// Commands that are taken before the connection has its turn.
const COMMANDS_AT_ONCE: usize = 256;

pub(crate) struct Driver {
    machine: Machine<Token>,
    link: Link,
    dialer: Arc<Dialer>,
    commands: mpsc::UnboundedReceiver<Command>,
    room: Arc<Semaphore>,
    status: watch::Sender<Status>,
    channels: HashMap<ChannelId, Arc<channel::Shared>>,
    over: bool,
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        dialer: Dialer,
        commands: mpsc::UnboundedReceiver<Command>,
        room: Arc<Semaphore>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            machine: Machine::new(options, fastrand::u64(..), now()),
            link: Link::None,
            dialer: Arc::new(dialer),
            commands,
            room,
            status,
            channels: HashMap::new(),
            over: false,
        }
    }

    pub(crate) async fn run(mut self) {
        self.act();
        while !self.over {
            let deadline = self.machine.deadline();
            let due = deadline.map_or_else(far_away, Instant::from_std);
            select! {
                command = self.commands.recv() => self.command(command),
                event = self.link.next() => self.link_event(event),
                () = sleep_until(due), if deadline.is_some() => {}
            }
            for _ in 1..COMMANDS_AT_ONCE {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                self.command(Some(command));
            }
            self.machine.expire(now());
            self.act();
        }
        // Nothing is taken from here on. That the queue of commands is gone says that all is done.
        let Self {
            link,
            mut commands,
            room,
            ..
        } = self;
        room.close();
        let mut finish = pin!(timeout(FINISH_TIME_MAX, link.finish()));
        loop {
            select! {
                finished = &mut finish => {
                    if finished.is_err() {
                        tracing::debug!("what was pushed wasn't written in time");
                    }
                    break;
                }
                Some(command) = commands.recv() => refuse(command),
            }
        }
        commands.close();
        while let Ok(command) = commands.try_recv() {
            refuse(command);
        }
    }

    /// No command means that nobody holds the socket any more.
    fn command(&mut self, command: Option<Command>) {
        let input = match command {
            Some(Command::Input(input)) => input,
            Some(Command::Join(channel, input)) => {
                if let Input::Join { id, .. } = &input {
                    self.channels.insert(*id, channel);
                }
                input
            }
            None => Input::Disconnect,
        };
        self.machine.handle(input, now());
    }

    fn link_event(&mut self, event: LinkEvent) {
        let input = match event {
            LinkEvent::Wrote(bytes) => return self.room.add_permits(bytes),
            LinkEvent::Opened => Input::Opened,
            LinkEvent::Heard(Ok(response)) => Input::Heard(response),
            LinkEvent::Heard(Err(error)) => {
                return tracing::warn!(%error, "the server sent what is no message");
            }
            LinkEvent::Lost(error, unwritten) => {
                self.room.add_permits(unwritten);
                Input::Lost(error)
            }
        };
        self.machine.handle(input, now());
    }

    fn act(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect(transport) => {
                    let unwritten = self.link.connect(&self.dialer, transport);
                    self.room.add_permits(unwritten);
                }
                Output::Send { frame, bytes } => {
                    let unwritten = self.link.send(frame, bytes);
                    self.room.add_permits(unwritten);
                }
                Output::Release(bytes) => self.room.add_permits(bytes),
                Output::HangUp(why) => {
                    let unwritten = self.link.hang_up(why);
                    self.room.add_permits(unwritten);
                }
                Output::Finish => self.over = true,
                Output::Settle(token, result) => {
                    // Who doesn't wait any more needn't know.
                    let _ = token.send(result);
                }
                Output::Joined(id, reply) => {
                    if let Some(channel) = self.channels.get(&id) {
                        channel.joined(reply);
                    }
                }
                Output::Event(id, event, payload) => {
                    if let Some(channel) = self.channels.get(&id) {
                        channel.heard(Event { event, payload });
                    }
                }
                Output::Channel(id, status) => {
                    let channel = match status {
                        crate::ChannelStatus::Closed => self.channels.remove(&id),
                        _ => self.channels.get(&id).cloned(),
                    };
                    if let Some(channel) = channel {
                        channel.set_status(status);
                    }
                }
                Output::Status(status) => {
                    log(&status);
                    self.status.send_replace(status);
                }
            }
        }
    }
}

fn log(status: &Status) {
    match status {
        Status::Connecting => tracing::debug!("connecting"),
        Status::Open { transport } => tracing::debug!(?transport, "connected"),
        Status::Waiting { error, retry_in } => {
            tracing::warn!(%error, ?retry_in, "no connection; it will be tried again");
        }
        Status::Closed {
            error: ConnectionError::Disconnected,
        } => tracing::debug!("disconnected"),
        Status::Closed { error } => tracing::warn!(%error, "the socket is closed"),
    }
}

/// What comes after the end.
fn refuse(command: Command) {
    let (Command::Input(input) | Command::Join(_, input)) = command;
    let token = match input {
        Input::Join { token, .. } | Input::Ping { token, .. } => Some(token),
        Input::Push { token, .. } | Input::Leave { token, .. } => token,
        Input::Disconnect | Input::Opened | Input::Heard(_) | Input::Lost(_) => None,
    };
    if let Some(token) = token {
        let _ = token.send(Err(PushError::Closed));
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
