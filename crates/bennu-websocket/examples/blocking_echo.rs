//! The codec alone, on blocking sockets: every message goes back to its sender. One thread a connection, compression where the
//! client offers it. `cargo run -p bennu-websocket --example blocking_echo -- --port 9001`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use bennu_websocket::{
    Config, Decoder, Deflate, Deflater, Event, Inflater, Opcode, close, encoder, handshake,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(
    clippy::print_stdout,
    reason = "whoever starts this waits for the address"
)]
fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let port = match (args.next().as_deref(), args.next()) {
        (Some("--port"), Some(port)) => port.parse()?,
        (None, _) => 0,
        _ => return Err("usage: blocking_echo [--port N]".into()),
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        // A connection that fails is over, and that is all there is to do about it.
        std::thread::spawn(move || serve(stream).is_ok());
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let headers = read_request(&mut stream)?;
    let upgrade = match handshake::upgrade(&Method::GET, Version::HTTP_11, &headers) {
        Ok(upgrade) => upgrade,
        Err(error) => return write_response(&mut stream, &error.response()),
    };
    let deflate = Deflate::negotiate(&headers);
    write_response(
        &mut stream,
        &upgrade.response(deflate).map(|()| String::new()),
    )?;

    let config = Config {
        frame_bytes_max: 32 << 20,
        message_bytes_max: 32 << 20,
        inflated_bytes_max: 32 << 20,
        deflate: deflate.is_some(),
        ..Config::default()
    };
    let mut echo = Echo {
        deflater: deflate.map(|deflate| Deflater::new(deflate.window_bits())),
    };
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let (mut input, mut output) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let len = stream.read(&mut input)?;
        let mut rest = input.get_mut(..len).unwrap_or_default();
        let mut is_over = len == 0;
        while !rest.is_empty() {
            match decoder.decode(&config, &mut inflater, rest) {
                Ok((used, event)) => {
                    is_over |= matches!(event, Some(Event::Close(_)));
                    echo.answer(event, &mut output);
                    rest = rest.get_mut(used..).unwrap_or_default();
                }
                Err(error) => {
                    output.extend_from_slice(&encoder::close(error.code(), error.reason()));
                    is_over = true;
                    break;
                }
            }
        }
        stream.write_all(&output)?;
        output.clear();
        if is_over {
            break;
        }
    }

    // Closing a socket with unread input resets it, and the peer would lose the close frame that is on its way.
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    while stream.read(&mut input)? > 0 {}
    Ok(())
}

struct Echo {
    deflater: Option<Deflater>,
}

impl Echo {
    fn answer(&mut self, event: Option<Event<'_>>, output: &mut Vec<u8>) {
        match event {
            Some(Event::Text(text)) => self.send(Opcode::Text, text.as_bytes(), output),
            Some(Event::Binary(bytes)) => self.send(Opcode::Binary, &bytes, output),
            Some(Event::Ping(payload)) => output.extend_from_slice(&encoder::pong(&payload)),
            Some(Event::Close(received)) => {
                let code = close::close_reply(received.map(|(code, _)| code));
                output.extend_from_slice(&encoder::close(code, ""));
            }
            Some(Event::Pong(_)) | None => {}
        }
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
        let mut deflated = Vec::new();
        let compressed = self
            .deflater
            .as_mut()
            .is_some_and(|deflater| deflater.deflate(payload, &mut deflated));
        let payload = if compressed { &deflated } else { payload };
        output.extend_from_slice(encoder::header(opcode, compressed, payload.len()).as_slice());
        output.extend_from_slice(payload);
    }
}

/// The headers of a request, which is taken to be a GET: enough for an example, not for the internet.
fn read_request(stream: &mut TcpStream) -> Result<HeaderMap> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend_from_slice(&byte);
        if request.len() > 8192 {
            return Err("request too long".into());
        }
    }
    let mut headers = HeaderMap::new();
    for line in str::from_utf8(&request)?
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(':').ok_or("header without a colon")?;
        headers.append(
            HeaderName::try_from(name)?,
            HeaderValue::try_from(value.trim())?,
        );
    }
    Ok(headers)
}

fn write_response(stream: &mut TcpStream, response: &http::Response<String>) -> Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    head.push_str("\r\n");
    head.push_str(response.body());
    Ok(stream.write_all(head.as_bytes())?)
}
