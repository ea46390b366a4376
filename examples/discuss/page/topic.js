// One topic: its comments as they come, who reads, and what one writes.

import { Presence } from "./bennu.mjs";
import { askName, isOnline, me, open } from "./link.js";
import { Thread } from "./thread.js";
import { $, avatar, counted, element, keepDraft, say, time, why } from "./view.js";

/** What the server takes; it is the judge, the page only counts. */
const CONTENT_CHARACTERS_MAX = 2_000;
const COUNT_FROM_CHARACTERS = 1_800;
/** How near the end still counts as reading the newest. */
const NEAR_END_PX = 120;
const FIELDS = { content: "A comment", title: "A title", id: "Its id" };

const id = location.pathname.split("/").at(-1);
/** Signing in again loads the page anew, and shall cost nobody what they were about to say. */
const saveDraft = keepDraft($("content"), `discuss:draft:${id}`);
let topic;
let own = false;
/** Why the topic is closed to us, once it is. */
let closed;
let joined = false;
let fetching = false;
let thread;
let channel;
let presence;

// The channel

function join(socket) {
  thread = new Thread(sessionStorage, `discuss:outbox:${me.user}:${id}`);
  // Asked at each join: after a while away it's what came since that is wanted.
  channel = socket.channel(`comments:${id}`, () => ({ last_seen_id: thread.seen }));
  presence = new Presence(channel);
  presence.onSync(showReaders);
  channel
    .join()
    .receive("ok", (welcome) => {
      joined = true;
      closed = undefined;
      ({ topic, own } = welcome);
      const first = thread.seen === undefined;
      if (thread.welcome(welcome)) fetchNewer();
      show(first);
      deliver();
    })
    .receive("error", (refused) => close(refused));
  channel.onError(stalled);
  channel.onClose(stalled);
  channel.on("new_comment", (comment) => {
    const follows = isAtEnd();
    thread.receive(comment);
    if (topic) topic.comments = Math.max(topic.comments, comment.id);
    if (thread.hasGap()) fetchNewer();
    show(follows);
  });
  channel.on("topic_edited", (edited) => {
    topic = { ...edited, comments: Math.max(edited.comments, topic?.comments ?? 0) };
    show();
  });
  channel.on("topic_deleted", ({ by }) => close({ reason: `${by} has deleted this topic` }));
  channel.on("shown_out", close);
}

function stalled() {
  joined = false;
  fetching = false;
  thread?.stall();
  show();
}

/** Nothing more comes from here. */
function close({ reason, errors, sign_in }) {
  closed = { words: why({ reason, errors }), sign_in };
  show();
}

function fetchNewer() {
  if (fetching || !joined) return;
  fetching = true;
  channel
    .push("newer", { after: thread.seen })
    .receive("ok", (page) => {
      fetching = false;
      for (const comment of page.comments) thread.receive(comment);
      if (page.newer) fetchNewer();
      show();
    })
    .receive("error", () => (fetching = false))
    .receive("timeout", () => (fetching = false));
}

function fetchOlder() {
  const before = document.documentElement.scrollHeight - scrollY;
  $("older").disabled = true;
  const done = () => ($("older").disabled = false);
  channel
    .push("older", { before: thread.first() })
    .receive("ok", (page) => {
      thread.prepend(page);
      done();
      show();
      // What was read stays where it was.
      scrollTo(0, document.documentElement.scrollHeight - before);
    })
    .receive("error", done)
    .receive("timeout", done);
}

/** Sends what waits, again if need be: the server knows a comment by its id. */
function deliver() {
  if (!joined || !isOnline()) return;
  for (const { client_id, content } of thread.takeWaiting()) {
    channel
      .push("add", { id: client_id, content })
      .receive("ok", (comment) => {
        const follows = isAtEnd();
        thread.receive(comment);
        if (thread.hasGap()) fetchNewer();
        show(follows);
      })
      .receive("error", (refused) => {
        thread.fail(client_id, why(refused, FIELDS));
        show();
      })
      .receive("timeout", () => {
        thread.retry(client_id);
        deliver();
        show();
      });
  }
}

// The page

function show(follow = false) {
  $("composer").hidden = !me.user || Boolean(closed);
  $("guest").hidden = Boolean(me.user) || Boolean(closed) || !topic;
  $("closed").hidden = !closed;
  if (closed) {
    $("closed").replaceChildren(closed.words[0].toUpperCase() + closed.words.slice(1));
    if (closed.sign_in && !me.user) {
      const button = element("button", { type: "button", className: "quiet" }, "Sign in");
      button.addEventListener("click", askName);
      $("closed").append(" ", button);
    }
  }
  $("owner").hidden = !own || Boolean(closed);
  $("edit").disabled = $("delete").disabled = !joined;
  if (topic) {
    document.title = `${topic.title} · Discuss`;
    say($("topic-title"), topic.title);
    const members = topic.members_only ? " · members only" : "";
    say($("topic-by"), `opened by ${topic.by} · ${counted(topic.comments, "comment")}${members}`);
  }
  if (!thread) return;
  const list = thread.list();
  showComments(list);
  $("empty").hidden = list.length > 0 || Boolean(closed);
  say($("empty"), topic ? "Nobody has said anything yet." : "Loading…");
  $("older").hidden = !thread.older || !joined;
  if (follow) scrollTo(0, document.documentElement.scrollHeight);
}

/** Nodes that are right already stay, so that a screen reader reads only what is new. */
function showComments(list) {
  const present = new Map([...$("comments").children].map((node) => [node.dataset.id, node]));
  const nodes = list.map((comment) => {
    const { client_id, state, reason } = comment;
    const fate = { waiting: isOnline() ? "Sending…" : "Waiting for the connection…", sending: "Sending…" }[state];
    const look = `${state ?? "sent"}|${fate ?? ""}|${reason ?? ""}`;
    const known = present.get(client_id);
    return known?.dataset.look === look ? known : item(comment, fate, look);
  });
  nodes.forEach((node, at) => {
    const there = $("comments").children[at];
    if (there !== node) $("comments").insertBefore(node, there ?? null);
  });
  while ($("comments").children.length > nodes.length) $("comments").lastElementChild.remove();
}

function item({ client_id, by, content, at, state, reason }, fate, look) {
  const head = element("p", { className: "comment-head" }, element("span", { className: "from" }, by), " ", time(at));
  const body = element("div", { className: "comment-text" }, head, element("p", { className: "content" }, content));
  if (fate) body.append(element("p", { className: "fate" }, fate));
  if (state === "failed") body.append(failure(client_id, content, reason));
  const dataset = { id: client_id, state: state ?? "sent", look };
  const node = element("li", { className: "comment", dataset }, avatar(by), body);
  node.classList.toggle("own", by === me.user);
  return node;
}

function failure(client_id, content, reason) {
  const again = element("button", { type: "button", className: "quiet" }, "Try again");
  again.addEventListener("click", () => {
    thread.retry(client_id);
    deliver();
    show();
  });
  const change = element("button", { type: "button", className: "quiet" }, "Edit");
  change.addEventListener("click", () => {
    thread.confirm(client_id);
    $("content").value = content;
    saveDraft();
    count();
    show();
    $("content").focus();
  });
  return element("p", { className: "fate failed" }, `Not stored: ${reason} `, again, " ", change);
}

function showReaders() {
  const people = [];
  let guests = 0;
  presence.list((key, { metas }) => {
    if (key === "guests") guests = metas.length;
    else people.push(metas[0].name);
  });
  people.sort((a, b) => a.localeCompare(b));
  const names = people.map((name) => element("span", { className: "reader" }, avatar(name), name));
  const more = guests === 0 ? [] : [element("span", { className: "reader" }, counted(guests, "guest"))];
  $("readers").replaceChildren("Reading now:", ...names, ...more);
}

function isAtEnd() {
  const { scrollHeight } = document.documentElement;
  return scrollHeight - scrollY - innerHeight < NEAR_END_PX;
}

function count() {
  const characters = [...$("content").value].length;
  say($("count"), characters > COUNT_FROM_CHARACTERS ? `${characters} / ${CONTENT_CHARACTERS_MAX}` : "");
  $("count").classList.toggle("over", characters > CONTENT_CHARACTERS_MAX);
}

function edit(open) {
  $("edit-form").hidden = !open;
  say($("edit-error"), "");
  if (!open) return;
  $("edit-title").value = topic.title;
  $("edit-members-only").checked = topic.members_only;
  $("edit-title").focus();
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = $("content").value.trim();
  say($("content-error"), content === "" ? "A comment is required." : "");
  if (content === "") return;
  $("content").value = "";
  saveDraft();
  count();
  thread.write(me.user, content);
  deliver();
  show(true);
});
$("content").addEventListener("input", count);
$("content").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("older").addEventListener("click", fetchOlder);
$("guest-sign-in").addEventListener("click", askName);
$("edit").addEventListener("click", () => edit(true));
$("edit-cancel").addEventListener("click", () => edit(false));
$("edit-form").addEventListener("submit", (event) => {
  event.preventDefault();
  channel
    .push("edit", { title: $("edit-title").value, members_only: $("edit-members-only").checked })
    .receive("ok", () => edit(false))
    .receive("error", (refused) => say($("edit-error"), why(refused, FIELDS)))
    .receive("timeout", () => say($("edit-error"), "The server doesn’t answer."));
});
$("delete").addEventListener("click", () => {
  if (!confirm("Delete this topic with all its comments?")) return;
  channel.push("delete", {}).receive("error", (refused) => say($("edit-error"), why(refused)));
});

count();
join(await open(show));
show();
