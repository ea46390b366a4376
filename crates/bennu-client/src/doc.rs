// What the examples of the documentation talk to; they include this file.
#[allow(dead_code)]
fn run<F: Future<Output = Result<(), Box<dyn std::error::Error>>>>(example: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), example).await })
        .expect("the example takes too long")
        .expect("the example fails");
}

struct Visitor;
impl bennu::Socket for Visitor {
    type App = ();
    type Params = ();
    fn channels(routes: bennu::Routes<Self>) -> bennu::Routes<Self> { routes.channel::<Room>("room:*") }
    async fn connect(_: &std::sync::Arc<()>, (): (), _: &bennu::ConnectInfo) -> bennu::Result<Self> { Ok(Self) }
}

struct Room(u32);
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum In { NewMsg { body: String } }
impl bennu::Channel for Room {
    type Socket = Visitor;
    type Params = ();
    type In = In;
    type Info = ();
    async fn join(topic: &bennu::Topic, (): (), cx: &bennu::Context<Self>) -> bennu::Result<bennu::Joined<Self>> {
        if topic.subtopic() == "presence" {
            cx.track("ada", &serde_json::json!({"device": "phone"}))?;
            cx.push_presence_state();
        }
        Ok(Self(0).into())
    }
    async fn handle_in(&mut self, event: In, cx: &bennu::Context<Self>) -> bennu::Result {
        let In::NewMsg { body } = event;
        self.0 += 1;
        cx.broadcast("new_msg", &serde_json::json!({"body": body}));
        Ok(bennu::Reply::with(self.0))
    }
}

/// A server on a free port, and its socket's URL.
#[allow(dead_code)]
async fn serve() -> String {
    let endpoint = bennu::Endpoint::new(())
        .options(bennu::SocketOptions::new().longpoll(bennu::LongPoll::default()))
        .socket::<Visitor>("/socket");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/socket", listener.local_addr().unwrap());
    tokio::spawn(async move { bennu::serve(listener, endpoint.router()).await });
    url
}
