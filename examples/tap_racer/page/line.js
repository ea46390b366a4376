// The line to the server: one socket, one channel, and how both are, in words. Both pages use it.

import { LongPoll, Socket } from "./bennu.mjs";

/** After this long without a WebSocket it's long-polling, as behind some proxies. */
const LONG_POLL_AFTER_MS = 3_000;
const RETRY_MS = [200, 500, 1_000, 2_000];
const RETRY_MS_MAX = 3_000;

/**
 * Connects and joins, and keeps doing so until `hangUp`.
 *
 * @param {object} options
 * @param {string} options.topic
 * @param {() => object} options.params for the socket
 * @param {() => object} [options.join] params of the join
 * @param {Record<string, (payload: any) => void>} options.on what the server pushes
 * @param {(reply: any) => void} options.joined at each join, so after each reconnect too
 * @param {(refusal: {reason: string, about?: string}) => void} options.refused for good
 * @param {(channel: any) => void} [options.made] the channel, before it joins
 */
export function call({ topic, params, join = () => ({}), on, joined, refused, made }) {
  const url = new URL("socket", location.href);
  // `?longpoll` is for those who want to see it, and for tests.
  const polls = new URLSearchParams(location.search).has("longpoll");
  let retryAt;
  let over = false;
  const socket = new Socket(url.pathname, {
    params,
    ...(polls ? { transport: LongPoll } : { longPollFallbackMs: LONG_POLL_AFTER_MS }),
    heartbeatIntervalMs: 5_000,
    timeout: 5_000,
    rejoinAfterMs: () => 1_000,
    reconnectAfterMs: (tries) => {
      const ms = (RETRY_MS[tries - 1] ?? RETRY_MS_MAX) * (0.8 + 0.4 * Math.random());
      retryAt = Date.now() + ms;
      return ms;
    },
  });
  const channel = socket.channel(topic, join);
  for (const [event, callback] of Object.entries(on)) channel.on(event, (payload) => over || callback(payload));
  made?.(channel);
  let wasJoined = false;

  const show = () => {
    if (over) return;
    if (channel.isJoined() && socket.isConnected()) return showState("online");
    if (!navigator.onLine) return showState("offline");
    showState(wasJoined ? "reconnecting" : "connecting", retryAt);
  };
  const hangUp = () => {
    over = true;
    clearInterval(ticks);
    channel.leave();
    socket.disconnect();
  };
  const tryNow = () => {
    if (over || socket.isConnected()) return;
    socket.disconnect().then(() => over || socket.connect());
  };
  // A countdown goes out of date by itself.
  const ticks = setInterval(show, 250);
  socket.onOpen(show);
  socket.onClose(show);
  socket.onError(show);
  channel
    .join()
    .receive("ok", (reply) => {
      wasJoined = true;
      retryAt = undefined;
      show();
      if (!over) joined(reply);
    })
    .receive("error", (refusal) => {
      // What isn't for good is tried again: the server is busy, say.
      if (over || !refusal.final) return;
      hangUp();
      showState("refused");
      refused(refusal);
    });
  socket.connect();
  show();
  addEventListener("online", tryNow);
  addEventListener("offline", show);

  return {
    isUp: () => channel.isJoined() && socket.isConnected(),
    push: (event, payload = {}) => channel.push(event, payload),
    tryNow,
    hangUp,
  };
}

const WORDS = {
  idle: "",
  connecting: "Connecting…",
  online: "Connected",
  offline: "Offline",
  reconnecting: "Reconnecting…",
  refused: "Refused",
  elsewhere: "In another window",
};

/** The state in words; the banner says more while there is no connection. */
export function showState(kind, retryAt) {
  const state = document.getElementById("state");
  // Written only when it differs, or a screen reader would repeat it.
  if (state.textContent !== WORDS[kind]) state.textContent = WORDS[kind];
  state.dataset.state = kind;
  const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - Date.now()) / 1_000);
  const when = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
  const banner =
    kind === "offline" ? "This device has no network. The race goes on when it’s back."
    : kind === "reconnecting" ? `The connection is lost. ${when}`
    : kind === "connecting" && retryAt !== undefined ? `The server can’t be reached. ${when}`
    : "";
  const text = document.getElementById("banner-text");
  if (text.textContent !== banner) text.textContent = banner;
  document.getElementById("banner").hidden = banner === "";
}
