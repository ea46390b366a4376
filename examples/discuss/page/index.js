// The list of topics, as it changes.

import { isOnline, me, open, prefix } from "./link.js";
import { $, avatar, counted, element, keepDraft, say, time, why } from "./view.js";

const topics = new Map();
let channel;
let joined = false;
/** Why the server doesn't give out the list, while it doesn't. */
let refused;

function show() {
  const list = [...topics.values()].sort((a, b) => b.active_at - a.active_at || b.id - a.id);
  $("topics").replaceChildren(...list.map(item));
  $("empty").hidden = list.length > 0;
  say($("empty"), refused ?? (joined ? "Nothing yet. Open the first topic!" : "Loading…"));
  $("new-topic").hidden = !me.user;
  $("create").disabled = !isOnline() || !joined;
}

function item({ id, title, by, members_only, comments, active_at }) {
  const name = element("span", { className: "topic-name" }, title);
  const link = element("a", { href: `${prefix}/topics/${id}`, className: "topic" }, avatar(by),
    element("span", { className: "topic-text" }, name,
      element("span", { className: "by" }, `${by} · `, time(active_at), members_only ? " · members only" : "")),
    element("span", { className: "comments-count" }, counted(comments, "comment")));
  return element("li", { dataset: { topic: id } }, link);
}

function join(socket) {
  channel = socket.channel("topics");
  channel
    .join()
    .receive("ok", (reply) => {
      joined = true;
      refused = undefined;
      topics.clear();
      for (const topic of reply.topics) topics.set(topic.id, topic);
      show();
    })
    .receive("error", (error) => {
      refused = why(error);
      show();
    });
  const put = (topic) => {
    topics.set(topic.id, { ...topics.get(topic.id), ...topic });
    show();
  };
  channel.on("topic_created", put);
  channel.on("topic_edited", put);
  channel.on("topic_grown", (grown) => {
    const known = topics.get(grown.id);
    // Two comments' news may overtake each other.
    if (known && known.comments < grown.comments) put(grown);
  });
  channel.on("topic_deleted", ({ id }) => {
    topics.delete(id);
    show();
  });
}

const saveDraft = keepDraft($("title"), "discuss:draft");
$("new-topic").addEventListener("submit", (event) => {
  event.preventDefault();
  say($("title-error"), "");
  const create = { title: $("title").value, members_only: $("members-only").checked };
  channel
    .push("create", create)
    .receive("ok", ({ id }) => {
      $("title").value = "";
      saveDraft();
      location.assign(`${prefix}/topics/${id}`);
    })
    .receive("error", (refused) => say($("title-error"), why(refused, { title: "A title" })))
    .receive("timeout", () => say($("title-error"), "The server doesn’t answer. Look whether the topic is there."));
});

join(await open(show));
show();
