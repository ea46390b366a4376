//! Scripts: what clients send and what they get, a line each.
//!
//! | line | means |
//! |---|---|
//! | `> TEXT` | the client sends a text |
//! | `< JSON` | the next thing it gets is this JSON; `"*"` stands for anything |
//! | `>x HEX`, `<x HEX` | the same with bytes; spaces between them don't matter |
//! | `= /mount?query` | it connects there, else to [`HOME`] before its first line |
//! | `! CODE REASON` | it is told that the connection closes; long-polling tells neither code nor reason |
//! | `@ ACTION` | something happens on the server's side: see [`Server::act`] |
//!
//! A client has a name of one letter in front, or none. At the end of a script each client that is connected asks for
//! a heartbeat, and gets its reply before anything else: a message that isn't in the script shows.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    client::{Address, Client, Event, Frame, Transport},
    server::Server,
};

/// Where clients connect that aren't told otherwise.
pub(crate) const HOME: &str = "/socket?vsn=2.0.0";

/// Runs a script over each transport, each time with a server of its own.
pub(crate) async fn check(script: &str) {
    for transport in Transport::SCRIPTED {
        check_over(transport, script).await;
    }
}

pub(crate) async fn check_over(transport: Transport, script: &str) {
    let server = match transport {
        Transport::WebSocket | Transport::LongPoll => Server::start().await,
        Transport::Relayed => Server::start_on_two_nodes().await,
    };
    run(transport, &server, script).await;
}

pub(crate) async fn run(transport: Transport, server: &Server, script: &str) {
    let mut stage = Stage {
        transport,
        server,
        clients: BTreeMap::new(),
    };
    for (line, number) in script.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(why) = stage.play(line).await {
            panic!("over {transport:?}, line {number}: {line}\n{why}");
        }
    }
    for (name, (address, mut client)) in stage.clients {
        let (asked, expected) = if address.mount.ends_with("/raw") {
            ("last", Value::Null)
        } else if address.query.contains("vsn=2") {
            (
                r#"[null,"last","phoenix","heartbeat",{}]"#,
                serde_json::json!([null, "last", "phoenix", "phx_reply", {"status": "ok", "response": {}}]),
            )
        } else {
            (
                r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"last"}"#,
                serde_json::json!({"topic": "phoenix", "event": "phx_reply", "ref": "last",
                    "payload": {"status": "ok", "response": {}}}),
            )
        };
        client.send(Frame::Text(asked.to_owned())).await;
        let got = client.receive().await;
        let as_expected = match &got {
            Event::Frame(Frame::Text(text)) if expected.is_null() => text == asked,
            Event::Frame(Frame::Text(text)) => {
                serde_json::from_str::<Value>(text).is_ok_and(|it| it == expected)
            }
            _ => false,
        };
        assert!(
            as_expected,
            "over {transport:?}, after the script {name} got {got:?}"
        );
    }
}

struct Stage<'a> {
    transport: Transport,
    server: &'a Server,
    clients: BTreeMap<String, (Address, Client)>,
}

impl Stage<'_> {
    async fn play(&mut self, line: &str) -> Result<(), String> {
        let (first, rest) = line.split_once(' ').ok_or("not a line of a script")?;
        let named = first.len() == 1 && first.chars().all(char::is_alphabetic);
        let (name, (verb, object)) = if named {
            (first, rest.split_once(' ').ok_or("nothing is said")?)
        } else {
            ("", (first, rest))
        };
        match verb {
            "@" => self.server.act(object).await,
            "=" => {
                self.connect(name, &Address::new(object)).await?;
            }
            ">" => {
                let frame = Frame::Text(object.to_owned());
                self.client(name).await?.send(frame).await;
            }
            ">x" => {
                let frame = Frame::Binary(bytes(object));
                self.client(name).await?.send(frame).await;
            }
            "<" => {
                let expected: Value = serde_json::from_str(object).map_err(|it| it.to_string())?;
                let got = self.client(name).await?.receive().await;
                let as_expected = match &got {
                    Event::Frame(Frame::Text(text)) => {
                        serde_json::from_str(text).is_ok_and(|it| fits(&expected, &it))
                    }
                    _ => false,
                };
                as_expected
                    .then_some(())
                    .ok_or_else(|| format!("came: {got:?}"))?;
            }
            "<x" => {
                let got = self.client(name).await?.receive().await;
                (got == Event::Frame(Frame::Binary(bytes(object))))
                    .then_some(())
                    .ok_or_else(|| format!("came: {got:?}"))?;
            }
            "!" => {
                let got = self.client(name).await?.receive().await;
                let (code, reason) = object.split_once(' ').unwrap_or((object, ""));
                let Event::Closed(closed) = &got else {
                    return Err(format!("came: {got:?}"));
                };
                if closed.code.map(|it| it.to_string()).as_deref() != Some(code)
                    || closed.reason != reason
                {
                    return Err(format!("closed: {closed:?}"));
                }
                self.clients.remove(name);
            }
            other => return Err(format!("no such verb: {other}")),
        }
        Ok(())
    }

    async fn connect(&mut self, name: &str, address: &Address) -> Result<(), String> {
        // Some scripts are about bytes, which not all long-polling clients take.
        let mut address = address.clone();
        address.query += "&binary=base64";
        let client = Client::connect(self.transport, self.server.addr, &address)
            .await
            .map_err(|it| format!("{it:?}"))?;
        let client = match &self.server.other {
            Some((door, _)) => client.through(*door),
            None => client,
        };
        self.clients.insert(name.to_owned(), (address, client));
        Ok(())
    }

    async fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(name) {
            self.connect(name, &Address::new(HOME)).await?;
        }
        let (_, client) = self.clients.get_mut(name).ok_or("not connected")?;
        Ok(client)
    }
}

/// Whether a value is as expected, where the text `*` expects anything.
fn fits(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(a, b)| fits(a, b))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected
                    .iter()
                    .all(|(key, it)| got.get(key).is_some_and(|got| fits(it, got)))
        }
        (expected, got) => expected == got,
    }
}

/// `00 0a "text"`: bytes in hexadecimal, and texts.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in text.split_whitespace() {
        match part.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
            Some(text) => bytes.extend_from_slice(text.as_bytes()),
            None => bytes.push(u8::from_str_radix(part, 16).unwrap()),
        }
    }
    bytes
}
