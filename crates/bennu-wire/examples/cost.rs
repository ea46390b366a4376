//! What a message costs: `cargo run --release -p bennu-wire --example cost`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures the protocol from outside"
)]

use std::{hint::black_box, time::Instant};

use bennu_wire::{
    Action, Broadcast, ChannelId, EncodeError, Frame, Limits, Message, Outbound, Payload, Ref,
    Reply, Serializer, Session,
};

const ROUNDS: u32 = 1_000_000;

fn main() -> Result<(), EncodeError> {
    let text = r#"["5","21","room:lobby","new_msg",{"body":"hello to you!","n":1}]"#;
    assert_eq!(text.len(), 64);
    let v1 = r#"{"topic":"room:lobby","event":"new_msg","payload":{"n":1},"ref":"21"}"#;
    let binary = b"\0\x01\x02\x0a\x07521room:lobbynew_msg0123456789012345678901234567890123456";
    let long = format!(
        r#"["5","21","room:lobby","new_msg",{{"body":"{}"}}]"#,
        "x".repeat(8_000)
    );

    for (name, serializer, frame) in [
        ("V2 text, 64 bytes", Serializer::V2, Frame::Text(text)),
        ("V2 binary, 64 bytes", Serializer::V2, Frame::Binary(binary)),
        ("V1 text, 68 bytes", Serializer::V1, Frame::Text(v1)),
        ("V2 text, 8 kB", Serializer::V2, Frame::Text(&long)),
    ] {
        let Ok(message) = serializer.decode(frame) else {
            continue;
        };
        let decode = time(|| serializer.decode(black_box(frame)));
        let outbound = Outbound::Message(message);
        let mut buffer = Vec::with_capacity(16_384);
        let encode = time(|| {
            buffer.clear();
            serializer.encode(&black_box(&outbound).as_outgoing(), &mut buffer)
        });
        println!("{name:<22} decode {decode:>6.1} ns  encode {encode:>6.1} ns");
    }

    delivery(text);

    let value = serde_json::json!({"body": "hello to you!", "n": 1});
    let payload = Payload::new(&value)?;
    println!(
        "Payload::new of a small Value {:.1} ns",
        time(|| Payload::new(black_box(&value)))
    );
    println!(
        "Payload::decode of it {:.1} ns",
        time(|| payload.decode::<serde_json::Value>().is_ok())
    );

    println!();
    sizes();
    Ok(())
}

/// From a frame to what the runtime gives to a channel, where two are joined.
fn delivery(text: &str) {
    let mut session = Session::new(Limits::default());
    let routed = |topic: &str| topic.starts_with("room:");
    for n in 0..2 {
        let join = format!(r#"["5","5","room:{n}","phx_join",{{}}]"#);
        let Ok(join) = Serializer::V2.decode(Frame::Text(&join)) else {
            continue;
        };
        let Some(Action::Join { id, .. }) = session.receive(join, routed) else {
            continue;
        };
        session.joined(id, Payload::empty());
        while session.poll_action().is_some() {}
    }
    let text = text.replace("lobby", "1");
    let deliver = time(|| {
        let message = Serializer::V2.decode(Frame::Text(&text)).ok()?;
        session.receive(message, routed)
    });
    println!("V2 text, decode and receive: {deliver:.1} ns");
}

fn sizes() {
    for (name, bytes) in [
        ("Session", size_of::<Session>()),
        ("Ref", size_of::<Ref>()),
        ("Payload", size_of::<Payload>()),
        ("Message", size_of::<Message>()),
        ("Reply", size_of::<Reply>()),
        ("Action", size_of::<Action>()),
        ("Broadcast", size_of::<Broadcast>()),
        ("ChannelId", size_of::<ChannelId>()),
        (
            "a channel in a session, beside its topic's text and 16 bytes",
            Session::CHANNEL_BYTES,
        ),
    ] {
        println!("{bytes:>4} bytes  {name}");
    }
}

/// Nanoseconds a round, the best of five.
fn time<T>(mut round: impl FnMut() -> T) -> f64 {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(round());
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
        })
        .fold(f64::INFINITY, f64::min)
}
