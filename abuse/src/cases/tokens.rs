//! Long-poll sessions of others: tokens that are forged, foreign, cut or old.

use serde_json::Value;

use crate::{
    Result,
    case::{Case, Stage},
    frame::message,
    http::{get, post},
    server::Server,
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "tokens",
        sends: "long-poll tokens with every byte changed, cut off, of another server, and made up",
        must: "410, and the session they are for never notices",
        options: &[
            "--window-ms",
            "1500",
            "--secret",
            "a secret of at least 20 bytes",
        ],
        growth_mb_max: 8,
        waits: false,
        run: |stage| Box::pin(tokens(stage)),
    },
    Case {
        name: "sessions",
        sends: "3,000 long-poll sessions that nobody polls",
        must: "they end after three windows, and leave nothing",
        options: &["--window-ms", "500"],
        growth_mb_max: 24,
        waits: false,
        run: |stage| Box::pin(abandoned(stage)),
    },
];

const PATH: &str = "/socket/longpoll?vsn=2.0.0";

/// Begins a session and says its token.
pub(crate) async fn begin(server: &Server) -> Result<String> {
    let answer = get(server.at, PATH).await?.json();
    let token = answer["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| format!("expected a session, found {answer}"))
}

/// Brings a message to a session.
pub(crate) async fn tell(server: &Server, token: &str, headers: &str, body: &[u8]) -> Result<u64> {
    let headers = format!("x-phoenix-longpoll-token: {token}\r\n{headers}");
    Ok(post(server.at, PATH, &headers, body).await?.said())
}

/// Polls a session: what its body says, and its messages.
pub(crate) async fn poll(server: &Server, token: &str) -> Result<(u64, Vec<Value>)> {
    let answer = get(server.at, &format!("{PATH}&token={token}")).await?;
    let messages = answer.json()["messages"].as_array().cloned();
    Ok((answer.said(), messages.unwrap_or_default()))
}

async fn tokens(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    let token = begin(server).await?;
    let join = message(["1", "1"], "room:tokens", "phx_join", "{}");
    let said = tell(server, &token, "", join.as_bytes()).await?;
    if said != 200 {
        return Err(format!("the session's own token gets {said}"));
    }
    let stranger =
        Server::start(&stage.program, &["--secret", "another secret of 20 bytes"]).await?;
    let mut forged = vec![
        begin(&stranger).await?,
        String::new(),
        "x".to_owned(),
        "x".repeat(50_000),
        format!("{token}x"),
        format!("{token}="),
        format!("{token}.{token}"),
        token.to_uppercase(),
        "SFMyNTY.g3QAAAAA.AAAA".to_owned(),
    ];
    for at in 0..token.len() {
        let (head, tail) = token.split_at(at);
        let mut letters = tail.chars();
        let other = if letters.next() == Some('A') {
            'B'
        } else {
            'A'
        };
        forged.push(format!("{head}{other}{}", letters.as_str()));
        forged.push(head.to_owned());
    }
    let leave = message(["1", "2"], "room:tokens", "phx_leave", "{}");
    let mut accepted = 0;
    for forged in &forged {
        match tell(server, forged, "", leave.as_bytes()).await? {
            410 => {}
            // The last letter of Base64 may have bits that stand for nothing: the token is the same.
            200 if forged.len() == token.len() => accepted += 1,
            said => {
                return Err(format!(
                    "a post with a forged token gets {said}: {forged:.60}"
                ));
            }
        }
    }
    if accepted > 0 {
        return Err(format!(
            "{accepted} changed tokens were taken for the session's own"
        ));
    }
    for forged in forged.iter().filter(|it| it.len() < 1_000).step_by(10) {
        let (said, messages) = poll(server, forged).await?;
        if (said, messages.len()) != (410, 0) {
            return Err(format!(
                "a poll with a forged token gets {said}: {forged:.60}"
            ));
        }
    }
    let (said, messages) = poll(server, &token).await?;
    if said != 200 || messages.len() != 1 {
        return Err(format!("the session notices: {said} {messages:?}"));
    }
    stranger.stop().await?;
    Ok(format!("{} forged tokens were worth nothing", forged.len()))
}

async fn abandoned(stage: &Stage) -> Result<String> {
    let server = &stage.server;
    const SESSIONS: usize = 3_000;
    let join = message(["1", "1"], "room:abandoned", "phx_join", "{}");
    for _ in 0..SESSIONS / 20 {
        let mut begun = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (at, join) = (server.at, join.clone());
            begun.spawn(async move {
                let answer = get(at, PATH).await?.json();
                let token = answer["token"].as_str().ok_or_else(|| answer.to_string())?;
                let headers = format!("x-phoenix-longpoll-token: {token}\r\n");
                Ok::<_, String>(post(at, PATH, &headers, join.as_bytes()).await?.said())
            });
        }
        while let Some(begun) = begun.join_next().await {
            match begun.map_err(|error| error.to_string())?? {
                200 => {}
                said => return Err(format!("a session gets {said}")),
            }
        }
    }
    let ended = |it| it == 0;
    server
        .counted("bennu_connections", "transport=\"longpoll\"", ended)
        .await?;
    let opened = server
        .metrics()
        .await?
        .get("bennu_connections_opened_total", "transport=\"longpoll\"")?;
    Ok(format!("{opened} sessions began and are gone"))
}
