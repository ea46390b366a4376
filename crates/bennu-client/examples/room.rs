//! The chat in a terminal: joins `room:lobby` of the chat example, says what is typed, shows what is heard.
//!
//! ```sh
//! cargo run                                                  # the chat, at http://localhost:4000
//! cargo run -p bennu-client --example room -- ada            # in another terminal
//! ```
//!
//! Stop the server and start it again meanwhile: what is typed in between is said when it's back, or refused after ten
//! seconds.

#![expect(clippy::print_stdout, reason = "this is what it does")]

use bennu_client::{Channel, ChannelStatus, Client, Status};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[derive(Serialize)]
struct Login {
    name: String,
}

/// What the room says.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    NewMsg {
        from: String,
        body: String,
    },
    UserJoined {
        from: String,
        members: usize,
    },
    UserLeft {
        from: String,
        members: usize,
    },
    #[serde(other)]
    SomethingElse,
}

/// What it answers to a join.
#[derive(Deserialize)]
struct Welcome {
    members: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "ada".to_owned());
    let url = args.next();
    let url = url.as_deref().unwrap_or("ws://localhost:4000/socket");

    let socket = Client::connect(url).params(&Login { name }).open().await?;
    let room = socket.channel("room:lobby").join().await?;
    let Welcome { members } = room.joined()?;
    println!("* you are in, with {members} in the room");

    let mut events = room.events();
    let (mut connection, mut channel) = (socket.changes(), room.changes());
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => show(&event.decode()?),
                None => break,
            },
            line = lines.next_line() => match line? {
                Some(line) => {
                    // Typing goes on while the server thinks.
                    tokio::spawn(say(room.clone(), line));
                }
                None => break,
            },
            Some(status) = connection.next() => match status {
                Status::Waiting { error, retry_in } => println!("* {error}; again in {retry_in:?}"),
                Status::Closed { error } => println!("* {error}"),
                _ => {}
            },
            Some(status) = channel.next() => if status == ChannelStatus::Joined {
                println!("* you are back");
            },
        }
    }
    socket.disconnect().await;
    Ok(())
}

fn show(heard: &Heard) {
    match heard {
        Heard::NewMsg { from, body } => println!("{from}: {body}"),
        Heard::UserJoined { from, members } => println!("* {from} came, that's {members}"),
        Heard::UserLeft { from, members } => println!("* {from} went, that leaves {members}"),
        Heard::SomethingElse => {}
    }
}

async fn say(room: Channel, body: String) {
    #[derive(Serialize)]
    struct NewMsg {
        id: String,
        body: String,
    }
    let id = fastrand::u64(..).to_string();
    if let Err(error) = room
        .push::<serde_json::Value>("new_msg", &NewMsg { id, body })
        .await
    {
        println!("* not said: {error}");
    }
}
