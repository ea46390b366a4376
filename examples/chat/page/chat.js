// The chat: a connection, the rooms that were entered, and what the person does.

import { Presence, Socket } from "./bennu.mjs";
import { Room, newId, roomName } from "./rooms.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);

/** What the server takes; it is the judge, the page only counts. */
const BODY_CHARACTERS_MAX = 2_000;
const COUNT_FROM_CHARACTERS = 1_800;
const TYPING_EVERY_MS = 2_000;
const ANSWER_MS_MAX = 10_000;
/** How long a WebSocket is waited for before long-polling is tried, as behind some proxies. */
const FALLBACK_MS = 3_000;
const PUBLIC_ROOMS = ["lobby", "rust", "phoenix"];

const rooms = [];
const channels = new Map();
let current;
let me = sessionStorage.getItem("name") ?? "";
let socket;
let state = { kind: "connecting" };
let typingSentAt = 0;

// The connection

function connect() {
  state = { kind: "connecting" };
  // An error before the first opening may mean that nobody is there, or that we were refused: a WebSocket can't
  // tell. So the page itself is asked for; when it is there and the next try fails too, it was a refusal.
  let answered = false;
  let opened = false;
  socket = new Socket(new URL("socket", location.href).pathname, {
    params: () => ({ name: me }),
    longPollFallbackMs: FALLBACK_MS,
    heartbeatIntervalMs: 15_000,
    timeout: ANSWER_MS_MAX,
    reconnectAfterMs: (tries) => {
      const ms = ([250, 500, 1_000, 2_000, 4_000][tries - 1] ?? 8_000) * (0.8 + 0.4 * Math.random());
      state = { kind: state.kind === "connecting" ? "connecting" : "offline", retryAt: Date.now() + ms };
      showState();
      return ms;
    },
  });
  const connection = socket;
  const ifCurrent = (handle) => (event) => connection === socket && handle(event);
  connection.onOpen(ifCurrent(() => {
    opened = true;
    state = { kind: "online" };
    sessionStorage.setItem("name", me);
    enterPage();
    showState();
    showCurrent();
  }));
  connection.onClose(ifCurrent(() => {
    if (state.kind === "online") state = { kind: "offline" };
    showState();
    showCurrent();
  }));
  connection.onError(ifCurrent(async () => {
    if (opened) return;
    if (answered) return refused();
    answered = await pageAnswers();
    if (!answered && state.kind === "connecting") {
      state = { kind: "offline", retryAt: state.retryAt };
      showState();
    }
  }));
  connection.connect();
  for (const room of rooms) enter(room);
  showState();
}

async function pageAnswers() {
  try {
    return (await fetch(location.pathname, { method: "HEAD", cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

function refused() {
  hangUp();
  view.askName(me, "The server refused the connection with this name. A name has 1 to 20 characters, and all can be seen.");
}

function hangUp() {
  const old = socket;
  socket = undefined;
  channels.clear();
  old?.disconnect();
}

function tryNow() {
  const connection = socket;
  connection?.disconnect(() => connection === socket && connection.connect());
}

// Rooms

function addRoom(name) {
  const room = new Room(name);
  rooms.push(room);
  if (socket) enter(room);
  return room;
}

function enter(room) {
  const channel = socket.channel(`room:${room.name}`, {});
  channels.set(room, channel);
  // These run at each join, so after every reconnect too.
  channel
    .join()
    .receive("ok", ({ history }) => {
      room.refused = undefined;
      for (const message of history) room.receive(message, message.from === me);
      for (const id of room.takeStalled()) deliver(room, id);
      show(room);
    })
    .receive("error", ({ reason }) => {
      room.refused = reason ?? "it gave no reason";
      show(room);
    });
  channel.on("new_msg", (message) => {
    const fresh = room.receive(message, false);
    if (fresh && (room !== current || document.hidden)) room.unread += 1;
    show(room);
  });
  channel.on("typing", ({ from }) => {
    room.isTyping(from, Date.now());
    show(room);
  });
  follow(room, new Presence(channel));
}

/** Who is here, on whichever node of the server. */
function follow(room, presence) {
  // Who was here before us hasn't come in. After a reconnect it shows who came and went meanwhile.
  let known = false;
  presence.onJoin((name, before) => known && !before && cameOrWent(room, name, "came in"));
  presence.onLeave((name, left) => known && left.metas.length === 0 && cameOrWent(room, name, "left"));
  presence.onSync(() => {
    known = true;
    room.members = presence.list().length;
    show(room);
  });
}

function cameOrWent(room, name, what) {
  room.typing.delete(name);
  if (name !== me) room.note(newId(), `${name} ${what}`, Date.now());
}

function leave(room) {
  channels.get(room)?.leave();
  channels.delete(room);
  rooms.splice(rooms.indexOf(room), 1);
  rememberRooms();
  open(rooms[0]);
}

function open(room) {
  if (current) current.draft = $("body").value;
  current = room;
  room.unread = 0;
  $("body").value = room.draft;
  fit();
  show(room);
  $("body").focus();
}

function rememberRooms() {
  const own = rooms.map(({ name }) => name).filter((name) => !PUBLIC_ROOMS.includes(name));
  localStorage.setItem("rooms", JSON.stringify(own));
}

// Messages

function send(body) {
  const { id } = current.send(newId(), me, body, Date.now());
  deliver(current, id);
}

function deliver(room, id) {
  const { body } = room.retry(id);
  show(room);
  const fail = (reason) => {
    room.fail(id, reason);
    show(room);
  };
  if (room.refused) return fail(room.refused);
  channels
    .get(room)
    ?.push("new_msg", { id, body })
    .receive("ok", () => {
      room.confirm(id);
      show(room);
    })
    .receive("error", ({ reason }) => fail(reason ?? "the server gave no reason"))
    .receive("timeout", () => {
      // Offline isn't failed: it goes out with the next join.
      if (state.kind === "online") fail("no answer from the server");
      else room.stall(id);
    });
}

function edit(room, id) {
  const message = room.byId.get(id);
  if (!message) return;
  room.discard(id);
  $("body").value = message.body;
  fit();
  show(room);
  $("body").focus();
}

function typed() {
  fit();
  const now = Date.now();
  if ($("body").value === "" || state.kind !== "online" || now - typingSentAt < TYPING_EVERY_MS) return;
  typingSentAt = now;
  channels.get(current)?.push("typing", {});
}

// The page

function enterPage() {
  $("welcome").close();
  $("app").hidden = false;
  view.showMe(me);
  if (!current) open(rooms[0]);
}

function show(room) {
  view.showRooms(rooms, current, open);
  if (room !== current) return;
  view.showRoom(room, !PUBLIC_ROOMS.includes(room.name));
  view.showTyping(room.typists(Date.now()));
  const actions = { retry: (id) => deliver(room, id), edit: (id) => edit(room, id) };
  view.showMessages(room, state.kind === "online", actions);
}

function showCurrent() {
  if (current) show(current);
}

function showState() {
  view.showState(state, Date.now());
}

/** The composer is as high as what it holds, and counts when that gets long. */
function fit() {
  const body = $("body");
  body.style.height = "auto";
  body.style.height = `${body.scrollHeight}px`;
  const count = [...body.value].length;
  $("count").textContent = count > COUNT_FROM_CHARACTERS ? `${count} / ${BODY_CHARACTERS_MAX}` : "";
  $("count").classList.toggle("over", count > BODY_CHARACTERS_MAX);
}

$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim().replace(/\s+/g, " ");
  if (name === "") return view.askName("", "A name has at least one character.");
  hangUp();
  me = name;
  $("enter").disabled = true;
  localStorage.setItem("name", name);
  connect();
});
// Without a name there is nothing behind the dialog; with one, Escape goes back to the chat.
$("welcome").addEventListener("cancel", (event) => {
  if (!socket) event.preventDefault();
});
$("change-name").addEventListener("click", () => view.askName(me));
$("leave-room").addEventListener("click", () => leave(current));
$("try-now").addEventListener("click", tryNow);
$("newer").addEventListener("click", view.scrollToEnd);
$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = roomName($("new-room-name").value);
  $("new-room-name").value = "";
  if (name === "") return;
  const room = rooms.find((room) => room.name === name) ?? addRoom(name);
  rememberRooms();
  open(room);
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = $("body").value.trim();
  if (body === "") return;
  $("body").value = "";
  fit();
  typingSentAt = 0;
  send(body);
});
$("body").addEventListener("input", typed);
$("body").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("scroll").addEventListener("scroll", () => {
  if (view.isAtEnd()) $("newer").hidden = true;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !current) return;
  current.unread = 0;
  show(current);
});
addEventListener("online", () => state.kind === "offline" && tryNow());
// Typing lines and countdowns go out of date by themselves.
setInterval(() => {
  if (!current) return;
  view.showTyping(current.typists(Date.now()));
  if (state.kind === "offline") showState();
}, 500);

function storedRooms() {
  try {
    const stored = JSON.parse(localStorage.getItem("rooms") ?? "[]");
    return Array.isArray(stored) ? stored.map(String).map(roomName).filter(Boolean).slice(0, 50) : [];
  } catch {
    return [];
  }
}

for (const name of new Set([...PUBLIC_ROOMS, ...storedRooms()])) addRoom(name);
if (me === "") view.askName(localStorage.getItem("name") ?? "");
else connect();
