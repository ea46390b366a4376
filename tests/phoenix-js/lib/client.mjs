// The official client, unmodified, and ours, which takes its place; and what a test wants to see of them.

import { readFileSync } from "node:fs";

import { WebSocket } from "ws";

import { Inbox, within } from "./inbox.mjs";
import { XmlHttpRequest } from "./xhr.mjs";

const REPLY_MS_MAX = 15_000;

// The old one looks for a browser's global object when it's loaded.
globalThis.self ??= globalThis;

/** Ours, as `bennu` embeds it. */
const OURS = new URL("../../../crates/bennu/src/client/bennu.min.mjs", import.meta.url);

/**
 * The clients under test, and what the old one can't do: its binary frames count characters as bytes, for one. Ours can
 * whatever the new one can.
 */
export const clients = [
  {
    ...(await installed("phoenix-new")),
    has: { authToken: true, errorReasons: true, unicodeInBinaryFrames: true, binaryMessages: true, ordered: true },
  },
  {
    ...(await installed("phoenix-old")),
    has: { authToken: false, errorReasons: false, unicodeInBinaryFrames: false, binaryMessages: true, ordered: true },
  },
  {
    name: "@bennu/client",
    module: await import(OURS),
    has: { authToken: true, errorReasons: true, unicodeInBinaryFrames: true, binaryMessages: true, ordered: true },
  },
];

/**
 * The same over long-polling, where only ours takes binary messages. The old one posts each message with a request of its
 * own, all at once, in whatever order they arrive; and it knows XMLHttpRequest only.
 */
export const pollingClients = clients.map((client) => ({
  ...client,
  name: `${client.name} over long-polling`,
  polls: true,
  has: {
    ...client.has,
    binaryMessages: client.name === "@bennu/client",
    ordered: client.has.authToken,
    sessionEnds: client.has.authToken,
  },
}));

async function installed(alias) {
  const description = new URL(`../node_modules/${alias}/package.json`, import.meta.url);
  const { name, version } = JSON.parse(readFileSync(description, "utf8"));
  return { name: `${name} ${version}`, module: await import(alias) };
}

/**
 * A socket of the client on its way to the server; it disconnects when the test ends.
 * `events` gets {open}, {close, reason} and {error}; `wire` gets {sent} and {received} with every frame, parsed when it is text.
 */
export function connect(test, client, server, options = {}) {
  const events = new Inbox("the socket's events");
  const wire = new Inbox("the socket's frames");
  const socket = new client.module.Socket(server.ws("/socket"), {
    transport: client.polls ? recordingPolls(wire, client) : recording(wire),
    reconnectAfterMs: () => 20,
    rejoinAfterMs: () => 20,
    ...options,
  });
  socket.onOpen(() => events.put({ open: true }));
  socket.onClose((event) => events.put({ close: event.code, reason: event.reason }));
  socket.onError((error) => events.put({ error: error?.message ?? "error" }));
  test.after(() => new Promise((resolve) => socket.disconnect(resolve)));
  socket.connect();
  return { socket, events, wire };
}

/** A channel that has joined, with an inbox of its events: {event, payload}. */
export async function join(socket, topic, params = {}, listenTo = []) {
  const { channel, events } = listen(socket, topic, params, listenTo);
  const answer = await reply(channel.join());
  if (answer.status !== "ok") throw new Error(`join of ${topic} was answered ${JSON.stringify(answer)}`);
  return { channel, events, response: answer.response };
}

/** The channel before its join. `closed` and `error` are put into the inbox like events. */
export function listen(socket, topic, params = {}, listenTo = []) {
  const channel = socket.channel(topic, params);
  const events = new Inbox(`the events of ${topic}`);
  for (const event of listenTo) channel.on(event, (payload) => events.put({ event, payload }));
  channel.onClose(() => events.put({ event: "closed" }));
  channel.onError((payload) => events.put({ event: "error", payload }));
  return { channel, events };
}

/** What a push (or a join) is answered: {status, response}. The client's own timeout counts as an answer. */
export function reply(push) {
  const answer = new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve({ status, response }));
    }
  });
  return within(answer, REPLY_MS_MAX, () => `the reply to ${push.event} on ${push.channel.topic}`);
}

/** Waits until the channel is in this state; the official client has no event for "joined again". */
export async function rejoined(wire, topic) {
  const { sent } = await wire.take(({ sent }) => sent?.[2] === topic && sent?.[3] === "phx_join");
  const joinRef = sent[0];
  await wire.take(({ received }) => received?.[0] === joinRef && received?.[3] === "phx_reply");
  return joinRef;
}

/** A WebSocket class that notes what passes. */
function recording(wire) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { perMessageDeflate: false });
      this.on("message", (data, isBinary) => wire.put({ received: readable(data, isBinary) }));
    }

    send(data, ...rest) {
      wire.put({ sent: readable(data, typeof data !== "string") });
      super.send(data, ...rest);
    }
  };
}

/** The client's own long-polling, noting what passes. */
function recordingPolls(wire, client) {
  // The new client uses fetch where there is no XMLHttpRequest.
  globalThis.XMLHttpRequest = client.name.startsWith("phoenix 1.6") ? XmlHttpRequest : undefined;
  return class extends client.module.LongPoll {
    get onmessage() {
      return this.handler;
    }

    set onmessage(handler) {
      this.handler = (event) => {
        wire.put({ received: readable(event.data, typeof event.data !== "string") });
        handler(event);
      };
    }

    send(data) {
      wire.put({ sent: readable(data, typeof data !== "string") });
      super.send(data);
    }
  };
}

function readable(data, isBinary) {
  return isBinary ? Buffer.from(data) : JSON.parse(data.toString());
}
