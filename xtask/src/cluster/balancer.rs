//! What HAProxy is told.

use super::{App, Front, Node};

const DEFAULTS: &str = "\
global
    maxconn 9000

defaults
    mode http
    option redispatch
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout tunnel 75s
";

/// No client sticks to a node, and nodes that drain are left alone. HAProxy keeps its connections to them, as otherwise it
/// would end some by resets, which look as if answers were lost.
pub(super) fn configuration(fronts: &[Front]) -> String {
    fronts.iter().fold(DEFAULTS.to_owned(), |mut text, front| {
        text.push_str(&part(front));
        text
    })
}

fn part(front: &Front) -> String {
    let (app, port) = (front.app.program(), front.port);
    let nodes = backend(app, "", &front.nodes);
    let (race, races) = match front.app {
        App::Conformance => (String::new(), String::new()),
        // A race is one task's. Should its node be gone, another one begins on the next.
        App::Showcase => (
            format!("    use_backend {app}-race if {{ path_beg /tap-racer }}\n"),
            backend(&format!("{app}-race"), " backup", &front.nodes),
        ),
    };
    format!(
        "
frontend {app}
    bind 127.0.0.1:{port}
{race}    default_backend {app}
{nodes}{races}"
    )
}

/// `others` is said of all servers but the first.
fn backend(name: &str, others: &str, nodes: &[Node]) -> String {
    let servers = nodes
        .iter()
        .enumerate()
        .map(|(at, Node { name, port, .. })| {
            let more = if at == 0 { "" } else { others };
            format!("    server {name} 127.0.0.1:{port} check{more}\n")
        });
    let servers: String = servers.collect();
    format!(
        "
backend {name}
    balance roundrobin
    option httpchk GET /health
    http-reuse always
    default-server inter 500ms fall 1 rise 1
{servers}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balancer_knows_every_node_and_leads_races_to_one() {
        let node = |name: &str, port| Node {
            name: name.to_owned(),
            port,
            pid: 1,
        };
        let nodes = vec![node("web-1", 1001), node("web-2", 1002)];
        let front = |app, port| Front {
            app,
            port,
            nodes: nodes.clone(),
        };
        let fronts = [front(App::Showcase, 4000), front(App::Conformance, 4001)];
        let text = configuration(&fronts);
        for (line, times) in [
            ("    bind 127.0.0.1:4000\n", 1),
            ("    bind 127.0.0.1:4001\n", 1),
            ("    server web-1 127.0.0.1:1001 check\n", 3),
            ("    server web-2 127.0.0.1:1002 check\n", 2),
            ("    server web-2 127.0.0.1:1002 check backup\n", 1),
            (
                "    use_backend showcase-race if { path_beg /tap-racer }\n",
                1,
            ),
        ] {
            assert_eq!(text.matches(line).count(), times, "{line}{text}");
        }
    }
}
