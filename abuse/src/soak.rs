//! Long churn: sockets, channels and names come and go, and the server's memory is to stay where it is.

mod life;
mod memory;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Result,
    case::healthy,
    server::{Program, Server},
};
use life::{Deed, Life, Tally};
use memory::Memory;

/// Clients that connect at once at the start.
const CONNECTING_MAX: usize = 50;
/// What a socket may have to do that it hasn't begun.
const DEEDS_MAX: usize = 4;
/// How often deeds are given out.
const TICK: Duration = Duration::from_millis(20);
/// Ticks whose deeds are made up for when they were missed.
const CATCH_UP_TICKS: u64 = 25;
/// How long what is left may take to be gone.
const LEFT_TIME_MAX: Duration = Duration::from_secs(20);
/// The part of the rate that must be reached, in percent: what isn't tells nothing of the server.
const RATE_PERCENT_MIN: u64 = 80;

/// How long, with how many, how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long it churns.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Sockets that are connected.
    #[arg(long, default_value_t = 5_000)]
    sockets: u64,
    /// Deeds in a second: shouts, names that come and go, leaves, crashes, closes, resets, disconnects.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Users who come for a moment with each deed of that kind, which is one in eight.
    #[arg(long, default_value_t = 12)]
    guests: u64,
    /// How far the memory of the last half may move, in percent.
    #[arg(long, default_value_t = 5.0)]
    flat_percent: f64,
    /// What is done is drawn from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Whether memory stayed flat and nothing was left.
pub(crate) async fn run(options: &Options, program: &Program) -> Result<bool> {
    let server = Server::start(program, &[]).await?;
    healthy(&server).await?;
    let before = Left::of(&server).await?;
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let (deeds, mut lives) = connect(options, &server, &tally).await?;
    println!(
        "{} sockets connected in {:.1} s, {:.1} MB",
        options.sockets,
        began.elapsed().as_secs_f64(),
        server.memory()? as f64 / 1e6
    );
    let memory = churn(options, &server, &deeds, &tally).await?;
    drop(deeds);
    let mut failures = Vec::new();
    while let Some(life) = lives.join_next().await {
        if let Err(why) = life.map_err(|error| error.to_string())? {
            failures.push(why);
        }
    }
    println!("\n{tally}");
    println!("memory: {memory}");
    let mut wrong = Vec::new();
    if let Some(why) = failures.first() {
        wrong.push(format!(
            "{} sockets failed, one because {why}",
            failures.len()
        ));
    }
    wrong.extend(memory.verdict(options.flat_percent).err());
    let wanted = (options.minutes * 60.0 * options.rate as f64) as u64;
    if tally.deeds() * 100 < wanted * RATE_PERCENT_MIN {
        wrong.push(format!("{} deeds were done of {wanted}", tally.deeds()));
    }
    wrong.extend(left(&server, &before, &tally).await.err());
    wrong.extend(healthy(&server).await.err());
    let panics = server.panics();
    if panics > 0 {
        wrong.push(format!("the server panicked {panics} times"));
    }
    wrong.extend(server.stop().await.err());
    for why in &wrong {
        println!("FAILED: {why}");
    }
    if wrong.is_empty() {
        println!("ok");
    }
    Ok(wrong.is_empty())
}

/// The tasks of all sockets, and the way to tell each what to do.
async fn connect(
    options: &Options,
    server: &Server,
    tally: &Arc<Tally>,
) -> Result<(Vec<mpsc::Sender<Deed>>, JoinSet<Result<()>>)> {
    let (mut deeds, mut lives, mut connecting) = (Vec::new(), JoinSet::new(), JoinSet::new());
    for number in 0..options.sockets {
        while connecting.len() >= CONNECTING_MAX {
            spawn_next(&mut connecting, &mut deeds, &mut lives).await?;
        }
        connecting.spawn(Life::begin(
            number,
            options.guests,
            server.at,
            tally.clone(),
        ));
    }
    while !connecting.is_empty() {
        spawn_next(&mut connecting, &mut deeds, &mut lives).await?;
    }
    Ok((deeds, lives))
}

async fn spawn_next(
    connecting: &mut JoinSet<Result<Life>>,
    deeds: &mut Vec<mpsc::Sender<Deed>>,
    lives: &mut JoinSet<Result<()>>,
) -> Result<()> {
    if let Some(life) = connecting.join_next().await {
        let life = life.map_err(|error| error.to_string())??;
        let (sender, receiver) = mpsc::channel(DEEDS_MAX);
        deeds.push(sender);
        lives.spawn(life.run(receiver));
    }
    Ok(())
}

/// Gives out deeds at the rate, and measures.
async fn churn(
    options: &Options,
    server: &Server,
    deeds: &[mpsc::Sender<Deed>],
    tally: &Tally,
) -> Result<Memory> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut memory = Memory::default();
    let (began, time) = (
        Instant::now(),
        Duration::from_secs_f64(options.minutes * 60.0),
    );
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Where this program had to wait for a processor, what is due then isn't made up for: a burst is another test.
    let given_max = (TICK.as_secs_f64() * options.rate as f64).ceil() as u64 * CATCH_UP_TICKS;
    let (mut given, mut sampled, mut told) = (0_u64, 0, 0);
    while began.elapsed() < time {
        ticks.tick().await;
        let elapsed = began.elapsed();
        let due = (elapsed.as_secs_f64() * options.rate as f64) as u64;
        for _ in given.max(due.saturating_sub(given_max))..due {
            let at = random.usize(0..deeds.len().max(1));
            // Who is busy isn't given more: the rate that was reached is judged in the end.
            if let Some(life) = deeds.get(at) {
                let _ = life.try_send(Deed::any(&mut random));
            }
        }
        given = due;
        let second = elapsed.as_secs();
        if second > sampled {
            sampled = second;
            memory.add(elapsed, server.memory()?);
        }
        if second >= told + 30 {
            told = second;
            println!(
                "{second:5} s  {:8} deeds  {:6.1} MB",
                tally.deeds(),
                server.memory()? as f64 / 1e6
            );
        }
    }
    Ok(memory)
}

/// What a server holds when nobody is connected.
#[derive(Debug)]
struct Left {
    files: usize,
    tasks: u64,
}

impl Left {
    async fn of(server: &Server) -> Result<Self> {
        server
            .counted("bennu_connections", "", |it| it == 0)
            .await?;
        Ok(Self {
            files: server.files(),
            tasks: server.metrics().await?.get("conformance_tasks", "")?,
        })
    }
}

/// Whether all is as it was before anybody connected.
async fn left(server: &Server, before: &Left, tally: &Tally) -> Result<()> {
    let gauges = [
        ("bennu_connections", 0),
        ("bennu_topics", 0),
        ("bennu_presences", 0),
        ("bennu_queued_messages", 0),
        ("bennu_queued_bytes", 0),
        ("conformance_tasks", before.tasks),
    ];
    for (gauge, zero) in gauges {
        let left = server
            .counted_within(gauge, "", LEFT_TIME_MAX, |it| it <= zero)
            .await;
        left.map_err(|why| format!("something is left: {why}, expected {zero}"))?;
    }
    let metrics = server.metrics().await?;
    let count = |name| metrics.get(name, "");
    let (opened, closed) = (
        count("bennu_connections_opened_total")?,
        count("bennu_connections_closed_total")?,
    );
    let (panics, crashes) = (count("bennu_panics_total")?, tally.crashes());
    let files = server.files();
    println!(
        "{opened} connections opened, {closed} closed; {panics} panics of {crashes} asked for; {} tasks and {files} files as before ({} and {})",
        count("conformance_tasks")?,
        before.tasks,
        before.files
    );
    if (opened, panics) != (closed, crashes) {
        return Err("the counts don't agree".to_owned());
    }
    // The health check's own connections may linger on either side.
    if files > before.files + 4 {
        return Err(format!(
            "{files} files are open, there were {}",
            before.files
        ));
    }
    Ok(())
}
