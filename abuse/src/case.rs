//! One kind of abuse: what is sent, what must be seen, and what must hold afterwards whatever was sent.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::{
    Result,
    frame::push,
    server::{Program, Server},
    socket::Socket,
};

/// How long a case may take: longer than the longest of the server's limits.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a healthy client may take to join, to be answered and to hear a shout.
const HEALTH_TIME_MAX: Duration = Duration::from_secs(2);
/// How long what a case left may take to be gone: a closing connection, the end of a session that nobody polls.
const LEFT_TIME_MAX: Duration = Duration::from_secs(10);

/// What a case does. It returns what was seen.
pub(crate) type Run =
    for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>>;

/// One kind of abuse.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it sends.
    pub(crate) sends: &'static str,
    /// What the server must do, as documented.
    pub(crate) must: &'static str,
    /// Options of the server.
    pub(crate) options: &'static [&'static str],
    /// How much the server's memory may grow, at its highest.
    pub(crate) growth_mb_max: u64,
    /// Mostly waits for the server's time limits, so it runs beside the others.
    pub(crate) waits: bool,
    pub(crate) run: Run,
}

/// What a case finds: a server of its own, which a healthy client has used.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) program: Program,
}

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) case: &'static str,
    pub(crate) sends: &'static str,
    /// What was seen, or what was wrong.
    pub(crate) seen: Result<String>,
    pub(crate) took: Duration,
    pub(crate) measured: Measured,
    pub(crate) growth_mb_max: u64,
}

/// What was measured around a case.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) growth_bytes: u64,
    /// How long the healthy client took afterwards.
    pub(crate) health: Duration,
}

impl Case {
    pub(crate) async fn run(self, program: &Program) -> Verdict {
        let began = Instant::now();
        let mut measured = Measured::default();
        let seen = timeout(CASE_TIME_MAX, self.judge(program, &mut measured)).await;
        let late = || {
            Err(format!(
                "it takes longer than {} s",
                CASE_TIME_MAX.as_secs()
            ))
        };
        Verdict {
            case: self.name,
            sends: self.sends,
            seen: seen.unwrap_or_else(|_| late()),
            took: began.elapsed(),
            measured,
            growth_mb_max: self.growth_mb_max,
        }
    }

    async fn judge(&self, program: &Program, measured: &mut Measured) -> Result<String> {
        let stage = Stage {
            server: Server::start(program, self.options).await?,
            program: program.clone(),
        };
        let server = &stage.server;
        healthy(server)
            .await
            .map_err(|why| format!("before anything was sent: {why}"))?;
        server.forget_peak();
        let before = server.memory()?;
        let seen = (self.run)(&stage).await?;
        measured.health = healthy(server)
            .await
            .map_err(|why| format!("a healthy client suffers: {why}"))?;
        measured.growth_bytes = server.memory_peak()?.saturating_sub(before);
        for gauge in ["bennu_connections", "bennu_topics"] {
            let left = server
                .counted_within(gauge, "", LEFT_TIME_MAX, |it| it == 0)
                .await;
            left.map_err(|why| format!("something is left: {why}"))?;
        }
        match server.metrics().await?.get("bennu_panics_total", "")? + server.panics() {
            0 => {}
            panics => return Err(format!("the server panicked {panics} times")),
        }
        if measured.growth_bytes > self.growth_mb_max * 1_000_000 {
            return Err(format!(
                "the server grew by {} MB, {} are its bound ({seen})",
                measured.growth_bytes / 1_000_000,
                self.growth_mb_max
            ));
        }
        stage.server.stop().await?;
        Ok(seen)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Whether a client that does nothing wrong is served: two join, one pings and shouts, the other hears it.
pub(crate) async fn healthy(server: &Server) -> Result<Duration> {
    let began = Instant::now();
    let healthy = async {
        let mut ada = Socket::open(server.at).await?;
        let mut bob = Socket::open(server.at).await?;
        ada.join("room:health").await?;
        bob.join("room:health").await?;
        let ping = push(["1", "2"], "room:health", "ping", r#"{"n":7}"#);
        ada.send(&ping).await?;
        let reply = ada.reply("2").await?;
        if reply
            .pointer("/4/response/n")
            .and_then(serde_json::Value::as_u64)
            != Some(7)
        {
            return Err(format!("a ping is answered with {reply}"));
        }
        let shout = push(["1", "3"], "room:health", "shout", r#"{"n":8}"#);
        ada.send(&shout).await?;
        bob.message(|it| it[3] == "shout" && it[4]["n"] == 8)
            .await?;
        Ok(())
    };
    match timeout(HEALTH_TIME_MAX, healthy).await {
        Ok(Ok(())) => Ok(began.elapsed()),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!(
            "it isn't served within {} s",
            HEALTH_TIME_MAX.as_secs()
        )),
    }
}
