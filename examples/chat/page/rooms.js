// What is known of a room, as plain data: no network, no page. view.js shows it, chat.js feeds it.

const MESSAGES_MAX = 500;
const TYPING_MS = 4_000;

/** Messages in the order of their time, who is typing, and how many weren't read. */
export class Room {
  constructor(name) {
    this.name = name;
    this.messages = [];
    this.members = undefined;
    this.unread = 0;
    this.draft = "";
    /** Why the server doesn't let us in, while it doesn't. */
    this.refused = undefined;
    this.typing = new Map();
    this.byId = new Map();
  }

  /** A message of our own on its way. */
  send(id, from, body, at) {
    return this.#put({ id, from, body, at, own: true, state: "pending" });
  }

  /** A message the server told of: new to us, or our own that has now arrived. Says whether it's new. */
  receive({ id, from, body, at }, own) {
    this.typing.delete(from);
    const known = this.byId.get(id);
    if (!known) {
      this.#put({ id, from, body, at, own, state: "sent" });
      return true;
    }
    Object.assign(known, { at, state: "sent", reason: undefined });
    return false;
  }

  /** The time for its answer is over while there is no connection: it waits for the next one. */
  stall(id) {
    const message = this.byId.get(id);
    if (message?.state === "pending") message.stalled = true;
  }

  /** The ids of those that wait, which from now on don't. */
  takeStalled() {
    const stalled = this.messages.filter((message) => message.stalled && message.state === "pending");
    for (const message of stalled) message.stalled = false;
    return stalled.map(({ id }) => id);
  }

  /** The server has it; its broadcast may come before or after. */
  confirm(id) {
    const message = this.byId.get(id);
    if (message) Object.assign(message, { state: "sent", reason: undefined });
  }

  fail(id, reason) {
    const message = this.byId.get(id);
    if (message && message.state !== "sent") Object.assign(message, { state: "failed", reason });
  }

  retry(id) {
    const message = this.byId.get(id);
    if (message) Object.assign(message, { state: "pending", reason: undefined });
    return message;
  }

  discard(id) {
    this.byId.delete(id);
    this.messages = this.messages.filter((message) => message.id !== id);
  }

  /** A line that is nobody's: someone came or went. */
  note(id, text, at) {
    this.#put({ id, text, at, note: true });
  }

  isTyping(from, now) {
    this.typing.set(from, now + TYPING_MS);
  }

  /** The names of those who typed a moment ago. */
  typists(now) {
    for (const [name, until] of this.typing) {
      if (until <= now) this.typing.delete(name);
    }
    return [...this.typing.keys()];
  }

  #put(message) {
    this.byId.set(message.id, message);
    const after = this.messages.findLastIndex((other) => other.at <= message.at);
    this.messages.splice(after + 1, 0, message);
    if (this.messages.length > MESSAGES_MAX) this.byId.delete(this.messages.shift().id);
    return message;
  }
}

/** What a person typed as the name of a room, as a topic may hold it; empty when nothing is left. */
export function roomName(text) {
  return text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_]+/gu, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 30);
}

/** An id that no other client makes. (`crypto.randomUUID` is missing where the page isn't served by HTTPS.) */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
