//! Plays one race with many players against a running server, and says what that cost.
//!
//! ```sh
//! cargo run --release -p tap_racer               # prints the big screen's link
//! cargo run --release -p tap_racer --example race -- LINK --players 200 --pid $(pidof tap_racer)
//! ```

use std::{error::Error, fs, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use futures_util::{SinkExt, StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message as Frame,
};

/// For anything that has to come.
const WAIT_MAX: Duration = Duration::from_secs(90);
/// How many players connect at the same time.
const ENTER_AT_ONCE: usize = 20;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// `/proc` counts in these, on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Plays one race with many players.
#[derive(Parser)]
struct Options {
    /// The big screen's link, as the server printed it: http://localhost:4000/tap-racer/console#...
    link: String,
    /// How many players.
    #[arg(long, default_value_t = 200)]
    players: usize,
    /// How fast each of them taps, give or take a third.
    #[arg(long, default_value_t = 10.0)]
    taps_per_second: f64,
    /// The server's process, to see how much of a processor it takes.
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says what went wrong")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures")]
async fn run(options: &Options) -> Fallible<()> {
    let (page, token) = options
        .link
        .split_once('#')
        .ok_or("the link has a # and a token")?;
    let place = page
        .strip_prefix("http://")
        .and_then(|it| it.strip_suffix("/console"))
        .ok_or("the link begins with http:// and ends with /console#...")?;
    let url = format!("ws://{place}/socket/websocket?vsn=2.0.0");
    let mut console = Line::open(&format!("{url}&token={token}"), "console").await?;
    console.ask("phx_join", json!({})).await?;

    let began = Instant::now();
    let (racing, is_racing) = watch::channel(false);
    let period = Duration::from_secs_f64(1.0 / options.taps_per_second.max(0.1));
    let url: Arc<str> = url.into();
    let mut players = Vec::new();
    for first in (0..options.players).step_by(ENTER_AT_ONCE) {
        let numbers = first..(first + ENTER_AT_ONCE).min(options.players);
        let entering = numbers.map(|number| enter(url.clone(), number));
        for entered in join_all(entering).await {
            let player = entered?;
            let pace = period.mul_f64(spread(players.len(), 0.67, 1.33));
            players.push(tokio::spawn(play(player, is_racing.clone(), pace)));
        }
    }
    println!(
        "{} players entered in {:.2?}",
        players.len(),
        began.elapsed()
    );

    console.ask("start", json!({})).await?;
    console.phase("racing").await?;
    let before = cpu(options.pid)?;
    let go = Instant::now();
    racing.send(true)?;
    let gaps = watch_race(&mut console).await?;
    let (took, after) = (go.elapsed(), cpu(options.pid)?);
    racing.send(false)?;

    let mut answers = Vec::new();
    let mut ignored = 0;
    for player in players {
        let (times, not_counted) = player.await??;
        answers.extend(times);
        ignored += not_counted;
    }
    answers.sort_unstable();
    println!("the race took {took:.2?}");
    println!(
        "until the first was in: {} updates of the lanes, {:.1} a second; the longest gap between two was {:.1?}",
        gaps.len() + 1,
        gaps.len() as f64 / gaps.iter().sum::<Duration>().as_secs_f64(),
        gaps.iter().max().copied().unwrap_or_default(),
    );
    println!(
        "{} messages with taps, {:.0} a second, {ignored} taps ignored; answered in {:.1?} (half), {:.1?} (99 of 100), {:.1?} (all)",
        answers.len(),
        answers.len() as f64 / took.as_secs_f64(),
        part(&answers, 0.5),
        part(&answers, 0.99),
        part(&answers, 1.0),
    );
    if let (Some(before), Some(after)) = (before, after) {
        let used = after.saturating_sub(before);
        let share = 100.0 * used.as_secs_f64() / took.as_secs_f64();
        println!("the server used {used:.2?} of a processor: {share:.1} %");
    }
    Ok(())
}

/// The times between two updates of the lanes, as long as all are tapping: until the first is in. Returns when the race
/// is over.
async fn watch_race(console: &mut Line) -> Fallible<Vec<Duration>> {
    let (mut gaps, mut last, mut all_tap) = (Vec::new(), None, true);
    loop {
        let (event, payload) = console.event().await?;
        let now = Instant::now();
        match event.as_str() {
            "progress" if all_tap => {
                all_tap = field(&payload, "ended")
                    .as_array()
                    .is_some_and(Vec::is_empty);
                gaps.extend(last.map(|last| now - last));
                last = Some(now);
            }
            "view" if field(&payload, "phase") == "finished" => return Ok(gaps),
            _ => {}
        }
    }
}

async fn enter(url: Arc<str>, number: usize) -> Fallible<Line> {
    let mut line = Line::open(&url, "play").await?;
    let name = format!("Player {}", number + 1);
    line.ask("phx_join", json!({"name": name})).await?;
    Ok(line)
}

/// Taps while the race is on. Returns how long each answer took, and how many taps didn't count.
async fn play(
    mut line: Line,
    mut is_racing: watch::Receiver<bool>,
    pace: Duration,
) -> Fallible<(Vec<Duration>, u64)> {
    let (mut times, mut ignored) = (Vec::new(), 0);
    let mut heartbeat = interval(HEARTBEAT_EVERY);
    // Until the race is on, what comes must be read, and the server hear something now and then.
    loop {
        tokio::select! {
            begun = until(&mut is_racing, true) => break begun?,
            _ = heartbeat.tick() => line.send("phoenix", "heartbeat", json!({})).await?,
            event = line.event() => drop(event?),
        }
    }
    sleep(pace.mul_f64(spread(line.number, 0.0, 1.0))).await;
    let mut taps = interval(pace);
    loop {
        tokio::select! {
            over = until(&mut is_racing, false) => break over?,
            _ = taps.tick() => {}
        }
        let sent = Instant::now();
        let answer = line.ask("tap", json!({"taps": 1})).await?;
        times.push(sent.elapsed());
        ignored += field(&answer, "ignored").as_u64().unwrap_or_default();
        if field(&answer, "taps").as_u64() >= Some(line.goal) {
            // In: the rest of the race is only listened to.
            loop {
                tokio::select! {
                    over = until(&mut is_racing, false) => return over.map(|()| (times, ignored)),event = line.event() => drop(event?),
                }
            }
        }
    }
    Ok((times, ignored))
}

async fn until(is_racing: &mut watch::Receiver<bool>, expected: bool) -> Fallible<()> {
    while *is_racing.borrow_and_update() != expected {
        is_racing.changed().await?;
    }
    Ok(())
}

/// One connection with one topic.
struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    topic: &'static str,
    r#ref: u64,
    number: usize,
    /// Taps to the finish, from the last view.
    goal: u64,
}

impl Line {
    async fn open(url: &str, topic: &'static str) -> Fallible<Self> {
        let (mut socket, _) = timeout(WAIT_MAX, connect_async(url)).await??;
        if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
            // As browsers do: a tap doesn't wait for the next.
            stream.set_nodelay(true)?;
        }
        let number = match socket.get_ref() {
            MaybeTlsStream::Plain(stream) => usize::from(stream.local_addr()?.port()),
            _ => 0,
        };
        Ok(Self {
            socket,
            topic,
            r#ref: 0,
            number,
            goal: u64::MAX,
        })
    }

    async fn send(&mut self, topic: &str, event: &str, payload: Value) -> Fallible<()> {
        self.r#ref += 1;
        let join_ref = (topic == self.topic).then_some("1");
        let text = json!([join_ref, self.r#ref.to_string(), topic, event, payload]).to_string();
        Ok(self.socket.send(Frame::text(text)).await?)
    }

    /// Sends an event, and waits for its answer.
    async fn ask(&mut self, event: &str, payload: Value) -> Fallible<Value> {
        self.send(self.topic, event, payload).await?;
        let r#ref = self.r#ref.to_string();
        loop {
            let Message {
                to,
                event: name,
                payload,
            } = self.next().await?;
            if name == "phx_reply" && to.as_deref() == Some(&r#ref) {
                return match field(&payload, "status").as_str() {
                    Some("ok") => Ok(field(&payload, "response").clone()),
                    _ => Err(format!("failed to {event}: {payload}").into()),
                };
            }
        }
    }

    /// The next event of the server's, with its payload.
    async fn event(&mut self) -> Fallible<(String, Value)> {
        loop {
            let Message { event, payload, .. } = self.next().await?;
            if event != "phx_reply" {
                return Ok((event, payload));
            }
        }
    }

    async fn phase(&mut self, phase: &str) -> Fallible<()> {
        loop {
            let (event, payload) = self.event().await?;
            if event == "view" && field(&payload, "phase") == phase {
                return Ok(());
            }
        }
    }

    async fn next(&mut self) -> Fallible<Message> {
        loop {
            let frame = timeout(WAIT_MAX, self.socket.next()).await?;
            match frame.ok_or("the server hung up")?? {
                Frame::Text(text) => {
                    let (_, to, _, event, payload): Parts = serde_json::from_str(&text)?;
                    self.goal = field(&payload, "goal").as_u64().unwrap_or(self.goal);
                    return Ok(Message { to, event, payload });
                }
                Frame::Close(why) => return Err(format!("the server closed: {why:?}").into()),
                _ => {}
            }
        }
    }
}

/// A message as it is on the wire: join ref, ref, topic, event, payload.
type Parts = (Option<String>, Option<String>, String, String, Value);

/// What the server said.
struct Message {
    /// The ref of what it answers.
    to: Option<String>,
    event: String,
    payload: Value,
}

/// A field of an object; null where there is none.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// A number between two others, which looks at random and is the same each time.
fn spread(number: usize, from: f64, to: f64) -> f64 {
    let part = (number as f64 * 0.618_034).fract();
    from + (to - from) * part
}

/// The time within which this part of the answers came.
fn part(sorted: &[Duration], part: f64) -> Duration {
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted
        .get(at.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// The processor time that a process has used so far.
fn cpu(pid: Option<u32>) -> Fallible<Option<Duration>> {
    let Some(pid) = pid else {
        return Ok(None);
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("failed to read of process {pid}: {error}"))?;
    // Behind the name, which may hold anything: utime and stime are the 12th and 13th.
    let (_, rest) = stat.rsplit_once(')').ok_or("/proc/PID/stat has a name")?;
    let ticks: u32 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|it| it.parse::<u32>().ok())
        .sum();
    Ok(Some(TICK * ticks))
}
