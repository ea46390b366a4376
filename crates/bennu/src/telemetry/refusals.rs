//! What the session, or a join, answers with an error.

use bennu_wire::Outbound;

use super::Counters;

/// Counts an answer, if it's such a one.
pub(crate) fn count_refusal(outbound: &Outbound, counters: &Counters) {
    let Outbound::Reply(reply) = outbound else {
        return;
    };
    if !outbound.is_refusal() {
        return;
    }
    counters.messages_refused.add(1);
    let why = reply
        .response
        .as_json()
        .and_then(|it| it.strip_prefix(r#"{"reason":""#)?.strip_suffix(r#""}"#))
        .unwrap_or_default();
    counters.refusals.add(why);
    if why == "join crashed" {
        counters.joins.add("crashed");
    }
}
