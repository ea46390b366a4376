//! Plays one race with many players against a running server, and says what that cost.
//!
//! ```sh
//! cargo run --release -p tap_racer               # prints the big screen's link
//! cargo run --release -p tap_racer --example race -- LINK --players 200 --pid $(pidof tap_racer)
//! ```

use std::{collections::HashMap, error::Error, fs, process::ExitCode, sync::Arc, time::Duration};

use bennu_client::{Channel, Client, Events};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};

/// For anything that has to come.
const WAIT_MAX: Duration = Duration::from_secs(90);
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

/// What the console hears.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    View {
        phase: String,
        goal: u32,
    },
    Progress {
        ended: Vec<(usize, Option<u64>)>,
    },
    #[serde(other)]
    SomethingElse,
}

/// The answer to taps.
#[derive(Deserialize)]
struct Tapped {
    taps: u32,
    ignored: u32,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says what went wrong")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures")]
async fn run(options: &Options) -> Fallible<()> {
    let link = options.link.split_once("/console#");
    let (place, token) = link.ok_or("the link ends with /console# and a token")?;
    let url: Arc<str> = format!("{place}/socket").into();
    let console = Client::connect(&url)
        .params(&HashMap::from([("token", token)]))
        .open()
        .await?;
    let console = console.channel("console").join().await?;
    let mut heard = console.events();

    let began = Instant::now();
    let mut entering = JoinSet::new();
    for number in 1..=options.players {
        entering.spawn(enter(url.clone(), number));
    }
    let mut players = Vec::new();
    while let Some(entered) = entering.join_next().await {
        players.push(entered??);
    }
    println!(
        "{} players entered in {:.2?}",
        players.len(),
        began.elapsed()
    );

    // Nobody taps before the go, and nobody after the end.
    let (race, is_on) = watch::channel(false);
    let period = Duration::from_secs_f64(1.0 / options.taps_per_second.max(0.1));
    console.push::<HashMap<(), ()>>("start", &()).await?;
    let goal = racing(&mut heard).await?;
    let mut playing = JoinSet::new();
    for (number, player) in players.into_iter().enumerate() {
        let pace = period.mul_f64(spread(number, 0.67, 1.33));
        playing.spawn(play(player, is_on.clone(), number, pace, goal));
    }
    let before = cpu(options.pid)?;
    let go = Instant::now();
    race.send(true)?;
    let gaps = watch_race(&mut heard).await?;
    let (took, after) = (go.elapsed(), cpu(options.pid)?);
    race.send(false)?;

    let (mut answers, mut ignored) = (Vec::new(), 0);
    while let Some(played) = playing.join_next().await {
        let (times, not_counted) = played??;
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

async fn enter(url: Arc<str>, number: usize) -> Fallible<Channel> {
    // What players are told isn't read here, so little of it is kept.
    let socket = Client::connect(&url).inbox_events_max(4).open().await?;
    let name = format!("Player {number}");
    let joining = socket.channel("play").params(&json!({"name": name}));
    Ok(joining.join().await?)
}

/// Waits for the go. Returns how many taps it is to the finish.
async fn racing(heard: &mut Events) -> Fallible<u32> {
    loop {
        if let Heard::View { phase, goal } = next(heard).await?
            && phase == "racing"
        {
            return Ok(goal);
        }
    }
}

/// The times between two updates of the lanes, as long as all are tapping: until the first is in. Returns when the race
/// is over.
async fn watch_race(heard: &mut Events) -> Fallible<Vec<Duration>> {
    let (mut gaps, mut last, mut all_tap) = (Vec::new(), None, true);
    loop {
        let event = next(heard).await?;
        let now = Instant::now();
        match event {
            Heard::Progress { ended } if all_tap => {
                all_tap = ended.is_empty();
                gaps.extend(last.map(|last| now - last));
                last = Some(now);
            }
            Heard::View { phase, .. } if phase == "finished" => return Ok(gaps),
            _ => {}
        }
    }
}

async fn next(heard: &mut Events) -> Fallible<Heard> {
    let event = timeout(WAIT_MAX, heard.next()).await?;
    Ok(event.ok_or("the console was closed")?.decode()?)
}

/// Taps until the finish, or the end of the race. Returns how long each answer took, and how many taps didn't count.
async fn play(
    player: Channel,
    mut is_on: watch::Receiver<bool>,
    number: usize,
    pace: Duration,
    goal: u32,
) -> Fallible<(Vec<Duration>, u32)> {
    until(&mut is_on, true).await?;
    sleep(pace.mul_f64(spread(number, 0.0, 1.0))).await;
    let (mut times, mut ignored) = (Vec::new(), 0);
    let mut taps = interval(pace);
    let mut all = 0;
    while all < goal && *is_on.borrow() {
        taps.tick().await;
        let sent = Instant::now();
        let tapped: Tapped = player.push("tap", &json!({"taps": 1})).await?;
        times.push(sent.elapsed());
        ignored += tapped.ignored;
        all = tapped.taps;
    }
    // The race isn't over for who is in.
    until(&mut is_on, false).await?;
    Ok((times, ignored))
}

async fn until(is_on: &mut watch::Receiver<bool>, expected: bool) -> Fallible<()> {
    is_on.wait_for(|it| *it == expected).await?;
    Ok(())
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
