// What both pages have: who is signed in, the connection, and its state in words.

import { Socket } from "./bennu.mjs";
import { $, paintAvatar, say } from "./view.js";

export const prefix = document.body.dataset.prefix;

const ANSWER_MS_MAX = 10_000;
const HEARTBEAT_MS = 15_000;
/** How long a WebSocket is waited for before long-polling is tried. */
const FALLBACK_MS = 3_000;
const RECONNECT_AFTER_MS = [250, 500, 1_000, 2_000, 4_000];
const RECONNECT_LAST_MS = 8_000;

const WORDS = {
  connecting: "Connecting…",
  online: "Online",
  offline: "Offline: reconnecting",
  refused: "Signed out",
};

/** `user` is a name, or null for guests. */
export const me = { user: null, csrf: null };
let state = { kind: "connecting" };
let changed = () => {};
let socket;

export const isOnline = () => state.kind === "online";

/** Asks who is signed in, and connects. `onChange` is called whenever the connection comes or goes. */
export async function open(onChange) {
  changed = onChange;
  show();
  // Until the server answers for the first time there is nothing to show.
  for (let tries = 0; !(await whoAmI()); tries += 1) {
    const ms = pause(tries + 1);
    setState({ kind: "offline", retryAt: Date.now() + ms });
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
  showMe();
  socket = new Socket(`${prefix}/socket`, {
    params: () => (me.csrf ? { _csrf_token: me.csrf } : {}),
    timeout: ANSWER_MS_MAX,
    heartbeatIntervalMs: HEARTBEAT_MS,
    longPollFallbackMs: FALLBACK_MS,
    reconnectAfterMs: (tries) => {
      const ms = pause(tries);
      if (state.kind === "offline") setState({ kind: "offline", retryAt: Date.now() + ms });
      return ms;
    },
  });
  socket.onOpen(() => setState({ kind: "online" }));
  socket.onClose(() => state.kind === "online" && setState({ kind: "offline" }));
  socket.onError(askWhy);
  socket.connect();
  return socket;
}

function pause(tries) {
  return (RECONNECT_AFTER_MS[tries - 1] ?? RECONNECT_LAST_MS) * (0.8 + 0.4 * Math.random());
}

/** A connection that isn't let in looks like one that is lost. So the server is asked whether we are who we were. */
async function askWhy() {
  const before = me.csrf;
  const answers = await whoAmI();
  if (state.kind === "online" || state.kind === "refused") return;
  if (!answers) return setState({ kind: "offline", retryAt: state.retryAt });
  if (me.csrf === before) return;
  if (me.csrf) return location.reload();
  socket.disconnect();
  setState({ kind: "refused" });
}

/** False when the server doesn't answer. */
async function whoAmI() {
  try {
    const response = await fetch(`${prefix}/session`, { cache: "no-store" });
    if (!response.ok) return false;
    Object.assign(me, await response.json());
    return true;
  } catch {
    return false;
  }
}

function setState(next) {
  const was = state.kind;
  state = next;
  show();
  if (was !== next.kind) changed();
}

function show() {
  const { kind, retryAt } = state;
  const polls = kind === "online" && socket.conn?.constructor === socket.getLongPollTransport();
  say($("state"), polls ? "Online (long-polling)" : WORDS[kind]);
  $("state").dataset.state = kind;
  $("banner").hidden = kind !== "offline" && kind !== "refused";
  if (kind === "refused") {
    say($("banner-text"), "You are signed out. Comments that weren’t sent yet wait until you sign in again.");
    say($("banner-button"), "Sign in again");
  } else if (kind === "offline") {
    const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - Date.now()) / 1_000);
    const when = seconds > 0 ? `Trying again in ${seconds} s` : "Trying again now";
    say($("banner-text"), `The connection is lost. ${when}; what you write is kept.`);
    say($("banner-button"), "Try now");
  }
}

function showMe() {
  $("who").hidden = !me.user;
  $("sign-in").hidden = Boolean(me.user);
  if (!me.user) return;
  say($("my-name"), me.user);
  paintAvatar($("my-avatar"), me.user);
}

/** Opens the door, where one signs in. */
export function askName() {
  $("name-error").textContent = "";
  $("door").showModal();
  $("name").focus();
}

async function signIn(name) {
  let error = "The server doesn’t answer. Try again.";
  try {
    const response = await fetch(`${prefix}/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    if (response.ok) return location.reload();
    const { errors } = await response.json();
    error = `A name ${errors.name.join(" and ")}.`;
  } catch {
    // The words above say it.
  }
  say($("name-error"), error);
}

async function signOut() {
  try {
    await fetch(`${prefix}/session`, { method: "DELETE", headers: { "x-csrf-token": me.csrf } });
    location.reload();
  } catch {
    setState({ kind: "offline", retryAt: state.retryAt });
  }
}

function tryNow() {
  if (state.kind === "refused") return askName();
  socket?.disconnect(() => socket.connect());
}

$("sign-in").addEventListener("click", askName);
$("sign-out").addEventListener("click", signOut);
$("door-close").addEventListener("click", () => $("door").close());
$("door-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("name").value);
});
$("banner-button").addEventListener("click", tryNow);
addEventListener("online", () => state.kind === "offline" && tryNow());
// A countdown goes out of date by itself.
setInterval(() => state.kind === "offline" && show(), 500);
